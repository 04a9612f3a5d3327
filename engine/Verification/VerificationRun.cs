using GroupViT.Native.Weights;

namespace GroupViT.Native;

/// <summary>What the parts of one verification share: the reference, what was computed so far, and the verdicts.</summary>
internal sealed class VerificationRun
{
    private readonly List<VerifiedValue> values = [];
    private readonly Predicate<string> wanted;
    private int assignments;
    private int inTieBand;
    private int flipped;

    public VerificationRun(ReferenceFile reference, Checkpoint checkpoint, Predicate<string> wanted)
    {
        (Reference, this.wanted) = (reference, wanted);
        Pictures = [.. reference.Tensors.Keys.Where(name => name.EndsWith(".pixel_values", StringComparison.Ordinal) && !name.StartsWith("joint.", StringComparison.Ordinal))
            .Select(name => name[..name.IndexOf('.', StringComparison.Ordinal)]).Order(StringComparer.Ordinal)];
        foreach (string picture in Pictures)
        {
            ReadOnlySpan<long> shape = ShapeOf($"{picture}.pixel_values");
            int patch = checkpoint.Config.Vision.PatchSize;
            if (shape.Length != 4 || shape[1] != checkpoint.Config.Vision.NumChannels || shape[2] < patch || shape[3] < patch || shape[2] > 16384 || shape[3] > 16384 || shape[0] is < 1 or > 1024)
            {
                throw new ModelFileException(reference.Name, $"the shape [{string.Join(", ", shape.ToArray())}] is not that of pictures for this model ([B, 3, H, W], sides {patch} to 16384)", $"{picture}.pixel_values");
            }
        }
        if (Pictures.Count == 0 && !Has("text.input_ids"))
        {
            throw new ModelFileException(reference.Name, "there is nothing to compare: neither image{H}x{W}.pixel_values nor text.input_ids");
        }
    }

    public ReferenceFile Reference { get; }

    /// <summary>Prefixes such as image224x224.</summary>
    public IReadOnlyList<string> Pictures { get; }

    /// <summary>Our values by reference name, for what is derived from them (joint.*).</summary>
    public Dictionary<string, float[]> Ours { get; } = [];

    public bool Has(string name) => Reference.Tensors.ContainsKey(name);

    public bool Wants(string name) => Has(name) && wanted(name);

    public int[] Shape(string name) => [.. ShapeOf(name).ToArray().Select(axis => checked((int)axis))];

    /// <summary>Compares a float tensor; where <paramref name="counts"/> says no, a position does not matter.</summary>
    public void Compare(string name, ReadOnlySpan<float> actual, string? note = null, Predicate<int>? counts = null)
        => Compare(name, name, Reference.ReadFloat32(name), actual, Reference.Tolerance(name), note, counts);

    public void Compare(
        string name, string errorName, ReadOnlySpan<float> expected, ReadOnlySpan<float> actual, double tolerance, string? note = null, Predicate<int>? counts = null)
    {
        if (expected.Length != actual.Length)
        {
            throw new ModelFileException(Reference.Name, $"{expected.Length} values are recorded where this model makes {actual.Length}: it was recorded from another model", name);
        }
        double worst = -1;
        int at = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            if (counts is not null && !counts(i))
            {
                continue;
            }
            double difference = Math.Abs((double)expected[i] - actual[i]);
            // Not a number compares false with everything: it must count as the worst.
            difference = double.IsNaN(difference) ? double.PositiveInfinity : difference;
            if (difference > worst)
            {
                (worst, at) = (difference, i);
            }
        }
        double referenceError = Reference.Errors.TryGetValue(errorName, out ReferenceError error) ? error.Fp32Error : 0;
        values.Add(new VerifiedValue(name, Math.Max(worst, 0), referenceError, tolerance, at, expected.Length == 0 ? 0 : expected[at], actual.Length == 0 ? 0 : actual[at], note));
    }

    public void CountAssignments(int count, int near, int different)
    {
        assignments += count;
        inTieBand += near;
        flipped += different;
    }

    public VerificationReport Report()
        => values.Count == 0
            ? throw new ModelFileException(Reference.Name, "no recorded value matches what was asked for")
            : new VerificationReport(values, assignments, inTieBand, flipped);

    private ReadOnlySpan<long> ShapeOf(string name)
    {
        ReadOnlySpan<long> shape = Reference.Tensors[name].Shape;
        return shape;
    }
}
