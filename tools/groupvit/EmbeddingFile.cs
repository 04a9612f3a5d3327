using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using System.Text.Json;
using GroupViT.Native;
using GroupViT.Native.Weights;

namespace GroupViT.Tool;

/// <summary>Embeddings as the tensors images and texts, in a .safetensors or .npz file. A tensor without rows is left out.</summary>
internal static class EmbeddingFile
{
    /// <summary>What a file's ending must be.</summary>
    public static bool IsKnown(string path) => Ending(path) is ".safetensors" or ".npz";

    /// <summary>Writes whole or not at all.</summary>
    /// <exception cref="UsageException">The file cannot be written.</exception>
    public static void Write(string path, IReadOnlyList<(string File, float[] Embedding)> images, IReadOnlyList<(string Text, float[] Embedding)> texts)
    {
        (string Name, float[][] Rows)[] tensors = [.. new[] { ("images", images.Select(image => image.Embedding).ToArray()), ("texts", texts.Select(text => text.Embedding).ToArray()) }.Where(tensor => tensor.Item2.Length > 0)];
        try
        {
            if (Ending(path) == ".npz")
            {
                AtomicFile.Write(path, stream => WriteNpz(stream, tensors));
                return;
            }
            Dictionary<string, string> metadata = new()
            {
                ["files"] = JsonSerializer.Serialize(images.Select(image => image.File)),
                ["texts"] = JsonSerializer.Serialize(texts.Select(text => text.Text)),
            };
            SafetensorsWriter.Write(
                path,
                [.. tensors.Select(tensor => TensorToWrite.OfFloats(tensor.Name, SafetensorsType.F32, [tensor.Rows.Length, tensor.Rows[0].Length], (first, span) => Copy(tensor.Rows, first, span)))],
                metadata);
        }
        catch (IOException exception)
        {
            throw new UsageException($"--output {exception.Message}", exception);
        }
    }

    private static string Ending(string path) => Path.GetExtension(path).ToLowerInvariant();

    private static void Copy(float[][] rows, long first, Span<float> span)
    {
        int width = rows[0].Length;
        for (int i = 0; i < span.Length; i++)
        {
            span[i] = rows[(int)((first + i) / width)][(int)((first + i) % width)];
        }
    }

    // A zip of NPY files, format 1.0: magic, the length of a header, a Python dictionary padded with spaces to a multiple of 64, the numbers.
    private static void WriteNpz(Stream stream, (string Name, float[][] Rows)[] tensors)
    {
        using ZipArchive archive = new(stream, ZipArchiveMode.Create, leaveOpen: true);
        foreach ((string name, float[][] rows) in tensors)
        {
            ZipArchiveEntry entry = archive.CreateEntry($"{name}.npy", CompressionLevel.NoCompression);
            // The same embeddings give the same bytes; 1980 is where the format's calendar begins.
            entry.LastWriteTime = new DateTimeOffset(1980, 1, 1, 0, 0, 0, TimeSpan.Zero);
            using Stream target = entry.Open();
            string header = $"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows.Length}, {rows[0].Length}), }}";
            const int before = 10;
            header = header.PadRight(((before + header.Length + 1 + 63) / 64 * 64) - before - 1) + "\n";
            byte[] start = [0x93, (byte)'N', (byte)'U', (byte)'M', (byte)'P', (byte)'Y', 1, 0, 0, 0];
            BinaryPrimitives.WriteUInt16LittleEndian(start.AsSpan(8), (ushort)header.Length);
            target.Write(start);
            target.Write(Encoding.ASCII.GetBytes(header));
            byte[] bytes = new byte[rows[0].Length * sizeof(float)];
            foreach (float[] row in rows)
            {
                for (int i = 0; i < row.Length; i++)
                {
                    BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(i * sizeof(float)), row[i]);
                }
                target.Write(bytes);
            }
        }
    }
}
