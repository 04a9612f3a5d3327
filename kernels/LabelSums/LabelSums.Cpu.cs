using GroupViT.Kernels.Devices;

namespace GroupViT.Kernels;

internal sealed partial record LabelSums
{
    public override Step PrepareCpu<V>(CpuBinding binding) => new CpuSequence(new CpuLabelSumsStart(this, binding), new CpuLabelSums(this, binding));
}

internal sealed unsafe class CpuLabelSumsStart(LabelSums operation, CpuBinding binding) : CpuStep(binding, 1)
{
    private readonly int* sums = binding.Int(operation.Sums);
    private readonly int count = operation.Sums.Count;

    public override void Tile(int tile, int thread) => new Span<int>(sums, count).Clear();
}

/// <summary>A tile is a run of the band's pixels. Equal labels come in runs, which are found by vectors; a run's sums are added at once.</summary>
internal sealed unsafe class CpuLabelSums : CpuStep
{
    private const int PixelsPerTile = 8192;

    private readonly LabelSums operation;
    private readonly ushort* labels;
    private readonly float* scores;
    private readonly int* geometry;
    private readonly int* sums;

    public CpuLabelSums(LabelSums operation, CpuBinding binding)
        : base(binding, (operation.Capacity + PixelsPerTile - 1) / PixelsPerTile)
    {
        this.operation = operation;
        labels = binding.Labels(operation.Labels);
        scores = binding.Float(operation.Scores);
        geometry = binding.Int(operation.Geometry);
        sums = binding.Int(operation.Sums);
        binding.ReserveScratch((long)operation.Sums.Count * sizeof(int));
    }

    public override void Tile(int tile, int thread)
    {
        int first = tile * PixelsPerTile;
        int end = (int)Math.Min(Math.Min(operation.Capacity, (long)geometry[3] * geometry[1]), first + PixelsPerTile);
        if (first >= end)
        {
            return;
        }
        // A tile's own sums first: threads then meet once for each label, not for each run.
        Span<int> own = new(Worker.Scratch(thread), operation.Sums.Count);
        own.Clear();
        for (int length; first < end; first += length)
        {
            ReadOnlySpan<ushort> rest = new(labels + first, end - first);
            length = rest.IndexOfAnyExcept(rest[0]);
            length = length < 0 ? rest.Length : length;
            Add(own.Slice(rest[0] * LabelSums.Parts, LabelSums.Parts), scores + first, length);
        }
        for (int i = 0; i < own.Length; i++)
        {
            if (own[i] != 0)
            {
                Interlocked.Add(ref sums[i], own[i]);
            }
        }
    }

    private static void Add(Span<int> own, float* run, int length)
    {
        int low = 0;
        int middle = 0;
        int high = 0;
        for (int i = 0; i < length; i++)
        {
            uint units = LabelSums.InUnits(run[i]);
            low += LabelSums.Low(units);
            middle += LabelSums.Middle(units);
            high += LabelSums.High(units);
        }
        own[0] += length;
        own[1] += low;
        own[2] += middle;
        own[3] += high;
    }
}
