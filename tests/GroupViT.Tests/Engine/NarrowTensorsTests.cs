using GroupViT.Kernels;
using GroupViT.Kernels.Devices;
using GroupViT.Native;
using GroupViT.Tests.Kernels;

namespace GroupViT.Tests.Engine;

/// <summary>Which tensors are kept in 16 bits: those that all readers round, and no other.</summary>
internal sealed class NarrowTensorsTests
{
    private static readonly DeviceFacts Ampere = DeviceFacts.Cuda(80);

    [TestCase(WeightFormat.BFloat16, 80)]
    [TestCase(WeightFormat.Float16, 80)]
    [TestCase(WeightFormat.Float16, 75)]
    public void Of_the_demonstration_model_the_blocks_keep_what_products_and_attention_read(WeightFormat format, int compute)
    {
        using GroupVitModel model = TestModels.Scenes();
        string[] image = Narrow(Image(model, format, DeviceFacts.Cuda(compute)), format);
        string[] text = Narrow(Text(model, format, DeviceFacts.Cuda(compute)), format);
        foreach (string part in (string[])["layer_norm1", "self_attn.q_proj+", "attention", "layer_norm2", "mlp.fc1"])
        {
            Assert.That(image, Has.Some.Contains($"vision_model.encoder.stages.0.layers.0.{part}"));
            Assert.That(text, Has.Some.Contains($"text_model.encoder.layers.0.{part}"));
        }
        Assert.That(image, Has.Some.Contains("pre_assign_attn.attn.k_proj+").And.Some.Contains("pre_assign_attn.attention"));
        // 192 numbers of a patch are no whole parts of K: that product takes float32.
        Assert.That(image, Has.None.EqualTo("patches"));
        Assert.That(image, Has.None.Contains("attended").And.None.Contains("logits").And.None.Contains("soft").And.None.Contains("assign.k_proj").And.None.Contains("assign.q_proj"));
        Assert.That(image.Concat(text), Has.None.Contains("mlp.fc2").And.None.Contains("pixel_values"));
    }

    [Test]
    public void Without_matrix_instructions_of_16_bits_nothing_is()
    {
        using GroupVitModel model = TestModels.Scenes();
        Assert.That(Narrow(Image(model, WeightFormat.BFloat16, null), WeightFormat.BFloat16), Is.Empty, "cpu");
        Assert.That(Narrow(Image(model, WeightFormat.BFloat16, DeviceFacts.Cuda(75)), WeightFormat.BFloat16), Is.Empty, "bfloat16 on compute 7.5");
        Assert.That(Narrow(Image(model, WeightFormat.TensorFloat32, Ampere), WeightFormat.TensorFloat32), Is.Empty, "TensorFloat32");
        Assert.That(Narrow(Image(model, WeightFormat.Float32, Ampere), WeightFormat.Float32), Is.Empty, "float32");
    }

    [Test]
    public void What_is_asked_for_is_float32()
    {
        using GroupVitModel model = TestModels.Scenes();
        Graph graph = new(_ => true);
        new ImageEncoder(model.Weights, WeightFormat.BFloat16).Describe(graph, 1, 64, 64);
        NarrowTensors.Choose(graph, Ampere);
        Assert.That(graph.Outputs.Values.Select(view => view.Tensor.Type), Has.None.EqualTo(ElementType.BFloat16));
        Assert.That(graph.Outputs, Has.Count.GreaterThan(20));
    }

    [Test]
    public void One_reader_that_rounds_nothing_keeps_a_tensor_wide()
    {
        OperationHarness harness = new(new TestDevice("cpu", DeviceKind.Cpu, () => new CpuDevice()));
        Tensor x = Tensor.Float("x", 1, 8, 128);
        Tensor normed = Tensor.Float("normed", 1, 8, 128);
        Tensor y = Tensor.Float("y", 1, 8, 128);
        Graph graph = new();
        graph.Input(x);
        graph.Add(new LayerNorm(x, harness.Vector("gamma", 128), harness.Vector("beta", 128), normed, 1e-5f));
        graph.Add(new MatMul(normed, harness.Constant("weight", 128, 128), y) { TransposeB = true, WeightFormat = WeightFormat.BFloat16, RoundsFactors = true });
        Graph wider = new();
        wider.Input(x);
        foreach (Operation operation in graph.Operations)
        {
            wider.Add(operation);
        }
        wider.Add(new Add(y, normed, Tensor.Float("sum", 1, 8, 128)));
        NarrowTensors.Choose(wider, Ampere);
        Assert.That(normed.IsNarrow, Is.False);
        NarrowTensors.Choose(graph, Ampere);
        Assert.That(normed.Type, Is.EqualTo(ElementType.BFloat16));
    }

    [Test]
    public void They_take_half_the_place()
    {
        using GroupVitModel model = TestModels.Scenes();
        long wide = MemoryPlan.For(Image(model, WeightFormat.BFloat16, null)).Bytes;
        Graph narrow = Image(model, WeightFormat.BFloat16, Ampere);
        Assert.That(MemoryPlan.For(narrow).Bytes, Is.LessThan(wide));
        Assert.That(new Liveness(narrow).Faults(MemoryPlan.For(narrow)), Is.Empty);
    }

    private static Graph Image(GroupVitModel model, WeightFormat format, DeviceFacts? facts)
    {
        Graph graph = new();
        new ImageEncoder(model.Weights, format).Describe(graph, 1, 224, 224);
        NarrowTensors.Choose(graph, facts);
        return graph;
    }

    private static Graph Text(GroupVitModel model, WeightFormat format, DeviceFacts? facts)
    {
        Graph graph = new();
        new TextEncoder(model.Weights, format).Describe(graph, 2, 8);
        NarrowTensors.Choose(graph, facts);
        return graph;
    }

    private static string[] Narrow(Graph graph, WeightFormat format)
    {
        HashSet<Tensor> tensors = [];
        foreach (Operation operation in graph.Operations)
        {
            OperationUses uses = new();
            operation.Describe(uses);
            tensors.UnionWith(uses.Writes.Select(view => view.Tensor).Where(tensor => tensor.IsNarrow));
        }
        Assert.That(tensors.Select(tensor => tensor.Format), Is.All.EqualTo(format));
        return [.. tensors.Select(tensor => tensor.Name)];
    }
}
