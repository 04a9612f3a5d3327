using GroupViT.Kernels;

namespace GroupViT.Tests.Kernels;

/// <summary>Every operation but the product, on every device, held to its own float64 definition at the smallest shapes that have edges.</summary>
[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.All))]
internal sealed class OperationTests(TestDevice device)
{
    // Around the group sizes of the row kernels (8 and 64) and the vector widths.
    private static readonly int[] RowLengths = [1, 5, 8, 9, 64, 65, 130];

    private OperationHarness Harness(Values values = Values.Ordinary, bool inPlace = false) => new(device, 5) { Values = values, InPlace = inPlace };

    [Test]
    public void Layer_norm_equals_its_definition([Values] Values values, [Values] bool inPlace)
    {
        foreach (int n in RowLengths)
        {
            OperationHarness h = Harness(values, inPlace);
            h.Check(new LayerNorm(Tensor.Float("x", 2, 3, n), h.Vector("g", n), h.Vector("b", n), Tensor.Float("y", 2, 3, n), 1e-5f) { Residual = n % 2 == 0 ? null : h.Constant("pos", 3, n).View().Repeat(2) });
        }
        OperationHarness k = Harness(values);
        Tensor x = Tensor.Float("x", 2, 5, 40);
        k.Check(new LayerNorm(x.View().RowRange(1, 2).ColumnRange(3, 30), k.Vector("g", 30), k.Vector("b", 30), Tensor.Float("y", 2, 9, 50).View().RowRange(4, 2).ColumnRange(7, 30), 1e-5f));
    }

    [Test]
    public void Softmax_equals_its_definition([Values] Values values, [Values] bool inPlace)
    {
        foreach (int n in RowLengths)
        {
            Harness(values, inPlace).Check(new Softmax(Tensor.Float("x", 2, 3, n), Tensor.Float("y", 2, 3, n)));
        }
    }

    [Test]
    public void Normalised_rows_equal_their_definition([Values] Values values, [Values] bool inPlace, [Values(0f, 1e-12f)] float floor)
    {
        foreach (int n in RowLengths)
        {
            if (floor > 0 || values != Values.Ties)
            {
                Harness(values, inPlace).Check(new NormalizeRows(Tensor.Float("x", 2, 3, n), Tensor.Float("y", 2, 3, n), floor));
            }
        }
    }

    [Test]
    public void Not_a_number_follows_the_contracts()
    {
        const float NaN = float.NaN;
        Tensor x = Tensor.Float("x", 1, 4, 3);
        Tensor y = Tensor.Float("y", 1, 4, 3);
        Tensor index = Tensor.Int("index", 1, 1, 4);
        OperationHarness harness = Harness().With(x, NaN, 1, 2, NaN, NaN, NaN, 1, float.PositiveInfinity, 2, 3, NaN, 3);
        Assert.That(harness.Run(new ArgMaxColumns(x, index))[index], Is.EqualTo((uint[])[2, 0, 1, 0]));
        LayerNorm norm = new(x, harness.Vector("gamma", 3), harness.Vector("beta", 3), y, 1e-5f);
        Assert.That(Floats(harness, norm, y), Is.All.NaN);
        Assert.That(Floats(harness, new Softmax(x, y), y), Is.All.NaN);
        float[] unit = Floats(harness, new NormalizeRows(x, y, 1e-12f), y);
        Assert.That(unit.Where((_, i) => i is not (6 or 8)), Is.All.NaN);
        Assert.That((unit[6], unit[8]), Is.EqualTo((0f, 0f)), "a norm beyond the range makes finite entries zero");
    }

    [Test]
    public void A_query_that_is_not_a_number_spoils_its_own_output_only()
    {
        Tensor q = Tensor.Float("q", 1, 2, 4);
        Tensor y = Tensor.Float("y", 1, 2, 4);
        OperationHarness harness = Harness().With(q, float.NaN, 1, 1, 1, 1, 1, 1, 1);
        float[] output = Floats(harness, new Attention(q, Tensor.Float("k", 1, 3, 4), Tensor.Float("v", 1, 3, 4), y, 1, 1), y);
        Assert.That(output[..4], Is.All.NaN);
        Assert.That(output[4..], Is.All.Not.NaN);
    }

    [Test]
    public void A_row_has_the_same_bits_alone_and_among_others()
    {
        Tensor x = Tensor.Float("x", 2, 9, 70);
        Tensor y = Tensor.Float("y", 2, 9, 70);
        Tensor one = Tensor.Float("one", 1, 1, 70);
        OperationHarness harness = Harness();
        Tensor gamma = harness.Vector("gamma", 70);
        Tensor beta = harness.Vector("beta", 70);
        TensorView last = x.View() with { Offset = 17 * 70, Batch = 1, Rows = 1 };
        foreach (Func<TensorView, TensorView, Operation> make in (Func<TensorView, TensorView, Operation>[])
            [
                (from, to) => new LayerNorm(from, gamma, beta, to, 1e-5f),
                (from, to) => new Softmax(from, to),
                (from, to) => new NormalizeRows(from, to, 1e-12f),
                (from, to) => new Attention(from, x.View().RowRange(0, 5) with { Batch = from.Batch, BatchStride = 0 }, x.View().RowRange(0, 5) with { Batch = from.Batch, BatchStride = 0 }, to, 2, 0.3f),
            ])
        {
            uint[] all = harness.Run(make(x, y))[y];
            Assert.That(harness.Run(make(last, one))[one], Is.EqualTo(all[(17 * 70)..]), make(x, y).GetType().Name);
        }
    }

    [Test]
    public void Seeded_faults_are_found()
    {
        OperationHarness harness = Harness();
        Tensor x = Tensor.Float("x", 2, 6, 40);
        Tensor y = Tensor.Float("y", 2, 6, 40);
        Tensor plus = Tensor.Float("plus", 2, 6, 40);
        LayerNorm norm = new(x, harness.Vector("gamma", 40), harness.Vector("beta", 40), y, 1e-5f) { Residual = plus };
        harness.Catches(norm, norm with { Epsilon = 1e-3f }, "epsilon");
        harness.Catches(norm, norm with { Residual = null }, "residual missing");
        harness.Catches(norm, norm with { Gamma = norm.Beta }, "gamma");
        harness.Catches(new Softmax(x, y), new Softmax(x.View().ColumnRange(0, 39), y.View().ColumnRange(0, 39)), "last column dropped");
        harness.Catches(new Add(x, plus, y), new Add(x, null, y), "operand dropped");
        harness.Catches(new NormalizeRows(x, y, 1e-12f), new NormalizeRows(x, y, 100f), "floor");
        Attention attention = new(x, plus, plus, y, 4, 0.3f) { Causal = true };
        harness.Catches(attention, attention with { Causal = false }, "mask missing");
        harness.Catches(attention, attention with { Heads = 5 }, "heads");
        harness.Catches(attention, attention with { Scale = 0.31f }, "scale");
        Tensor maps = Tensor.Float("maps", 1, 3, 12);
        Tensor pixels = Tensor.Int("pixels", 1, 1, 35);
        harness.Catches(new PixelGroups(maps, pixels, 3, 4, 5, 7), new PixelGroups(maps, pixels, 4, 3, 5, 7), "sides swapped");
        Tensor small = Tensor.Float("small", 1, 3, 35);
        harness.Catches(new ResampleBilinear(maps, small, 3, 4, 5, 7), new ResampleBilinear(maps, small, 3, 4, 7, 5), "sides swapped");
        GroupAssign assign = new(
            x, x, plus, Tensor.Float("logits", 2, 6, 6), Tensor.Float("soft", 2, 6, 6), Tensor.Int("index", 2, 1, 6), y, 1, 1);
        harness.Catches(assign, assign with { Epsilon = 1e-6f }, "the one that is added to the count");
        harness.Catches(assign, assign with { K = plus }, "keys");
    }

    [Test]
    public void Attention_equals_its_definition([Values(Values.Ordinary, Values.Large, Values.Ties, Values.AllEqual)] Values values, [Values] bool causal, [Values] bool lengths, [Values(1, 3, 7, 16, 20, 32, 48, 64, 100, 128)] int size)
    {
        foreach ((int m, int n, int heads) in ((int, int, int)[])[(1, 1, 1), (5, causal ? 5 : 9, 2), (17, 17, 1)])
        {
            OperationHarness h = Harness(values);
            int c = heads * size;
            Tensor qkv = Tensor.Float("qkv", 2, n, 3 * c);
            Tensor q = Tensor.Float("q", 2, m, c);
            Tensor len = Tensor.Int("len", 1, 1, 2);
            h.With(len, n, (n + 1) / 2);
            h.Check(new Attention(m == n ? qkv.View().ColumnRange(0, c) : q, qkv.View().ColumnRange(c, c), qkv.View().ColumnRange(2 * c, c), Tensor.Float("y", 2, m, c), heads, 1 / MathF.Sqrt(size)) { Causal = causal, KeyLengths = lengths ? len : null });
        }
    }

    [Test]
    public void Copies_sums_and_means_equal_their_definitions([Values(Values.Ordinary, Values.Large)] Values values, [Values] bool inPlace)
    {
        Harness(values).Check(new PatchUnfold(Tensor.Float("x", 2, 3 * 9, 14), Tensor.Float("y", 2, 2 * 3, 48), 3, 4));
        Harness(values, inPlace).Check(new Add(Tensor.Float("a", 2, 3, 5), Tensor.Float("b", 2, 3, 5), Tensor.Float("y", 2, 3, 5)));
        Harness(values, inPlace).Check(new Add(Tensor.Float("a", 2, 3, 5), null, Tensor.Float("y", 2, 3, 5)));
        Harness(values).Check(new Add(Harness().Constant("g", 3, 5).View().Repeat(2), null, Tensor.Float("y", 2, 7, 9).View().RowRange(2, 3).ColumnRange(1, 5)));
        Tensor i = Tensor.Int("i", 2, 1, 4);
        OperationHarness h = Harness(values).With(i, 0, 6, -3, 99, 2, 2, 1, 5);
        h.Check(new GatherRows(h.Constant("t", 7, 9).View().Repeat(2), i, Tensor.Float("y", 2, 4, 9)) { Plus = h.Constant("p", 4, 9).View().Repeat(2) });
        h.Check(new GatherRows(Tensor.Float("tt", 2, 7, 9), i, Tensor.Float("y", 2, 4, 9)));
        Harness(values).Check(new MeanRows(Tensor.Float("x", 2, 8, 33), Tensor.Float("y", 2, 1, 33)));
    }

    [Test]
    public void Arg_max_takes_the_first_of_equals([Values] Values values)
    {
        Harness(values).Check(new ArgMaxColumns(Tensor.Float("x", 2, 5, 13), Tensor.Int("i", 2, 1, 5)));
        Harness(values).Check(new ArgMaxColumns(Tensor.Float("x", 2, 5, 1), Tensor.Int("i", 2, 1, 5)));
    }

    [Test]
    public void Group_assignment_equals_its_definition([Values(Values.Ordinary, Values.Negative, Values.Tiny)] Values values, [Values] bool straight, [Values] bool force, [Values(1, 2, 7)] int g)
    {
        foreach ((int l, int c, int d) in ((int, int, int)[])[(1, 4, 3), (9, 16, 33), (30, 12, 70)])
        {
            Tensor forced = Tensor.Int("forced", 2, 1, l);
            Harness(values).With(forced, [.. Enumerable.Range(0, 2 * l).Select(i => (i * 5 % 11) - 1)]).Check(new GroupAssign(
                Tensor.Float("q", 2, g, c), Tensor.Float("k", 2, l, c), Tensor.Float("v", 2, l, d), Tensor.Float("logits", 2, g, l), Tensor.Float("soft", 2, g, l),
                Tensor.Int("index", 2, 1, l), Tensor.Float("y", 2, g, d), 1 / MathF.Sqrt(c), 1) { StraightThrough = straight, Forced = force ? forced : null });
        }
    }

    [Test]
    public void Resampled_maps_and_their_groups_equal_their_definitions([Values(Values.Ordinary, Values.Large, Values.Ties)] Values values)
    {
        foreach ((int h, int w, int oh, int ow) in ((int, int, int, int)[])[(1, 1, 3, 4), (3, 4, 12, 16), (5, 7, 5, 7), (9, 8, 4, 3), (4, 4, 9, 4)])
        {
            Harness(values).Check(new ResampleBilinear(Tensor.Float("x", 2, 3, h * w), Tensor.Float("y", 2, 3, oh * ow), h, w, oh, ow));
            Harness(values).Check(new PixelGroups(Tensor.Float("m", 2, 5, h * w), Tensor.Int("i", 2, 1, oh * ow), h, w, oh, ow));
        }
    }

    [Test]
    public void Pixel_labels_equal_their_definition([Values(Values.Ordinary, Values.Negative, Values.Ties)] Values values, [Values] bool maps, [Values] bool softmax, [Values(1, 2, 8, 9, 21)] int labels)
    {
        foreach ((int h, int w, int oh, int ow, int first, int rows) in ((int, int, int, int, int, int)[])[(1, 1, 3, 4, 0, 3), (3, 4, 12, 16, 4, 5), (5, 7, 5, 7, 0, 5), (9, 8, 4, 3, 1, 2), (4, 4, 9, 4, 2, 5), (3, 3, 7, 9, 0, 0)])
        {
            OperationHarness harness = Harness(values);
            Tensor geometry = Tensor.Int("geometry", 1, 1, 4);
            Tensor groups = Tensor.Int("groups", 1, 1, h * w);
            harness.With(geometry, oh, ow, first, rows).With(groups, [.. Enumerable.Range(0, h * w).Select(i => i * 3 / 5 % 6)]);
            harness.Check(new PixelLabels(Tensor.Float("table", 1, 6, labels), geometry, Tensor.Int("labels", 1, 1, 60), Tensor.Float("scores", 1, 1, 60), h, w)
            {
                Groups = maps ? null : groups,
                Maps = maps ? Tensor.Float("maps", 1, 6, h * w).View() : null,
                SoftmaxScore = softmax,
            });
        }
    }

    private static float[] Floats(OperationHarness harness, Operation operation, Tensor tensor)
        => [.. harness.Run(operation)[tensor].Select(BitConverter.UInt32BitsToSingle)];
}
