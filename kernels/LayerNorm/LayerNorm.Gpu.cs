using GroupViT.Kernels.Devices;
using ILGPU;
using ILGPU.Runtime;

namespace GroupViT.Kernels;

internal sealed partial record LayerNorm
{
    private bool HasQuads => X.Columns % 4 == 0 && AlignedQuads.Fits(X) && AlignedQuads.Fits(Y) && (Residual is not { } residual || AlignedQuads.Fits(residual));

    public override bool CanWrite(Tensor tensor, WeightFormat format, DeviceFacts facts) => HasQuads && KernelChoice.IsPairs(KernelChoice.Product(facts, format).Kernel);

    public override Step PrepareGpu(GpuBinding binding)
    {
        if (!HasQuads)
        {
            GpuBinding.RequireFloats(Y);
        }
        GpuLayerNormArguments arguments = new(this, binding);
        int rows = X.Batch * X.Rows;
        return (HasQuads, binding.HasNarrowGroups) switch
        {
            (true, false) => Quads<WarpGroup>(binding, rows, arguments),
            (true, true) => Quads<NarrowGroup>(binding, rows, arguments),
            (false, false) => binding.Step<GpuLayerNormArguments>(GpuLayerNorm.Kernel<WideGroup>, rows, WideGroup.Threads, arguments),
            (false, true) => binding.Step<GpuLayerNormArguments>(GpuLayerNorm.Kernel<NarrowGroup>, rows, NarrowGroup.Threads, arguments),
        };
    }

    private GpuStep Quads<TGroup>(GpuBinding binding, int rows, GpuLayerNormArguments arguments)
        where TGroup : struct, IGroup
        => KernelChoice.Kept(binding.Device.Facts, Y.Tensor) switch
        {
            ProductKernel.TensorBFloat16 => binding.Step<GpuLayerNormArguments>(GpuLayerNorm.Quads<TGroup, NarrowQuads<BFloat16Tensors>>, rows, TGroup.Threads, arguments),
            ProductKernel.TensorFloat16 => binding.Step<GpuLayerNormArguments>(GpuLayerNorm.Quads<TGroup, NarrowQuads<Float16Tensors>>, rows, TGroup.Threads, arguments),
            ProductKernel.TensorFloat16K8 => binding.Step<GpuLayerNormArguments>(GpuLayerNorm.Quads<TGroup, NarrowQuads<Float16TensorsK8>>, rows, TGroup.Threads, arguments),
            _ => binding.Step<GpuLayerNormArguments>(GpuLayerNorm.Quads<TGroup, AlignedQuads>, rows, TGroup.Threads, arguments),
        };
}

internal readonly struct GpuLayerNormArguments(LayerNorm operation, GpuBinding binding)
{
    public readonly GpuFloats X = binding.Floats(operation.X);
    public readonly GpuFloats Gamma = binding.Floats(operation.Gamma);
    public readonly GpuFloats Beta = binding.Floats(operation.Beta);
    public readonly GpuFloats Residual = binding.FloatsOrNone(operation.Residual);
    public readonly GpuFloats Y = binding.Numbers(operation.Y);
    public readonly int HasResidual = operation.Residual is null ? 0 : 1;
    public readonly int Rows = operation.X.Rows;
    public readonly int Columns = operation.X.Columns;
    public readonly float Epsilon = operation.Epsilon;
}

/// <summary>A group per row; see <see cref="RowGroup"/>. The row is read three times, the second and third from the first-level cache.</summary>
/// <remarks>
/// <para>Each thread reads and writes only its own columns, so Y may lie on X, if it has as many bytes. The two reductions have shared memory of their own each, hence one barrier each.</para>
/// <para>It moves 8 bytes a number and computes little: a picture's 260 rows of 384 are 0.8 MB, 64 pictures' 51 MB. Aligned rows go by quads, a
/// warp a row: 96 quads are three accesses of 128 bits a thread and pass, where single floats are six of 32 bits for each of 64 threads, and a
/// reduction adds 32 parts instead of 64.</para>
/// </remarks>
internal static class GpuLayerNorm
{
    public static void Quads<TGroup, TStore>(GpuLayerNormArguments args)
        where TGroup : struct, IGroup
        where TStore : struct, IQuadStore
    {
        ArrayView<float> sums = SharedMemory.Allocate<float>(TGroup.Threads);
        ArrayView<float> squares = SharedMemory.Allocate<float>(TGroup.Threads);
        int batch = Grid.IdxX / args.Rows;
        int row = Grid.IdxX - batch * args.Rows;
        ArrayView<Quad> source = args.X.Data.Cast<Quad>();
        int from = args.X.Index(batch, row, 0) >> 2;
        int quads = args.Columns >> 2;

        Quad sum = default;
        for (int c = Group.IdxX; c < quads; c += TGroup.Threads)
        {
            sum = Quad.Add(sum, source[from + c]);
        }
        float mean = RowGroup.Sum<TGroup>(sums, sum.Sum()) / args.Columns;

        Quad square = default;
        for (int c = Group.IdxX; c < quads; c += TGroup.Threads)
        {
            Quad d = Quad.Add(source[from + c], Quad.Broadcast(0f - mean));
            square = Quad.Dot(d, d, square);
        }
        float variance = RowGroup.Sum<TGroup>(squares, square.Sum()) / args.Columns;
        float inverse = GpuMath.OrNotANumber(1f / MathF.Sqrt(variance + args.Epsilon), variance);

        ArrayView<Quad> gammas = args.Gamma.Data.Cast<Quad>();
        ArrayView<Quad> betas = args.Beta.Data.Cast<Quad>();
        int to = args.Y.Index(batch, row, 0);
        for (int c = Group.IdxX; c < quads; c += TGroup.Threads)
        {
            Quad x = source[from + c];
            Quad gamma = gammas[c];
            Quad value = Quad.Add(betas[c], new Quad
            {
                X = (x.X - mean) * inverse * gamma.X,
                Y = (x.Y - mean) * inverse * gamma.Y,
                Z = (x.Z - mean) * inverse * gamma.Z,
                W = (x.W - mean) * inverse * gamma.W,
            });
            if (args.HasResidual != 0)
            {
                value = Quad.Add(value, args.Residual.Data.Cast<Quad>()[(args.Residual.Index(batch, row, 0) >> 2) + c]);
            }
            TStore.Store(value, args.Y.Data, to + c * 4, 4);
        }
    }

    public static void Kernel<TGroup>(GpuLayerNormArguments args)
        where TGroup : struct, IGroup
    {
        ArrayView<float> sums = SharedMemory.Allocate<float>(TGroup.Threads);
        ArrayView<float> squares = SharedMemory.Allocate<float>(TGroup.Threads);
        int batch = Grid.IdxX / args.Rows;
        int row = Grid.IdxX - batch * args.Rows;

        float sum = 0f;
        for (int c = Group.IdxX; c < args.Columns; c += TGroup.Threads)
        {
            sum += args.X.Get(batch, row, c);
        }
        float mean = RowGroup.Sum<TGroup>(sums, sum) / args.Columns;

        float square = 0f;
        for (int c = Group.IdxX; c < args.Columns; c += TGroup.Threads)
        {
            float d = args.X.Get(batch, row, c) - mean;
            square = GpuIntrinsics.MultiplyAdd(d, d, square);
        }
        float variance = RowGroup.Sum<TGroup>(squares, square) / args.Columns;
        float inverse = GpuMath.OrNotANumber(1f / MathF.Sqrt(variance + args.Epsilon), variance);

        for (int c = Group.IdxX; c < args.Columns; c += TGroup.Threads)
        {
            float value = (args.X.Get(batch, row, c) - mean) * inverse * args.Gamma.Get(0, 0, c) + args.Beta.Get(0, 0, c);
            if (args.HasResidual != 0)
            {
                value += args.Residual.Get(batch, row, c);
            }
            args.Y.Set(batch, row, c, value);
        }
    }
}
