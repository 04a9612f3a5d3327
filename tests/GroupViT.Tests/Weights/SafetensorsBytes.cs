using System.Buffers.Binary;
using System.Text;
using GroupViT.Native;
using GroupViT.Native.Weights;

namespace GroupViT.Tests.Weights;

/// <summary>Small safetensors files, valid and not, put together in the open.</summary>
internal static class SafetensorsBytes
{
    /// <summary>The header's length, the header as given (not padded), and as many zero bytes of data.</summary>
    public static byte[] File(string header, int dataLength = 0) => File(Encoding.UTF8.GetBytes(header), new byte[dataLength]);

    public static byte[] File(byte[] header, byte[] data)
    {
        byte[] file = new byte[8 + header.Length + data.Length];
        BinaryPrimitives.WriteUInt64LittleEndian(file, (ulong)header.Length);
        header.CopyTo(file, 8);
        data.CopyTo(file, 8 + header.Length);
        return file;
    }

    public static SafetensorsFile Open(byte[] file) => SafetensorsFile.Open(new MemoryStream(file), "test.safetensors");

    /// <summary>Opening must fail with a typed error whose message holds every one of the words.</summary>
    public static ModelFileException Refused(byte[] file, params string[] words)
    {
        ModelFileException error = Assert.Throws<ModelFileException>(() => Open(file).Dispose())!;
        Assert.That(error.File, Is.EqualTo("test.safetensors"));
        foreach (string word in words)
        {
            Assert.That(error.Message, Does.Contain(word));
        }
        return error;
    }

    public static ModelFileException Refused(string header, int dataLength, params string[] words) => Refused(File(header, dataLength), words);
}
