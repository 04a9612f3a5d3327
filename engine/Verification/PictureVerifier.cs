using GroupViT.Kernels;

namespace GroupViT.Native;

/// <summary>The image tower on one set of recorded pictures.</summary>
internal sealed class PictureVerifier(VerificationRun run, ModelWeights weights, WeightFormat format, Verifier.Runner runner, string picture)
{
    private readonly int[] shape = run.Shape($"{picture}.pixel_values");
    private readonly float[] pixels = run.Reference.ReadFloat32($"{picture}.pixel_values");

    public void Compare()
    {
        List<int[]?> recorded = [];
        for (int stage = 0; stage < weights.Config.Vision.StageCount && weights.Config.Vision.Groups(stage); stage++)
        {
            string name = $"{picture}.stages.{stage}.hard_index";
            CheckAssignment(stage);
            recorded.Add(run.Has(name) ? run.Reference.ReadInt32(name) : null);
        }
        Dictionary<string, float[]> tapped = Run(name => Offered(name), replay: null);
        string? note = null;
        if (Flips(tapped, recorded) && recorded.All(stage => stage is not null))
        {
            tapped = Run(Offered, recorded!);
            note = "assignment replayed";
        }
        foreach ((string name, float[] ours) in tapped)
        {
            string full = $"{picture}.{name}";
            run.Ours[full] = ours;
            if (run.Wants(full) && !name.EndsWith(".hard_index", StringComparison.Ordinal))
            {
                run.Compare(full, ours, note);
            }
        }
        CompareProduction(Run(_ => false, note is null ? null : recorded!), note);
    }

    // Before anything is indexed or replayed by them: a file recorded from another model must be told from a wrong result.
    private void CheckAssignment(int stage)
    {
        VisionConfig vision = weights.Config.Vision;
        int groups = vision.NumOutputGroups[stage];
        int tokens = stage == 0 ? shape[2] / vision.PatchSize * (shape[3] / vision.PatchSize) : vision.NumOutputGroups[stage - 1];
        foreach ((string value, int[] expected) in (ReadOnlySpan<(string, int[])>)
            [("hard_index", [shape[0], tokens]), ("assign_logits", [shape[0], groups, tokens]), ("soft_assignment", [shape[0], groups, tokens])])
        {
            string name = $"{picture}.stages.{stage}.{value}";
            if (run.Has(name) && !run.Shape(name).AsSpan().SequenceEqual(expected))
            {
                throw new ModelFileException(
                    run.Reference.Name, $"has shape [{string.Join(", ", run.Shape(name))}] where this model makes [{string.Join(", ", expected)}]: it was recorded from another model", name);
            }
        }
    }

    // Two values derive from one recorded: tolerances are those of the recorded, carried through the normalisation.
    private void CompareProduction(Dictionary<string, float[]> production, string? note)
    {
        string untapped = note is null ? "untapped" : "untapped, " + note;
        string maps = $"{picture}.composed_groups";
        if (run.Wants(maps))
        {
            run.Compare($"{maps} (production)", maps, run.Reference.ReadFloat32(maps), production["maps"], run.Reference.Tolerance(maps), untapped);
        }
        foreach ((string recorded, string output) in (ReadOnlySpan<(string, string)>)[("visual_projection", "embedding"), ("visual_projection_groups", "group embeddings")])
        {
            string name = $"{picture}.{recorded}";
            if (run.Wants(name))
            {
                int width = run.Shape(name)[^1];
                float[] unit = run.Reference.ReadFloat32(name);
                double shortest = Normalize(unit, width);
                // d(h/|h|) is at most |dh|/|h|; in one element at most twice the largest element's error, times sqrt(width) in the worst case.
                double tolerance = (1 + Math.Sqrt(width)) * run.Reference.Tolerance(name) / shortest + 4 * Math.ScaleB(1, -23);
                run.Compare($"{name} (production, normalised)", name, unit, production[output], tolerance, untapped);
            }
        }
    }

    /// <summary>True where an assignment went another way than the recorded one within the tie band; differences outside it are failures.</summary>
    private bool Flips(Dictionary<string, float[]> ours, List<int[]?> recorded)
    {
        bool any = false;
        for (int stage = 0; stage < recorded.Count; stage++)
        {
            if (recorded[stage] is not { } expected || !ours.TryGetValue($"stages.{stage}.hard_index", out float[]? actual))
            {
                continue;
            }
            Margins margins = new(run, $"{picture}.stages.{stage}");
            int near = 0;
            int different = 0;
            List<float> outside = [];
            for (int i = 0; i < expected.Length; i++)
            {
                near += margins.IsTie(i) ? 1 : 0;
                if ((int)actual[i] != expected[i])
                {
                    different++;
                    if (any || margins.MayBe(i, (int)actual[i], expected[i]))
                    {
                        // After a flip in an earlier stage this stage's logits are another input's: they are judged in the replay.
                        continue;
                    }
                    outside.Add(i);
                }
            }
            run.CountAssignments(expected.Length, near, different);
            string name = $"{picture}.stages.{stage}.hard_index";
            if (run.Wants(name) && !any)
            {
                string? note = different == 0 ? null : $"{different} of {expected.Length} flipped, {near} in the tie band";
                // An index is right or wrong: the error is 0, or 1 at the first wrong one.
                int at = outside.Count > 0 ? (int)outside[0] : 0;
                float[] wrong = new float[expected.Length];
                if (outside.Count > 0)
                {
                    wrong[at] = 1;
                }
                run.Compare(name, name, new float[expected.Length], wrong, 0, note);
            }
            any |= different > 0;
        }
        return any;
    }

    private bool Offered(string name) => run.Has($"{picture}.{name}");

    private Dictionary<string, float[]> Run(Predicate<string> tapped, List<int[]?>? replay)
    {
        Graph graph = new(tapped);
        ImageFeatures features = new ImageEncoder(weights, format).Describe(graph, shape[0], shape[2], shape[3], replay is not null);
        return runner.Run(graph, program =>
        {
            program.Upload<float>(features.Pixels, pixels);
            for (int i = 0; i < features.Forced.Count; i++)
            {
                program.Upload<int>(features.Forced[i], replay![i]!);
            }
        });
    }

    private static double Normalize(float[] rows, int width)
    {
        double shortest = double.PositiveInfinity;
        for (int start = 0; start < rows.Length; start += width)
        {
            Span<float> row = rows.AsSpan(start, width);
            double squares = 0;
            foreach (float value in row)
            {
                squares += (double)value * value;
            }
            double norm = Math.Sqrt(squares);
            shortest = Math.Min(shortest, norm);
            for (int i = 0; i < width; i++)
            {
                row[i] = (float)(row[i] / norm);
            }
        }
        return shortest;
    }

    /// <summary>
    /// How far apart the reference's groups are for a token: by its logits, or by its soft map where those are not recorded.
    /// </summary>
    private sealed class Margins
    {
        private readonly float[] values;
        private readonly double tolerance;
        private readonly int groups;
        private readonly int tokens;

        public Margins(VerificationRun run, string stage)
        {
            string logits = $"{stage}.assign_logits";
            string name = run.Has(logits) ? logits : $"{stage}.soft_assignment";
            values = run.Has(name) ? run.Reference.ReadFloat32(name) : [];
            int[] shape = run.Has(name) ? run.Shape(name) : [1, 1, int.MaxValue];
            (groups, tokens) = (shape[^2], shape[^1]);
            tolerance = run.Has(name) ? run.Reference.Tolerance(name) : 0;
        }

        // Both ways: an index that contradicts the recorded values themselves is no tie either.
        public bool MayBe(int position, int one, int other)
            => values.Length > 0 && one >= 0 && one < groups && other >= 0 && other < groups && Gap(position, other, one) <= 0 && Gap(position, one, other) <= 0;

        public bool IsTie(int position)
        {
            if (values.Length == 0)
            {
                return false;
            }
            int best = 0;
            for (int g = 1; g < groups; g++)
            {
                best = At(position, g) > At(position, best) ? g : best;
            }
            for (int g = 0; g < groups; g++)
            {
                if (g != best && Gap(position, best, g) <= 0)
                {
                    return true;
                }
            }
            return false;
        }

        // The margin less what both values may be off by. Of the soft map this is ln(first - tolerance) against ln(second + tolerance): a
        // tolerance carried to the logarithm as tolerance/value would call every token a tie, for values near 0 have no derivative to go by.
        private double Gap(int position, int first, int second) => At(position, first) - At(position, second) - 2 * tolerance;

        private double At(int position, int group)
        {
            (int b, int l) = Math.DivRem(position, tokens);
            return values[((long)b * groups + group) * tokens + l];
        }
    }
}
