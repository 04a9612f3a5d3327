using GroupViT.Kernels;
using GroupViT.Kernels.Devices;

namespace GroupViT.Tests.Equivalence;

/// <summary>
/// Does to numbers what tensor cores do, on a device that has none: the activations that a layer multiplies (an attention: queries, keys
/// and values, not the weights of its softmax) are rounded to its weights' format first, and are themselves again afterwards. Products
/// are summed in float32, as there; only the order differs.
/// </summary>
internal sealed class RoundedFactorsDevice(Device inner) : Device
{
    /// <summary>Products whose factors were rounded.</summary>
    public int Rounded { get; private set; }

    public override string Name => inner.Name;

    public override DeviceKind Kind => inner.Kind;

    public override string Description => inner.Description;

    public override long MemoryBytes => inner.MemoryBytes;

    public override IEnumerable<(WeightFormat Format, string Kernel, string Reason)> Products => inner.Products;

    public override ConstantPool CreateConstants(MemoryAccount account) => inner.CreateConstants(account);

    public override Worker CreateWorker(MemoryAccount? account, ConstantPool constants, int threads)
        => account is null ? inner.CreateWorker(account, constants, threads) : new RoundingWorker(this, inner.CreateWorker(account, constants, threads));

    public override void Dispose() => inner.Dispose();

    private sealed class RoundingWorker(RoundedFactorsDevice device, Worker inner) : Worker
    {
        public override long ScratchBytes => inner.ScratchBytes;

        public override void AllocateArena(long bytes) => inner.AllocateArena(bytes);

        public override Step Prepare(Operation operation, IReadOnlyDictionary<Tensor, long> offsets)
        {
            Step step = inner.Prepare(operation, offsets);
            return operation switch
            {
                MatMul { RoundsFactors: true } product => Rounding(product.WeightFormat, product.A),
                Attention { Format: not WeightFormat.Float32 } attention => Rounding(attention.Format, attention.Q, attention.K, attention.V),
                _ => step,
            };
            RoundingStep Rounding(WeightFormat format, params TensorView[] factors)
                => new(device, inner, step, [.. factors.Select(view => view.Tensor).Distinct().Select(tensor => (offsets[tensor], new float[tensor.Count]))], format);
        }

        public override void AllocateScratch(long bytes) => inner.AllocateScratch(bytes);

        public override void CommitScratch() => inner.CommitScratch();

        public override long ArenaSize(long bytes) => inner.ArenaSize(bytes);

        public override void Upload<T>(ReadOnlySpan<T> values, long arenaOffset) => inner.Upload(values, arenaOffset);

        public override void Download<T>(long arenaOffset, Span<T> values) => inner.Download(arenaOffset, values);

        public override void Synchronize() => inner.Synchronize();

        public override void Dispose() => inner.Dispose();
    }

    private sealed class RoundingStep(RoundedFactorsDevice device, Worker worker, Step product, (long Offset, float[] Exact)[] factors, WeightFormat format) : Step
    {
        public override void Run()
        {
            foreach ((long offset, float[] exact) in factors)
            {
                worker.Download(offset, exact.AsSpan());
                worker.Upload<float>([.. exact.Select(value => (float)format.Kept(value))], offset);
            }
            product.Run();
            worker.Synchronize();
            foreach ((long offset, float[] exact) in factors)
            {
                worker.Upload<float>(exact, offset);
            }
            device.Rounded++;
        }
    }
}
