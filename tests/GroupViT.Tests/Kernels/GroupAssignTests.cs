using GroupViT.Kernels;

namespace GroupViT.Tests.Kernels;

[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.All))]
internal sealed class GroupAssignTests(TestDevice device)
{
    private static readonly (int Batch, int Groups, int Tokens, int Width, int Columns)[] Shapes =
        [(1, 1, 1, 1, 1), (2, 3, 5, 4, 7), (1, 2, 17, 2, 3), (1, 9, 10, 12, 8), (2, 2, 9, 8, 20)];

    // Around the vectors' widths, the tile of 128 tokens and that of 64 columns, long and thin, and the network's two stages, narrowed.
    private static readonly (int Batch, int Groups, int Tokens, int Width, int Columns)[] LargerShapes =
    [
        (1, 8, 64, 16, 64), (1, 8, 129, 8, 65), (2, 64, 196, 16, 33), (1, 2, 127, 5, 63), (1, 5, 128, 3, 130), (1, 33, 2, 4, 4), (1, 1, 700, 2, 1), (3, 9, 15, 31, 16),
        (1, 65, 9, 8, 8), (2, 64, 30, 24, 384),
    ];

    private IEnumerable<(int Batch, int Groups, int Tokens, int Width, int Columns)> Sizes => device.IsSlow ? Shapes : Shapes.Concat(LargerShapes);

    [Test]
    public void It_equals_its_definition([Values] Values values, [Values] bool straightThrough)
    {
        foreach ((int batch, int groups, int tokens, int width, int columns) in Sizes)
        {
            OperationHarness harness = new(device, groups + tokens) { Values = values };
            harness.Check(new Grouping(batch, groups, tokens, width, columns).Operation with { StraightThrough = straightThrough });
        }
    }

    [Test]
    public void Views_read_and_write_only_their_part()
    {
        Grouping all = new(2, 3, 7, 5, 6);
        Tensor q = Tensor.Float("queries", 1, 6, 9);
        Tensor kv = Tensor.Float("kv", 2, 12, 20);
        Tensor y = Tensor.Float("out", 2, 8, 11);
        new OperationHarness(device).Check(all.Operation with
        {
            Q = q.View().RowRange(2, 3).ColumnRange(3, 5).Repeat(2),
            K = kv.View().RowRange(4, 7).ColumnRange(1, 5),
            V = kv.View().RowRange(4, 7).ColumnRange(13, 6),
            Y = y.View().RowRange(5, 3).ColumnRange(2, 6),
        });
    }

    [Test]
    public void The_worked_example_of_the_specification_holds([Values] bool straightThrough)
    {
        // Spec K.6. With unit vectors for queries the logits are the keys, with unit vectors for values the means are the weights.
        Grouping example = new(1, 2, 3, 2, 3);
        OperationHarness harness = new(device);
        harness.With(example.Q, 1f, 0, 0, 1).With(example.K, 0.2f, 0.1f, -0.5f, 0.4f, 1, -0.3f).With(example.V, 1f, 0, 0, 0, 1, 0, 0, 0, 1);
        GroupAssign operation = example.Operation with { Scale = 1, StraightThrough = straightThrough };
        harness.Check(operation);
        Assert.That(harness.Floats(operation, example.Logits), Is.EqualTo((float[])[0.2f, -0.5f, 1, 0.1f, 0.4f, -0.3f]));
        Assert.That(harness.Floats(operation, example.Soft), Is.EqualTo((float[])[0.5249792f, 0.2890505f, 0.7858350f, 0.4750208f, 0.7109495f, 0.2141650f]).Within(1e-6));
        Assert.That(harness.Integers(operation, example.Index), Is.EqualTo((int[])[0, 1, 0]));
        Assert.That(harness.Floats(operation, example.Y), Is.EqualTo((float[])[1 / 3f, 0, 1 / 3f, 0, 0.5f, 0]).Within(1e-6));
    }

    [Test]
    public void An_empty_group_gives_zeros()
    {
        Grouping grouping = new(1, 3, 5, 1, 4);
        OperationHarness harness = new(device);
        harness.With(grouping.Q, 1f, -1, 2).With(grouping.K, 1f, 2, 3, 1, 2);
        harness.Check(grouping.Operation);
        float[] y = harness.Floats(grouping.Operation, grouping.Y);
        Assert.That(y[..8], Is.All.Zero);
        Assert.That(y[8..], Is.All.Not.Zero);
    }

    [Test]
    public void The_first_of_equal_groups_wins()
    {
        int tokens = device.IsSlow ? 5 : 150;
        Grouping grouping = new(1, 6, tokens, 2, 3);
        OperationHarness harness = new(device);
        // Groups 1, 2 and 4 are the same, and the best for positive keys; so are 0 and 5 for negative ones; nothing decides for zero.
        harness.With(grouping.Q, -1f, -1, 1, 1, 1, 1, 0, 0, 1, 1, -1, -1);
        int[] signs = [.. Enumerable.Range(0, tokens).Select(l => l % 3 - 1)];
        harness.With(grouping.K, [.. signs.SelectMany(sign => (float[])[sign, 2 * sign])]);
        harness.Check(grouping.Operation);
        Assert.That(harness.Integers(grouping.Operation, grouping.Index), Is.EqualTo(signs.Select(sign => sign > 0 ? 1 : 0)));
        harness.CatchesIntegers(grouping.Operation, grouping.Index, index => [.. index.Select((g, l) => signs[l] > 0 ? 4 : g)], "last of equals");
    }

    [Test]
    public void A_forced_assignment_replaces_the_arg_max_and_is_clamped([Values] bool straightThrough)
    {
        Grouping grouping = new(2, 3, 4, 5, 6);
        Tensor forced = Tensor.Int("forced", 2, 1, 4);
        OperationHarness harness = new(device);
        harness.With(forced, 2, 2, 0, 1, -5, 7, int.MaxValue, int.MinValue);
        GroupAssign operation = grouping.Operation with { Forced = forced, StraightThrough = straightThrough };
        harness.Check(operation);
        Assert.That(harness.Integers(operation, grouping.Index), Is.EqualTo((int[])[2, 2, 0, 1, 0, 2, 2, 0]));
    }

    [Test]
    public void Not_a_number_never_wins()
    {
        Grouping grouping = new(1, 3, 3, 1, 2);
        OperationHarness harness = new(device);
        // A key of NaN makes all of a token's logits NaN; a query of NaN one of every token's.
        harness.With(grouping.Q, float.NaN, 1, 2).With(grouping.K, 1f, -1, float.NaN);
        harness.Check(grouping.Operation);
        Assert.That(harness.Integers(grouping.Operation, grouping.Index), Is.EqualTo((int[])[2, 1, 0]));
        Assert.That(harness.Floats(grouping.Operation, grouping.Soft), Is.All.NaN);
        Assert.That(harness.Floats(grouping.Operation, grouping.Y), Is.All.Matches<float>(float.IsFinite));
    }

    [Test]
    public void Not_a_number_among_the_values_stays_in_its_group()
    {
        Grouping grouping = new(1, 2, 3, 1, 2);
        OperationHarness harness = new(device);
        harness.With(grouping.Q, 1f, -1).With(grouping.K, 1f, -1, 1).With(grouping.V, 1f, 2, float.NaN, 4, 5, 6);
        harness.Check(grouping.Operation);
        Assert.That(harness.Floats(grouping.Operation, grouping.Y).Select(float.IsNaN), Is.EqualTo((bool[])[false, false, true, false]));
    }

    [Test]
    public void Seeded_faults_are_found()
    {
        Grouping grouping = new(1, 5, 20, 8, 9);
        GroupAssign right = grouping.Operation;
        OperationHarness harness = new(device);
        harness.Catches(right, right with { Epsilon = 1e-6f }, "epsilon near 0 instead of 1");
        harness.Catches(right, right with { Scale = right.Scale * 1.0001f }, "scale");
        harness.Catches(right, right with { Q = right.Q.ColumnRange(0, 7), K = right.K.ColumnRange(0, 7) }, "last column of the product dropped");
        harness.Catches(right, right with { V = right.V.ColumnRange(0, 8), Y = right.Y.ColumnRange(0, 8) }, "last column of the means dropped");
        harness.Catches(right, grouping.Soft, soft => OverTokens(soft, 5), "softmax over the tokens");
        harness.CatchesIntegers(right, grouping.Index, index => [.. index[1..], index[0]], "tokens shifted");
        harness.Catches(right, grouping.Y, y => [.. y[9..], .. y[..9]], "groups shifted");
        harness.CatchesMissingEnd(right, grouping.Logits);
        harness.CatchesMissingEnd(right, grouping.Soft);
        harness.CatchesMissingEnd(right, grouping.Index);
        harness.CatchesMissingEnd(right, grouping.Y);
        float[] soft = harness.Floats(right, grouping.Soft);
        harness.Catches(right, grouping.Y, _ => SoftMeans(soft, harness.Floats(new Add(grouping.V, null, grouping.V2), grouping.V2), 5), "soft assignment instead of hard");
    }

    [Test]
    public void An_arg_max_over_the_tokens_is_found()
    {
        // As many groups as tokens: the swapped roles fit, and give the other axis's answer.
        Grouping grouping = new(1, 6, 6, 8, 9);
        OperationHarness harness = new(device);
        int[] wrong = harness.Integers(grouping.Operation with { Q = grouping.K, K = grouping.Q }, grouping.Index);
        harness.CatchesIntegers(grouping.Operation, grouping.Index, _ => wrong, "arg-max over the tokens");
    }

    [Test]
    public void Bits_depend_on_nothing_but_the_batch_element([Values] bool straightThrough)
    {
        int tokens = device.IsSlow ? 5 : 196;
        Grouping grouping = new(3, 4, tokens, 6, device.IsSlow ? 3 : 70);
        GroupAssign operation = grouping.Operation with { StraightThrough = straightThrough };
        OperationHarness harness = new(device);
        harness.IsRepeatable(operation);
        Grouping one = new(1, 4, tokens, 6, device.IsSlow ? 3 : 70);
        foreach ((Tensor all, Tensor alone) in ((Tensor, Tensor)[])[(grouping.Logits, one.Logits), (grouping.Soft, one.Soft), (grouping.Index, one.Index), (grouping.Y, one.Y)])
        {
            harness.IsIndependentOfTheBatch(operation, all, b => (one.Operation with
            {
                Q = OperationHarness.Element(grouping.Q, b),
                K = OperationHarness.Element(grouping.K, b),
                V = OperationHarness.Element(grouping.V, b),
                StraightThrough = straightThrough,
            }, alone));
        }
    }

    [Test]
    public void A_prepared_step_allocates_nothing()
        => new OperationHarness(device).AllocatesNothing(new Grouping(1, 4, 140, 3, 70).Operation with { StraightThrough = true });

    [Test]
    public void Shapes_that_do_not_fit_are_refused()
    {
        GroupAssign right = new Grouping(2, 3, 5, 4, 7).Operation;
        Assert.DoesNotThrow(right.Validate);
        Assert.Throws<ArgumentException>((right with { Q = Tensor.Float("q", 1, 3, 4) }).Validate);
        Assert.Throws<ArgumentException>((right with { K = Tensor.Float("k", 2, 5, 5) }).Validate);
        Assert.Throws<ArgumentException>((right with { V = Tensor.Float("v", 2, 4, 7) }).Validate);
        Assert.Throws<ArgumentException>((right with { Logits = Tensor.Float("logits", 2, 5, 3) }).Validate);
        Assert.Throws<ArgumentException>((right with { Soft = Tensor.Float("soft", 2, 5, 3) }).Validate);
        Assert.Throws<ArgumentException>((right with { Y = Tensor.Float("y", 2, 5, 7) }).Validate);
        Assert.Throws<ArgumentException>((right with { Index = Tensor.Int("index", 2, 1, 3) }).Validate);
        Assert.Throws<ArgumentException>((right with { Index = Tensor.Float("index", 2, 1, 5) }).Validate, "floats for integers");
        Assert.Throws<ArgumentException>((right with { Forced = Tensor.Int("forced", 1, 1, 5) }).Validate);
        Assert.Throws<ArgumentException>((right with { Epsilon = 0 }).Validate);
        Assert.Throws<ArgumentOutOfRangeException>(() => new Grouping(0, 3, 5, 4, 7));
    }

    private static float[] OverTokens(float[] soft, int groups) => [.. soft.Chunk(soft.Length / groups).SelectMany(row => row.Select(s => s / row.Sum()))];

    private static float[] SoftMeans(float[] soft, float[] values, int groups)
    {
        float[][] rows = [.. soft.Chunk(soft.Length / groups)];
        float[][] tokens = [.. values.Chunk(values.Length / rows[0].Length)];
        return [.. rows.SelectMany(row => Enumerable.Range(0, tokens[0].Length).Select(c => tokens.Select((token, l) => token[c] * row[l]).Sum() / (row.Sum() + 1)))];
    }
}
