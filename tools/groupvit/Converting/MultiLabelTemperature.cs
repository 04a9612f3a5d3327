using System.Buffers.Binary;
using System.Globalization;
using GroupViT.Native.Weights;

namespace GroupViT.Tool.Converting;

/// <summary>
/// The temperature of the multi-label loss as metadata: Hugging Face's layout has no tensor for it, and a file that was NVlabs' once
/// shall become the same file again. Text such as <c>F32[] 2.6592598</c>: type, shape, and the shortest decimal that is the value.
/// </summary>
internal sealed record MultiLabelTemperature(SafetensorsType Type, int[] Shape, double Value)
{
    /// <summary>The entry of <c>__metadata__</c>.</summary>
    public const string Key = "groupvit.multi_label_logit_scale";

    /// <summary>Of a source's tensor or metadata; null if it has neither, or one that is no such number.</summary>
    public static MultiLabelTemperature? Find(WeightsSource source)
    {
        if (!source.Tensors.TryGetValue(ParameterTable.MultiLabelLogitScale, out SafetensorsEntry? entry))
        {
            return source.Metadata.TryGetValue(Key, out string? text) ? Parse(text) : null;
        }
        if (entry.ElementCount != 1 || entry.Shape.Length > 1 || !entry.Type.ReadsAsFloat32())
        {
            return null;
        }
        Span<byte> bytes = stackalloc byte[entry.Type.Bits() / 8];
        source.ReadBytes(entry, 0, bytes);
        double value = entry.Type switch
        {
            SafetensorsType.F32 => BinaryPrimitives.ReadSingleLittleEndian(bytes),
            SafetensorsType.F16 => (double)BinaryPrimitives.ReadHalfLittleEndian(bytes),
            SafetensorsType.BF16 => NarrowFloats.FromBFloat16(BinaryPrimitives.ReadUInt16LittleEndian(bytes)),
            _ => BinaryPrimitives.ReadDoubleLittleEndian(bytes),
        };
        return new MultiLabelTemperature(entry.Type, entry.Shape.Length == 0 ? [] : [1], value);
    }

    /// <summary>The value as the file's metadata.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Type}[{(Shape.Length == 0 ? "" : "1")}] {Value:R}");

    /// <summary>The value's bytes, little-endian.</summary>
    public byte[] ToBytes()
    {
        byte[] bytes = new byte[Type.Bits() / 8];
        switch (Type)
        {
            case SafetensorsType.F32:
                BinaryPrimitives.WriteSingleLittleEndian(bytes, (float)Value);
                break;
            case SafetensorsType.F16:
                BinaryPrimitives.WriteHalfLittleEndian(bytes, (Half)Value);
                break;
            case SafetensorsType.BF16:
                BinaryPrimitives.WriteUInt16LittleEndian(bytes, NarrowFloats.ToBFloat16((float)Value));
                break;
            default:
                BinaryPrimitives.WriteDoubleLittleEndian(bytes, Value);
                break;
        }
        return bytes;
    }

    private static MultiLabelTemperature? Parse(string text)
    {
        string[] halves = text.Split(' ');
        if (halves.Length != 2 || !double.TryParse(halves[1], NumberStyles.Float, CultureInfo.InvariantCulture, out double value))
        {
            return null;
        }
        bool isVector = halves[0].EndsWith("[1]", StringComparison.Ordinal);
        SafetensorsType? type = halves[0].Replace("[1]", "[]", StringComparison.Ordinal) switch
        {
            "F32[]" => SafetensorsType.F32,
            "F16[]" => SafetensorsType.F16,
            "BF16[]" => SafetensorsType.BF16,
            "F64[]" => SafetensorsType.F64,
            _ => null,
        };
        return type is { } known ? new MultiLabelTemperature(known, isVector ? [1] : [], value) : null;
    }
}
