using ILGPU;

namespace GroupViT.Kernels.Devices;

/// <summary>
/// Neighbouring elements of a row, held in a thread's registers: fields of nested structs, which every back end takes apart into
/// scalars. Arrays would have to be unrolled first to leave memory.
/// </summary>
internal interface IRegisterVector<T>
    where T : struct, IRegisterVector<T>
{
    static abstract int Size { get; }

    /// <summary>
    /// Reads from <paramref name="index"/> on, <paramref name="step"/> apart; elements at and beyond <paramref name="count"/> are 0 and
    /// are not read.
    /// </summary>
    static abstract T Load<TAccess>(ArrayView<float> data, int index, int step, int count)
        where TAccess : struct, IQuadLoad;

    static abstract void Store<TAccess>(T vector, ArrayView<float> data, int index, int count)
        where TAccess : struct, IQuadStore;

    /// <summary>sum + a·b, lane by lane of four: the four sums of a dot product.</summary>
    static abstract Quad Dot(T a, T b, Quad sum);

    /// <summary>sum + factor·a.</summary>
    static abstract T MultiplyAdd(T a, float factor, T sum);

    static abstract T Scale(T a, float factor);

    static abstract T Add(T a, T b);

    static abstract T Broadcast(float value);

    static abstract T Activate<TActivation>(T a)
        where TActivation : struct, IGpuActivation;
}

/// <summary>Two halves: 16 = 2 · 8 = 2 · 2 · Quad, and so on.</summary>
internal struct Pair<T> : IRegisterVector<Pair<T>>
    where T : struct, IRegisterVector<T>
{
    public T Low;
    public T High;

    public static int Size => 2 * T.Size;

    public static Pair<T> Load<TAccess>(ArrayView<float> data, int index, int step, int count)
        where TAccess : struct, IQuadLoad
        => new()
        {
            Low = T.Load<TAccess>(data, index, step, count),
            High = T.Load<TAccess>(data, index + T.Size * step, step, count - T.Size),
        };

    public static void Store<TAccess>(Pair<T> vector, ArrayView<float> data, int index, int count)
        where TAccess : struct, IQuadStore
    {
        T.Store<TAccess>(vector.Low, data, index, count);
        T.Store<TAccess>(vector.High, data, index + T.Size, count - T.Size);
    }

    public static Quad Dot(Pair<T> a, Pair<T> b, Quad sum) => T.Dot(a.High, b.High, T.Dot(a.Low, b.Low, sum));

    public static Pair<T> MultiplyAdd(Pair<T> a, float factor, Pair<T> sum)
        => new() { Low = T.MultiplyAdd(a.Low, factor, sum.Low), High = T.MultiplyAdd(a.High, factor, sum.High) };

    public static Pair<T> Scale(Pair<T> a, float factor) => new() { Low = T.Scale(a.Low, factor), High = T.Scale(a.High, factor) };

    public static Pair<T> Add(Pair<T> a, Pair<T> b) => new() { Low = T.Add(a.Low, b.Low), High = T.Add(a.High, b.High) };

    public static Pair<T> Broadcast(float value) => new() { Low = T.Broadcast(value), High = T.Broadcast(value) };

    public static Pair<T> Activate<TActivation>(Pair<T> a)
        where TActivation : struct, IGpuActivation
        => new() { Low = T.Activate<TActivation>(a.Low), High = T.Activate<TActivation>(a.High) };
}

/// <summary>Four floats: 16 bytes, one load where the address allows it.</summary>
internal struct Quad : IRegisterVector<Quad>
{
    public float X;
    public float Y;
    public float Z;
    public float W;

    public static int Size => 4;

    public static Quad Load<TAccess>(ArrayView<float> data, int index, int step, int count)
        where TAccess : struct, IQuadLoad => TAccess.Load(data, index, step, count);

    public static void Store<TAccess>(Quad vector, ArrayView<float> data, int index, int count)
        where TAccess : struct, IQuadStore => TAccess.Store(vector, data, index, count);

    public static Quad Dot(Quad a, Quad b, Quad sum) => new()
    {
        X = GpuIntrinsics.MultiplyAdd(a.X, b.X, sum.X),
        Y = GpuIntrinsics.MultiplyAdd(a.Y, b.Y, sum.Y),
        Z = GpuIntrinsics.MultiplyAdd(a.Z, b.Z, sum.Z),
        W = GpuIntrinsics.MultiplyAdd(a.W, b.W, sum.W),
    };

    public static Quad MultiplyAdd(Quad a, float factor, Quad sum) => new()
    {
        X = GpuIntrinsics.MultiplyAdd(a.X, factor, sum.X),
        Y = GpuIntrinsics.MultiplyAdd(a.Y, factor, sum.Y),
        Z = GpuIntrinsics.MultiplyAdd(a.Z, factor, sum.Z),
        W = GpuIntrinsics.MultiplyAdd(a.W, factor, sum.W),
    };

    public static Quad Scale(Quad a, float factor) => new() { X = a.X * factor, Y = a.Y * factor, Z = a.Z * factor, W = a.W * factor };

    public static Quad Add(Quad a, Quad b) => new() { X = a.X + b.X, Y = a.Y + b.Y, Z = a.Z + b.Z, W = a.W + b.W };

    public static Quad Broadcast(float value) => new() { X = value, Y = value, Z = value, W = value };

    public static Quad Activate<TActivation>(Quad a)
        where TActivation : struct, IGpuActivation
        => new() { X = TActivation.Apply(a.X), Y = TActivation.Apply(a.Y), Z = TActivation.Apply(a.Z), W = TActivation.Apply(a.W) };

    public readonly float Sum() => X + Y + (Z + W);
}

/// <summary>How four neighbouring numbers are read; the index counts elements of their own width.</summary>
internal interface IQuadLoad
{
    static abstract Quad Load(ArrayView<float> data, int index, int step, int count);
}

/// <summary>How four neighbouring numbers are written.</summary>
internal interface IQuadStore
{
    static abstract void Store(Quad quad, ArrayView<float> data, int index, int count);
}

/// <summary>How four neighbouring floats are read and written.</summary>
internal interface IQuadAccess : IQuadLoad, IQuadStore;

/// <summary>All addresses are multiples of 16 bytes, the step is 1 and every vector is full: one access of 128 bits.</summary>
internal readonly struct AlignedQuads : IQuadAccess
{
    public static bool Fits(TensorView view) => ((view.Offset | view.BatchStride | view.RowStride) & 3) == 0;

    public static Quad Load(ArrayView<float> data, int index, int step, int count) => data.Cast<Quad>()[index >> 2];

    public static void Store(Quad quad, ArrayView<float> data, int index, int count) => data.Cast<Quad>()[index >> 2] = quad;
}

/// <summary>
/// As <see cref="AlignedQuads"/>, in accesses of one element each: for a processor, whose compiler makes vectors of neighbours as long as its registers
/// are, but not of quads, whose addresses it cannot prove to be neighbours.
/// </summary>
internal readonly struct ContiguousQuads : IQuadAccess
{
    public static Quad Load(ArrayView<float> data, int index, int step, int count)
        => new() { X = data[index], Y = data[index + 1], Z = data[index + 2], W = data[index + 3] };

    public static void Store(Quad quad, ArrayView<float> data, int index, int count)
    {
        data[index] = quad.X;
        data[index + 1] = quad.Y;
        data[index + 2] = quad.Z;
        data[index + 3] = quad.W;
    }
}

/// <summary>Any address, step and count: four accesses, each only if it counts. Stores have a step of 1.</summary>
internal readonly struct BoundedQuads : IQuadAccess
{
    public static Quad Load(ArrayView<float> data, int index, int step, int count) => new()
    {
        X = count > 0 ? data[index] : 0f,
        Y = count > 1 ? data[index + step] : 0f,
        Z = count > 2 ? data[index + 2 * step] : 0f,
        W = count > 3 ? data[index + 3 * step] : 0f,
    };

    public static void Store(Quad quad, ArrayView<float> data, int index, int count)
    {
        if (count > 0)
        {
            data[index] = quad.X;
        }
        if (count > 1)
        {
            data[index + 1] = quad.Y;
        }
        if (count > 2)
        {
            data[index + 2] = quad.Z;
        }
        if (count > 3)
        {
            data[index + 3] = quad.W;
        }
    }
}
