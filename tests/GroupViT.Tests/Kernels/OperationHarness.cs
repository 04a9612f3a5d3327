using System.Runtime.InteropServices;
using GroupViT.Kernels;
using GroupViT.Kernels.Devices;

namespace GroupViT.Tests.Kernels;

/// <summary>What random inputs look like.</summary>
internal enum Values
{
    Ordinary,
    Large,
    Tiny,
    Negative,
    AllEqual,

    /// <summary>Small integers: sums are exact and ties are common.</summary>
    Ties,
}

/// <summary>
/// Runs an operation on a device and holds it to its own float64 definition. The arena is poisoned with NaN first; whatever the
/// operation does not write must still be poison afterwards, and whatever it only reads must be unchanged, bit by bit.
/// </summary>
internal sealed partial class OperationHarness(TestDevice device, int seed = 1)
{
    private const uint Poison = 0x7FC0ABCD;
    private const int Gap = 256;

    private readonly Random random = new(seed);
    private readonly Dictionary<Tensor, int[]> integers = [];
    private readonly Dictionary<Tensor, float[]> floats = [];

    public Values Values { get; init; }

    /// <summary>Puts outputs on the inputs that the operation says it may overwrite.</summary>
    public bool InPlace { get; init; }

    public int Threads { get; set; } = 2;

    /// <summary>Gives an integer input its values.</summary>
    public OperationHarness With(Tensor tensor, params int[] values)
    {
        integers[tensor] = values;
        return this;
    }

    /// <summary>Gives a float input its values instead of random ones.</summary>
    public OperationHarness With(Tensor tensor, params float[] values)
    {
        floats[tensor] = values;
        return this;
    }

    /// <summary>A constant of random values of this harness's kind.</summary>
    public Tensor Constant(string name, int rows, int columns)
    {
        float[] values = Random(rows * columns);
        return Tensor.Constant($"{name}#{Guid.NewGuid():N}", rows, columns, destination => values.CopyTo(destination));
    }

    public Tensor Vector(string name, int columns) => Constant(name, 1, columns);

    /// <summary>The device must agree with the definition.</summary>
    public void Check(Operation operation)
    {
        List<string> differences = Differences(operation, operation);
        Assert.That(differences, Is.Empty, $"{operation.GetType().Name} on {device} ({Values}): {string.Join("; ", differences.Take(4))} ({differences.Count} in all)");
    }

    /// <summary>A device that computes something else than the definition must be found out.</summary>
    public void Catches(Operation operation, Operation faulty, string fault)
        => Assert.That(Differences(operation, faulty), Is.Not.Empty, $"{operation.GetType().Name} on {device} with the fault '{fault}' passed");

    /// <summary>Runs without comparing; the bits of every tensor that the operation uses.</summary>
    public Dictionary<Tensor, uint[]> Run(Operation operation)
    {
        OperationUses uses = new();
        operation.Describe(uses);
        return Execute(operation, Layout(uses, out long bytes), bytes, Inputs(uses));
    }

    /// <summary>The values of one output after <see cref="Run"/>.</summary>
    public float[] Floats(Operation operation, Tensor output) => MemoryMarshal.Cast<uint, float>(Run(operation)[output]).ToArray();

    /// <summary>The integers of one output after <see cref="Run"/>.</summary>
    public int[] Integers(Operation operation, Tensor output) => MemoryMarshal.Cast<uint, int>(Run(operation)[output]).ToArray();

    private List<string> Differences(Operation definition, Operation executed, Action<Dictionary<Tensor, uint[]>>? damage = null)
    {
        definition.Validate();
        OperationUses uses = new();
        definition.Describe(uses);
        Dictionary<Tensor, uint[]> inputs = Inputs(uses);
        ReferenceMemory reference = new();
        foreach ((Tensor tensor, uint[] bits) in inputs)
        {
            if (IsInteger(tensor))
            {
                reference.Put(tensor, MemoryMarshal.Cast<uint, int>(bits));
            }
            else
            {
                reference.Put(tensor, MemoryMarshal.Cast<uint, float>(bits));
            }
        }
        definition.Evaluate(reference);

        Dictionary<Tensor, long> offsets = Layout(uses, out long bytes);
        Dictionary<Tensor, uint[]> results = Execute(executed, offsets, bytes, inputs, out List<string> differences);
        damage?.Invoke(results);
        HashSet<Tensor> overwritten = InPlace ? [.. uses.Overwrites.Select(pair => pair.Read)] : [];
        foreach ((Tensor tensor, uint[] bits) in inputs)
        {
            if (!overwritten.Contains(tensor) && uses.Writes.All(view => view.Tensor != tensor) && !bits.AsSpan().SequenceEqual(results[tensor]))
            {
                differences.Add($"input {tensor} was changed");
            }
        }
        foreach (IGrouping<Tensor, TensorView> writes in uses.Writes.GroupBy(view => view.Tensor))
        {
            Compare(writes.Key, [.. writes], results[writes.Key], reference, inputs.GetValueOrDefault(writes.Key), differences);
        }
        return differences;
    }

    private static void Compare(Tensor tensor, TensorView[] writes, uint[] bits, ReferenceMemory reference, uint[]? before, List<string> differences)
    {
        bool[] written = new bool[tensor.Count];
        foreach (TensorView view in writes)
        {
            for (int b = 0; b < view.Batch; b++)
            {
                for (int r = 0; r < view.Rows; r++)
                {
                    written.AsSpan(view.Index(b, r, 0), view.Columns).Fill(true);
                }
            }
        }
        ReadOnlySpan<double> values = reference.Values(tensor);
        ReadOnlySpan<double> bounds = reference.Bounds(tensor);
        for (int i = 0; i < written.Length; i++)
        {
            if (!written[i])
            {
                if (bits[i] != (before?[i] ?? Untouched(tensor, i)))
                {
                    differences.Add($"{tensor}[{i}] was written");
                }
                continue;
            }
            double actual = IsInteger(tensor) ? (int)bits[i] : BitConverter.UInt32BitsToSingle(bits[i]);
            if (bounds[i] == ReferenceMemory.NeverSet)
            {
                // The definition ends before the view does: the rest of a band of pixels.
                if (bits[i] != Untouched(tensor, i))
                {
                    differences.Add($"{tensor}[{i}] was written beyond the definition");
                }
                continue;
            }
            bool right = double.IsFinite(values[i]) ? Math.Abs(actual - values[i]) <= bounds[i] : actual.Equals(values[i]);
            if (!right)
            {
                differences.Add($"{tensor}[{i}] is {actual:G9}, not {values[i]:G9} +- {bounds[i]:G3}");
            }
        }
    }

    private Dictionary<Tensor, uint[]> Execute(Operation operation, Dictionary<Tensor, long> offsets, long bytes, Dictionary<Tensor, uint[]> inputs)
    {
        Dictionary<Tensor, uint[]> results = Execute(operation, offsets, bytes, inputs, out List<string> differences);
        Assert.That(differences, Is.Empty);
        return results;
    }

    private Dictionary<Tensor, uint[]> Execute(Operation operation, Dictionary<Tensor, long> offsets, long bytes, Dictionary<Tensor, uint[]> inputs, out List<string> differences)
    {
        uint[] arena = new uint[bytes / 4];
        WithStep(operation, offsets, inputs, arena, (worker, step) =>
        {
            step.Run();
            worker.Synchronize();
            worker.Download<uint>(0, arena);
        });
        differences = [];
        bool[] owned = new bool[arena.Length];
        Dictionary<Tensor, uint[]> results = [];
        foreach ((Tensor tensor, long offset) in offsets)
        {
            int start = (int)(offset / 4);
            results[tensor] = Unpack(tensor, arena.AsSpan(start, Words(tensor)));
            owned.AsSpan(start, Words(tensor)).Fill(true);
        }
        for (int i = 0; i < arena.Length; i++)
        {
            if (!owned[i] && arena[i] != Poison)
            {
                differences.Add($"the sentinel at byte {4L * i} was overwritten");
            }
        }
        return results;
    }

    private void WithStep(Operation operation, Dictionary<Tensor, long> offsets, Dictionary<Tensor, uint[]> inputs, uint[] arena, Action<Worker, Step> use)
    {
        MemoryAccount account = new();
        using (ConstantPool constants = device.Device.CreateConstants(account))
        using (Worker worker = device.Device.CreateWorker(account, constants, Threads))
        {
            worker.AllocateArena(arena.Length * 4L);
            arena.AsSpan().Fill(Poison);
            foreach ((Tensor tensor, uint[] bits) in inputs)
            {
                Pack(tensor, bits, arena.AsSpan((int)(offsets[tensor] / 4), Words(tensor)));
            }
            worker.Upload<uint>(arena, 0);
            Step step = worker.Prepare(operation, offsets);
            worker.CommitScratch();
            use(worker, step);
        }
        Assert.That(account.InUse, Is.Zero, "memory was left allocated");
    }

    private Dictionary<Tensor, long> Layout(OperationUses uses, out long bytes)
    {
        Dictionary<Tensor, long> offsets = [];
        long next = Gap;
        foreach (Tensor tensor in uses.Reads.Concat(uses.Writes.Select(view => view.Tensor)))
        {
            if (!tensor.IsConstant && !offsets.ContainsKey(tensor))
            {
                (Tensor Written, Tensor Read) overlay = uses.Overwrites.FirstOrDefault(pair => pair.Written == tensor);
                if (InPlace && overlay.Read is not null)
                {
                    offsets.Add(tensor, offsets[overlay.Read]);
                    continue;
                }
                offsets.Add(tensor, next);
                next = (next + tensor.Bytes + Gap + 255) / 256 * 256;
            }
        }
        bytes = next;
        return offsets;
    }

    private Dictionary<Tensor, uint[]> Inputs(OperationUses uses)
    {
        Dictionary<Tensor, uint[]> inputs = [];
        foreach (Tensor tensor in uses.Reads)
        {
            if (tensor.IsConstant || inputs.ContainsKey(tensor))
            {
                continue;
            }
            if (IsInteger(tensor))
            {
                inputs.Add(tensor, MemoryMarshal.Cast<int, uint>(integers[tensor]).ToArray());
            }
            else
            {
                if (!floats.TryGetValue(tensor, out float[]? values))
                {
                    floats.Add(tensor, values = Random(tensor.Count));
                }
                // As the operation before would have rounded them.
                values = tensor.IsNarrow ? Array.ConvertAll(values, value => (float)tensor.Format.Kept(value)) : values;
                inputs.Add(tensor, MemoryMarshal.Cast<float, uint>(values).ToArray());
            }
        }
        return inputs;
    }

    private float[] Random(int count)
    {
        float[] values = new float[count];
        float equal = (float)(random.NextDouble() - 0.5);
        for (int i = 0; i < count; i++)
        {
            double u = 2 * random.NextDouble() - 1;
            values[i] = (float)(Values switch
            {
                Values.Large => 1e4 * u,
                Values.Tiny => 1e-6 * u,
                Values.Negative => -Math.Abs(u),
                Values.AllEqual => equal,
                Values.Ties => random.Next(-2, 3),
                _ => u,
            });
        }
        return values;
    }
}
