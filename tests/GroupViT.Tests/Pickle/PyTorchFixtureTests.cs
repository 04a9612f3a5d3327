using GroupViT.Native.Weights;
using GroupViT.Pickle;

namespace GroupViT.Tests.Pickle;

/// <summary>The files that PyTorch itself wrote, against the same tensors in safetensors.</summary>
[Category("Cpu")]
internal sealed class PyTorchFixtureTests
{
    private static readonly string[] RootKeys = ["optimizer", "lr_scheduler", "metrics", "epoch", "config", "max_accuracy", "max_miou"];

    private static readonly long[] Depths = [2, 1, 1];

    private static readonly string[][] Files =
    [
        ["tiny/pytorch_model.bin", "tiny/model.safetensors"],
        ["tiny/nvlabs/checkpoint.pth", "tiny/nvlabs/model.safetensors"],
        ["tiny/nvlabs/checkpoint_legacy.pth", "tiny/nvlabs/model.safetensors"],
    ];

    [TestCaseSource(nameof(Files))]
    public void Every_tensor_has_the_bits_that_it_has_in_safetensors(string file, string truth)
    {
        using PyTorchFile pickled = PyTorchFile.Open(Fixtures.Path(file));
        using SafetensorsFile expected = SafetensorsFile.Open(Fixtures.Path(truth));
        Assert.That(pickled.Tensors.Select(t => t.Name), Is.EquivalentTo(expected.Tensors.Keys));
        foreach (PyTorchTensor tensor in pickled.Tensors)
        {
            SafetensorsEntry entry = expected.Entry(tensor.Name);
            Assert.That(tensor.Type.ToString(), Is.EqualTo(entry.Type.ToString()), tensor.Name);
            Assert.That(tensor.Shape, Is.EqualTo(entry.Shape.ToArray()), tensor.Name);
            Assert.That(tensor.Count, Is.EqualTo(entry.ElementCount), tensor.Name);
            byte[] read = new byte[entry.ByteLength], wanted = new byte[entry.ByteLength];
            // In two pieces, so that a first element other than 0 is read too.
            int half = (int)(tensor.Count / 2) * tensor.Type.Size();
            tensor.Read(0, read.AsSpan(0, half));
            tensor.Read(tensor.Count / 2, read.AsSpan(half));
            expected.ReadBytes(entry, 0, wanted);
            Assert.That(read.AsSpan().SequenceEqual(wanted), tensor.Name);
        }
    }

    [Test]
    public void The_containers_are_told_apart()
    {
        using PyTorchFile zip = PyTorchFile.Open(Fixtures.Path("tiny", "nvlabs", "checkpoint.pth"));
        using PyTorchFile legacy = PyTorchFile.Open(Fixtures.Path("tiny", "nvlabs", "checkpoint_legacy.pth"));
        Assert.That(zip.Container, Is.EqualTo(PyTorchContainer.Zip));
        Assert.That(legacy.Container, Is.EqualTo(PyTorchContainer.Legacy));
        Assert.That(legacy.Tensors.Select(t => t.Name), Is.EqualTo(zip.Tensors.Select(t => t.Name)), "in the same order");
    }

    [TestCase("checkpoint.pth")]
    [TestCase("checkpoint_legacy.pth")]
    public void What_stands_beside_the_model_is_inert_data(string file)
    {
        using PyTorchFile checkpoint = PyTorchFile.Open(Fixtures.Path("tiny", "nvlabs", file));
        Assert.That(checkpoint.Extras.Keys, Is.EquivalentTo(RootKeys));
        Assert.That(checkpoint.Extras["epoch"].TryGetInt64(out long epoch) && epoch == 29);
        Assert.That(checkpoint.Extras["config"], Is.InstanceOf<PickleOpaque>().With.Property(nameof(PickleOpaque.Class)).Property("FullName").EqualTo("omegaconf.dictconfig.DictConfig"));
        // Moments of AdamW, in storages of their own: there, but no part of the model.
        PickleValue? moment = checkpoint.Extras["optimizer"].Find("state") is PickleDict { Entries: [{ Value: PickleDict first }, ..] } ? first.Find("exp_avg") : null;
        Assert.That(moment, Is.InstanceOf<PickleTensor>());
        byte[] values = new byte[((PickleTensor)moment!).Tensor.Count * 4];
        ((PickleTensor)moment).Tensor.Read(0, values);
    }

    [TestCase("checkpoint.pth")]
    [TestCase("checkpoint_legacy.pth")]
    public void The_configuration_s_numbers_can_be_read(string file)
    {
        using PyTorchFile checkpoint = PyTorchFile.Open(Fixtures.Path("tiny", "nvlabs", file));
        PickleValue config = checkpoint.Extras["config"];
        Assert.That(Number(config, "model", "img_encoder", "img_size"), Is.EqualTo(96));
        Assert.That(Number(config, "model", "img_encoder", "patch_size"), Is.EqualTo(16));
        Assert.That(Number(config, "model", "text_encoder", "vocab_size"), Is.EqualTo(600));
        Assert.That(config.Find("model", "img_encoder", "type")!.TryGetString(out string? type) && type == "GroupViT");
        var depths = (PickleList)config.Find("model", "img_encoder", "depths")!;
        Assert.That(depths.Items.Select(item => item.TryGetInt64(out long depth) ? depth : -1), Is.EqualTo(Depths));
        Assert.That(Number(config, "model", "img_encoder", "num_heads", "2"), Is.EqualTo(2));
        Assert.That(config.Find("model", "img_encoder", "num_heads", "3"), Is.Null, "a list of three");
        Assert.That(config.Find("model", "sound_encoder", "depths"), Is.Null);
    }

    private static long Number(PickleValue value, params string[] path)
        => value.Find(path) is { } found && found.TryGetInt64(out long number) ? number : throw new AssertionException($"no number at {string.Join(".", path)}");
}
