using System.Runtime.InteropServices;
using GroupViT.Native.Weights;

namespace GroupViT.Bench.Peers;

/// <summary>The numbers that every contender is given: one file per shape, little-endian, read by all of them.</summary>
/// <param name="Pixels">[B, 3, H, W], or empty.</param>
/// <param name="Ids">[B, T] token ids, or empty.</param>
internal sealed record Inputs(float[] Pixels, int[] Ids)
{
    private const int StartOfText = 49406;
    private const int EndOfText = 49407;

    /// <summary>
    /// Pictures: neighbouring windows of the formula picture (spec K.2), so that the first is the one that values are recorded for. Texts:
    /// as long as the context, so that nobody gains by leaving padding out.
    /// </summary>
    public static Inputs Of(Cell cell)
    {
        if (cell.Encoder == Encoder.Text)
        {
            uint hash = FormulaWeights.Hash("text");
            int[] ids = new int[cell.Batch * cell.Size];
            for (int i = 0; i < ids.Length; i++)
            {
                int at = i % cell.Size;
                ids[i] = at == 0 ? StartOfText : at == cell.Size - 1 ? EndOfText : (int)((FormulaWeights.Unit(hash, i) + 0.5) * StartOfText);
            }
            return new Inputs([], ids);
        }
        (int side, int batch) = (cell.Size, cell.Batch);
        float[] wide = new float[3 * side * side * batch];
        FormulaWeights.Image(side, side * batch, wide);
        float[] pixels = new float[wide.Length];
        for (int row = 0; row < 3 * side; row++)
        {
            for (int b = 0; b < batch; b++)
            {
                wide.AsSpan((row * batch + b) * side, side).CopyTo(pixels.AsSpan((b * 3 * side + row) * side));
            }
        }
        return new Inputs(pixels, []);
    }

    public static Inputs Read(Cell cell, string path)
    {
        byte[] bytes = File.ReadAllBytes(path);
        return cell.Encoder == Encoder.Image
            ? new Inputs(MemoryMarshal.Cast<byte, float>(bytes).ToArray(), [])
            : new Inputs([], MemoryMarshal.Cast<byte, int>(bytes).ToArray());
    }

    /// <summary>float32 pixels or int32 ids.</summary>
    public void Write(string path)
        => File.WriteAllBytes(path, Pixels.Length > 0 ? MemoryMarshal.AsBytes(Pixels.AsSpan()) : MemoryMarshal.AsBytes(Ids.AsSpan()));
}
