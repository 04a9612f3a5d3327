using System.Security.Cryptography;
using System.Text;

namespace GroupViT.Native.Weights;

/// <summary>The cheap identity of a checkpoint: see <see cref="Checkpoint.Fingerprint"/>.</summary>
internal static class CheckpointFingerprint
{
    // Sixteen pieces of 256 bytes, evenly spread from the first byte to the last: training or rounding touches nearly every
    // element, so any one piece would tell; small tensors (norms, biases, temperature) are covered wholly.
    private const int Pieces = 16;
    private const int PieceLength = 256;

    /// <param name="file">The weights.</param>
    /// <param name="config">Their configuration.</param>
    /// <param name="names">Of the tensors that count, all there.</param>
    public static string Of(WeightsSource file, GroupVitConfig config, IReadOnlyCollection<string> names)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Append(hash, "GroupViT checkpoint 2");
        Append(hash, config.ToJson());
        byte[] sample = new byte[Pieces * PieceLength];
        foreach (SafetensorsEntry entry in names.Order(StringComparer.Ordinal).Select(name => file.Tensors[name]))
        {
            Append(hash, entry.ToString());
            if (entry.ByteLength <= sample.Length)
            {
                int length = (int)entry.ByteLength;
                file.ReadBytes(entry, 0, sample.AsSpan(0, length));
                hash.AppendData(sample, 0, length);
                continue;
            }
            for (int piece = 0; piece < Pieces; piece++)
            {
                long first = (entry.ByteLength - PieceLength) / (Pieces - 1) * piece;
                first = piece == Pieces - 1 ? entry.ByteLength - PieceLength : first;
                file.ReadBytes(entry, first, sample.AsSpan(piece * PieceLength, PieceLength));
            }
            hash.AppendData(sample);
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>With its end marked, so that no two sequences of texts run together into the same bytes.</summary>
    private static void Append(IncrementalHash hash, string text)
    {
        hash.AppendData(Encoding.UTF8.GetBytes(text));
        hash.AppendData([0xFF]);
    }
}
