using GroupViT.Kernels;

namespace GroupViT.Tests.Kernels;

[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.All))]
[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.AsGpu))]
internal sealed class AttentionTests(TestDevice device)
{
    private static readonly (int Batch, int Queries, int Keys, int Heads, int Size)[] Shapes =
    [
        (1, 1, 1, 1, 1), (2, 1, 5, 2, 3), (1, 5, 7, 3, 4), (1, 3, 2, 1, 17),
    ];

    // Around the tiles of every width (6 and 12 queries, 48 to a block; 2, 8, 16 and 32 keys or columns), long, thin, the widest head.
    private static readonly (int Batch, int Queries, int Keys, int Heads, int Size)[] LargerShapes =
    [
        (2, 6, 8, 2, 8), (1, 7, 9, 1, 17), (1, 12, 31, 2, 16), (1, 13, 32, 1, 33), (1, 47, 33, 2, 5), (2, 48, 16, 1, 31), (1, 49, 65, 2, 64),
        (1, 97, 3, 3, 7), (1, 2, 300, 2, 32), (1, 1, 17, 1, 128), (1, 8, 64, 6, 64),
    ];

    private IEnumerable<(int Batch, int Queries, int Keys, int Heads, int Size)> Sizes => device.IsSlow ? Shapes : Shapes.Concat(LargerShapes);

    [Test]
    public void It_equals_its_definition([Values] Values values)
    {
        foreach ((int batch, int queries, int keys, int heads, int size) in Sizes)
        {
            OperationHarness harness = new(device, queries + keys) { Values = values };
            Tensor q = Tensor.Float("q", batch, queries, heads * size);
            Tensor k = Tensor.Float("k", batch, keys, heads * size);
            Tensor v = Tensor.Float("v", batch, keys, heads * size);
            harness.Check(new Attention(q, k, v, Tensor.Float("y", batch, queries, heads * size), heads, 1 / MathF.Sqrt(size)));
        }
    }

    [Test]
    public void Heads_one_after_another_equal_the_definition([Values] bool causal, [Values] bool lengths)
    {
        foreach ((int batch, int queries, int keys, int heads, int size) in Sizes)
        {
            OperationHarness harness = new(device, queries + keys) { Values = Values.Ties };
            int seen = causal ? queries : keys;
            Tensor q = Tensor.Float("q", batch, heads * queries, size);
            Tensor kv = Tensor.Float("kv", batch, 2 * heads * seen, size);
            Tensor? keyLengths = lengths ? Tensor.Int("lengths", 1, 1, batch) : null;
            if (keyLengths is not null)
            {
                harness.With(keyLengths, [.. Enumerable.Range(0, batch).Select(b => Math.Max(1, seen - 1 - 2 * b))]);
            }
            harness.Check(new Attention(
                q, kv.View().RowRange(0, heads * seen), kv.View().RowRange(heads * seen, heads * seen), Tensor.Float("y", batch, queries, heads * size), heads, 1 / MathF.Sqrt(size))
            {
                HeadsMajor = true,
                Causal = causal,
                KeyLengths = keyLengths,
            });
        }
    }

    [Test]
    public void The_two_layouts_of_heads_are_told_apart()
    {
        OperationHarness harness = new(device) { Values = Values.Ties };
        Tensor source = Tensor.Float("qkv", 2, 3 * 3 * 5, 8);
        Tensor y = Tensor.Float("y", 2, 5, 24);
        TensorView Part(int part) => source.View().RowRange(part * 15, 15);
        Attention right = new(Part(0), Part(1), Part(2), y, 3, 0.5f) { HeadsMajor = true };
        harness.Check(right);
        harness.Catches(right, right with { K = right.V, V = right.K }, "keys and values swapped");
        harness.Catches(right, y, values => [.. values.Chunk(24).SelectMany(row => row[8..].Concat(row[..8]))], "order of heads turned");
        Assert.Throws<ArgumentException>((right with { HeadsMajor = false }).Validate);
        Assert.Throws<ArgumentException>((right with { K = source.View().RowRange(0, 14), V = source.View().RowRange(14, 14) }).Validate, "keys that the heads do not divide");
    }

    [Test]
    public void Masked_attention_equals_its_definition([Values] bool causal, [Values] bool lengths)
    {
        foreach ((int batch, int queries, int _, int heads, int size) in Sizes)
        {
            // Large scores, so that a key more or less is seen.
            OperationHarness harness = new(device, queries) { Values = Values.Ties };
            Tensor fused = Tensor.Float("qkv", batch, queries, 3 * heads * size);
            Tensor y = Tensor.Float("y", batch, queries, heads * size);
            Tensor? keyLengths = lengths ? Tensor.Int("lengths", 1, 1, batch) : null;
            if (keyLengths is not null)
            {
                harness.With(keyLengths, [.. Enumerable.Range(0, batch).Select(b => Math.Max(1, queries - 1 - 2 * b))]);
            }
            harness.Check(SelfAttention(fused, y, heads) with { Causal = causal, KeyLengths = keyLengths });
        }
    }

    [Test]
    public void Key_lengths_outside_the_keys_are_clamped()
    {
        OperationHarness harness = new(device);
        Tensor lengths = Tensor.Int("lengths", 1, 1, 4);
        harness.With(lengths, -3, 0, 5, 99);
        harness.Check(SelfAttention(Tensor.Float("qkv", 4, 5, 12), Tensor.Float("y", 4, 5, 4), 2) with { KeyLengths = lengths });
    }

    [Test]
    public void Views_read_and_write_only_their_part()
    {
        OperationHarness harness = new(device);
        Tensor q = Tensor.Float("q", 1, 9, 20);
        Tensor kv = Tensor.Float("kv", 2, 12, 30);
        Tensor y = Tensor.Float("y", 2, 11, 25);
        harness.Check(new Attention(
            q.View().RowRange(1, 7).ColumnRange(5, 10).Repeat(2), kv.View().RowRange(3, 8).ColumnRange(0, 10), kv.View().RowRange(3, 8).ColumnRange(17, 10),
            y.View().RowRange(2, 7).ColumnRange(11, 10), 2, 0.5f));
    }

    [Test]
    public void Keys_beyond_the_length_are_never_used()
    {
        OperationHarness harness = new(device);
        Tensor fused = Tensor.Float("qkv", 1, 7, 12);
        Tensor y = Tensor.Float("y", 1, 7, 4);
        Tensor lengths = Tensor.Int("lengths", 1, 1, 1);
        float[] values = [.. Enumerable.Range(0, 84).Select(i => MathF.Sin(i))];
        // Keys and values of the last three rows; queries there stay numbers.
        for (int row = 4; row < 7; row++)
        {
            values.AsSpan(12 * row + 4, 8).Fill(row == 5 ? float.PositiveInfinity : float.NaN);
        }
        harness.With(fused, values).With(lengths, 4);
        Attention attention = SelfAttention(fused, y, 2) with { KeyLengths = lengths };
        harness.Check(attention);
        Assert.That(harness.Floats(attention, y), Is.All.Matches<float>(float.IsFinite));
    }

    [Test]
    public void Not_a_number_reaches_what_sees_it([Values] bool inQuery)
    {
        OperationHarness harness = new(device);
        Tensor fused = Tensor.Float("qkv", 1, 7, 12);
        Tensor y = Tensor.Float("y", 1, 7, 4);
        float[] values = [.. Enumerable.Range(0, 84).Select(i => MathF.Sin(i))];
        // Head 1 of row 3: columns 2 and 3 of its query, 6 and 7 of its key.
        values[12 * 3 + (inQuery ? 2 : 6)] = float.NaN;
        harness.With(fused, values);
        Attention attention = SelfAttention(fused, y, 2) with { Causal = true };
        harness.Check(attention);
        float[] actual = harness.Floats(attention, y);
        for (int row = 0; row < 7; row++)
        {
            bool sees = inQuery ? row == 3 : row >= 3;
            Assert.That(float.IsNaN(actual[4 * row + 2]), Is.EqualTo(sees), $"row {row}");
            Assert.That(float.IsNaN(actual[4 * row]), Is.False, $"head 0 of row {row}");
        }
    }

    [Test]
    public void Infinite_scores_weigh_all_or_nothing()
    {
        OperationHarness harness = new(device);
        Tensor q = Tensor.Float("q", 1, 3, 1);
        Tensor k = Tensor.Float("k", 1, 3, 1);
        Tensor y = Tensor.Float("y", 1, 3, 1);
        harness.With(q, 1, -1, float.PositiveInfinity).With(k, 0.5f, float.NegativeInfinity, 0.25f);
        Attention attention = new(q, k, Tensor.Float("v", 1, 3, 1), y, 1, 1);
        harness.Check(attention);
        float[] actual = harness.Floats(attention, y);
        Assert.That(actual[0], Is.Not.NaN);
        Assert.That(actual[1..], Is.All.NaN);
    }

    [Test]
    public void A_first_score_of_minus_infinity_weighs_nothing()
    {
        OperationHarness harness = new(device);
        Tensor q = Tensor.Float("q", 1, 1, 1);
        Tensor k = Tensor.Float("k", 1, 3, 1);
        Tensor y = Tensor.Float("y", 1, 1, 1);
        harness.With(q, 1f).With(k, float.NegativeInfinity, 0.5f, 0.25f);
        Attention attention = new(q, k, Tensor.Float("v", 1, 3, 1), y, 1, 1);
        harness.Check(attention);
        Assert.That(harness.Floats(attention, y), Is.All.Matches<float>(float.IsFinite));
        harness.With(k, float.NegativeInfinity, float.NegativeInfinity, float.NegativeInfinity);
        Assert.That(harness.Floats(attention, y), Is.All.NaN, "no weight at all");
    }

    [Test]
    public void Seeded_faults_are_found()
    {
        OperationHarness harness = new(device) { Values = Values.Ties };
        Tensor source = Tensor.Float("qkv", 2, 10, 24);
        Tensor y = Tensor.Float("y", 2, 9, 8);
        TensorView Part(int first, int columns, int row = 0) => source.View().RowRange(row, 9).ColumnRange(first, columns);
        Tensor lengths = Tensor.Int("lengths", 1, 1, 2);
        harness.With(lengths, 8, 5);
        Attention right = new(Part(0, 8), Part(8, 8), Part(16, 8), y, 2, 0.5f) { KeyLengths = lengths };
        harness.Catches(right, right with { KeyLengths = null }, "key lengths ignored");
        harness.Catches(right, right with { Causal = true }, "causal where it is not");
        harness.Catches(right, right with { Scale = 0.501f }, "scale");
        harness.Catches(right, right with { Heads = 1 }, "heads not divided");
        harness.Catches(right, right with { Q = Part(0, 8, row: 1) }, "a row of queries shifted");
        harness.Catches(right, right with { K = Part(8, 8, row: 1) }, "a row of keys shifted");
        harness.Catches(right, right with { V = Part(16, 8, row: 1) }, "a row of values shifted");
        harness.Catches(right, right with { K = right.V, V = right.K }, "keys and values swapped");
        harness.Catches(right, y, values => [.. values.Chunk(8).SelectMany(row => row[4..].Concat(row[..4]))], "order of heads swapped");
        harness.CatchesMissingEnd(right, y);
        Attention masked = right with { Causal = true };
        harness.Catches(masked, masked with { Causal = false }, "causal ignored");
        Attention whole = right with { KeyLengths = null };
        harness.Catches(whole, whole with { K = right.K.RowRange(0, 8), V = right.V.RowRange(0, 8) }, "last key dropped");
        harness.Catches(whole, whole with { Q = Narrow(0), K = Narrow(8), V = Narrow(16), Y = y.View().ColumnRange(0, 6) }, "last column of each head dropped");
        TensorView Narrow(int first) => Part(first, 6);
    }

    [Test]
    public void A_causal_mask_that_is_off_by_one_is_found([Values(0, 1)] int offset)
    {
        OperationHarness harness = new(device) { Values = Values.Ties };
        Tensor source = Tensor.Float("qkv", 1, 10, 12);
        Tensor y = Tensor.Float("y", 1, 9, 4);
        Tensor longer = Tensor.Float("longer", 1, 10, 4);
        TensorView Part(int first, int row, int rows) => source.View().RowRange(row, rows).ColumnRange(first, 4);
        // Queries stand one row later in the sequence than the keys they start to see from, or one earlier.
        Attention right = new(Part(0, 1 - offset, 9), Part(4, offset, 9), Part(8, offset, 9), y, 2, 0.5f) { Causal = true };
        Attention shifted = new(Part(0, 0, 10), Part(4, 0, 10), Part(8, 0, 10), longer, 2, 0.5f) { Causal = true };
        float[] wrong = harness.Floats(shifted, longer);
        harness.Catches(right, y, _ => offset == 0 ? wrong[4..] : wrong[..^4], "off by one");
    }

    [Test]
    public void Bits_depend_on_nothing_but_the_batch_element()
    {
        OperationHarness harness = new(device);
        int rows = device.IsSlow ? 4 : 61;
        Tensor fused = Tensor.Float("qkv", 3, rows, 3 * 14);
        Tensor y = Tensor.Float("y", 3, rows, 14);
        Tensor lengths = Tensor.Int("lengths", 1, 1, 3);
        int[] seen = [rows, rows - 2, 1];
        harness.With(lengths, seen);
        Attention attention = SelfAttention(fused, y, 2) with { KeyLengths = lengths, Causal = true };
        harness.IsRepeatable(attention);
        Tensor one = Tensor.Float("one", 1, rows, 14);
        harness.IsIndependentOfTheBatch(attention, y, b =>
        {
            Tensor length = Tensor.Int("length", 1, 1, 1);
            harness.With(length, seen[b]);
            return (SelfAttention(OperationHarness.Element(fused, b), one, 2) with { KeyLengths = length, Causal = true }, one);
        });
    }

    [Test]
    public void A_prepared_step_allocates_nothing()
        => new OperationHarness(device).AllocatesNothing(SelfAttention(Tensor.Float("qkv", 1, 60, 24), Tensor.Float("y", 1, 60, 8), 2) with { Causal = true });

    [Test]
    public void Shapes_that_do_not_fit_are_refused()
    {
        Tensor q = Tensor.Float("q", 2, 3, 8);
        Tensor k = Tensor.Float("k", 2, 5, 8);
        Attention right = new(q, k, Tensor.Float("v", 2, 5, 8), Tensor.Float("y", 2, 3, 8), 2, 1);
        Assert.DoesNotThrow(right.Validate);
        Assert.Throws<ArgumentException>((right with { Y = Tensor.Float("y", 2, 5, 8) }).Validate);
        Assert.Throws<ArgumentException>((right with { V = Tensor.Float("v", 2, 4, 8) }).Validate);
        Assert.Throws<ArgumentException>((right with { Heads = 3 }).Validate);
        Assert.Throws<ArgumentException>((right with { Heads = 0 }).Validate);
        Assert.Throws<ArgumentException>((right with { Causal = true }).Validate, "causal with other keys than queries");
        Assert.Throws<ArgumentException>((right with { KeyLengths = Tensor.Int("lengths", 1, 1, 3) }).Validate);
        Assert.Throws<ArgumentException>((right with { KeyLengths = Tensor.Float("lengths", 1, 1, 2) }).Validate, "lengths of the wrong type");
        Tensor wide = Tensor.Float("wide", 1, 2, 129);
        Assert.Throws<ArgumentException>(new Attention(wide, wide, wide, Tensor.Float("y", 1, 2, 129), 1, 1).Validate, "a head too wide");
        Assert.Throws<ArgumentOutOfRangeException>(() => Tensor.Int("lengths", 1, 1, 0));
    }

    /// <summary>Over the three column ranges of one fused projection.</summary>
    private static Attention SelfAttention(TensorView fused, TensorView y, int heads)
    {
        int width = fused.Columns / 3;
        return new Attention(fused.ColumnRange(0, width), fused.ColumnRange(width, width), fused.ColumnRange(2 * width, width), y, heads, MathF.Sqrt((float)heads / width));
    }
}
