using System.Text;

namespace GroupViT.Native.Weights;

/// <summary>
/// Weights and a picture made by formula (spec K.1, K.2): every value follows from its tensor's name and index, so that anyone can make
/// the same model of any size and compare numbers with the reference without a download.
/// </summary>
internal static class FormulaWeights
{
    private const int ImageCell = 56;
    private const int ImageCells = 64;

    /// <summary>FNV-1a, 32 bits, over the name's UTF-8 bytes.</summary>
    public static uint Hash(string name)
    {
        uint hash = 0x811C9DC5;
        foreach (byte b in Encoding.UTF8.GetBytes(name))
        {
            hash = (hash ^ b) * 0x01000193;
        }
        return hash;
    }

    /// <summary>The hash scattered by the index into [-0.5, 0.5).</summary>
    public static double Unit(uint hash, long index)
    {
        uint x = (uint)((ulong)index * 2654435761UL) + hash;
        x ^= x >> 16;
        x *= 0x85EBCA6B;
        x ^= x >> 13;
        x *= 0xC2B2AE35;
        x ^= x >> 16;
        return x / 4294967296.0 - 0.5;
    }

    /// <summary>Values of a tensor of NVlabs' layout from a flat index on; computed in float64, rounded to float32.</summary>
    public static void Fill(string nvlabsName, ReadOnlySpan<int> nvlabsShape, long firstElement, Span<float> destination)
    {
        uint hash = Hash(nvlabsName);
        (double offset, double scale) = Rule(nvlabsName, nvlabsShape);
        for (int i = 0; i < destination.Length; i++)
        {
            destination[i] = (float)(offset + scale * Unit(hash, firstElement + i));
        }
    }

    /// <summary>Writes a checkpoint with formula weights; values do not depend on the layout (spec D.3), only their names and grouping do.</summary>
    /// <param name="config">The architecture.</param>
    /// <param name="layout">Which names to write.</param>
    /// <param name="type">F32, F16 or BF16, rounded to nearest, ties to even. The batch counters are I64 always.</param>
    /// <param name="destination">Written from its position on.</param>
    /// <param name="multiLabelLogitScale">Whether to add the temperature of the multi-label loss, which one of the two released checkpoints has (NVlabs' layout only).</param>
    /// <exception cref="ModelFileException">The configuration is not one that can be built in this layout.</exception>
    public static void Synthesize(GroupVitConfig config, KeyLayout layout, SafetensorsType type, Stream destination, bool multiLabelLogitScale = false)
        => SafetensorsWriter.Write(destination, Tensors(config, layout, type, multiLabelLogitScale), Metadata(layout));

    /// <summary>As above, into a file that appears only when it is whole.</summary>
    public static void Synthesize(GroupVitConfig config, KeyLayout layout, SafetensorsType type, string path, bool multiLabelLogitScale = false)
        => SafetensorsWriter.Write(path, Tensors(config, layout, type, multiLabelLogitScale), Metadata(layout));

    /// <summary>
    /// The input picture of spec K.2, already "normalised": X[c,y,x] = 6 C[c, y/56, x/56] + sin(0.3 x (c+1) + 0.2 y) / 2 with C = the formula
    /// for the name <c>image</c> over [3, 64, 64].
    /// </summary>
    /// <param name="height">1 to 3584 (64 cells of 56 pixels).</param>
    /// <param name="width">1 to 3584.</param>
    /// <param name="planes">[3, height, width].</param>
    public static void Image(int height, int width, Span<float> planes)
    {
        foreach (int side in (ReadOnlySpan<int>)[height, width])
        {
            if (side is < 1 or > ImageCell * ImageCells)
            {
                throw new ArgumentOutOfRangeException(nameof(height), side, $"the formula picture has sides of 1 to {ImageCell * ImageCells} pixels");
            }
        }
        ArgumentOutOfRangeException.ThrowIfNotEqual(planes.Length, 3 * height * width, nameof(planes));
        uint hash = Hash("image");
        int i = 0;
        for (int c = 0; c < 3; c++)
        {
            for (int y = 0; y < height; y++)
            {
                for (int x = 0; x < width; x++)
                {
                    double cell = Unit(hash, (c * ImageCells + y / ImageCell) * ImageCells + x / ImageCell);
                    planes[i++] = (float)(6 * cell + 0.5 * Math.Sin(0.3 * x * (c + 1) + 0.2 * y));
                }
            }
        }
    }

    /// <summary>value = offset + scale * u; the first rule that fits the name.</summary>
    private static (double Offset, double Scale) Rule(string name, ReadOnlySpan<int> shape)
    {
        bool Ends(string suffix) => name.EndsWith(suffix, StringComparison.Ordinal);
        if (Ends("logit_scale"))
        {
            return (Math.Log(1 / 0.07), 0);
        }
        if (Ends("running_mean"))
        {
            return (0, 0.2);
        }
        if (Ends("running_var"))
        {
            return (1, 0.5);
        }
        if (Ends("pos_embed") || Ends("positional_embedding") || Ends("token_embedding.weight"))
        {
            return (0, 1);
        }
        if (Ends("group_token"))
        {
            return (0, 2);
        }
        if (Ends("bias"))
        {
            return (0, 0.2);
        }
        if (shape.Length == 1)
        {
            return (1, 0.2);
        }
        long fanIn = 1;
        foreach (int size in shape[1..])
        {
            fanIn *= size;
        }
        bool assigns = name.Contains(".assign.q_proj", StringComparison.Ordinal) || name.Contains(".assign.k_proj", StringComparison.Ordinal);
        return (0, Math.Sqrt(12.0 / fanIn) * (assigns ? 3 : 1));
    }

    private static List<TensorToWrite> Tensors(GroupVitConfig config, KeyLayout layout, SafetensorsType type, bool multiLabelLogitScale)
    {
        config.Validate("configuration", layout);
        if (multiLabelLogitScale && layout != KeyLayout.Nvlabs)
        {
            throw new ArgumentException("the Hugging Face layout has no multi-label temperature", nameof(multiLabelLogitScale));
        }
        var tensors = new Dictionary<string, TensorToWrite>(StringComparer.Ordinal);
        foreach (ParameterInfo parameter in ParameterTable.For(config).Parameters)
        {
            // In NVlabs' layout query, key and value name the same fused tensor, which is written once and whole.
            int start = layout == KeyLayout.HuggingFace ? parameter.NvlabsFirstElement : 0;
            string name = parameter.NameIn(layout);
            tensors.TryAdd(name, TensorToWrite.OfFloats(name, type, parameter.ShapeIn(layout),
                (first, values) => Fill(parameter.NvlabsName, parameter.NvlabsShape, start + first, values)));
        }
        foreach (string counter in ParameterTable.BatchCounters(layout))
        {
            tensors.Add(counter, TensorToWrite.OfIntegers(counter, SafetensorsType.I64, [], static (_, values) => values.Clear()));
        }
        if (multiLabelLogitScale)
        {
            const string name = ParameterTable.MultiLabelLogitScale;
            tensors.Add(name, TensorToWrite.OfFloats(name, type, [], static (first, values) => Fill(name, [], first, values)));
        }
        return [.. SafetensorsWriter.InReferenceOrder(tensors.Values)];
    }

    // The reference's loader for Hugging Face models insists on this entry.
    private static Dictionary<string, string>? Metadata(KeyLayout layout) => layout == KeyLayout.HuggingFace ? new() { ["format"] = "pt" } : null;
}
