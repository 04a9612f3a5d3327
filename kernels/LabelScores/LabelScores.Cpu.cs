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
    private readonly double[] affinity = new double[operation.GroupCount * operation.LabelCount];
    private readonly double[] own = new double[operation.LabelCount];
    private readonly double[] best = new double[operation.GroupCount];
    private readonly bool[] kept = new bool[operation.LabelCount];

    public override void Tile(int tile, int thread)
    {
        int n = operation.LabelCount;
        int width = operation.Width;
        int first = operation.HasBackground ? 1 : 0;
        double temperature = (double)rules[0] + rules[1];
        ReadOnlySpan<float> words = new(labels, n * width);
        bool finite = true;
        for (int g = 0; g < operation.GroupCount; g++)
        {
            LabelScoring.Affinities(new ReadOnlySpan<float>(groups + (nint)g * operation.Groups.RowStride, width), words, width, temperature, affinity.AsSpan(g * n, n));
            finite &= double.IsFinite(affinity[g * n]);
        }
        double largest = 0;
        if (operation.Kind != LabelRules.Logits)
        {
            LabelScoring.Affinities(new ReadOnlySpan<float>(picture, width), words, width, temperature, own);
            finite &= double.IsFinite(own[0]);
            LabelScoring.Keep(own, (int)rules[4], kept);
            largest = LabelScoring.Probabilities(affinity, kept, best);
        }
        double threshold = Math.Min((double)rules[2] + rules[3], largest);
        for (int g = 0; g < operation.GroupCount; g++)
        {
            float* target = table + (nint)g * operation.Table.Columns;
            if (first == 1)
            {
                target[0] = (float)LabelScoring.Background(operation.Kind == LabelRules.MixedBackground, best[g], threshold);
            }
            for (int c = 0; c < n; c++)
            {
                target[first + c] = (float)affinity[g * n + c];
            }
            verdict[LabelScores.BestAt + g] = (float)best[g];
        }
        verdict[0] = (float)largest;
        verdict[1] = (float)(largest - verdict[0]);
        verdict[LabelScores.FiniteAt] = finite ? 1 : 0;
        // The tensor is there for devices that need it; what is declared as written has to be.
        new Span<float>(work, operation.Work.Count).Clear();
    }
}
