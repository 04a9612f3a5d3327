using GroupViT.Kernels;
using GroupViT.Kernels.Devices;
using GroupViT.Native;

namespace GroupViT.Tests.Kernels;

/// <summary>
/// The grouping's two kernels with shared memory, on every device that has barriers: also where another is chosen (PoCL), and on the simulator both with
/// the groups made for it and with those of hardware.
/// </summary>
[TestFixtureSource(nameof(Devices))]
internal sealed class SharedGroupAssignTests(TestDevice device, bool narrow)
{
    private static readonly TestDevice Emulator = new("simulator of compute 8.0", DeviceKind.Simulator, () => GpuDevice.OpenEmulator(80, 132));

    // One token; tiles that are not full; more groups than eight; slices of K without a chunk, with one and with several; columns that fill no thread.
    private static readonly (int Batch, int Groups, int Tokens, int Width, int Columns)[] Shapes =
    [
        (1, 1, 1, 4, 4), (2, 3, 9, 20, 20), (1, 9, 8, 12, 4), (1, 17, 3, 132, 4),
    ];

    // The network's stages, more tokens than one round of flags has, and a last slice of columns.
    private static readonly (int Batch, int Groups, int Tokens, int Width, int Columns)[] LargerShapes =
    [
        (1, 64, 196, 384, 384), (2, 8, 64, 384, 384), (1, 2, 1100, 8, 4), (3, 33, 130, 260, 132), (1, 8, 17, 384, 8), (2, 64, 20, 128, 12),
    ];

    private IEnumerable<(int Batch, int Groups, int Tokens, int Width, int Columns)> Sizes => device.IsSlow ? Shapes : Shapes.Concat(LargerShapes);

    public static IEnumerable<TestFixtureData> Devices()
    {
        foreach (TestDevice device in TestDevices.Present.Where(device => !device.IsCpu))
        {
            yield return Fixture(device, device.IsSlow);
        }
        yield return Fixture(Emulator, narrow: false);

        static TestFixtureData Fixture(TestDevice device, bool narrow)
        {
            TestFixtureData data = new(device, narrow);
            data.Properties.Add("Category", device.Kind.ToString());
            return data;
        }
    }

    [OneTimeTearDown]
    public void Close()
    {
        if (device == Emulator)
        {
            device.Close();
        }
    }

    [Test]
    public void It_equals_its_definition([Values] Values values)
    {
        bool straightThrough = values is Values.Ordinary or Values.Negative;
        foreach ((int batch, int groups, int tokens, int width, int columns) in Sizes)
        {
            OperationHarness harness = new(device, groups + tokens) { Values = values };
            harness.Check(Shared(new Grouping(batch, groups, tokens, width, columns).Operation with { StraightThrough = straightThrough }));
        }
    }

    [Test]
    public void Means_take_every_token_once_whatever_the_round()
    {
        // More tokens than one round of flags has, on each shape of group; all in one group, and none.
        int tokens = narrow ? 150 : 1100;
        Grouping grouping = new(1, 3, tokens, 4, 8);
        Tensor forced = Tensor.Int("forced", 1, 1, tokens);
        OperationHarness harness = new(device);
        harness.With(forced, [.. Enumerable.Range(0, tokens).Select(l => l % 7 == 3 ? 0 : 2)]);
        GroupAssign operation = grouping.Operation with { Forced = forced };
        if (device.IsSlow)
        {
            // The logits of so many tokens take too long: the means alone, after the product without shared memory.
            harness.Check(new SharedGrouping(operation, narrow) { SharedLogits = false });
            return;
        }
        harness.Check(Shared(operation));
        harness.Check(Shared(operation with { StraightThrough = true }));
    }

    [Test]
    public void Views_read_and_write_only_their_part()
    {
        Grouping all = new(2, 3, 7, 8, 8);
        Tensor q = Tensor.Float("queries", 1, 6, 20);
        Tensor kv = Tensor.Float("kv", 2, 12, 28);
        Tensor y = Tensor.Float("out", 2, 8, 16);
        Tensor maps = Tensor.Float("maps", 2, 9, 11);
        new OperationHarness(device).Check(Shared(all.Operation with
        {
            Q = q.View().RowRange(2, 3).ColumnRange(4, 8).Repeat(2),
            K = kv.View().RowRange(4, 7).ColumnRange(12, 8),
            V = kv.View().RowRange(4, 7).ColumnRange(20, 8),
            Logits = maps.View().RowRange(1, 3).ColumnRange(3, 7),
            Soft = maps.View().RowRange(5, 3).ColumnRange(1, 7),
            Y = y.View().RowRange(5, 3).ColumnRange(4, 8),
        }));
    }

    [Test]
    public void The_first_of_equal_groups_wins_wherever_its_equals_are()
    {
        // Threads share the groups by their number modulo eight (on the simulator, two): 5 and 13 are met by a later one than 40.
        int[][] equals = [[5, 13, 40], [.. Enumerable.Range(0, 64)], [12, 40], [8, 31], [0, 63], [63]];
        foreach (int[] equal in device.IsSlow ? equals[..2] : equals)
        {
            Grouping grouping = new(1, 64, 2, 4, 4);
            OperationHarness harness = new(device);
            harness.With(grouping.Q, [.. Enumerable.Range(0, 64).SelectMany(g => (float[])[equal.Contains(g) ? 2 : 1, 0, 0, 0])]).With(grouping.K, 1f, 0, 0, 0, 0.5f, 1, 0, 0);
            Assert.That(harness.Integers(Shared(grouping.Operation), grouping.Index), Is.All.EqualTo(equal[0]), string.Join(", ", equal));
        }
        Grouping few = new(1, 8, 3, 4, 4);
        OperationHarness ties = new(device) { Values = Values.AllEqual };
        ties.Check(Shared(few.Operation));
        Assert.That(ties.Integers(Shared(few.Operation), few.Index), Is.All.Zero);
    }

    [Test]
    public void Not_a_number_never_wins_and_infinity_does([Values(8, 10)] int groups)
    {
        const float nan = float.NaN, infinity = float.PositiveInfinity;
        Grouping grouping = new(1, groups, 5, 4, 4);
        OperationHarness harness = new(device);
        // Keys: all logits of token 1 are not numbers, of tokens 2 and 3 infinite; a query of NaN makes one of every token's not a number.
        float[] queries = [.. Enumerable.Range(0, groups).SelectMany(g => (float[])[g == 0 ? nan : g % 3 - 1.5f, 1, 0, 0])];
        harness.With(grouping.Q, queries).With(grouping.K, 1f, 0, 0, 0, nan, 0, 0, 0, infinity, 0, 0, 0, -infinity, 0, 0, 0, -1, 0, 0, 0);
        SharedGrouping operation = Shared(grouping.Operation);
        // Factors g % 3 - 1.5 of the groups 1, 2, 3, ...: -0.5, 0.5, -1.5, and so on.
        Assert.That(harness.Integers(operation, grouping.Index), Is.EqualTo((int[])[2, 0, 2, 1, 3]));
        Assert.That(harness.Floats(operation, grouping.Soft), Is.All.NaN);
        Assert.That(harness.Floats(operation, grouping.Y), Is.All.Matches<float>(float.IsFinite));
        harness.Check(operation);

        OperationHarness infinite = new(device);
        infinite.With(grouping.Q, [.. queries.Select(value => float.IsNaN(value) ? infinity : value)]);
        infinite.With(grouping.K, 1f, 0, 0, 0, 2, 0, 0, 0, -1, 0, 0, 0, 3, 0, 0, 0, 1, 1, 0, 0);
        Assert.That(infinite.Integers(operation, grouping.Index), Is.EqualTo((int[])[0, 0, 3, 0, 0]));
    }

    [Test]
    public void Values_that_are_no_numbers_stay_in_their_group()
    {
        Grouping grouping = new(1, 3, 4, 4, 4);
        Tensor forced = Tensor.Int("forced", 1, 1, 4);
        OperationHarness harness = new(device);
        harness.With(forced, 0, 1, 2, 0).With(grouping.V, [1, 2, 3, 4, float.PositiveInfinity, 1, 1, 1, 1, float.NaN, 2, 2, 5, 6, 7, 8]);
        GroupAssign operation = grouping.Operation with { Forced = forced };
        harness.Check(Shared(operation));
        float[] expected = [2, 8 / 3f, 10 / 3f, 4, float.PositiveInfinity, 0.5f, 0.5f, 0.5f, 0.5f, float.NaN, 1, 1];
        Assert.That(harness.Floats(Shared(operation), grouping.Y), Is.EqualTo(expected).Within(1e-6f));
    }

    [Test]
    public void A_forced_assignment_replaces_the_arg_max_and_is_clamped([Values] bool straightThrough)
    {
        Grouping grouping = new(2, 3, 4, 8, 8);
        Tensor forced = Tensor.Int("forced", 2, 1, 4);
        OperationHarness harness = new(device);
        harness.With(forced, 2, 2, 0, 1, -5, 7, int.MaxValue, int.MinValue);
        SharedGrouping operation = Shared(grouping.Operation with { Forced = forced, StraightThrough = straightThrough });
        harness.Check(operation);
        Assert.That(harness.Integers(operation, grouping.Index), Is.EqualTo((int[])[2, 2, 0, 1, 0, 2, 2, 0]));
    }

    [Test]
    public void Bits_depend_on_nothing_but_the_batch_element([Values] bool straightThrough)
    {
        (int groups, int tokens, int width, int columns) = device.IsSlow ? (3, 9, 20, 8) : (64, 196, 384, 384);
        Grouping grouping = new(2, groups, tokens, width, columns);
        Grouping one = new(1, groups, tokens, width, columns);
        GroupAssign operation = grouping.Operation with { StraightThrough = straightThrough };
        OperationHarness harness = new(device);
        harness.IsRepeatable(Shared(operation));
        (Tensor, Tensor)[] outputs = [(grouping.Logits, one.Logits), (grouping.Soft, one.Soft), (grouping.Index, one.Index), (grouping.Y, one.Y)];
        foreach ((Tensor all, Tensor alone) in outputs)
        {
            harness.IsIndependentOfTheBatch(Shared(operation), all, b => (Shared(one.Operation with
            {
                Q = OperationHarness.Element(grouping.Q, b),
                K = OperationHarness.Element(grouping.K, b),
                V = OperationHarness.Element(grouping.V, b),
                StraightThrough = straightThrough,
            }), alone));
        }
    }

    [Test]
    public void Logits_are_summed_in_an_order_of_their_depth_alone()
    {
        // The same keys as other rows of other tiles, and the same queries among fewer and more than eight groups.
        (int groups, int tokens, int width) = device.IsSlow ? (9, 10, 72) : (64, 196, 384);
        Grouping all = new(1, groups, tokens, width, 4);
        Grouping some = new(1, groups, tokens - 3, width, 4);
        Grouping few = new(1, 8, tokens, width, 4);
        OperationHarness harness = new(device);
        float[] logits = harness.Floats(Shared(all.Operation), all.Logits);
        GroupAssign later = some.Operation with { Q = all.Q, K = all.K.View().RowRange(3, tokens - 3), V = all.V.View().RowRange(3, tokens - 3) };
        float[] shifted = harness.Floats(Shared(later), some.Logits);
        Assert.That(shifted, Is.EqualTo(logits.Chunk(tokens).SelectMany(row => row[3..])));
        if (!narrow)
        {
            Assert.That(harness.Floats(Shared(few.Operation with { Q = all.Q.View().RowRange(0, 8), K = all.K, V = all.V }), few.Logits), Is.EqualTo(logits[..(8 * tokens)]));
        }
    }

    private SharedGrouping Shared(GroupAssign operation) => new(operation, narrow);

    /// <summary>The operation by the kernels with shared memory, whether or not the device would be given them.</summary>
    private sealed record SharedGrouping(GroupAssign Inner, bool Narrow) : Operation
    {
        public bool SharedLogits { get; init; } = true;

        public override void Validate()
        {
            Inner.Validate();
            Assert.That(SharedGroupAssign.Suits(Inner) && SharedGroupMean.Suits(Inner), $"{Inner} does not suit the kernels with shared memory");
        }

        public override void Describe(OperationUses uses) => Inner.Describe(uses);

        public override void Evaluate(ReferenceMemory memory) => Inner.Evaluate(memory);

        public override Step PrepareCpu<V>(CpuBinding binding) => Inner.PrepareCpu<V>(binding);

        public override Step PrepareGpu(GpuBinding binding) => GpuBinding.Sequence(
            SharedLogits ? SharedGroupAssign.Prepare(Inner, binding, Narrow) : GpuGroupAssign.PrepareChoice(Inner, binding), SharedGroupMean.Prepare(Inner, binding, Narrow));
    }
}

/// <summary>Which of a grouping's kernels a device gets.</summary>
internal sealed class GroupAssignChoiceTests
{
    private static readonly DeviceFacts Processor = new(DeviceKind.OpenCL, 0, 1, 2, 64 << 10, IsVectorProcessor: true);
    private static readonly DeviceFacts SmallGpu = new(DeviceKind.OpenCL, 0, 1, 16, 32 << 10, IsVectorProcessor: false);

    [TestCase(64, 196, ExpectedResult = new[] { "SharedGroupAssign.Kernel<ManyGroups>", "SharedGroupMean.Kernel<WideMean>" })]
    [TestCase(64, 784, ExpectedResult = new[] { "SharedGroupAssign.Kernel<ManyGroups>", "SharedGroupMean.Kernel<WideMean>" })]
    [TestCase(8, 64, ExpectedResult = new[] { "SharedGroupAssign.Kernel<FewGroups>", "SharedGroupMean.Kernel<WideMean>" })]
    public string[] The_models_stages_are_two_launches(int groups, int tokens) => Kernels(DeviceFacts.Cuda(90), Operation(groups, tokens, 384, 384));

    [Test]
    public void What_does_not_suit_falls_back_half_by_half()
    {
        const string choose = "GpuGroupAssign.Choose", average = "GpuGroupAssign.Average", mean = "SharedGroupMean.Kernel<WideMean>";
        Assert.That(Kernels(Processor, Operation(64, 196, 384, 384)), Does.Contain(choose).And.Contains(average).And.Length.EqualTo(3), "a processor with vectors");
        Assert.That(Kernels(SmallGpu, Operation(64, 196, 384, 384)), Does.Contain(choose).And.Contains(mean), "too little shared memory");
        Assert.That(Kernels(DeviceFacts.Cuda(90), Operation(65, 196, 384, 384)), Does.Contain(choose).And.Contains(mean), "too many groups");
        Assert.That(Kernels(DeviceFacts.Cuda(90), Operation(64, 196, 382, 384)), Does.Contain(choose).And.Contains(mean), "no whole quads of K");
        string[] halves = ["SharedGroupAssign.Kernel<ManyGroups>", average];
        Assert.That(Kernels(DeviceFacts.Cuda(90), Operation(64, 196, 384, 383)), Is.EqualTo(halves), "no whole quads of columns");
        GroupAssign shifted = Operation(64, 196, 384, 384) with { K = Tensor.Float("wide", 1, 196, 388).View().ColumnRange(1, 384) };
        Assert.That(Kernels(DeviceFacts.Cuda(90), shifted), Does.Contain(choose).And.Contains(mean), "rows that begin between quads");
    }

    private static GroupAssign Operation(int groups, int tokens, int width, int columns) => new(
        Tensor.Float("q", 1, groups, width), Tensor.Float("k", 1, tokens, width), Tensor.Float("v", 1, tokens, columns), Tensor.Float("logits", 1, groups, tokens),
        Tensor.Float("soft", 1, groups, tokens), Tensor.Int("index", 1, 1, tokens), Tensor.Float("y", 1, groups, columns), 1, 1);

    private static string[] Kernels(DeviceFacts facts, GroupAssign operation)
    {
        List<string> names = [];
        using GpuDevice device = GpuDevice.Absent(facts, kernel => names.Add(kernel.Name));
        using ConstantPool constants = device.CreateConstants(new MemoryAccount());
        using Worker worker = device.CreateWorker(null, constants, 1);
        OperationUses uses = new();
        operation.Describe(uses);
        worker.Prepare(operation, uses.Reads.Concat(uses.Writes.Select(view => view.Tensor)).Distinct().ToDictionary(tensor => tensor, _ => 0L));
        return [.. names];
    }
}
