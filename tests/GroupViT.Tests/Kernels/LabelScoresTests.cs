using GroupViT.Kernels;

namespace GroupViT.Tests.Kernels;

/// <summary>From embeddings to the table of scores, by both presets' rules.</summary>
[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.All))]
internal sealed class LabelScoresTests(TestDevice device)
{
    private static readonly LabelRules[] Kinds = [LabelRules.Logits, LabelRules.Probabilities, LabelRules.Background, LabelRules.MixedBackground];

    private static readonly (int Groups, int Labels, int Width)[] Shapes = [(1, 1, 1), (2, 3, 4), (3, 9, 7)];

    private static readonly (int Groups, int Labels, int Width)[] LargerShapes = [(8, 21, 256), (8, 64, 256), (5, 65, 33), (16, 130, 8), (2, 1000, 16)];

    private IEnumerable<(int Groups, int Labels, int Width)> Sizes => device.IsSlow ? Shapes : Shapes.Concat(LargerShapes);

    [Test]
    public void They_equal_their_definition([ValueSource(nameof(Kinds))] LabelRules kind, [Values(1f, 14.3f, 100f)] float temperature)
    {
        foreach ((int groups, int labels, int width) in Sizes)
        {
            foreach (int top in (int[])[1, Math.Min(5, labels), labels])
            {
                Case test = new(device, kind, groups, labels, width, seed: groups + labels);
                test.Rules(temperature, 0.3, top);
                test.Harness.Check(test.Operation);
            }
        }
    }

    [Test]
    public void Views_of_groups_and_picture_are_read_where_they_lie()
    {
        Case test = new(device, LabelRules.Background, 3, 5, 6)
        {
            Groups = Tensor.Float("wide groups", 1, 5, 11).View().RowRange(1, 3).ColumnRange(2, 6),
            Picture = Tensor.Float("wide picture", 1, 2, 9).View().RowRange(1, 1).ColumnRange(1, 6),
        };
        test.Rules(10, 0.5, 3);
        test.Harness.Check(test.Operation);
    }

    [Test]
    public void The_first_of_equals_is_kept_and_the_others_have_no_score()
    {
        Case test = new(device, LabelRules.Probabilities, 1, 4, 2);
        test.Rules(1, 0, 2);
        test.Harness.With(test.Words, 1f, 0, 0, 1, 0, 1, 0, 1).With(test.Picture.Tensor, 0f, 1).With(test.Groups.Tensor, 1f, 0);
        test.Harness.Check(test.Operation);
        Assert.That(test.Harness.Floats(test.Operation, test.Table), Is.EqualTo((float[])[0, 0.5f / (MathF.E + 3), 0.5f / (MathF.E + 3), 0]).Within(1e-6f));
        test.Rules(1, 0, 1);
        Assert.That(test.Harness.Floats(test.Operation, test.Table), Is.EqualTo((float[])[0, 1 / (MathF.E + 3), 0, 0]).Within(1e-6f));
    }

    // exp(-20) beside 1: float32 has no digit for it, and neither group may be below the other's.
    [Test]
    public void A_score_is_rounded_once_from_more_digits_than_it_has()
    {
        Case test = new(device, LabelRules.Background, 2, 2, 2);
        test.Rules(100, 1, 2);
        float tenth = MathF.Sqrt(0.02f);
        test.Harness.With(test.Words, 1f, 0, 0, 1).With(test.Picture.Tensor, 1f, 1).With(test.Groups.Tensor, 1 - tenth / 100, 0, 0, 1);
        test.Harness.Check(test.Operation);
        Assert.That(test.Harness.Floats(test.Operation, test.Table), Is.EqualTo((float[])[0, 1, 0, 0, 0, 1]).Within(0f));
    }

    [Test]
    public void A_group_below_the_threshold_is_background_and_the_best_of_all_never()
    {
        Case test = new(device, LabelRules.Background, 3, 2, 2);
        test.Harness.With(test.Words, 1f, 0, 0, 1).With(test.Picture.Tensor, 1f, 1).With(test.Groups.Tensor, 1, 0, 0.6f, 0.5f, 0, 0.9f);
        foreach ((double threshold, float[] background) in (ReadOnlySpan<(double, float[])>)[(0.2, [0, 0, 0]), (0.9, [0, 1, 0]), (1, [0, 1, 1])])
        {
            test.Rules(10, threshold, 2);
            test.Harness.Check(test.Operation);
            float[] table = test.Harness.Floats(test.Operation, test.Table);
            Assert.That((float[])[table[0], table[3], table[6]], Is.EqualTo(background), $"threshold {threshold}");
            float[] verdict = test.Harness.Floats(test.Operation, test.Verdict);
            Assert.That(verdict[0], Is.EqualTo(verdict[LabelScores.BestAt]).And.GreaterThan(0.9f));
        }
        test.Harness.Catches(test.Operation, test.Operation with { Kind = LabelRules.MixedBackground }, "the threshold itself");
    }

    [Test]
    public void What_is_not_finite_is_told([ValueSource(nameof(Kinds))] LabelRules kind, [Values(float.NaN, float.PositiveInfinity)] float bad)
    {
        for (int place = 0; place < 3; place++)
        {
            Case test = new(device, kind, 2, 3, 4);
            test.Rules(10, 0.5, 2);
            float[] groups = [1, 0, 0, 0, 0, 1, 0, 0];
            float[] picture = [0, 0, 1, 0];
            if (place < 2)
            {
                // As NormalizeRows leaves a row.
                groups.AsSpan(4 * place, 4).Fill(bad);
            }
            else
            {
                picture.AsSpan().Fill(bad);
            }
            test.Harness.With(test.Groups.Tensor, groups).With(test.Picture.Tensor, picture);
            float finite = test.Harness.Floats(test.Operation, test.Verdict)[LabelScores.FiniteAt];
            Assert.That(finite, Is.EqualTo(place == 2 && kind == LabelRules.Logits ? 1 : 0), $"place {place}");
        }
    }

    private sealed class Case
    {
        private readonly LabelRules kind;

        public Case(TestDevice device, LabelRules kind, int groups, int labels, int width, int seed = 1)
        {
            this.kind = kind;
            Harness = new OperationHarness(device, seed);
            Groups = Tensor.Float("groups", 1, groups, width);
            Picture = Tensor.Float("picture", 1, 1, width);
            Words = Tensor.Float("words", 1, labels, width);
            RulesTensor = Tensor.Float("rules", 1, 1, LabelScores.RuleCount);
            Verdict = Tensor.Float("verdict", 1, 1, LabelScores.BestAt + groups);
            Table = Tensor.Float("table", 1, groups, labels + (kind is LabelRules.Background or LabelRules.MixedBackground ? 1 : 0));
            Work = Tensor.Float("work", 1, LabelScores.WorkRows(groups, kind), 2 * labels);
        }

        public OperationHarness Harness { get; }

        public TensorView Groups { get; init; }

        public TensorView Picture { get; init; }

        public Tensor Words { get; }

        public Tensor Verdict { get; }

        public Tensor Table { get; }

        public LabelScores Operation => new(Picture, Groups, Words, RulesTensor, Work, Verdict, Table, kind);

        private Tensor RulesTensor { get; }

        private Tensor Work { get; }

        public void Rules(double temperature, double threshold, int top)
            => Harness.With(
                RulesTensor, (float)temperature, (float)(temperature - (float)temperature), (float)threshold, (float)(threshold - (float)threshold), top);
    }
}
