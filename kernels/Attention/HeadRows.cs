using GroupViT.Kernels.Devices;
using ILGPU;

namespace GroupViT.Kernels;

/// <summary>Sixteen keys' values for four tiles of the output: B's columns by two.</summary>
internal struct ValueFragments
{
    public RightFragment Left;
    public RightFragment Right;
}

/// <summary>
/// How rows of queries, keys and values come from memory to a warp's registers. Places count fours of numbers: of a query and a key a lane takes one four of every
/// 16 columns, of four values of neighbouring rows one four each.
/// </summary>
internal interface IHeadRows
{
    static abstract LeftFragment Queries(ArrayView<float> data, int upperAt, int lowerAt);

    static abstract RightFragment Keys(ArrayView<float> data, int leftAt, int rightAt);

    static abstract ValueFragments Values(ArrayView<float> data, int at0, int at1, int at2, int at3);
}

/// <summary>Float32, rounded on the way.</summary>
internal readonly struct FloatRows<TFormat> : IHeadRows
    where TFormat : struct, ITensorFormat
{
    public static LeftFragment Queries(ArrayView<float> data, int upperAt, int lowerAt)
    {
        ArrayView<Quad> queries = data.Cast<Quad>();
        Quad upper = queries[upperAt];
        Quad lower = queries[lowerAt];
        return TFormat.Left(Of(upper.X, upper.Y), Of(lower.X, lower.Y), Of(upper.Z, upper.W), Of(lower.Z, lower.W));
    }

    public static RightFragment Keys(ArrayView<float> data, int leftAt, int rightAt)
    {
        ArrayView<Quad> keys = data.Cast<Quad>();
        return TFormat.Right(keys[leftAt], keys[rightAt]);
    }

    public static ValueFragments Values(ArrayView<float> data, int at0, int at1, int at2, int at3)
    {
        ArrayView<Quad> values = data.Cast<Quad>();
        Quad v0 = values[at0];
        Quad v1 = values[at1];
        Quad v2 = values[at2];
        Quad v3 = values[at3];
        return new ValueFragments
        {
            Left = TFormat.Right(Of(v0.X, v1.X, v2.X, v3.X), Of(v0.Y, v1.Y, v2.Y, v3.Y)),
            Right = TFormat.Right(Of(v0.Z, v1.Z, v2.Z, v3.Z), Of(v0.W, v1.W, v2.W, v3.W)),
        };
    }

    private static FloatPair Of(float x, float y) => new() { X = x, Y = y };

    private static Quad Of(float x, float y, float z, float w) => new() { X = x, Y = y, Z = z, W = w };
}

/// <summary>Numbers of 16 bits, as the operation before rounded them: words go to the instructions as they are, values after a change of halves.</summary>
internal readonly struct PairRows : IHeadRows
{
    public static LeftFragment Queries(ArrayView<float> data, int upperAt, int lowerAt)
    {
        ArrayView<WordPair> queries = data.Cast<WordPair>();
        WordPair upper = queries[upperAt];
        WordPair lower = queries[lowerAt];
        return new LeftFragment { A0 = upper.X, A1 = lower.X, A2 = upper.Y, A3 = lower.Y };
    }

    public static RightFragment Keys(ArrayView<float> data, int leftAt, int rightAt)
    {
        ArrayView<WordPair> keys = data.Cast<WordPair>();
        WordPair left = keys[leftAt];
        WordPair right = keys[rightAt];
        return new RightFragment { Left0 = left.X, Left1 = left.Y, Right0 = right.X, Right1 = right.Y };
    }

    public static ValueFragments Values(ArrayView<float> data, int at0, int at1, int at2, int at3)
    {
        ArrayView<WordPair> values = data.Cast<WordPair>();
        WordPair v0 = values[at0];
        WordPair v1 = values[at1];
        WordPair v2 = values[at2];
        WordPair v3 = values[at3];
        return new ValueFragments { Left = Columns(v0.X, v1.X, v2.X, v3.X), Right = Columns(v0.Y, v1.Y, v2.Y, v3.Y) };
    }

    // Of four rows' words, each of two columns, the words of each column.
    private static RightFragment Columns(uint row0, uint row1, uint row2, uint row3) => new()
    {
        Left0 = (row0 & 0xFFFFu) | (row1 << 16),
        Left1 = (row2 & 0xFFFFu) | (row3 << 16),
        Right0 = (row0 >> 16) | (row1 & 0xFFFF0000u),
        Right1 = (row2 >> 16) | (row3 & 0xFFFF0000u),
    };
}

/// <summary>Queries of float32, which are few where they come from elsewhere; keys and values of 16 bits.</summary>
internal readonly struct PairKeys<TFormat> : IHeadRows
    where TFormat : struct, ITensorFormat
{
    public static LeftFragment Queries(ArrayView<float> data, int upperAt, int lowerAt) => FloatRows<TFormat>.Queries(data, upperAt, lowerAt);

    public static RightFragment Keys(ArrayView<float> data, int leftAt, int rightAt) => PairRows.Keys(data, leftAt, rightAt);

    public static ValueFragments Values(ArrayView<float> data, int at0, int at1, int at2, int at3) => PairRows.Values(data, at0, at1, at2, at3);
}
