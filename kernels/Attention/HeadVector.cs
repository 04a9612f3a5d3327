using GroupViT.Kernels.Devices;
using ILGPU;

namespace GroupViT.Kernels;

/// <summary>
/// A head's part of a row, held in registers: fields of nested structs, which every back end takes apart into scalars; arrays would
/// have to be unrolled first to leave memory.
/// </summary>
internal interface IHeadVector<T>
    where T : struct, IHeadVector<T>
{
    static abstract int Size { get; }

    /// <summary>Reads from <paramref name="index"/> on; elements at and beyond <paramref name="count"/> are 0 and are not read.</summary>
    static abstract T Load<TAccess>(ArrayView<float> data, int index, int count)
        where TAccess : struct, IQuadAccess;

    static abstract void Store<TAccess>(T vector, ArrayView<float> data, int index, int count)
        where TAccess : struct, IQuadAccess;

    /// <summary>sum + a·b, lane by lane of four: the four sums of a dot product.</summary>
    static abstract Quad Dot(T a, T b, Quad sum);

    /// <summary>sum + factor·a.</summary>
    static abstract T MultiplyAdd(T a, float factor, T sum);

    static abstract T Scale(T a, float factor);
}

/// <summary>Two halves: 16 = 2 · 8 = 2 · 2 · Quad, and so on.</summary>
internal struct Pair<T> : IHeadVector<Pair<T>>
    where T : struct, IHeadVector<T>
{
    public T Low;
    public T High;

    public static int Size => 2 * T.Size;

    public static Pair<T> Load<TAccess>(ArrayView<float> data, int index, int count)
        where TAccess : struct, IQuadAccess
        => new() { Low = T.Load<TAccess>(data, index, count), High = T.Load<TAccess>(data, index + T.Size, count - T.Size) };

    public static void Store<TAccess>(Pair<T> vector, ArrayView<float> data, int index, int count)
        where TAccess : struct, IQuadAccess
    {
        T.Store<TAccess>(vector.Low, data, index, count);
        T.Store<TAccess>(vector.High, data, index + T.Size, count - T.Size);
    }

    public static Quad Dot(Pair<T> a, Pair<T> b, Quad sum) => T.Dot(a.High, b.High, T.Dot(a.Low, b.Low, sum));

    public static Pair<T> MultiplyAdd(Pair<T> a, float factor, Pair<T> sum)
        => new() { Low = T.MultiplyAdd(a.Low, factor, sum.Low), High = T.MultiplyAdd(a.High, factor, sum.High) };

    public static Pair<T> Scale(Pair<T> a, float factor) => new() { Low = T.Scale(a.Low, factor), High = T.Scale(a.High, factor) };
}

/// <summary>Four floats: 16 bytes, one load where the address allows it.</summary>
internal struct Quad : IHeadVector<Quad>
{
    public float X;
    public float Y;
    public float Z;
    public float W;

    public static int Size => 4;

    public static Quad Load<TAccess>(ArrayView<float> data, int index, int count)
        where TAccess : struct, IQuadAccess => TAccess.Load(data, index, count);

    public static void Store<TAccess>(Quad vector, ArrayView<float> data, int index, int count)
        where TAccess : struct, IQuadAccess => TAccess.Store(vector, data, index, count);

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

    public readonly float Sum() => X + Y + (Z + W);
}

/// <summary>How four neighbouring floats are read and written.</summary>
internal interface IQuadAccess
{
    static abstract Quad Load(ArrayView<float> data, int index, int count);

    static abstract void Store(Quad quad, ArrayView<float> data, int index, int count);
}

/// <summary>All addresses are multiples of 16 bytes and the head fills its vector: one access of 128 bits.</summary>
internal readonly struct AlignedQuads : IQuadAccess
{
    public static Quad Load(ArrayView<float> data, int index, int count) => data.Cast<Quad>()[index >> 2];

    public static void Store(Quad quad, ArrayView<float> data, int index, int count) => data.Cast<Quad>()[index >> 2] = quad;
}

/// <summary>Any address and any head size: four accesses, each only within the head.</summary>
internal readonly struct BoundedQuads : IQuadAccess
{
    public static Quad Load(ArrayView<float> data, int index, int count) => new()
    {
        X = count > 0 ? data[index] : 0f,
        Y = count > 1 ? data[index + 1] : 0f,
        Z = count > 2 ? data[index + 2] : 0f,
        W = count > 3 ? data[index + 3] : 0f,
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
