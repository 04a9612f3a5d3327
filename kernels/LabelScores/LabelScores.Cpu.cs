using GroupViT.Kernels.Devices;

namespace GroupViT.Kernels;

internal sealed partial record LabelScores
{
    public override Step PrepareCpu<V>(CpuBinding binding) => new CpuLabelScores(this, binding);
}

/// <summary>A few thousand products: one thread, in float64. Its buffers are made when it is prepared.</summary>
internal sealed unsafe class CpuLabelScores(LabelScores operation, CpuBinding binding) : CpuStep(binding, 1)
{
    private readonly float* picture = binding.Float(operation.Picture);
    private readonly float* groups = binding.Float(operation.Groups);
    private readonly float* labels = binding.Float(operation.Labels);
    private readonly float* rules = binding.Float(operation.Rules);
    private readonly float* work = binding.Float(operation.Work);
    private readonly float* verdict = binding.Float(operation.Verdict);
    private readonly float* table = binding.Float(operation.Table);
    private readonly double[] affinity = new double[(operation.GroupCount + 1) * operation.LabelCount];
    private readonly bool[] kept = new bool[operation.LabelCount];

    public override void Tile(int tile, int thread)
    {
        int n = operation.LabelCount;
        int width = operation.Width;
        double temperature = (double)rules[0] + rules[1];
        ReadOnlySpan<float> words = new(labels, n * width);
        Span<double> own = affinity.AsSpan(operation.GroupCount * n);
        bool finite = true;
        double largest = 0;
        if (operation.Kind != LabelRules.Logits)
        {
            LabelScoring.Affinities(new ReadOnlySpan<float>(picture, width), words, width, temperature, own);
            LabelScoring.Keep(own, (int)rules[4], kept);
            finite = double.IsFinite(own[0]);
        }
        int first = operation.HasBackground ? 1 : 0;
        for (int g = 0; g < operation.GroupCount; g++)
        {
            Span<double> row = affinity.AsSpan(g * n, n);
            LabelScoring.Affinities(new ReadOnlySpan<float>(groups + (nint)g * operation.Groups.RowStride, width), words, width, temperature, row);
            finite &= double.IsFinite(row[0]);
            double best = operation.Kind == LabelRules.Logits ? 0 : LabelScoring.Probabilities(row, kept);
            largest = Math.Max(largest, best);
            verdict[LabelScores.BestAt + g] = (float)best;
            float* target = table + (nint)g * operation.Table.Columns + first;
            for (int c = 0; c < n; c++)
            {
                target[c] = (float)row[c];
            }
        }
        double threshold = Math.Min((double)rules[2] + rules[3], largest);
        for (int g = 0; g < operation.GroupCount && first == 1; g++)
        {
            double best = 0;
            foreach (double score in affinity.AsSpan(g * n, n))
            {
                best = Math.Max(best, score);
            }
            table[(nint)g * operation.Table.Columns] = operation.Kind == LabelRules.MixedBackground ? (float)threshold : best < threshold ? 1 : 0;
        }
        verdict[0] = (float)largest;
        verdict[1] = (float)(largest - verdict[0]);
        verdict[LabelScores.FiniteAt] = finite ? 1 : 0;
        // The tensor is there for devices that need it; what is declared as written has to be.
        new Span<float>(work, operation.Work.Count).Clear();
    }
}
