using System.Buffers.Binary;
using GroupViT.Pickle;

namespace GroupViT.Tests.Pickle;

/// <summary>Small PyTorch files, valid and not, put together in the open.</summary>
internal static class TorchBytes
{
    public const string Name = "test.pth";

    /// <summary>The opcodes between a dict's beginning and its end: <c>{'weight': tensor of 2 floats, 'x': ...}</c>.</summary>
    public static byte[] With(Action<PickleBuilder> value, byte protocol = 2)
    {
        PickleBuilder pickle = new PickleBuilder(protocol).Op("}(").Text("weight").Vector("0", 2).Text("x");
        value(pickle);
        return pickle.Op("u").Stop();
    }

    /// <summary>An archive of this pickle and a storage "0" of 8 bytes.</summary>
    public static byte[] Zip(byte[] pickle) => ZipBuilder.Of(pickle, ("0", Floats(1, 2))).Build();

    /// <summary>A legacy file of these pickles and storages, whose lengths are written in 4-byte elements.</summary>
    public static byte[] Legacy(byte[] pickle, params (string Key, byte[] Bytes)[] storages)
    {
        PickleBuilder keys = new PickleBuilder().Op("](");
        var tail = new Bytes();
        foreach ((string key, byte[] bytes) in storages)
        {
            keys.Text(key);
            tail.UInt64((ulong)bytes.Length / 4).Raw(bytes);
        }
        return [.. LegacyHeader(), .. pickle, .. keys.Op("e").Stop(), .. tail.ToArray()];
    }

    /// <summary>The three pickles before the object's.</summary>
    public static byte[] LegacyHeader(int version = 1001, bool isLittleEndian = true) =>
    [
        .. Magic,
        .. new PickleBuilder().Int(version).Stop(),
        .. new PickleBuilder().Op("}").Text("little_endian").Op(isLittleEndian ? (byte)0x88 : (byte)0x89).Op("s").Stop(),
    ];

    public static byte[] Magic { get; } = new PickleBuilder().Op(0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19).Stop();

    public static byte[] Floats(params ReadOnlySpan<float> values)
    {
        byte[] bytes = new byte[4 * values.Length];
        for (int i = 0; i < values.Length; i++)
        {
            BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(4 * i), values[i]);
        }
        return bytes;
    }

    public static float[] ReadFloats(PyTorchTensor tensor)
    {
        byte[] bytes = new byte[tensor.Count * 4];
        tensor.Read(0, bytes);
        return [.. Enumerable.Range(0, (int)tensor.Count).Select(i => BinaryPrimitives.ReadSingleLittleEndian(bytes.AsSpan(4 * i)))];
    }

    public static PyTorchFile Open(byte[] file) => PyTorchFile.Open(new MemoryStream(file), Name);

    /// <summary>Opening must fail with a typed error whose message holds every one of the words.</summary>
    public static PickleFileException Refused(byte[] file, params string[] words)
    {
        PickleFileException error = Assert.Throws<PickleFileException>(() => Open(file).Dispose())!;
        Assert.That(error.Path, Is.EqualTo(Name));
        foreach (string word in words)
        {
            Assert.That(error.Message, Does.Contain(word));
        }
        return error;
    }

    /// <summary>An archive whose pickle is a good dict but for one value must be refused, at a byte within its pickle.</summary>
    public static PickleFileException RefusedValue(Action<PickleBuilder> value, params string[] words)
    {
        byte[] pickle = With(value);
        PickleFileException error = Refused(Zip(pickle), words);
        Assert.That(error.Offset, Is.InRange(64, 64 + pickle.Length), "names the byte");
        Assert.That(error.Item, Is.Not.Null.And.Not.Empty, "names the item");
        return error;
    }

    /// <summary>The same with a value that must be accepted, and is returned.</summary>
    public static PickleValue Accepted(Action<PickleBuilder> value, byte protocol = 2)
    {
        using PyTorchFile file = Open(Zip(With(value, protocol)));
        Assert.That(file.Tensors, Has.Count.EqualTo(1));
        return file.Extras["x"];
    }
}
