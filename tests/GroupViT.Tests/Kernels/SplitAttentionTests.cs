using GroupViT.Kernels;
using GroupViT.Kernels.Devices;

namespace GroupViT.Tests.Kernels;

/// <summary>
/// Float32 attention with four threads to a query, in the groups that hardware has: on the simulator with warps of 32, on a processor's OpenCL that is taken
/// for a GPU, and on cards. <see cref="AttentionTests"/> runs the same source on the plain simulator, whose groups are small.
/// </summary>
internal sealed class SplitAttentionTests
{
    private static readonly TestDevice Emulator = new("simulator with warps of 32", DeviceKind.Simulator, () => GpuDevice.OpenEmulator(80, 1));

    private static IEnumerable<TestCaseData> Devices
        => from device in (IEnumerable<TestDevice>)[Emulator, .. TestDevices.Disguised, .. TestDevices.Present.Where(device => device.Kind == DeviceKind.Cuda)]
           select (TestCaseData)new TestCaseData(device) { TestName = $"{{m}}({device})" }.SetCategory(device.Kind.ToString());

    [OneTimeTearDown]
    public void Close() => Emulator.Close();

    [TestCaseSource(nameof(Devices))]
    public void Each_query_finds_its_key(TestDevice device)
    {
        // Two blocks to the first part, an unfinished one with an odd last key; 33 queries reach into a second tile.
        TensorAttentionTests.EachQueryFindsItsKey(device, WeightFormat.Float32, queries: 33, keys: 131, size: 32);
        TensorAttentionTests.EachQueryFindsItsKey(device, WeightFormat.Float32, queries: 5, keys: 97, size: 64);
        if (!device.IsSlow)
        {
            TensorAttentionTests.EachQueryFindsItsKey(device, WeightFormat.Float32, queries: 260, keys: 848, size: 64);
        }
    }

    [TestCaseSource(nameof(Devices))]
    public void Queries_that_prefer_no_key_get_the_mean(TestDevice device)
    {
        foreach (int keys in (int[])[1, 37, 128, 161])
        {
            TensorAttentionTests.IndifferentQueriesGetTheMean(device, WeightFormat.Float32, keys);
        }
    }

    [TestCaseSource(nameof(Devices))]
    public void It_equals_its_definition(TestDevice device)
    {
        foreach ((int queries, int keys, int heads, int size, int batch) in ((int, int, int, int, int)[])
            [(5, 35, 2, 32, 2), (3, 130, 1, 64, 1), (33, 7, 1, 16, 1), (2, 66, 2, 5, 1), (4, 33, 1, 60, 1)])
        {
            Attention attention = TensorAttentionTests.Self(WeightFormat.Float32, queries, keys, heads, size, batch);
            Assert.That(KernelChoice.SplitsKeys(((GpuDevice)device.Device).Facts, attention));
            new OperationHarness(device, 5).Check(attention);
        }
        if (!device.IsSlow)
        {
            new OperationHarness(device, 5).Check(TensorAttentionTests.Self(WeightFormat.Float32, 260, 260, 6, 64, 2));
            new OperationHarness(device, 5).IsRepeatable(TensorAttentionTests.Self(WeightFormat.Float32, 260, 260, 6, 64, 2));
        }
        foreach (int size in (int[])[16, 64])
        {
            OperationHarness harness = new(device, 5);
            Tensor fused = Tensor.Float("qkv", 1, 3 * 2 * 40, size);
            Tensor lengths = Tensor.Int("lengths", 1, 1, 1);
            harness.With(lengths, 39);
            harness.Check(new Attention(
                fused.View().RowRange(0, 80), fused.View().RowRange(80, 80), fused.View().RowRange(160, 80), Tensor.Float("y", 1, 40, 2 * size), 2, 0.125f)
            {
                HeadsMajor = true,
                Causal = true,
                KeyLengths = lengths,
            });
        }
    }

    [TestCaseSource(nameof(Devices))]
    public void Keys_out_of_sight_do_not_show_in_the_bits(TestDevice device)
    {
        foreach (int seen in (int[])[1, 35, 96])
        {
            float[] expected = Run(device, 3, seen, seen);
            Assert.That(expected, Is.All.Matches<float>(float.IsFinite));
            Assert.That(Run(device, 3, seen, seen + 1), Is.EqualTo(expected), $"{seen} and one more, not seen");
            Assert.That(Run(device, 3, seen, seen + 140), Is.EqualTo(expected), $"{seen} and many more, not seen");
        }
    }

    [Test, Category("Simulator")]
    public void The_number_of_queries_beside_a_query_does_not_show_in_its_bits()
    {
        TestDevice plain = TestDevices.Present.Single(device => device.Kind == DeviceKind.Simulator);
        float[] wide = Run(Emulator, 5, 67, 70);
        Assert.That(Run(plain, 5, 67, 70), Is.EqualTo(wide), "groups of 8 threads and of 128");
        Assert.That(Run(Emulator, 3, 67, 70), Is.EqualTo(wide[..(3 * 32)]), "three queries and five");
    }

    // Where a part's scores are all -infinity it must weigh nothing; not-a-number and +infinity in any part must reach the output.
    [TestCaseSource(nameof(Devices))]
    public void Scores_that_are_no_numbers_count_in_every_part(TestDevice device)
    {
        const int Keys = 130;
        float[] keys = TensorAttentionTests.Numbers(Keys, 2);
        float[] Attend(float[] changed)
        {
            OperationHarness harness = new(device, 4);
            Attention attention = TensorAttentionTests.Self(WeightFormat.Float32, 1, Keys, 1, 1);
            harness.With(attention.Q.Tensor, 1f).With(attention.K.Tensor, changed);
            harness.Check(attention);
            return harness.Floats(attention, attention.Y.Tensor);
        }
        for (int part = 0; part < 4; part++)
        {
            float[] without = [.. keys];
            without.AsSpan(32 * part, 32).Fill(float.NegativeInfinity);
            Assert.That(Attend(without), Is.All.Matches<float>(float.IsFinite), $"part {part} all -infinity");
            foreach (float value in (float[])[float.NaN, float.PositiveInfinity])
            {
                float[] with = [.. keys];
                with[32 * part + 7] = value;
                Assert.That(Attend(with), Is.All.NaN, $"{value} in part {part}");
            }
        }
        Assert.That(Attend([.. keys.Select(_ => float.NegativeInfinity)]), Is.All.NaN, "no weight at all");
    }

    [TestCaseSource(nameof(Devices))]
    public void Faults_are_found(TestDevice device)
    {
        OperationHarness harness = new(device, 13) { Values = Values.Ties };
        Attention right = TensorAttentionTests.Self(WeightFormat.Float32, 4, 97, 1, 32);
        harness.Catches(right, right with { K = right.K.RowRange(0, 96), V = right.V.RowRange(0, 96) }, "last part dropped");
        harness.Catches(right, right with { K = right.V, V = right.K }, "keys and values swapped");
        harness.CatchesMissingEnd(right, right.Y.Tensor);
    }

    [Test]
    public void Who_has_four_threads_to_a_query()
    {
        Attention Heads(int size) => TensorAttentionTests.Self(WeightFormat.Float32, 4, 4, 1, size);
        DeviceFacts card = new(DeviceKind.OpenCL, 0, 1, 20, 64 << 10, false);
        foreach (DeviceFacts facts in DeviceFacts.CudaArchitectures.Select(compute => DeviceFacts.Cuda(compute)).Append(card))
        {
            Assert.That(KernelChoice.SplitsKeys(facts, Heads(64)) && KernelChoice.SplitsKeys(facts, Heads(3)), facts.ToString());
            Assert.That(KernelChoice.SplitsKeys(facts, Heads(65)), Is.False, facts.ToString());
            Assert.That(KernelChoice.DescribeAttention(facts, ProductKernel.Registers4x4), Does.Contain("four threads"));
        }
        Assert.That(KernelChoice.SplitsKeys(card with { IsVectorProcessor = true }, Heads(64)), Is.False);
        Assert.That(KernelChoice.SplitsKeys(card with { SharedMemory = 32 << 10 }, Heads(64)), Is.False, "34 KiB are needed");
        Assert.That(KernelChoice.SplitsKeys(card with { MaxGroupSize = 64 }, Heads(64)), Is.False);
        Assert.That(KernelChoice.DescribeAttention(card with { IsVectorProcessor = true }, ProductKernel.Registers4x16), Does.Contain("a thread per query"));
    }

    // The first queries, keys and values are the same numbers whatever the counts; keys that are not seen are not numbers.
    private static float[] Run(TestDevice device, int queries, int seen, int count)
    {
        Attention attention = TensorAttentionTests.Self(WeightFormat.Float32, queries, count, 1, 32) with { KeyLengths = Tensor.Int("lengths", 1, 1, 1) };
        float[] Numbers(int seed)
        {
            float[] numbers = [.. TensorAttentionTests.Numbers(seen * 32, seed), .. new float[(count - seen) * 32]];
            numbers.AsSpan(seen * 32).Fill(float.NaN);
            return numbers;
        }
        OperationHarness harness = new(device);
        harness.With(attention.Q.Tensor, TensorAttentionTests.Numbers(queries * 32, 1)).With(attention.K.Tensor, Numbers(2)).With(attention.V.Tensor, Numbers(3));
        harness.With(attention.KeyLengths!, seen);
        return harness.Floats(attention, attention.Y.Tensor);
    }
}
