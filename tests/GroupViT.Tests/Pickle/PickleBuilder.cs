using System.Buffers.Binary;
using System.Text;

namespace GroupViT.Tests.Pickle;

/// <summary>A pickle put together opcode by opcode, valid or not.</summary>
internal sealed class PickleBuilder
{
    private readonly List<byte> _bytes = [];

    public PickleBuilder(byte protocol = 2) => Op(0x80, protocol);

    /// <summary>Opcodes and operands as they are.</summary>
    public PickleBuilder Op(params ReadOnlySpan<byte> bytes)
    {
        _bytes.AddRange(bytes);
        return this;
    }

    /// <summary>Opcodes that are printable characters.</summary>
    public PickleBuilder Op(string opcodes) => Op(Encoding.Latin1.GetBytes(opcodes));

    /// <summary>BINUNICODE.</summary>
    public PickleBuilder Text(string text)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(text);
        return Op("X").UInt32((uint)utf8.Length).Op(utf8);
    }

    /// <summary>BININT, or LONG1 where it does not fit.</summary>
    public PickleBuilder Int(long value)
    {
        if (value is >= int.MinValue and <= int.MaxValue)
        {
            return Op("J").UInt32((uint)(int)value);
        }
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, value);
        return Op(0x8a, 8).Op(bytes);
    }

    public PickleBuilder UInt32(uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        return Op(bytes);
    }

    public PickleBuilder UInt64(ulong value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        return Op(bytes);
    }

    public PickleBuilder Global(string module, string name) => Op("c").Op(Encoding.UTF8.GetBytes($"{module}\n{name}\n"));

    public PickleBuilder Tuple(params ReadOnlySpan<long> values)
    {
        Op("(");
        foreach (long value in values)
        {
            Int(value);
        }
        return Op("t");
    }

    /// <summary>The persistent id of a storage; with a sixth entry, None, in a legacy file.</summary>
    public PickleBuilder Storage(string key, long count, string type = "FloatStorage", bool legacy = false)
        => Op("(").Text("storage").Global("torch", type).Text(key).Text("cpu").Int(count).Op(legacy ? "N" : "").Op("tQ");

    /// <summary>_rebuild_tensor_v2 of a storage.</summary>
    public PickleBuilder Tensor(string key, long storageCount, long offset, long[] size, long[] stride, string type = "FloatStorage", bool legacy = false)
        => Global("torch._utils", "_rebuild_tensor_v2").Op("(").Storage(key, storageCount, type, legacy)
            .Int(offset).Tuple(size).Tuple(stride).Op(0x89).Global("collections", "OrderedDict").Op(")RtR");

    /// <summary>A vector with a storage of its own.</summary>
    public PickleBuilder Vector(string key, long count, string type = "FloatStorage", bool legacy = false) => Tensor(key, count, 0, [count], [1], type, legacy);

    public byte[] Stop() => [.. _bytes, (byte)'.'];

    /// <summary>As it is, without STOP.</summary>
    public byte[] Cut() => [.. _bytes];
}
