using GroupViT.Native;
using GroupViT.Native.Weights;
using GroupViT.Tests.Engine;

namespace GroupViT.Tests.Weights;

/// <summary>A model whose weights are spread over several files: the same model as in one file, or a typed error.</summary>
[Category("Cpu")]
internal sealed class ShardedCheckpointTests
{
    private const string IndexName = "model.safetensors.index.json";

    /// <summary>The fixture's folder with its weights dealt out to three shards, in turn, and an index.</summary>
    private static TemporaryFolder Sharded(Action<Dictionary<string, string>>? changeMap = null, Action<Dictionary<string, List<TensorToWrite>>>? changeShards = null)
    {
        TemporaryFolder folder = TemporaryFolder.CopyOf(Fixtures.Path("tiny"), "model.safetensors");
        using SafetensorsFile file = SafetensorsFile.Open(Fixtures.Path("tiny", "model.safetensors"));
        Dictionary<string, string> map = [];
        Dictionary<string, List<TensorToWrite>> shards = [];
        foreach ((SafetensorsEntry entry, int i) in file.Tensors.Values.Where(e => e.Type.ReadsAsFloat32()).Select((e, i) => (e, i)))
        {
            string shard = Shard(i % 3);
            map[entry.Name] = shard;
            shards.TryAdd(shard, []);
            shards[shard].Add(Copy(file, entry));
        }
        changeShards?.Invoke(shards);
        changeMap?.Invoke(map);
        foreach ((string shard, List<TensorToWrite> tensors) in shards)
        {
            SafetensorsWriter.Write(folder[shard], tensors, new Dictionary<string, string> { ["format"] = "pt", ["part"] = shard });
        }
        WriteIndex(folder, map);
        return folder;
    }

    private static string Shard(int i) => $"model-{i + 1:00000}-of-00003.safetensors";

    private static void WriteIndex(TemporaryFolder folder, Dictionary<string, string> map)
        => File.WriteAllText(folder[IndexName], $$$"""{"metadata":{"total_size":123},"weight_map":{{{System.Text.Json.JsonSerializer.Serialize(map)}}}}""");

    private static TensorToWrite Copy(SafetensorsFile file, SafetensorsEntry entry)
    {
        int[] shape = new int[entry.Shape.Length];
        for (int axis = 0; axis < shape.Length; axis++)
        {
            shape[axis] = (int)entry.Shape[axis];
        }
        float[] values = new float[entry.ElementCount];
        file.ReadFloat32(entry, 0, values);
        return TensorToWrite.OfFloats(entry.Name, entry.Type, shape, (first, chunk) => values.AsSpan((int)first, chunk.Length).CopyTo(chunk));
    }

    private static ModelFileException Refused(TemporaryFolder folder, params string[] words)
    {
        ModelFileException error = Assert.Throws<ModelFileException>(() => GroupVitModel.Load(folder.Root).Dispose())!;
        foreach (string word in words)
        {
            Assert.That(error.Message, Does.Contain(word));
        }
        return error;
    }

    [Test]
    public void Three_shards_are_the_same_model_as_one_file()
    {
        using TemporaryFolder folder = Sharded();
        using GroupVitModel one = GroupVitModel.Load(Fixtures.Path("tiny")), three = GroupVitModel.Load(folder.Root);
        Assert.That(three.Checkpoint.Parameters, Has.Count.EqualTo(one.Checkpoint.Parameters.Count));
        foreach (ParameterInfo parameter in one.Checkpoint.Parameters)
        {
            float[] expected = new float[parameter.ElementCount], actual = new float[parameter.ElementCount];
            one.Checkpoint.Read(parameter.Name, expected);
            three.Checkpoint.Read(parameter.Name, actual);
            Assert.That(actual.AsSpan().SequenceEqual(expected), Is.True, parameter.Name);
        }
        Assert.That(three.Checkpoint.Bytes, Is.EqualTo(one.Checkpoint.Bytes));
        Assert.That(three.Checkpoint.Name, Is.EqualTo(folder[IndexName]));
        using Session a = one.OpenSession(Options), b = three.OpenSession(Options);
        Picture picture = TestModels.Noise(96, 96);
        Assert.That(b.EmbedImage(picture), Is.EqualTo(a.EmbedImage(picture)));
    }

    private static SessionOptions Options => new() { Device = "cpu", MaxSize = (96, 96), MaxLabels = 4, Threads = 1 };

    [Test]
    public void The_fingerprint_is_that_of_the_tensors_and_not_of_the_files()
    {
        using TemporaryFolder folder = Sharded();
        // The fixture also holds integer buffers, which shards made here leave out: rewritten as one file the sets are equal.
        using TemporaryFolder single = TemporaryFolder.CopyOf(Fixtures.Path("tiny"), "model.safetensors");
        using (SafetensorsFile file = SafetensorsFile.Open(Fixtures.Path("tiny", "model.safetensors")))
        {
            SafetensorsWriter.Write(single["model.safetensors"], [.. file.Tensors.Values.Where(e => e.Type.ReadsAsFloat32()).Select(e => Copy(file, e))]);
        }
        using GroupVitModel one = GroupVitModel.Load(single.Root), three = GroupVitModel.Load(folder.Root);
        Assert.That(three.Fingerprint, Is.EqualTo(one.Fingerprint));
    }

    [Test]
    public void The_index_itself_can_be_named()
    {
        using TemporaryFolder folder = Sharded();
        using GroupVitModel model = GroupVitModel.Load(folder[IndexName]);
        Assert.That(model.Checkpoint.Name, Is.EqualTo(folder[IndexName]));
    }

    [Test]
    public void A_folder_with_both_is_read_from_the_single_file()
    {
        using TemporaryFolder folder = Sharded();
        File.WriteAllText(folder[IndexName], "damaged");
        File.Copy(Fixtures.Path("tiny", "model.safetensors"), folder["model.safetensors"]);
        using GroupVitModel model = GroupVitModel.Load(folder.Root);
        Assert.That(model.Checkpoint.Name, Is.EqualTo(folder["model.safetensors"]));
    }

    [Test]
    public void A_folder_with_neither_names_both()
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf(Fixtures.Path("tiny"), "model.safetensors");
        Refused(folder, "model.safetensors: there is no such file", IndexName);
    }

    [Test]
    public void Shards_may_be_symbolic_links_as_in_the_hubs_cache()
    {
        using TemporaryFolder folder = Sharded(), snapshot = TemporaryFolder.CopyOf(Fixtures.Path("tiny"), "model.safetensors");
        foreach (string file in (ReadOnlySpan<string>)[Shard(0), Shard(1), Shard(2), IndexName])
        {
            File.CreateSymbolicLink(snapshot[file], folder[file]);
        }
        using GroupVitModel model = GroupVitModel.Load(snapshot.Root);
        Assert.That(model.Checkpoint.Name, Is.EqualTo(snapshot[IndexName]));
    }

    [Test]
    public void Metadata_are_what_the_shards_agree_on()
    {
        using TemporaryFolder folder = Sharded();
        using ShardedSafetensors weights = ShardedSafetensors.Open(folder[IndexName]);
        Assert.That(weights.Metadata, Is.EquivalentTo(new Dictionary<string, string> { ["format"] = "pt" }));
        Assert.That(weights.Length, Is.EqualTo(Enumerable.Range(0, 3).Sum(i => new FileInfo(folder[Shard(i)]).Length)));
    }

    [Test]
    public void A_missing_shard_is_named()
    {
        using TemporaryFolder folder = Sharded();
        File.Delete(folder[Shard(1)]);
        Refused(folder, Shard(1), "no such file");
    }

    [Test]
    public void A_tensor_that_is_not_in_the_shard_named_is_refused()
    {
        using TemporaryFolder folder = Sharded(changeMap: map => map["no.such.tensor"] = Shard(0));
        Refused(folder, IndexName, "no.such.tensor", $"is listed for the shard '{Shard(0)}', which does not have it");
    }

    [Test]
    public void A_tensor_in_another_shard_than_the_index_says_is_refused()
    {
        using TemporaryFolder folder = Sharded(changeMap: map => map["logit_scale"] = map["logit_scale"] == Shard(0) ? Shard(1) : Shard(0));
        Refused(folder, "logit_scale", "says that it is in");
    }

    [Test]
    public void A_tensor_in_two_shards_is_refused()
    {
        using TemporaryFolder folder = Sharded(changeShards: shards =>
        {
            TensorToWrite tensor = shards[Shard(0)][0];
            shards[Shard(1)].Add(tensor);
        });
        Refused(folder, Shard(1), $"says that it is in '{Shard(0)}'", "one shard");
    }

    [Test]
    public void A_shards_tensor_that_the_index_does_not_list_is_refused()
    {
        using TemporaryFolder folder = Sharded(changeShards: shards => shards[Shard(1)].Add(TensorToWrite.OfFloats("smuggled", SafetensorsType.F32, [1], static (_, values) => values.Clear())));
        ModelFileException error = Refused(folder, "smuggled", "does not list it");
        Assert.That(error.File, Is.EqualTo(folder[Shard(1)]));
    }

    [Test]
    public void A_damaged_shard_is_named()
    {
        using TemporaryFolder folder = Sharded();
        byte[] bytes = File.ReadAllBytes(folder[Shard(2)]);
        File.WriteAllBytes(folder[Shard(2)], bytes[..^1]);
        Assert.That(Refused(folder, "data section").File, Is.EqualTo(folder[Shard(2)]));
    }

    [Test]
    public void What_is_wrong_with_a_tensor_is_said_of_its_shard()
    {
        using TemporaryFolder folder = Sharded();
        SafetensorsEntry entry;
        using (SafetensorsFile file = SafetensorsFile.Open(folder[Shard(0)]))
        {
            entry = file.Tensors.Values.First(e => e.ElementCount > 3);
        }
        using (FileStream stream = new(folder[Shard(0)], FileMode.Open, FileAccess.Write))
        {
            stream.Position = entry.Offset + 8;
            stream.Write([0, 0, 0xC0, 0x7F]);
        }
        using GroupVitModel model = GroupVitModel.Load(folder.Root);
        float[] values = new float[entry.ElementCount];
        ModelFileException error = Assert.Throws<ModelFileException>(() => model.Checkpoint.Read(entry.Name, values))!;
        Assert.That(error.File, Is.EqualTo(folder[Shard(0)]));
        Assert.That(error.Offset, Is.EqualTo(entry.Offset + 8));
    }

    [Test]
    public void No_shard_stays_open_when_one_is_refused()
    {
        using TemporaryFolder folder = Sharded();
        File.WriteAllText(folder[Shard(2)], "no safetensors");
        Refused(folder, Shard(2));
        using FileStream exclusive = new(folder[Shard(0)], FileMode.Open, FileAccess.ReadWrite, FileShare.None);
        Assert.That(exclusive.Length, Is.Positive);
    }

    [Test]
    public void An_index_in_the_current_folder_finds_its_shards()
    {
        using TemporaryFolder folder = Sharded();
        string relative = Path.GetRelativePath(Directory.GetCurrentDirectory(), folder[IndexName]);
        using ShardedSafetensors weights = ShardedSafetensors.Open(relative);
        Assert.That(weights.Shards.Select(shard => shard.Name), Is.All.EndsWith(".safetensors"));
    }

    [Test]
    public void An_index_that_is_too_large_is_not_read()
    {
        using TemporaryFolder folder = Sharded();
        using (FileStream stream = new(folder[IndexName], FileMode.Open, FileAccess.Write))
        {
            stream.SetLength(ShardIndex.MaxLength + 1L);
        }
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.That(() => ShardedSafetensors.Open(folder[IndexName]), Throws.TypeOf<ModelFileException>().With.Message.Contains("at most"));
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(1 << 20));
        Assert.That(() => ShardIndex.Parse(new byte[ShardIndex.MaxLength + 1], "memory"), Throws.TypeOf<ModelFileException>().With.Message.Contains("at most"));
    }
}
