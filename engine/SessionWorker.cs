using GroupViT.Kernels;
using GroupViT.Kernels.Devices;
using GroupViT.Native.Imaging;

namespace GroupViT.Native;

/// <summary>
/// One arena with the programs that run in it and the buffers around it. Held by one caller at a time; a run allocates nothing once its
/// size has been seen.
/// </summary>
internal sealed partial class SessionWorker : IDisposable
{
    private const int CachedPrograms = 8;

    // A cosine is at most 1, rounding aside, and scores are float32.
    private const double MaxTemperature = 1e38;

    private readonly GroupVitModel model;
    private readonly SessionPlan plan;
    private readonly SessionOptions options;
    private readonly Worker worker;
    private readonly PositionTables positions;
    private readonly List<(ProgramKey Key, Prepared Prepared)> programs = [];
    private readonly ScoreTable table;
    private readonly InputPreparation preparation;
    private readonly ushort[] bandLabels = new ushort[SessionPlan.BandPixels];
    private readonly int[] bandSums;
    private readonly int[] geometry = new int[4];
    private readonly float[] ruleValues = new float[LabelScores.RuleCount];
    private readonly float[] verdict;
    private readonly double temperature;
    private readonly float[] tokens;
    private readonly WeightPlacement placement;
    private float[] pixels = [];

    public SessionWorker(GroupVitModel model, SessionPlan plan, SessionOptions options, Device device, MemoryAccount account, ConstantPool constants, PositionTables positions, long scratchBytes, WeightPlacement placement)
    {
        (this.model, this.plan, this.options, this.positions, this.placement) = (model, plan, options, positions, placement);
        SegmentsAtOnce = SessionPlan.SegmentsAtOnce(device, placement);
        tokens = placement.GathersTokens ? new float[SessionPlan.TextBatch * model.Config.Text.MaxPositionEmbeddings * model.Config.Text.HiddenSize] : [];
        worker = device.CreateWorker(account, constants, plan.Threads);
        try
        {
            worker.AllocateArena(plan.ArenaBytes);
            if (placement.HalfBytes > 0)
            {
                worker.AllocateWindow(placement.HalfBytes);
            }
            worker.AllocateStaging(plan.StagingBytes);
            // At once, so that the session's memory does not depend on which worker has seen what.
            worker.AllocateScratch(scratchBytes);
        }
        catch
        {
            worker.Dispose();
            throw;
        }
        VisionConfig vision = model.Config.Vision;
        int groups = vision.NumOutputGroups[^2];
        bandSums = new int[LabelSums.Parts * (options.MaxLabels + 1)];
        table = new ScoreTable(groups, options.MaxLabels);
        verdict = new float[LabelScores.BestAt + groups];
        preparation = new InputPreparation(model);
        Embedding = new float[options.MaxBatch * model.Config.ProjectionDim];
        GroupEmbeddings = new float[options.MaxBatch * groups * model.Config.ProjectionDim];
        Maps = new float[options.MaxBatch * groups * plan.MaxPatches];
        GroupCount = groups;
        Counts = new long[options.MaxLabels];
        Sums = new double[options.MaxLabels];
        temperature = Math.Exp(model.Checkpoint.ReadScalar("logit_scale"));
    }

    public int GroupCount { get; }

    /// <summary>Whether <see cref="Segment"/> is the way to labels, instead of <see cref="Encode"/> and <see cref="Label"/>.</summary>
    public bool SegmentsAtOnce { get; }

    /// <summary>Results of the last <see cref="Encode"/>, a picture's after another's.</summary>
    public float[] Embedding { get; }

    public float[] GroupEmbeddings { get; }

    public float[] Maps { get; }

    /// <summary>The caller's pixels, kept between calls of one size.</summary>
    public RgbImage? Input { get; set; }

    public long[] Counts { get; }

    public double[] Sums { get; }

    public double EffectiveThreshold { get; private set; }

    /// <summary>Temperature of the picture-text logits: Hugging Face's as stored, the authors' at most 100 (spec B.4).</summary>
    /// <exception cref="NumericalException">It is too large for a score in float32.</exception>
    public double Temperature(SegmentationPreset preset, double? given = null)
        => given ?? (preset == SegmentationPreset.Nvlabs ? Math.Min(temperature, 100)
            : temperature <= MaxTemperature ? temperature
            : throw new NumericalException($"the temperature exp(logit_scale) is {temperature}: scores of preset transformers would not be finite; preset nvlabs holds it to 100"));

    public InputShape Shape(RgbImage image, InputWay way, int shortSide) => preparation.Shape(image, way, shortSide);

    /// <summary>Whole patches of an input.</summary>
    public (int Width, int Height) Grid(InputShape shape)
        => (shape.Width / model.Config.Vision.PatchSize, shape.Height / model.Config.Vision.PatchSize);

    /// <summary>Resizes and normalises one picture of the batch that is encoded next.</summary>
    public void Prepare(RgbImage image, InputWay way, InputShape shape, int index, int batch)
    {
        (int width, int height) = WholePatches(shape);
        preparation.Fill(image, way, shape, width, height, PixelsOf(shape, index, batch));
    }

    /// <summary>Mode Slide: resizes a picture, whose windows are prepared next.</summary>
    public void Resize(RgbImage image, InputShape shape) => preparation.Resized(image, shape);

    /// <summary>Normalises one window of the picture that was resized last.</summary>
    public void PrepareWindow(Window window, int index, int batch)
    {
        InputShape shape = ShapeOf(window);
        (int width, int height) = WholePatches(shape);
        preparation.FillPart(window with { Width = width, Height = height }, PixelsOf(shape, index, batch));
    }

    public static InputShape ShapeOf(Window window) => new(window.Width, window.Height, new PictureRegion(0, 0, window.Width, window.Height));

    private (int Width, int Height) WholePatches(InputShape shape)
    {
        int patch = model.Config.Vision.PatchSize;
        (int gridWidth, int gridHeight) = Grid(shape);
        return (gridWidth * patch, gridHeight * patch);
    }

    private Span<float> PixelsOf(InputShape shape, int index, int batch)
    {
        (int gridWidth, int gridHeight) = Grid(shape);
        CheckSize(shape, gridWidth, gridHeight, batch);
        (int width, int height) = WholePatches(shape);
        int count = 3 * width * height;
        if (pixels.Length < count * batch)
        {
            pixels = new float[count * batch];
        }
        return pixels.AsSpan(index * count, count);
    }

    /// <summary>Encodes what was prepared; the program for an input size and batch is made at its first run.</summary>
    /// <exception cref="SessionLimitException">The size or batch is above what the session was opened for.</exception>
    public void Encode(InputShape shape, int batch, CancellationToken cancellation)
    {
        Prepared prepared = ImageProgram(shape, batch);
        ImageFeatures features = prepared.Image!;
        prepared.Program.Upload<float>(features.Pixels, pixels.AsSpan(0, features.Pixels.Count));
        prepared.Program.Run(cancellation: cancellation);
        DownloadFeatures(prepared.Program, features);
        if (features.StageMaps.Count > 0)
        {
            DownloadStages(prepared.Program, features);
        }
    }

    private void DownloadFeatures(Program program, ImageFeatures features)
    {
        Span<float> embedding = Embedding.AsSpan(0, features.Embedding.Count);
        Span<float> groups = GroupEmbeddings.AsSpan(0, features.GroupEmbeddings.Count);
        Span<float> maps = Maps.AsSpan(0, features.Maps.Count);
        program.Download(features.Embedding, embedding, features.GroupEmbeddings, groups, features.Maps, maps);
        CheckFinite(embedding, "image embedding");
        CheckFinite(groups, "group embeddings");
        CheckFinite(maps, "group maps");
    }

    public ReadOnlySpan<float> EmbeddingOf(int index) => Embedding.AsSpan(index * model.Config.ProjectionDim, model.Config.ProjectionDim);

    public ReadOnlySpan<float> GroupEmbeddingsOf(int index)
        => GroupEmbeddings.AsSpan(index * GroupCount * model.Config.ProjectionDim, GroupCount * model.Config.ProjectionDim);

    public ReadOnlySpan<float> MapsOf(InputShape shape, int index)
    {
        (int gridWidth, int gridHeight) = Grid(shape);
        int count = GroupCount * gridWidth * gridHeight;
        return Maps.AsSpan(index * count, count);
    }

    /// <summary>Encodes up to <see cref="SessionPlan.TextBatch"/> texts; writes the head's outputs, not normalised.</summary>
    public void EncodeTexts(ReadOnlySpan<int> ids, ReadOnlySpan<int> lengths, ReadOnlySpan<int> pick, int length, Span<float> projected, CancellationToken cancellation)
    {
        int batch = lengths.Length;
        ProgramKey key = new(ProgramKind.Text, batch, length, 0);
        Prepared prepared = Find(key) ?? Add(key, CreateText(batch, length));
        TextFeatures text = prepared.Text!;
        if (text.Ids.Type == ElementType.Float32)
        {
            TextEncoder.Gather(model.Weights, ids, tokens.AsSpan(0, text.Ids.Count));
            prepared.Program.Upload<float>(text.Ids, tokens.AsSpan(0, text.Ids.Count));
        }
        else
        {
            prepared.Program.Upload(text.Ids, ids);
        }
        prepared.Program.Upload(text.Lengths, lengths);
        prepared.Program.Upload(text.Pick, pick);
        prepared.Program.Run(cancellation: cancellation);
        prepared.Program.Download(text.Projected, projected);
        CheckFinite(projected, "text embedding");
    }

    /// <summary>
    /// Encodes the one picture that was prepared and labels every pixel of its region, by one program: nothing comes back to the host in
    /// between. The mask is the whole picture's and is set outside the region as well.
    /// </summary>
    public void Segment(
        InputShape shape, int pictureWidth, LabelBank bank, SegmentationOptions rules, Span<ushort> mask, Span<long> counts, Span<double> sums, CancellationToken cancellation)
    {
        Prepared prepared = SegmentProgram(shape, bank.Count, LabelKind.Of(rules, bank));
        prepared.Program.Upload<float>(prepared.Image!.Pixels, pixels.AsSpan(0, prepared.Image.Pixels.Count));
        Bands(prepared, shape, pictureWidth, bank, rules, mask, counts, sums, cancellation);
    }

    /// <summary>Labels every pixel of an encoding's region; the mask is the whole picture's and is set outside the region as well.</summary>
    public void Label(
        ReadOnlySpan<float> embedding, ReadOnlySpan<float> groupEmbeddings, ReadOnlySpan<float> maps, InputShape shape, int pictureWidth,
        LabelBank bank, SegmentationOptions rules, Span<ushort> mask, Span<long> counts, Span<double> sums, CancellationToken cancellation)
    {
        // An encoding may come from a session with a larger maximum.
        (int gridWidth, int gridHeight) = Grid(shape);
        CheckSize(shape, gridWidth, gridHeight, 1);
        Prepared prepared = LabelProgram(shape, bank.Count, LabelKind.Of(rules, bank));
        LabelGraph graph = prepared.Labels!;
        prepared.Program.Upload(graph.Embedding, embedding);
        prepared.Program.Upload(graph.GroupEmbeddings, groupEmbeddings);
        prepared.Program.Upload(graph.Maps, maps);
        Bands(prepared, shape, pictureWidth, bank, rules, mask, counts, sums, cancellation);
    }

    // The first band's run makes everything that the bands share.
    private void Bands(
        Prepared prepared, InputShape shape, int pictureWidth, LabelBank bank, SegmentationOptions rules, Span<ushort> mask, Span<long> counts, Span<double> sums, CancellationToken cancellation)
    {
        LabelGraph graph = prepared.Labels!;
        double scale = Temperature(rules.Preset, rules.Temperature);
        (ruleValues[0], ruleValues[1]) = Halves(scale);
        (ruleValues[2], ruleValues[3]) = Halves(rules.BackgroundThreshold);
        ruleValues[4] = Math.Min(rules.TopClasses, bank.Count);
        prepared.Program.Upload<float>(graph.Words, bank.Embeddings);
        prepared.Program.Upload<float>(graph.Rules, ruleValues);
        PictureRegion region = shape.Region;
        mask.Fill(SegmentationResult.Unlabelled);
        counts.Clear();
        sums.Clear();
        int bandRows = Math.Max(1, SessionPlan.BandPixels / region.Width);
        for (int row = 0; row < region.Height; row += bandRows)
        {
            int rows = Math.Min(bandRows, region.Height - row);
            geometry[0] = region.Height;
            geometry[1] = region.Width;
            geometry[2] = row;
            geometry[3] = rows;
            prepared.Program.Upload<int>(graph.Geometry, geometry);
            prepared.Program.Run(row == 0 ? 0 : graph.FirstOfBand, cancellation);
            // Straight to the mask where the band is whole rows of it.
            bool whole = region.Width == pictureWidth;
            Span<ushort> labels = whole ? mask.Slice((region.Top + row) * pictureWidth, rows * pictureWidth) : bandLabels.AsSpan(0, rows * region.Width);
            Span<int> bandSum = bandSums.AsSpan(0, graph.Sums.Count);
            prepared.Program.Download<ushort, int, float>(graph.Labels, labels, graph.Sums, bandSum, graph.Verdict, verdict);
            if (row == 0 && verdict[LabelScores.FiniteAt] == 0)
            {
                RefuseScores(prepared, scale);
            }
            for (int r = 0; r < rows && !whole; r++)
            {
                labels.Slice(r * region.Width, region.Width).CopyTo(mask[((region.Top + row + r) * pictureWidth + region.Left)..]);
            }
            for (int label = 0; label < graph.Sums.Rows; label++)
            {
                (int count, double score) = LabelSums.ScoreOf(bandSum, label);
                counts[label] += count;
                sums[label] += score;
            }
        }
        EffectiveThreshold = bank.HasBackground ? Math.Min(rules.BackgroundThreshold, (double)verdict[0] + verdict[1]) : double.NaN;

        static (float High, float Low) Halves(double value) => ((float)value, (float)(value - (float)value));
    }

    // The features say which value it was, if it was one of theirs.
    private void RefuseScores(Prepared prepared, double scale)
    {
        if (prepared.Image is { } features)
        {
            DownloadFeatures(prepared.Program, features);
        }
        throw new NumericalException($"the labels' scores are not finite numbers at a temperature of {scale}");
    }

    public void Dispose()
    {
        foreach ((_, Prepared prepared) in programs)
        {
            Forget(prepared);
        }
        worker.Dispose();
    }

    private Prepared ImageProgram(InputShape shape, int batch)
    {
        (int gridWidth, int gridHeight) = Grid(shape);
        CheckSize(shape, gridWidth, gridHeight, batch);
        ProgramKey key = new(ProgramKind.Image, gridHeight, gridWidth, batch);
        return Find(key) ?? Add(key, CreateImage(gridWidth, gridHeight, batch));
    }

    private Prepared CreateImage(int gridWidth, int gridHeight, int batch)
        => WithPositions(gridWidth, gridHeight, used =>
        {
            int patch = model.Config.Vision.PatchSize;
            (Graph graph, ImageFeatures features) = plan.ImageGraph(batch, gridHeight * patch, gridWidth * patch);
            return new Prepared(Make(graph, MemoryPlan.For(graph, plan.Image), placement.StreamsImage)) { Image = features, Positions = used };
        });

    private Prepared SegmentProgram(InputShape shape, int labels, LabelKind kind)
    {
        (int gridWidth, int gridHeight) = Grid(shape);
        CheckSize(shape, gridWidth, gridHeight, 1);
        ProgramKey key = new(ProgramKind.Segment, shape.Height, shape.Width, labels, kind);
        // What it captures is allocated on entry: so not here, where every segmentation passes.
        return Find(key) ?? Add(key, CreateSegment(shape, gridWidth, gridHeight, labels, kind));
    }

    private Prepared CreateSegment(InputShape shape, int gridWidth, int gridHeight, int labels, LabelKind kind)
        => WithPositions(gridWidth, gridHeight, used =>
        {
            int patch = model.Config.Vision.PatchSize;
            (Graph graph, ImageFeatures features) = plan.ImageGraph(1, gridHeight * patch, gridWidth * patch);
            LabelGraph labelling = new(graph, features, (gridHeight, gridWidth), (shape.Height, shape.Width), labels, kind);
            return new Prepared(Make(graph, MemoryPlan.For(graph, plan.Segment(kind)))) { Image = features, Labels = labelling, Positions = used };
        });

    // A program that reads a table of positions holds it as long as it is kept.
    private Prepared WithPositions(int gridWidth, int gridHeight, Func<Tensor, Prepared> make)
    {
        MakeRoom();
        Tensor used = model.Weights.Positions(gridHeight, gridWidth);
        positions.Use(used);
        try
        {
            return make(used);
        }
        catch
        {
            positions.Drop(used);
            throw;
        }
    }

    private Prepared CreateText(int batch, int length)
    {
        MakeRoom();
        (Graph graph, TextFeatures features) = plan.TextGraph(batch, length, placement.GathersTokens);
        return new Prepared(Make(graph, MemoryPlan.For(graph, plan.Text), placement.StreamsText)) { Text = features };
    }

    private Prepared LabelProgram(InputShape shape, int labels, LabelKind kind)
    {
        ProgramKey key = new(ProgramKind.Labels, shape.Height, shape.Width, labels, kind);
        return Find(key) ?? Add(key, CreateLabels(shape, labels, kind));
    }

    private Prepared CreateLabels(InputShape shape, int labels, LabelKind kind)
    {
        MakeRoom();
        (int gridWidth, int gridHeight) = Grid(shape);
        LabelGraph graph = new(model.Config.ProjectionDim, GroupCount, (gridHeight, gridWidth), (shape.Height, shape.Width), labels, kind);
        return new Prepared(Make(graph.Graph, MemoryPlan.For(graph.Graph, plan.Label(kind)))) { Labels = graph };
    }

    private void CheckSize(InputShape shape, int gridWidth, int gridHeight, int batch)
    {
        int patch = model.Config.Vision.PatchSize;
        if (gridWidth * gridHeight > plan.MaxPatches || (long)shape.Width * shape.Height > plan.MaxPixels)
        {
            throw new SessionLimitException(
                $"an input of {shape.Width} x {shape.Height} pixels ({gridWidth} x {gridHeight} patches) is larger than the session's "
                + $"{plan.GridWidth * patch} x {plan.GridHeight * patch}; open it with MaxSize = ({(gridHeight + 1) * patch}, {(gridWidth + 1) * patch})");
        }
        if (batch > options.MaxBatch)
        {
            throw new SessionLimitException($"{batch} pictures at once are more than the session's MaxBatch of {options.MaxBatch}; open it with MaxBatch = {batch}");
        }
    }

    // The most recently used stands last; a search of eight keys costs less than hashing one.
    private Prepared? Find(ProgramKey key)
    {
        for (int i = programs.Count - 1; i >= 0; i--)
        {
            if (programs[i].Key == key)
            {
                (ProgramKey Key, Prepared Prepared) found = programs[i];
                if (i < programs.Count - 1)
                {
                    programs.RemoveAt(i);
                    programs.Add(found);
                }
                return found.Prepared;
            }
        }
        return null;
    }

    private Prepared Add(ProgramKey key, Prepared prepared)
    {
        programs.Add((key, prepared));
        return prepared;
    }

    // What the oldest programs hold alone is freed first where the limit is reached: a session at its least memory serves any size.
    private Program Make(Graph graph, MemoryPlan memory, bool streamed = false)
    {
        while (true)
        {
            try
            {
                return new Program(graph, memory, worker, streamed);
            }
            catch (OutOfDeviceMemoryException) when (programs.Count > 0)
            {
                Forget(programs[0].Prepared);
                programs.RemoveAt(0);
            }
        }
    }

    // Before a program is made, so that what it needs is not asked for beside what the oldest holds.
    private void MakeRoom()
    {
        if (programs.Count == CachedPrograms)
        {
            Forget(programs[0].Prepared);
            programs.RemoveAt(0);
        }
    }

    private void Forget(Prepared prepared)
    {
        prepared.Program.Dispose();
        if (prepared.Positions is { } used)
        {
            positions.Drop(used);
        }
    }

    private static void CheckFinite(ReadOnlySpan<float> values, string what)
    {
        int bad = Weights.Checkpoint.IndexOfNonFinite(values);
        if (bad >= 0)
        {
            throw new NumericalException($"the {what} is {values[bad]} at {bad}: the weights or the picture hold values that the network cannot carry");
        }
    }

    private enum ProgramKind
    {
        Image,
        Text,
        Labels,
        Segment,
        Groups,
    }

    private readonly record struct ProgramKey(ProgramKind Kind, int First, int Second, int Third, LabelKind Labels = default);

    private sealed record Prepared(Program Program)
    {
        public ImageFeatures? Image { get; init; }

        public TextFeatures? Text { get; init; }

        public LabelGraph? Labels { get; init; }

        public GroupGraph? Groups { get; init; }

        public Tensor? Positions { get; init; }
    }
}
