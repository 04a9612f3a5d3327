using GroupViT.Kernels;

namespace GroupViT.Native;

/// <summary>What is asked of groups beside labels: windows that slide, areas, the maps of every stage.</summary>
internal sealed partial class SessionWorker
{
    private readonly WindowCanvas canvas = new();
    private int[] windowGroups = [];
    private (int Groups, float[] Values)[] stages = [];

    private void DownloadStages(Program program, ImageFeatures features)
    {
        stages = [.. features.StageMaps.Select(tensor => (tensor.Rows, new float[tensor.Count]))];
        for (int s = 0; s < stages.Length; s++)
        {
            program.Download(features.StageMaps[s], stages[s].Values);
            CheckFinite(stages[s].Values, "group maps");
        }
    }

    /// <summary>The maps of every stage, of one picture of the last batch; none unless the session keeps them.</summary>
    public IReadOnlyList<GroupMap> StageMapsOf(InputShape shape, int index)
    {
        (int gridWidth, int gridHeight) = Grid(shape);
        return [.. stages.Select(stage => new GroupMap(
            stage.Groups, (gridWidth, gridHeight), (shape.Width, shape.Height), stage.Values.AsSpan(index * stage.Groups * gridWidth * gridHeight, stage.Groups * gridWidth * gridHeight).ToArray()))];
    }

    /// <summary>Mode Slide: labels every pixel of the picture from its windows.</summary>
    public void LabelWindows(
        IReadOnlyList<EncodedWindow> windows, (int Width, int Height) input, (int Width, int Height) picture,
        LabelBank bank, SegmentationOptions rules, Span<ushort> mask, Span<long> counts, Span<double> sums, CancellationToken cancellation)
    {
        int labels = bank.Labels.Count;
        canvas.Begin(input.Width, input.Height, labels);
        EffectiveThreshold = double.NaN;
        foreach (EncodedWindow window in windows)
        {
            double threshold = table.MakeNvlabs(window.Embedding, window.GroupEmbeddings, bank, Temperature(rules.Preset, rules.Temperature), rules);
            EffectiveThreshold = threshold >= EffectiveThreshold ? EffectiveThreshold : threshold;
            canvas.Add(window.Area, GroupsOf(window.Maps, ShapeOf(window.Area), cancellation), table.Exact(labels));
        }
        canvas.Label(picture.Width, picture.Height, mask, counts, sums, cancellation);
    }

    /// <summary>How many pixels of an input belong to each group.</summary>
    public long[] GroupAreas(ReadOnlySpan<float> maps, InputShape shape, CancellationToken cancellation)
    {
        long[] areas = new long[GroupCount];
        foreach (int group in GroupsOf(maps, shape, cancellation))
        {
            areas[group]++;
        }
        return areas;
    }

    // The group of every pixel of an input; valid until the next call.
    private ReadOnlySpan<int> GroupsOf(ReadOnlySpan<float> maps, InputShape shape, CancellationToken cancellation)
    {
        (int gridWidth, int gridHeight) = Grid(shape);
        CheckSize(shape, gridWidth, gridHeight, 1);
        ProgramKey key = new(ProgramKind.Groups, shape.Height, shape.Width, 0);
        Prepared prepared = Find(key) ?? Add(key, CreateGroups(shape));
        GroupGraph graph = prepared.Groups!;
        int count = shape.Width * shape.Height;
        if (windowGroups.Length < count)
        {
            windowGroups = new int[count];
        }
        prepared.Program.Upload(graph.Maps, maps);
        prepared.Program.Run(cancellation: cancellation);
        prepared.Program.Download(graph.PixelGroups, windowGroups.AsSpan(0, count));
        return windowGroups.AsSpan(0, count);
    }

    private Prepared CreateGroups(InputShape shape)
    {
        MakeRoom();
        (int gridWidth, int gridHeight) = Grid(shape);
        GroupGraph graph = new(GroupCount, gridHeight, gridWidth, shape.Height, shape.Width);
        return new Prepared(Make(graph.Graph, MemoryPlan.For(graph.Graph, plan.HardLabels))) { Groups = graph };
    }
}
