using System.Numerics;
using System.Runtime.InteropServices;

namespace GroupViT.Native.Imaging;

/// <summary>
/// Gives each row of a photograph the filter with the smallest sum of magnitudes (PNG specification, 12.7). Of the five filters the average
/// is left out: it seldom wins.
/// </summary>
internal sealed class PngFilters(int rowBytes, int pixelBytes)
{
    private readonly byte[] above = new byte[rowBytes];
    private byte[] best = new byte[rowBytes + 1];
    private byte[] candidate = new byte[rowBytes + 1];

    /// <summary>The filter's number and the filtered bytes; valid until the next row.</summary>
    public ReadOnlySpan<byte> Apply(ReadOnlySpan<byte> row)
    {
        best[0] = 0;
        row.CopyTo(best.AsSpan(1));
        long least = Magnitude(best.AsSpan(1));
        foreach (byte kind in (ReadOnlySpan<byte>)[1, 2, 4])
        {
            Filter(kind, row);
            long sum = Magnitude(candidate.AsSpan(1));
            if (sum < least)
            {
                (least, best, candidate) = (sum, candidate, best);
            }
        }
        row.CopyTo(above);
        return best;
    }

    private void Filter(byte kind, ReadOnlySpan<byte> row)
    {
        candidate[0] = kind;
        Span<byte> filtered = candidate.AsSpan(1);
        switch (kind)
        {
            case 1:
                row[..pixelBytes].CopyTo(filtered);
                Subtract(row[pixelBytes..], row[..^pixelBytes], filtered[pixelBytes..]);
                break;
            case 2:
                Subtract(row, above, filtered);
                break;
            default:
                Paeth(row, filtered);
                break;
        }
    }

    private static void Subtract(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b, Span<byte> target)
    {
        int i = 0;
        for (; i <= target.Length - Vector<byte>.Count; i += Vector<byte>.Count)
        {
            (new Vector<byte>(a[i..]) - new Vector<byte>(b[i..])).CopyTo(target[i..]);
        }
        for (; i < target.Length; i++)
        {
            target[i] = (byte)(a[i] - b[i]);
        }
    }

    // The predictor of the specification, 9.4, on 16-bit lanes: a branch for each byte took longer than the compression.
    private void Paeth(ReadOnlySpan<byte> row, Span<byte> filtered)
    {
        ReadOnlySpan<byte> up = above;
        int i = 0;
        for (; i < pixelBytes; i++)
        {
            filtered[i] = (byte)(row[i] - up[i]);
        }
        for (; i <= row.Length - Vector<byte>.Count; i += Vector<byte>.Count)
        {
            Vector.Widen(new Vector<byte>(row[(i - pixelBytes)..]), out Vector<ushort> a0, out Vector<ushort> a1);
            Vector.Widen(new Vector<byte>(up[i..]), out Vector<ushort> b0, out Vector<ushort> b1);
            Vector.Widen(new Vector<byte>(up[(i - pixelBytes)..]), out Vector<ushort> c0, out Vector<ushort> c1);
            Vector<byte> predicted = Vector.Narrow(Predict(a0, b0, c0), Predict(a1, b1, c1));
            (new Vector<byte>(row[i..]) - predicted).CopyTo(filtered[i..]);
        }
        for (; i < row.Length; i++)
        {
            filtered[i] = (byte)(row[i] - PngScanlines.Paeth(row[i - pixelBytes], up[i], up[i - pixelBytes]));
        }
    }

    private static Vector<ushort> Predict(Vector<ushort> left, Vector<ushort> up, Vector<ushort> corner)
    {
        Vector<short> a = Vector.AsVectorInt16(left), b = Vector.AsVectorInt16(up), c = Vector.AsVectorInt16(corner);
        // |p - a| with p = a + b - c is |b - c|, and so on.
        Vector<short> pa = Vector.Abs(b - c), pb = Vector.Abs(a - c), pc = Vector.Abs(a + b - c - c);
        Vector<short> upOrCorner = Vector.ConditionalSelect(Vector.LessThanOrEqual(pb, pc), b, c);
        Vector<short> isLeft = Vector.LessThanOrEqual(pa, Vector.Min(pb, pc));
        return Vector.AsVectorUInt16(Vector.ConditionalSelect(isLeft, a, upOrCorner));
    }

    private static long Magnitude(ReadOnlySpan<byte> bytes)
    {
        long sum = 0;
        int i = 0;
        while (i <= bytes.Length - Vector<byte>.Count)
        {
            // A lane holds two magnitudes of at most 128 a step, so 65535 is out of reach for 255 steps.
            Vector<ushort> lanes = Vector<ushort>.Zero;
            int end = Math.Min(bytes.Length - Vector<byte>.Count, i + (254 * Vector<byte>.Count));
            for (; i <= end; i += Vector<byte>.Count)
            {
                // As an unsigned byte |-128| is 128: the wrapped value of Abs is right.
                Vector<byte> magnitude = Vector.AsVectorByte(Vector.Abs(new Vector<sbyte>(MemoryMarshal.Cast<byte, sbyte>(bytes[i..]))));
                Vector.Widen(magnitude, out Vector<ushort> low, out Vector<ushort> high);
                lanes += low + high;
            }
            Vector.Widen(lanes, out Vector<uint> left, out Vector<uint> right);
            sum += Vector.Sum(left + right);
        }
        for (; i < bytes.Length; i++)
        {
            sum += Math.Abs((int)(sbyte)bytes[i]);
        }
        return sum;
    }
}
