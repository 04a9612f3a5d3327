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

    /// <summary>Pixels labelled at once: half a MiB of labels and one of scores, whatever the picture's size.</summary>
    public const int BandPixels = 1 << 18;

    // The kinds that differ in their operations, with the most that each may hold: background is a column more.
    private static readonly LabelKind Hard = new(Soft: false, Logits: false, Background: true);
    private static readonly LabelKind Mixed = new(Soft: true, Logits: false, Background: true);
    private static readonly LabelKind Soft = new(Soft: true, Logits: true, Background: false);

    // A picture of 1024 x 512; what is larger goes in parts.
    private const long MostStaging = 6 << 20;

    private readonly GroupVitModel model;
    private readonly SessionOptions options;
    private readonly Device device;
    private readonly Lazy<Dictionary<LabelKind, MemoryPlan?>> segments;

    /// <param name="model">What is run.</param>
    /// <param name="options">For what.</param>
    /// <param name="device">On what; open already, or only described. It stays the caller's.</param>
    public SessionPlan(GroupVitModel model, SessionOptions options, Device device)
    {
        options.Validate();
        (this.model, this.options, this.device) = (model, options, device);
        int patch = model.Config.Vision.PatchSize;
        (int height, int width) = options.MaxSize ?? (model.SegmentationShortSide, 2 * model.SegmentationShortSide);
        if (height < patch || width < patch)
        {
            throw new ArgumentOutOfRangeException(nameof(options), $"MaxSize {height} x {width} is smaller than one patch of {patch}");
        }
        (GridHeight, GridWidth) = (height / patch, width / patch);
        // Programs see whole patches.
        (height, width) = (GridHeight * patch, GridWidth * patch);
        Threads = Math.Max(1, (options.Threads == 0 ? Environment.ProcessorCount : options.Threads) / options.Workers);
        Image = MemoryPlan.For(ImageGraph(options.MaxBatch, height, width).Graph);
        // Tokens' embeddings in place of their ids take no more than the largest activations: one arena serves either.
        Text = MemoryPlan.For(TextGraph(TextBatch, model.Config.Text.MaxPositionEmbeddings, gathersOnHost: true).Graph);
        HardLabels = MemoryPlan.For(LargestLabels(Hard, null));
        SoftLabels = LargestSoft == 0 ? null : MemoryPlan.For(LargestLabels(Soft, null));
        segments = new(() => new Dictionary<LabelKind, MemoryPlan?>
        {
            [Hard] = MemoryPlan.For(LargestLabels(Hard, ImageGraph(1, height, width))),
            [Mixed] = MemoryPlan.For(LargestLabels(Mixed, ImageGraph(1, height, width))),
            [Soft] = LargestSoft == 0 ? null : MemoryPlan.For(LargestLabels(Soft, ImageGraph(1, height, width))),
        });
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

    public MemoryPlan Image { get; }

    public MemoryPlan Text { get; }

    public MemoryPlan HardLabels { get; }

    public MemoryPlan? SoftLabels { get; }

    /// <summary>Host memory of one worker that copies pass through: the input with its labels' embeddings, or a band of labels and their sums.</summary>
    public long StagingBytes
    {
        get
        {
            long input = sizeof(float) * ((long)options.MaxBatch * model.Config.Vision.NumChannels * MaxPixels + (long)options.MaxLabels * model.Config.ProjectionDim);
            return Math.Clamp(input, sizeof(ushort) * (long)BandPixels + (long)LabelSums.Parts * sizeof(int) * (options.MaxLabels + 1) + (1 << 16), MostStaging);
        }
    }

    private int LargestSoft => SoftSize().Pixels;

    /// <summary>Whether pictures are encoded and labelled by one program: where a round trip to the host would cost a wait, and weights are at hand.</summary>
    public static bool SegmentsAtOnce(Device device, WeightPlacement placement) => device.Kind != DeviceKind.Cpu && !placement.StreamsImage;

    /// <summary>One worker's arena.</summary>
    public long ArenaBytes
    {
        get
        {
            long bytes = Math.Max(Math.Max(Image.Bytes, Text.Bytes), Math.Max(HardLabels.Bytes, SoftLabels?.Bytes ?? 0));
            return device.Kind == DeviceKind.Cpu ? bytes : Math.Max(bytes, segments.Value.Values.Max(plan => plan?.Bytes ?? 0));
        }
    }

    /// <summary>The plan of the largest program that encodes and labels by such rules, whose places a smaller one may take.</summary>
    public MemoryPlan? Segment(LabelKind kind) => segments.Value[kind.Soft && kind.Logits ? Soft : kind.Soft ? Mixed : Hard];

    /// <summary>The plan of the largest program that labels by such rules.</summary>
    public MemoryPlan? Label(LabelKind kind) => kind.Soft && kind.Logits ? SoftLabels : HardLabels;

    public static MemoryEstimate Estimate(GroupVitModel model, SessionOptions options)
    {
        options.Validate();
        using Device device = DeviceCatalog.Open(options.Device, options.Precision);
        return new SessionPlan(model, options, device).Estimate();
    }

    public (Graph Graph, ImageFeatures Features) ImageGraph(int batch, int height, int width)
    {
        Graph graph = new();
        ImageFeatures features = new ImageEncoder(model.Weights, Format).Describe(graph, batch, height, width, stageMaps: options.StageMaps);
        NarrowTensors.Choose(graph, device.Facts);
        return (graph, features);
    }

    public (Graph Graph, TextFeatures Features) TextGraph(int batch, int length, bool gathersOnHost)
    {
        Graph graph = new();
        TextFeatures features = new TextEncoder(model.Weights, Format) { GathersOnHost = gathersOnHost }.Describe(graph, batch, length);
        NarrowTensors.Choose(graph, device.Facts);
        return (graph, features);
    }

    private Graph LargestLabels(LabelKind kind, (Graph Graph, ImageFeatures Features)? after)
    {
        int patch = model.Config.Vision.PatchSize;
        (int Height, int Width) grid = (GridHeight, GridWidth);
        (int Height, int Width) input = ((GridHeight + 1) * patch, (GridWidth + 1) * patch);
        if (kind == Soft)
        {
            // Only the counts matter; sides have a limit of their own.
            (int patches, int pixels) = SoftSize();
            int rows = (int)Math.Ceiling(Math.Sqrt(pixels));
            int gridRows = (int)Math.Ceiling(Math.Sqrt(patches));
            (grid, input) = after is null ? ((gridRows, gridRows), (rows, rows)) : (grid, (rows, rows));
        }
        return after is { } encoder
            ? new LabelGraph(encoder.Graph, encoder.Features, grid, input, options.MaxLabels, kind).Graph
            : new LabelGraph(model.Config.ProjectionDim, model.Config.Vision.NumOutputGroups[^2], grid, input, options.MaxLabels, kind).Graph;
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

    /// <summary>What sessions ask of the device.</summary>
    /// <remarks>The same code that prepares for real, on a worker without memory: so the numbers are those of the run.</remarks>
    internal MemoryEstimate Estimate() => Place().Estimate;

    /// <summary>Where weights go under the session's limit, and what that takes.</summary>
    /// <remarks>
    /// All on the device if they fit; else the text side's brought when texts are encoded; else the image side's too. What is streamed needs a
    /// window per worker, of two halves that hold one operation's weights at least; larger ones make fewer segments, which is worth little.
    /// </remarks>
    /// <exception cref="OutOfDeviceMemoryException">Not even a session that streams everything fits.</exception>
    internal (WeightPlacement Placement, MemoryEstimate Estimate) Place()
    {
        long limit = device.MemoryBytes > 0 ? Math.Min(options.MemoryLimit, device.MemoryBytes) : options.MemoryLimit;
        (MemoryEstimate all, WeightNeeds image, WeightNeeds text) = Measure();
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

    private (MemoryEstimate All, WeightNeeds Image, WeightNeeds Text) Measure()
    {
        using ConstantPool constants = device.CreateConstants(new MemoryAccount());
        using Worker worker = device.CreateWorker(null, constants, Threads);
        int patch = model.Config.Vision.PatchSize;
        foreach (int batch in (ReadOnlySpan<int>)[options.MaxBatch, 1])
        {
            Measure(worker, ImageGraph(batch, GridHeight * patch, GridWidth * patch).Graph);
        }
        Measure(worker, LargestLabels(Hard, null));
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
