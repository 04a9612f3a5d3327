using System.Text.Json;

namespace GroupViT.Native.Weights;

/// <summary>
/// The 22 element types of the safetensors format, in the reference's order (by alignment). Members carry the file's own
/// spelling, so that a message and a header say the same word.
/// </summary>
internal enum SafetensorsType
{
    BOOL,
    F4,
    F6_E2M3,
    F6_E3M2,
    U8,
    I8,
    F8_E5M2,
    F8_E4M3,
    F8_E8M0,
    F8_E4M3FNUZ,
    F8_E5M2FNUZ,
    I16,
    U16,
    F16,
    BF16,
    I32,
    U32,
    F32,
    C64,
    F64,
    I64,
    U64,
}

internal static class SafetensorsTypes
{
    /// <summary>Bits of one element. Three types are narrower than a byte: their tensors must still fill whole bytes.</summary>
    public static int Bits(this SafetensorsType type) => type switch
    {
        SafetensorsType.F4 => 4,
        SafetensorsType.F6_E2M3 or SafetensorsType.F6_E3M2 => 6,
        <= SafetensorsType.F8_E5M2FNUZ => 8,
        <= SafetensorsType.BF16 => 16,
        <= SafetensorsType.F32 => 32,
        _ => 64,
    };

    /// <summary>Whether <see cref="SafetensorsFile.ReadFloat32"/> widens (F64: narrows) this type.</summary>
    public static bool ReadsAsFloat32(this SafetensorsType type)
        => type is SafetensorsType.F32 or SafetensorsType.F16 or SafetensorsType.BF16 or SafetensorsType.F64;

    /// <summary>The type that the reader's current string spells; allocates nothing. Case matters, as in the reference.</summary>
    public static bool TryParse(ref Utf8JsonReader reader, out SafetensorsType type)
    {
        for (type = SafetensorsType.BOOL; type <= SafetensorsType.U64; type++)
        {
            if (reader.ValueTextEquals(Names[(int)type]))
            {
                return true;
            }
        }
        return false;
    }

    private static readonly string[] Names = Enum.GetNames<SafetensorsType>();
}
