using GroupViT.Bench.Workloads;
using GroupViT.Kernels;
using GroupViT.Native;
using GroupViT.Native.Measuring;
using GroupViT.Tool;

namespace GroupViT.Tests.Bench;

/// <summary>What is counted and named of the network's operations.</summary>
internal sealed class WorkloadTests
{
    [TestCase("tiny", 64, 48, 1)]
    [TestCase("tiny", 96, 96, 3)]
    [TestCase("scenes", 112, 168, 2)]
    public void The_flops_of_the_graph_are_those_of_the_architecture(string name, int height, int width, int batch)
    {
        using GroupVitModel model = Open(name);
        Assert.That(ImageGraph(model, height, width, batch).Operations.Sum(operation => operation.Flops), Is.EqualTo(batch * Flops(model.Config, height, width)));
    }

    [Test]
    public void Causal_attention_counts_the_keys_that_are_seen()
    {
        Tensor x = Tensor.Float("x", 2, 3, 8);
        Tensor y = Tensor.Float("y", 2, 3, 8);
        Attention full = new(x, x, x, y, 2, 1);
        Assert.That(full.Flops, Is.EqualTo(2 * 2 * 2 * 3 * 3 * 8), "two products, a multiplication and an addition each");
        Assert.That((full with { Causal = true }).Flops, Is.EqualTo(2 * 2 * 2 * (1 + 2 + 3) * 8));
        Assert.That(new Add(x, x, y).Flops, Is.Zero);
    }

    [Test]
    public void Every_operation_has_its_part_in_the_networks_order()
    {
        using GroupVitModel model = Open("scenes");
        Graph graph = ImageGraph(model, 112, 112, 1);
        Assert.That(graph.Operations.Select(NetworkPart.Of).Distinct(), Is.EqualTo((string[])
            ["embeddings", "stage 0 tokens", "stage 0 blocks", "stage 0 grouping", "stage 1 tokens", "stage 1 blocks", "stage 1 grouping", "stage 2 blocks", "head"]));
        // A part does not come again once another has begun: nothing is counted where it does not belong.
        string[] runs = [.. graph.Operations.Select(NetworkPart.Of).Aggregate(new List<string>(), (list, part) => list.Count > 0 && list[^1] == part ? list : [.. list, part])];
        Assert.That(runs, Is.Unique);
        Assert.That(TextGraph(model).Operations.Select(NetworkPart.Of).Distinct(), Is.EqualTo((string[])["text embeddings", "text blocks", "text head"]));
    }

    [Test]
    public void Roles_name_the_place_without_the_layers_number()
    {
        using GroupVitModel model = Open("scenes");
        HashSet<string> roles = [.. ImageGraph(model, 112, 112, 1).Operations.Select(NetworkPart.Role)];
        Assert.That(roles, Is.SupersetOf((string[])["patches", "blocks.layer_norm1", "blocks.qkv", "blocks.attention", "blocks.out_proj", "blocks.mlp.fc1", "downsample.kv", "downsample.assign.proj"]));
        Assert.That(roles, Is.All.Not.Match(@"\d+\.layers|stages\.\d"));
    }

    [Test]
    public void Each_shape_of_the_model_is_one_workload_and_they_add_up_to_the_network()
    {
        using GroupVitModel model = Open("scenes");
        Graph graph = ImageGraph(model, 112, 112, 1);
        IReadOnlyList<Workload> workloads = ModelWorkloads.Of(graph);
        Assert.That(workloads.Sum(workload => workload.Times), Is.EqualTo(graph.Operations.Count));
        Assert.That(workloads.Sum(workload => workload.Times * workload.Flops), Is.EqualTo(graph.Operations.Sum(operation => operation.Flops)));
        Assert.That(workloads, Has.Count.LessThan(graph.Operations.Count));
        Assert.That(workloads.Select(workload => workload.Bytes), Is.All.Positive);
    }

    [Test]
    public void Every_kind_of_operation_has_its_benchmark_class()
    {
        using GroupVitModel model = Open("scenes");
        IEnumerable<Workload> all = [.. ModelWorkloads.Image(model, 112, 1), .. ModelWorkloads.Labelling(model, 112), .. ModelWorkloads.Input(112), .. ModelWorkloads.Text(model)];
        foreach (string kind in all.Select(workload => workload.Kind).Distinct())
        {
            Assert.That(typeof(Workload).Assembly.GetType($"GroupViT.Bench.Operations.{kind}Benchmark"), Is.Not.Null, kind);
        }
    }

    [Test, Category("Cpu")]
    public void Every_workload_runs_alone()
    {
        using GroupVitModel model = Open("scenes");
        foreach (Workload workload in (IEnumerable<Workload>)[.. ModelWorkloads.Image(model, 56, 1), .. ModelWorkloads.Labelling(model, 56), .. ModelWorkloads.Input(56), .. ModelWorkloads.Text(model)])
        {
            foreach (int threads in (int[])[1, 2])
            {
                using PreparedWorkload prepared = workload.Prepare(threads);
                Assert.That(prepared.Run, Throws.Nothing, workload.Name);
            }
        }
    }

    [Test, Category("Cpu")]
    public void A_timed_run_is_a_run_and_its_profile_adds_up()
    {
        using GroupVitModel model = Open("scenes");
        using PreparedImageEncoder encoder = new(model, "cpu", 1, 56, 56, 2);
        float[] pixels = new float[encoder.PixelCount];
        GroupViT.Native.Weights.FormulaWeights.Image(56, 56, pixels);
        encoder.Run(pixels);
        float[] expected = [.. encoder.Maps];
        StageProfile profile = new(encoder.Network.Operations);
        double[] steps = new double[encoder.Network.Operations.Count];
        for (int run = 0; run < 3; run++)
        {
            encoder.RunTimed(pixels, steps);
            profile.Add(steps);
        }
        Assert.That(steps, Is.All.GreaterThanOrEqualTo(0));
        IReadOnlyList<PartTime> parts = profile.By(NetworkPart.Of);
        Assert.That(parts.Sum(part => part.Steps), Is.EqualTo(steps.Length));
        Assert.That(parts.Sum(part => part.Flops), Is.EqualTo(encoder.Network.Flops));
        Assert.That(parts.Sum(part => part.Milliseconds.Samples[2]), Is.EqualTo(steps.Sum()).Within(1e-9));
        Assert.That(() => encoder.RunTimed(pixels, steps.AsSpan(1)), Throws.InstanceOf<ArgumentException>());
        encoder.Run(pixels);
        Assert.That(encoder.Maps, Is.EqualTo(expected));
        Assert.That(() => new PreparedImageEncoder(model, "cpu", 1, 57, 56, 1), Throws.ArgumentException);
    }

    private static GroupVitModel Open(string name) => name == "scenes" ? ModelLocator.Open(name) : GroupVitModel.Load(Fixtures.Path(name));

    private static Graph ImageGraph(GroupVitModel model, int height, int width, int batch)
    {
        Graph graph = new();
        new ImageEncoder(model.Weights).Describe(graph, batch, height, width);
        return graph;
    }

    private static Graph TextGraph(GroupVitModel model)
    {
        Graph graph = new();
        new TextEncoder(model.Weights).Describe(graph, 2, 8);
        return graph;
    }

    // Counted from the configuration, as one would by hand (spec A, B.4).
    private static double Flops(GroupVitConfig config, int height, int width)
    {
        VisionConfig vision = config.Vision;
        double c = vision.HiddenSize;
        double wide = vision.IntermediateSize;
        double patches = (height / vision.PatchSize) * (width / vision.PatchSize);
        double flops = 2 * patches * vision.NumChannels * vision.PatchSize * vision.PatchSize * c;
        double tokens = patches;
        double? before = null;
        double firstGroups = 0;
        for (int stage = 0; stage < vision.StageCount; stage++)
        {
            double groups = vision.NumGroupTokens[stage];
            if (stage > 0 && groups > 0)
            {
                flops += 2 * c * vision.GroupProjectorSize * (before!.Value + groups);
            }
            double n = tokens + groups;
            flops += vision.Depths[stage] * (2 * n * c * 4 * c + 4 * n * n * c + 4 * n * c * wide);
            if (groups == 0)
            {
                continue;
            }
            double output = vision.NumOutputGroups[stage];
            flops += 2 * c * vision.TokenMixerSize * (groups + output);
            flops += 2 * tokens * c * 4 * c;
            flops += 2 * output * c * 2 * c + 4 * output * tokens * c + 4 * output * c * wide;
            flops += 2 * output * c * 2 * c + 2 * output * tokens * c + tokens * c + 4 * output * c * vision.ChannelMlpSize;
            if (firstGroups > 0)
            {
                flops += 2 * output * firstGroups * patches;
            }
            firstGroups = firstGroups == 0 ? output : firstGroups;
            before = groups;
            tokens = output;
        }
        return flops + 2 * (1 + tokens) * (c * config.ProjectionIntermediateDim + (double)config.ProjectionIntermediateDim * config.ProjectionDim);
    }
}
