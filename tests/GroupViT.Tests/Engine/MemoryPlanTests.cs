using GroupViT.Kernels;
using GroupViT.Native;
using GroupViT.Native.Weights;
using GroupViT.Tests.Kernels;

namespace GroupViT.Tests.Engine;

internal sealed class MemoryPlanTests
{
    private Checkpoint tiny = null!;
    private ModelWeights weights = null!;

    [OneTimeSetUp]
    public void Open()
    {
        tiny = TestModels.Open(Fixtures.Path("tiny"));
        weights = new ModelWeights(tiny);
    }

    [OneTimeTearDown]
    public void Close() => tiny.Dispose();

    [Test]
    public void Tensors_that_are_needed_at_once_share_no_bytes(
        [Values(1, 3)] int batch, [Values("16x16", "48x64", "96x96", "32x512")] string size, [Values("none", "all", "blocks", "replay")] string taps)
    {
        Graph graph = new(name => taps == "all" || taps == "blocks" && name.Contains("layers", StringComparison.Ordinal));
        string[] sides = size.Split('x');
        new ImageEncoder(weights).Describe(graph, batch, int.Parse(sides[0]), int.Parse(sides[1]), replay: taps == "replay");
        Check(graph, MemoryPlan.For(graph));
    }

    [Test]
    public void The_text_graphs_tensors_share_no_bytes_while_they_are_needed([Values(1, 8)] int batch, [Values(3, 24)] int length, [Values] bool tapped)
    {
        Graph graph = new(_ => tapped);
        new TextEncoder(weights).Describe(graph, batch, length);
        Check(graph, MemoryPlan.For(graph));
    }

    [Test]
    public void The_label_graphs_tensors_share_no_bytes_while_they_are_needed([Values] bool soft, [Values(1, 60)] int labels)
    {
        Graph graph = new LabelGraph(64, 4, (6, 7), (96, 120), labels, new LabelKind(soft, soft, Background: !soft)).Graph;
        Check(graph, MemoryPlan.For(graph));
    }

    [Test]
    public void The_check_finds_a_plan_that_is_wrong()
    {
        // Both operands of the sum on one place: the plan of another graph, where the second is read later.
        Tensor a = Tensor.Float("a", 1, 4, 64);
        Tensor b = Tensor.Float("b", 1, 4, 64);
        Tensor c = Tensor.Float("c", 1, 4, 64);
        Graph apart = new();
        apart.Input(a);
        apart.Add(new Add(a, null, b));
        apart.Add(new Add(b, null, c));
        apart.Output("c", c);
        Graph together = new();
        together.Input(a);
        together.Add(new Add(a, null, b));
        together.Add(new Add(a, b, c));
        together.Output("c", c);
        together.Output("b", b);
        together.Output("a", a);
        Assert.That(new Liveness(apart).Faults(MemoryPlan.For(apart)), Is.Empty);
        Assert.That(new Liveness(together).Faults(MemoryPlan.For(together)), Is.Empty);
        Assert.That(new Liveness(together).Faults(MemoryPlan.For(apart)), Is.Not.Empty);
    }

    [Test]
    public void Reading_what_nothing_wrote_is_refused()
    {
        Graph graph = new();
        graph.Add(new Add(Tensor.Float("never written", 1, 2, 8), null, Tensor.Float("y", 1, 2, 8)));
        Assert.That(() => MemoryPlan.For(graph), Throws.InvalidOperationException.With.Message.Contains("never written"));
    }

    [Test]
    public void Every_size_within_the_largest_fits_its_arena()
    {
        const int patch = 16;
        Graph largest = new();
        new ImageEncoder(weights).Describe(largest, 2, 6 * patch, 8 * patch);
        MemoryPlan ceiling = MemoryPlan.For(largest);
        int adopted = 0;
        for (int height = 1; height <= 48; height++)
        {
            for (int width = 1; height * width <= 48; width++)
            {
                foreach (int batch in (ReadOnlySpan<int>)[1, 2])
                {
                    Graph graph = new();
                    new ImageEncoder(weights).Describe(graph, batch, height * patch, width * patch);
                    MemoryPlan plan = MemoryPlan.For(graph, ceiling);
                    Assert.That(plan.Bytes, Is.LessThanOrEqualTo(ceiling.Bytes), $"{height} x {width}, batch {batch}");
                    Assert.That(new Liveness(graph).Faults(plan), Is.Empty, $"{height} x {width}, batch {batch}");
                    adopted += MemoryPlan.For(graph).Bytes > ceiling.Bytes ? 1 : 0;
                }
            }
        }
        TestContext.Out.WriteLine($"{adopted} plans took the largest size's places");
    }

    [Test]
    public void A_tap_that_hides_in_no_fusion_changes_neither_steps_nor_bits()
    {
        string[] open = ["pooler_output", "last_hidden_state", "stages.0.layers.0", "stages.0.assign_logits", "stages.1.soft_assignment", "composed_groups", "embeddings.patch_embeddings"];
        TestDevice cpu = TestDevices.Present[0];
        float[] pixels = new float[3 * 48 * 64];
        FormulaWeights.Image(48, 64, pixels);

        (Graph Graph, Dictionary<string, float[]> Results) Run(Predicate<string> tapped)
        {
            Graph graph = new(tapped);
            ImageFeatures features = new ImageEncoder(weights).Describe(graph, 1, 48, 64);
            return (graph, TestModels.Run(cpu, graph, program => program.Upload<float>(features.Pixels, pixels)));
        }

        (Graph plain, Dictionary<string, float[]> expected) = Run(_ => false);
        foreach (string tap in open)
        {
            (Graph graph, Dictionary<string, float[]> results) = Run(name => name == tap);
            Assert.That(graph.Outputs.Keys, Is.EquivalentTo(plain.Outputs.Keys.Append(tap)));
            Assert.That(graph.Operations.Select(operation => operation.GetType()), Is.EqualTo(plain.Operations.Select(operation => operation.GetType())), tap);
            foreach ((string name, float[] values) in expected)
            {
                TestModels.AssertSameBits(results[name], values, $"{name} with tap {tap}");
            }
        }
    }

    [TestCase("stages.0.layers.0.mlp")]
    [TestCase("stages.0.downsample.assign")]
    [TestCase("stages.1.group_projector")]
    [TestCase("embeddings.layernorm")]
    public void A_tap_inside_a_fusion_splits_that_one_only(string tap)
    {
        Graph plain = new();
        Graph tapped = new(name => name == tap);
        new ImageEncoder(weights).Describe(plain, 1, 48, 64);
        new ImageEncoder(weights).Describe(tapped, 1, 48, 64);
        Assert.That(tapped.Operations, Has.Count.EqualTo(plain.Operations.Count + 1));
        Assert.That(tapped.Operations.OfType<Add>().Count(), Is.EqualTo(plain.Operations.OfType<Add>().Count() + 1));
        Assert.That(tapped.Outputs.Keys, Is.EquivalentTo(plain.Outputs.Keys.Append(tap)));
    }

    private static void Check(Graph graph, MemoryPlan plan)
    {
        Liveness lives = new(graph);
        Assert.That(lives.Faults(plan), Is.Empty);
        Assert.That(plan.Bytes, Is.GreaterThanOrEqualTo(plan.LowerBound));
        // Writing in place can only save what one operation's operand takes; the bound itself is checked by that.
        Assert.That(plan.LowerBound, Is.LessThanOrEqualTo(lives.Peak + 256L * plan.Offsets.Count));
        TestContext.Out.WriteLine($"{plan.Offsets.Count} tensors, {lives.Shared} pairs on common bytes, {plan.Bytes} bytes, {(double)plan.Bytes / plan.LowerBound:F3} of the lower bound");
    }
}
