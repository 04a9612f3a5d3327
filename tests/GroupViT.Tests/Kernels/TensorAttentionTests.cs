using GroupViT.Kernels;
using GroupViT.Kernels.Devices;

namespace GroupViT.Tests.Kernels;

/// <summary>Attention by matrix instructions, on the simulator with warps of 32 and its emulated instructions; on a card, the same.</summary>
internal sealed class TensorAttentionTests
{
    private static readonly TestDevice Many = new("simulator of compute 8.0", DeviceKind.Simulator, () => GpuDevice.OpenEmulator(80, 1000));
    // No multiprocessors are filled by any number of groups: keys are not split.
    private static readonly TestDevice Few = new("simulator of compute 8.0, small", DeviceKind.Simulator, () => GpuDevice.OpenEmulator(80, 0));
    private static readonly TestDevice Turing = new("simulator of compute 7.5", DeviceKind.Simulator, () => GpuDevice.OpenEmulator(75, 1000));

    private static readonly (int Queries, int Keys, int Heads, int Size)[] CardShapes =
    [
        (260, 260, 6, 64), (8, 848, 6, 64), (848, 848, 6, 64), (64, 196, 12, 32), (1, 1, 1, 32), (77, 77, 4, 64), (33, 31, 2, 32),
    ];

    private static IEnumerable<TestCaseData> Devices
    {
        get
        {
            foreach (WeightFormat format in (WeightFormat[])[WeightFormat.BFloat16, WeightFormat.Float16, WeightFormat.TensorFloat32])
            {
                yield return new TestCaseData(Many, format) { TestName = $"{{m}}({format}, split keys)" };
                yield return new TestCaseData(Few, format) { TestName = $"{{m}}({format}, all keys)" };
            }
            yield return new TestCaseData(Turing, WeightFormat.Float16) { TestName = "{m}(Float16 of compute 7.5)" };
        }
    }

    private static IEnumerable<TestCaseData> PairDevices => Devices.Where(data => !data.Arguments.Contains(WeightFormat.TensorFloat32));

    private static IEnumerable<TestCaseData> Cards
        => from card in TestDevices.Present.Where(device => device.Kind == DeviceKind.Cuda)
           from format in ((GpuDevice)card.Device).Facts.Formats.Where(format => format != WeightFormat.Float32)
           from shape in CardShapes
           select new TestCaseData(card, format, shape.Queries, shape.Keys, shape.Heads, shape.Size)
           {
               TestName = $"{{m}}({card}, {format}, {shape.Queries} x {shape.Keys}, {shape.Heads} heads of {shape.Size})",
           };

    [OneTimeTearDown]
    public void Close()
    {
        foreach (TestDevice device in (TestDevice[])[Many, Few, Turing])
        {
            device.Close();
        }
    }

    [TestCaseSource(nameof(Cards)), Category("Cuda")]
    public void A_card_attends_as_defined(TestDevice device, WeightFormat format, int queries, int keys, int heads, int size)
    {
        EachQueryFindsItsKey(device, format, queries, keys, size);
        OperationHarness harness = new(device, 3);
        harness.Check(Self(format, queries, keys, heads, size, batch: 2));
        harness.IsRepeatable(Self(format, queries, keys, heads, size, batch: 2));
        if (format != WeightFormat.TensorFloat32 && queries == keys)
        {
            HasTheSameBits(device, format, queries, heads, size);
        }
    }

    [TestCaseSource(nameof(Devices)), Category("Simulator")]
    public void Each_query_finds_its_key(TestDevice device, WeightFormat format)
    {
        // More than one block to the first part; 17 queries reach into a second tile, the last 3 keys into an unfinished block.
        EachQueryFindsItsKey(device, format, queries: 17, keys: 131, size: 32);
    }

    [TestCaseSource(nameof(Devices)), Category("Simulator")]
    public void Queries_that_prefer_no_key_get_the_mean(TestDevice device, WeightFormat format) => IndifferentQueriesGetTheMean(device, format, keys: 37);

    [TestCaseSource(nameof(Devices)), Category("Simulator")]
    public void It_equals_its_definition(TestDevice device, WeightFormat format)
    {
        OperationHarness harness = new(device, 5);
        harness.Check(Self(format, 5, 35, 2, 32, batch: 2));
        Tensor fused = Tensor.Float("qkv", 1, 3 * 2 * 19, 64);
        Tensor lengths = Tensor.Int("lengths", 1, 1, 1);
        harness.With(lengths, 18);
        harness.Check(new Attention(
            fused.View().RowRange(0, 38), fused.View().RowRange(38, 38), fused.View().RowRange(76, 38), Tensor.Float("y", 1, 19, 128), 2, 0.125f)
        {
            HeadsMajor = true,
            Causal = true,
            KeyLengths = lengths,
            Format = format,
        });
    }

    [TestCase(WeightFormat.BFloat16)]
    [TestCase(WeightFormat.TensorFloat32)]
    [Category("Simulator")]
    public void Neither_the_shape_of_group_nor_keys_out_of_sight_show_in_the_bits(WeightFormat format)
    {
        float[] queries = Numbers(20 * 32, 1);
        float[] keys = Numbers(70 * 32, 2);
        float[] values = Numbers(70 * 32, 3);
        Attention exact = Self(format, 20, 35, 1, 32);
        Attention longer = Self(format, 20, 70, 1, 32) with { KeyLengths = Tensor.Int("lengths", 1, 1, 1) };
        float[] Run(TestDevice device, Attention attention)
        {
            int count = attention.Keys * 32;
            float[] given = [.. values.Take(count)];
            // What is not seen must not count, whatever it is.
            given.AsSpan(35 * 32).Fill(float.NaN);
            OperationHarness harness = new(device);
            harness.With(attention.Q.Tensor, queries).With(attention.K.Tensor, [.. keys.Take(count)]).With(attention.V.Tensor, given);
            if (attention.KeyLengths is { } lengths)
            {
                harness.With(lengths, 35);
            }
            return harness.Floats(attention, attention.Y.Tensor);
        }
        Assert.That(LaunchedKernels.Of(Many, exact), Does.Contain("SplitKeys"));
        Assert.That(LaunchedKernels.Of(Few, exact), Does.Contain("AllKeys"));
        float[] split = Run(Many, exact);
        Assert.That(split, Is.All.Matches<float>(float.IsFinite));
        Assert.That(Run(Few, exact), Is.EqualTo(split), "split keys and all keys");
        Assert.That(Run(Many, longer), Is.EqualTo(split), "more keys, not seen");
    }

    // Queries, keys and values of 16 bits come by another way, and are what the other way rounds: not a bit may differ.
    [TestCaseSource(nameof(PairDevices)), Category("Simulator")]
    public void Numbers_of_16_bits_give_the_bits_of_floats_that_are_rounded(TestDevice device, WeightFormat format)
    {
        HasTheSameBits(device, format, 35, 2, 32);
        HasTheSameBits(device, format, 7, 1, 64);
    }

    [TestCaseSource(nameof(PairDevices)), Category("Simulator")]
    public void Attention_of_16_bits_is_that_of_the_definition(TestDevice device, WeightFormat format)
    {
        OperationHarness harness = new(device, 37);
        harness.Check(Fused(format, 11, 2, 32, narrow: true) with { Y = Tensor.Float("y", 1, 11, 64) });
        // As the grouping has them: keys and values side by side, queries from elsewhere.
        TensorView seen = TensorMatMulTests.Kept(Tensor.Float("seen", 1, 35, 64), format);
        harness.Check(Self(format, 5, 35, 1, 32) with { K = seen.ColumnRange(0, 32), V = seen.ColumnRange(32, 32), Y = TensorMatMulTests.Kept(Tensor.Float("y", 1, 5, 32), format) });
        harness.Check(Self(format, 5, 35, 1, 32) with { Y = TensorMatMulTests.Kept(Tensor.Float("y", 1, 5, 32), format) });
    }

    [Test]
    public void Parts_of_different_widths_and_other_kernels_are_refused()
    {
        OperationHarness harness = new(Many);
        Attention right = Self(WeightFormat.BFloat16, 4, 4, 1, 32);
        TensorView narrow = TensorMatMulTests.Kept(Tensor.Float("narrow", 1, 4, 32), WeightFormat.BFloat16);
        Assert.That(() => harness.Run(right with { K = narrow }), Throws.ArgumentException.With.Message.Contains("not of one width"));
        Assert.That(() => harness.Run(right with { Q = narrow, Format = WeightFormat.Float32 }), Throws.ArgumentException.With.Message.Contains("narrow[1, 4, 32] holds BFloat16, not floats"));
    }

    [TestCase(WeightFormat.BFloat16)]
    [TestCase(WeightFormat.TensorFloat32)]
    [Category("Simulator")]
    public void Faults_are_found(WeightFormat format)
    {
        OperationHarness harness = new(Many, 13) { Values = Values.Ties };
        Attention right = Self(format, 4, 34, 1, 32);
        harness.Catches(right, right with { K = right.K.RowRange(0, 33), V = right.V.RowRange(0, 33) }, "last key dropped");
        harness.Catches(right, right with { K = right.V, V = right.K }, "keys and values swapped");
    }

    [Test]
    public void Heads_of_other_sizes_are_given_to_the_kernel_without_matrix_instructions()
    {
        DeviceFacts facts = DeviceFacts.Cuda(80);
        Assert.That(KernelChoice.Attention(facts, Self(WeightFormat.BFloat16, 4, 4, 1, 64)), Is.EqualTo(ProductKernel.TensorBFloat16));
        Assert.That(KernelChoice.Attention(facts, Self(WeightFormat.BFloat16, 4, 4, 1, 48)), Is.EqualTo(ProductKernel.Registers4x4));
        Assert.That(KernelChoice.Attention(facts, Self(WeightFormat.Float32, 4, 4, 1, 64)), Is.EqualTo(ProductKernel.Registers4x4));
        Assert.That(KernelChoice.Attention(DeviceFacts.Cuda(75), Self(WeightFormat.Float16, 4, 4, 1, 64)), Is.EqualTo(ProductKernel.TensorFloat16K8));
        Assert.That(KernelChoice.Attention(DeviceFacts.Cuda(70), Self(WeightFormat.Float16, 4, 4, 1, 64)), Is.EqualTo(ProductKernel.Registers4x4));
    }

    // Keys are codes of signs; a query is one of them, so much nearer to it than to the others that they weigh 10^-38. The values are odd
    // integers that every format holds: the output is the found key's value exactly, or a lane got another's number.
    internal static void EachQueryFindsItsKey(TestDevice device, WeightFormat format, int queries, int keys, int size)
    {
        OperationHarness harness = new(device);
        Attention attention = Self(format, queries, keys, 1, size) with { Scale = 32 };
        Random random = new(9);
        float[] codes = [.. Enumerable.Range(0, keys * size).Select(_ => random.Next(2) == 0 ? -1f : 1f)];
        float[] values = [.. Enumerable.Range(0, keys * size).Select(_ => (float)(2 * random.Next(-120, 120) + 1))];
        int[] wanted = [.. Enumerable.Range(0, queries).Select(query => query * 29 % keys)];
        harness.With(attention.K.Tensor, codes).With(attention.V.Tensor, values)
            .With(attention.Q.Tensor, [.. wanted.SelectMany(key => codes.Skip(key * size).Take(size))]);
        float[] expected = [.. wanted.SelectMany(key => values.Skip(key * size).Take(size))];
        Assert.That(harness.Floats(attention, attention.Y.Tensor), Is.EqualTo(expected));
    }

    internal static void IndifferentQueriesGetTheMean(TestDevice device, WeightFormat format, int keys)
    {
        OperationHarness harness = new(device);
        Attention attention = Self(format, 3, keys, 1, 64);
        float[] values = [.. Enumerable.Range(0, keys * 64).Select(i => (float)(i * 7 % 101 - 50))];
        harness.With(attention.Q.Tensor, new float[3 * 64]).With(attention.V.Tensor, values);
        float[] actual = harness.Floats(attention, attention.Y.Tensor);
        float[] expected = [.. Enumerable.Range(0, 3 * 64).Select(i => Enumerable.Range(0, keys).Sum(key => values[key * 64 + i % 64]) * (1f / keys))];
        Assert.That(actual, Is.EqualTo(expected), "every key once, and none twice");
    }

    private static void HasTheSameBits(TestDevice device, WeightFormat format, int tokens, int heads, int size)
    {
        OperationHarness harness = new(device);
        Attention wide = Fused(format, tokens, heads, size, narrow: false);
        Attention narrow = Fused(format, tokens, heads, size, narrow: true);
        float[] values = Array.ConvertAll(Numbers(wide.Q.Tensor.Count, 31), value => (float)format.Kept(4 * value));
        harness.With(wide.Q.Tensor, values).With(narrow.Q.Tensor, values);
        float[] expected = Array.ConvertAll(harness.Floats(wide, wide.Y.Tensor), value => (float)format.Kept(value));
        Assert.That(harness.Floats(narrow, narrow.Y.Tensor), Is.EqualTo(expected));
    }

    // As a transformer block has them: heads one after another in one tensor.
    private static Attention Fused(WeightFormat format, int tokens, int heads, int size, bool narrow)
    {
        Tensor fused = Tensor.Float("qkv", 1, 3 * heads * tokens, size);
        Tensor y = Tensor.Float("y", 1, tokens, heads * size);
        if (narrow)
        {
            fused.KeepAs(format);
            y.KeepAs(format);
        }
        TensorView Part(int part) => fused.View().RowRange(part * heads * tokens, heads * tokens);
        return new Attention(Part(0), Part(1), Part(2), y, heads, 1 / MathF.Sqrt(size)) { HeadsMajor = true, Format = format };
    }

    internal static float[] Numbers(int count, int seed)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, count).Select(_ => 2 * random.NextSingle() - 1)];
    }

    internal static Attention Self(WeightFormat format, int queries, int keys, int heads, int size, int batch = 1) => new(
        Tensor.Float("q", batch, queries, heads * size), Tensor.Float("k", batch, keys, heads * size), Tensor.Float("v", batch, keys, heads * size),
        Tensor.Float("y", batch, queries, heads * size), heads, 1 / MathF.Sqrt(size)) { Format = format };
}
