using GroupViT.Kernels;
using GroupViT.Kernels.Devices;

namespace GroupViT.Native;

/// <summary>The sizes that a session's memory is made for, and the graphs at those sizes.</summary>
internal sealed class SessionPlan
{
    /// <summary>Texts encoded at once: enough to fill the products, few enough that a picture's arena holds them.</summary>
    public const int TextBatch = 8;

    /// <summary>Half a window of streamed weights where the limit leaves room: a transformer block of the full-size model in 16 bits.</summary>
    public const long PreferredHalf = 4 << 20;

    /// <summary>Pixels labelled at once: 1 MiB of labels and as much of scores, whatever the picture's size.</summary>
    public const int BandPixels = 1 << 18;

    private readonly GroupVitModel model;
    private readonly SessionOptions options;

    public SessionPlan(GroupVitModel model, SessionOptions options)
    {
        options.Validate();
        (this.model, this.options) = (model, options);
        int patch = model.Config.Vision.PatchSize;
        (int height, int width) = options.MaxSize ?? (model.SegmentationShortSide, 2 * model.SegmentationShortSide);
        if (height < patch || width < patch)
        {
            throw new ArgumentOutOfRangeException(nameof(options), $"MaxSize {height} x {width} is smaller than one patch of {patch}");
        }
        (GridHeight, GridWidth) = (height / patch, width / patch);
        Threads = Math.Max(1, (options.Threads == 0 ? Environment.ProcessorCount : options.Threads) / options.Workers);
        Image = MemoryPlan.For(ImageGraph(options.MaxBatch, height, width).Graph);
        // Tokens' embeddings in place of their ids take no more than the largest activations: one arena serves either.
        Text = MemoryPlan.For(TextGraph(TextBatch, model.Config.Text.MaxPositionEmbeddings, gathersOnHost: true).Graph);
        int groups = model.Config.Vision.NumOutputGroups[^2];
        HardLabels = MemoryPlan.For(new LabelGraph(groups, GridHeight, GridWidth, (GridHeight + 1) * patch, (GridWidth + 1) * patch, options.MaxLabels, soft: false, logits: false).Graph);
        (int softPatches, int softPixels) = SoftSize();
        // Only the counts matter; sides have a limit of their own.
        int softRows = (int)Math.Ceiling(Math.Sqrt(softPixels));
        int gridRows = (int)Math.Ceiling(Math.Sqrt(softPatches));
        SoftLabels = softPixels == 0 ? null : MemoryPlan.For(new LabelGraph(groups, gridRows, gridRows, softRows, softRows, options.MaxLabels, soft: true, logits: true).Graph);
        ArenaBytes = Math.Max(Math.Max(Image.Bytes, Text.Bytes), Math.Max(HardLabels.Bytes, SoftLabels?.Bytes ?? 0));
    }

    /// <summary>How the layers' weights are kept.</summary>
    public WeightFormat Format => options.Precision.WeightFormat();

    public int GridHeight { get; }

    public int GridWidth { get; }

    public int MaxPatches => GridHeight * GridWidth;

    /// <summary>Pixels of the largest input: up to a patch more than the grid, each way.</summary>
    public int MaxPixels => (GridHeight + 1) * (GridWidth + 1) * model.Config.Vision.PatchSize * model.Config.Vision.PatchSize;

    /// <summary>Threads of one worker.</summary>
    public int Threads { get; }

    public long ArenaBytes { get; }

    public MemoryPlan Image { get; }

    public MemoryPlan Text { get; }

    public MemoryPlan HardLabels { get; }

    public MemoryPlan? SoftLabels { get; }

    public static MemoryEstimate Estimate(GroupVitModel model, SessionOptions options)
    {
        SessionPlan plan = new(model, options);
        using Device device = DeviceCatalog.Open(options.Device, options.Precision);
        return plan.Estimate(device);
    }

    public (Graph Graph, ImageFeatures Features) ImageGraph(int batch, int height, int width)
    {
        Graph graph = new();
        return (graph, new ImageEncoder(model.Weights, Format).Describe(graph, batch, height, width, stageMaps: options.StageMaps));
    }

    public (Graph Graph, TextFeatures Features) TextGraph(int batch, int length, bool gathersOnHost)
    {
        Graph graph = new();
        return (graph, new TextEncoder(model.Weights, Format) { GathersOnHost = gathersOnHost }.Describe(graph, batch, length));
    }

    // The largest inputs of preset transformers that fit: the model's own square, and what its processor makes of a picture.
    private (int Patches, int Pixels) SoftSize()
    {
        if (model.Preprocessor is { CenterCrop: false })
        {
            return (MaxPatches, MaxPixels);
        }
        int patch = model.Config.Vision.PatchSize;
        int side = model.Config.Vision.ImageSize;
        (int patches, int pixels) = (0, 0);
        foreach ((int width, int height) in (ReadOnlySpan<(int, int)>)[(side, side), model.Preprocessor?.CropSize ?? (side, side)])
        {
            int count = (height / patch) * (width / patch);
            if (count is > 0 && count <= MaxPatches && (long)height * width <= MaxPixels)
            {
                (patches, pixels) = (Math.Max(patches, count), Math.Max(pixels, height * width));
            }
        }
        return (patches, pixels);
    }

    /// <summary>What sessions ask of a device that is open already, or that is only described.</summary>
    /// <remarks>The same code that prepares for real, on a worker without memory: so the numbers are those of the run.</remarks>
    internal MemoryEstimate Estimate(Device device) => Place(device).Estimate;

    /// <summary>Where weights go under the session's limit, and what that takes.</summary>
    /// <remarks>
    /// All on the device if they fit; else the text side's brought when texts are encoded; else the image side's too. What is streamed needs a
    /// window per worker, of two halves that hold one operation's weights at least; larger ones make fewer segments, which is worth little.
    /// </remarks>
    /// <exception cref="OutOfDeviceMemoryException">Not even a session that streams everything fits.</exception>
    internal (WeightPlacement Placement, MemoryEstimate Estimate) Place(Device device)
    {
        long limit = device.MemoryBytes > 0 ? Math.Min(options.MemoryLimit, device.MemoryBytes) : options.MemoryLimit;
        (MemoryEstimate all, WeightNeeds image, WeightNeeds text) = Measure(device);
        WeightPlacement resident = new(StreamedWeights.None, 0) { GathersTokens = device.StreamsWeights };
        if (!device.StreamsWeights)
        {
            return (resident, all with { LeastLimit = all.Total });
        }
        long least = Math.Max(image.LargestStep, text.LargestStep);
        long fixedBytes = all.Arenas + all.Scratch;
        long streamed = fixedBytes + image.Resident + text.Resident + 2 * options.Workers * least;
        all = all with { LeastLimit = Math.Min(all.Total, streamed) };
        if (limit >= all.Total || limit < all.LeastLimit)
        {
            return limit >= all.Total ? (resident, all) : throw new OutOfDeviceMemoryException($"a session on {device.Name} that streams its weights", all.LeastLimit, 0, limit);
        }
        bool streamsImage = limit < fixedBytes + all.ImageWeights + text.Resident + 2 * options.Workers * least;
        long left = limit - fixedBytes - text.Resident - (streamsImage ? image.Resident : all.ImageWeights);
        long half = Math.Min(left / (2 * options.Workers), Math.Max(least, PreferredHalf)) / 256 * 256;
        return (resident with { Streamed = streamsImage ? StreamedWeights.All : StreamedWeights.Text, HalfBytes = half }, all with
        {
            ImageWeights = streamsImage ? image.Resident : all.ImageWeights,
            TextWeights = text.Resident,
            Windows = 2 * options.Workers * half,
        });
    }

    private (MemoryEstimate All, WeightNeeds Image, WeightNeeds Text) Measure(Device device)
    {
        using ConstantPool constants = device.CreateConstants(new MemoryAccount());
        using Worker worker = device.CreateWorker(null, constants, Threads);
        int patch = model.Config.Vision.PatchSize;
        foreach (int batch in (ReadOnlySpan<int>)[options.MaxBatch, 1])
        {
            Measure(worker, ImageGraph(batch, GridHeight * patch, GridWidth * patch).Graph);
        }
        int groups = model.Config.Vision.NumOutputGroups[^2];
        Measure(worker, new LabelGraph(groups, GridHeight, GridWidth, GridHeight * patch, GridWidth * patch, options.MaxLabels, soft: false, logits: false).Graph);
        long imageWeights = constants.Bytes;
        WeightNeeds image = worker.StreamedNeeds;
        Measure(worker, TextGraph(TextBatch, model.Config.Text.MaxPositionEmbeddings, device.StreamsWeights).Graph);
        WeightNeeds both = worker.StreamedNeeds;
        MemoryEstimate all = new(
            imageWeights, constants.Bytes - imageWeights, options.Workers * worker.ArenaSize(ArenaBytes), options.Workers * worker.ScratchBytes);
        return (all, image, both with { Resident = both.Resident - image.Resident });
    }

    private static void Measure(Worker worker, Graph graph)
    {
        MemoryPlan plan = MemoryPlan.For(graph);
        foreach (Operation operation in graph.Operations)
        {
            worker.Prepare(operation, plan.Offsets);
        }
    }
}

/// <summary>Where a session's weights are.</summary>
/// <param name="Streamed">Which are brought to the device in each run.</param>
/// <param name="HalfBytes">Half of each worker's window; 0 where nothing is streamed.</param>
internal sealed record WeightPlacement(StreamedWeights Streamed, long HalfBytes)
{
    public bool StreamsImage => Streamed == StreamedWeights.All;

    public bool StreamsText => Streamed != StreamedWeights.None;

    /// <summary>Whether tokens' embeddings are gathered on the host.</summary>
    public bool GathersTokens { get; init; }
}

/// <summary>From maps at patch resolution and a table of scores to labels, a band of a picture at a time (spec F.1, F.2).</summary>
internal sealed class LabelGraph
{
    /// <param name="groups">Final groups.</param>
    /// <param name="gridHeight">Rows of patches.</param>
    /// <param name="gridWidth">Patches in a row.</param>
    /// <param name="height">Rows of the network's input.</param>
    /// <param name="width">Pixels in a row of it.</param>
    /// <param name="labels">Columns of the table.</param>
    /// <param name="soft">Whether groups are mixed, or each pixel belongs to one.</param>
    /// <param name="logits">Whether the table holds logits (preset transformers), whose softmax is a pixel's score.</param>
    public LabelGraph(int groups, int gridHeight, int gridWidth, int height, int width, int labels, bool soft, bool logits)
    {
        Graph = new Graph();
        Maps = Graph.Input(Tensor.Float("maps", 1, groups, gridHeight * gridWidth));
        Table = Graph.Input(Tensor.Float("table", 1, groups, labels));
        Geometry = Graph.Input(Tensor.Int("geometry", 1, 1, 4));
        Labels = Tensor.Int("labels", 1, 1, SessionPlan.BandPixels);
        Scores = Tensor.Float("scores", 1, 1, SessionPlan.BandPixels);
        PixelLabels labelling = new(Table, Geometry, Labels, Scores, height, width) { SoftmaxScore = logits };
        if (soft && !logits)
        {
            Graph.Add(labelling with { Maps = Maps, Height = gridHeight, Width = gridWidth });
            Graph.Output("maps", Maps);
        }
        else if (soft)
        {
            Tensor resampled = Tensor.Float("resampled maps", 1, groups, height * width);
            Graph.Add(new ResampleBilinear(Maps, resampled, gridHeight, gridWidth, height, width));
            Graph.Add(labelling with { Maps = resampled });
            Graph.Output("resampled maps", resampled);
        }
        else
        {
            Tensor pixelGroups = Tensor.Int("pixel groups", 1, 1, height * width);
            Graph.Add(new PixelGroups(Maps, pixelGroups, gridHeight, gridWidth, height, width));
            Graph.Add(labelling with { Groups = pixelGroups });
            Graph.Output("pixel groups", pixelGroups);
        }
        Graph.Output("labels", Labels);
        Graph.Output("scores", Scores);
        // Bands follow one another in the same arena: what the second step reads must survive each run.
        Graph.Output("table", Table);
    }

    public Graph Graph { get; }

    public Tensor Maps { get; }

    /// <summary>Steps before it are the same for all bands of a picture.</summary>
    public int FirstOfBand => Graph.Operations.Count - 1;

    public Tensor Table { get; }

    public Tensor Geometry { get; }

    public Tensor Labels { get; }

    public Tensor Scores { get; }
}

/// <summary>From maps at patch resolution to the group of every pixel (spec F.1 steps 2 and 3): a window's part of mode Slide.</summary>
internal sealed class GroupGraph
{
    public GroupGraph(int groups, int gridHeight, int gridWidth, int height, int width)
    {
        Graph = new Graph();
        Maps = Graph.Input(Tensor.Float("maps", 1, groups, gridHeight * gridWidth));
        PixelGroups = Tensor.Int("pixel groups", 1, 1, height * width);
        Graph.Add(new PixelGroups(Maps, PixelGroups, gridHeight, gridWidth, height, width));
        Graph.Output("pixel groups", PixelGroups);
    }

    public Graph Graph { get; }

    public Tensor Maps { get; }

    public Tensor PixelGroups { get; }
}
