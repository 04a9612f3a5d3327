using GroupViT.Kernels;
using GroupViT.Kernels.Devices;
using GroupViT.Native;
using GroupViT.Tests.Kernels;
// Program alone would be the tool's entry point.
using ModelProgram = GroupViT.Native.Program;

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

    [Test]
    public void Every_size_within_the_largest_fits_its_arena()
    {
        using GroupVitModel model = TestModels.Scenes();
        MemoryPlan ceiling = MemoryPlan.For(Image(model, WeightFormat.BFloat16, Ampere, 2, 48, 64));
        for (int height = 8; height <= 64; height += 8)
        {
            for (int width = 8; height * width <= 48 * 64; width += 8)
            {
                Graph graph = Image(model, WeightFormat.BFloat16, Ampere, 2, height, width);
                MemoryPlan plan = MemoryPlan.For(graph, ceiling);
                Assert.That(plan.Bytes, Is.LessThanOrEqualTo(ceiling.Bytes), $"{height} x {width}");
                Assert.That(new Liveness(graph).Faults(plan), Is.Empty, $"{height} x {width}");
                // The largest size's own places do for it too.
                Assert.That(new Liveness(graph).Faults(MemoryPlan.Within(graph, ceiling)), Is.Empty, $"{height} x {width} in the largest size's places");
            }
        }
    }

    // A block in small: norm, projections by heads, attention, projection with residual, norm, hidden layer, projection with residual.
    [TestCase(WeightFormat.BFloat16, 80), TestCase(WeightFormat.Float16, 75)]
    [Category("Simulator")]
    public void A_program_that_keeps_16_bits_gives_the_bits_of_one_that_rounds_on_the_way(WeightFormat format, int compute)
    {
        using GpuDevice device = GpuDevice.OpenEmulator(compute, 1000);
        OperationHarness constants = new(new TestDevice("cpu", DeviceKind.Cpu, () => new CpuDevice()), 47);
        Tensor[] weights = [constants.Constant("qkv", 3 * 128, 128), constants.Constant("out", 4, 128), constants.Constant("fc1", 128, 4 * 32), constants.Constant("fc2", 4, 128)];
        Tensor[] vectors = [constants.Vector("gamma", 128), constants.Vector("beta", 128), constants.Vector("bias", 128)];
        float[] x = TensorAttentionTests.Numbers(2 * 3 * 128, 53);
        (float[] wide, int none, long wideBytes) = Run(narrow: false);
        (float[] kept, int some, long keptBytes) = Run(narrow: true);
        Assert.That(none, Is.Zero);
        Assert.That(some, Is.EqualTo(5), "two norms, queries with keys and values, what they mix, the hidden layer");
        Assert.That(keptBytes, Is.LessThan(wideBytes));
        Assert.That(kept, Is.EqualTo(wide).And.All.Matches<float>(float.IsFinite));

        (float[] Result, int Narrow, long Bytes) Run(bool narrow)
        {
            Graph graph = new();
            Tensor input = graph.Input(Tensor.Float("x", 2, 3, 128));
            Tensor normed = Tensor.Float("normed", 2, 3, 128);
            Tensor fused = Tensor.Float("fused", 2, 3 * 4 * 3, 32);
            Tensor mixed = Tensor.Float("mixed", 2, 3, 128);
            Tensor attended = Tensor.Float("attended", 2, 3, 4);
            Tensor again = Tensor.Float("again", 2, 3, 128);
            Tensor hidden = Tensor.Float("hidden", 2, 3, 128);
            Tensor y = Tensor.Float("y", 2, 3, 4);
            TensorView Part(int part) => fused.View().RowRange(part * 12, 12);
            graph.Add(new LayerNorm(input, vectors[0], vectors[1], normed, 1e-5f));
            graph.Add(Product(normed, weights[0], fused) with { HeadSize = 32 });
            graph.Add(new Attention(Part(0), Part(1), Part(2), mixed, 4, 0.2f) { HeadsMajor = true, Format = format });
            graph.Add(Product(mixed, weights[1], attended));
            graph.Add(new LayerNorm(input, vectors[1], vectors[0], again, 1e-5f));
            graph.Add(Product(again, weights[2], hidden) with { Bias = vectors[2], Activation = Activation.Gelu });
            graph.Add(Product(hidden, weights[3], y) with { Residual = attended });
            graph.Output("y", y);
            NarrowTensors.Choose(graph, narrow ? device.Facts : null);

            MemoryPlan plan = MemoryPlan.For(graph);
            MemoryAccount account = new();
            using ConstantPool pool = device.CreateConstants(account);
            using Worker worker = device.CreateWorker(account, pool, 1);
            worker.AllocateArena(plan.Bytes);
            using ModelProgram program = new(graph, plan, worker);
            program.Upload<float>(input, x);
            program.Run();
            return (program.Read<float>("y"), plan.Offsets.Keys.Count(tensor => tensor.IsNarrow), plan.Bytes);
        }

        MatMul Product(Tensor a, Tensor weight, Tensor result)
            => new(a, weight.View().Repeat(2), result) { TransposeB = true, WeightFormat = format, RoundsFactors = true };
    }

    private static Graph Image(GroupVitModel model, WeightFormat format, DeviceFacts? facts, int batch = 1, int height = 224, int width = 224)
    {
        Graph graph = new();
        new ImageEncoder(model.Weights, format).Describe(graph, batch, height, width);
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
