using System.Buffers.Binary;
using GroupViT.Native;
using GroupViT.Native.Weights;
using static GroupViT.Tests.Weights.SafetensorsBytes;

namespace GroupViT.Tests.Weights;

internal sealed class SafetensorsFileTests
{
    [Test]
    public void A_header_alone_is_a_file()
    {
        using SafetensorsFile file = Open(File("{}"));
        Assert.That(file.Tensors, Is.Empty);
        Assert.That(file.Metadata, Is.Empty);
    }

    [Test]
    public void White_space_around_the_object_is_accepted_as_the_reference_does()
    {
        using SafetensorsFile file = Open(File(" \t\r\n{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}  \n", 1));
        Assert.That(file.Tensors.Keys, Is.EqualTo(["a"]));
    }

    [Test]
    public void A_scalar_has_an_empty_shape_and_one_element()
    {
        using SafetensorsFile file = Open(File("""{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}""", 4));
        SafetensorsEntry entry = file.Entry("a");
        Assert.That(entry.Shape.Length, Is.Zero);
        Assert.That(entry.ElementCount, Is.EqualTo(1));
        Assert.That(entry.ShapeText, Is.EqualTo("[]"));
    }

    [Test]
    public void Tensors_without_elements_may_share_an_offset()
    {
        using SafetensorsFile file = Open(File("""
            {"a":{"dtype":"F32","shape":[2,0],"data_offsets":[0,0]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
             "c":{"dtype":"F64","shape":[0],"data_offsets":[4,4]},"d":{"dtype":"F64","shape":[0,9223372036854775807],"data_offsets":[4,4]}}
            """, 4));
        Assert.That(file.Tensors.Values.Select(e => e.ElementCount), Is.EqualTo([0, 1, 0, 0]));
        file.ReadFloat32(file.Entry("a"), 0, []);
    }

    [Test]
    public void Entries_may_come_in_any_order()
    {
        string header = """{"b":{"data_offsets":[2,3],"shape":[1],"dtype":"U8"},"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}""";
        using SafetensorsFile file = Open(File(header, 3));
        Assert.That(file.Entry("b").Offset, Is.EqualTo(8 + header.Length + 2));
    }

    [Test]
    public void Metadata_are_texts()
    {
        using SafetensorsFile file = Open(File("""{"__metadata__":{"format":"pt","":"Gr\u00fc\u00dfe","x":"日本"}}"""));
        Assert.That(file.Metadata, Is.EquivalentTo(new Dictionary<string, string> { ["format"] = "pt", [""] = "Grüße", ["x"] = "日本" }));
        using SafetensorsFile without = Open(File("""{"__metadata__":null}"""));
        Assert.That(without.Metadata, Is.Empty);
    }

    [TestCase("BOOL", 8), TestCase("F4", 4), TestCase("F6_E2M3", 6), TestCase("F6_E3M2", 6), TestCase("U8", 8), TestCase("I8", 8)]
    [TestCase("F8_E5M2", 8), TestCase("F8_E4M3", 8), TestCase("F8_E8M0", 8), TestCase("F8_E4M3FNUZ", 8), TestCase("F8_E5M2FNUZ", 8)]
    [TestCase("I16", 16), TestCase("U16", 16), TestCase("F16", 16), TestCase("BF16", 16), TestCase("I32", 32), TestCase("U32", 32)]
    [TestCase("F32", 32), TestCase("C64", 64), TestCase("F64", 64), TestCase("I64", 64), TestCase("U64", 64)]
    public void Each_of_the_22_dtypes_is_recognised_and_those_without_numbers_are_refused_by_name_when_read(string name, int bits)
    {
        using SafetensorsFile file = Open(File($$$"""{"a":{"dtype":"{{{name}}}","shape":[4,2],"data_offsets":[0,{{{bits}}}]}}""", bits));
        SafetensorsEntry entry = file.Entry("a");
        Assert.That(entry.Type.ToString(), Is.EqualTo(name));
        Assert.That(entry.ByteLength, Is.EqualTo(bits));
        float[] values = new float[8];
        if (name is "F32" or "F16" or "BF16" or "F64")
        {
            file.ReadFloat32(entry, 0, values);
        }
        else
        {
            Assert.That(() => file.ReadFloat32(entry, 0, values), Throws.TypeOf<ModelFileException>().With.Message.Contains($"a (byte {entry.Offset}): has dtype {name};"));
        }
        int[] integers = new int[8];
        if (name is "I32" or "I64")
        {
            file.ReadInt32(entry, 0, integers);
        }
        else
        {
            Assert.That(() => file.ReadInt32(entry, 0, integers), Throws.TypeOf<ModelFileException>().With.Message.Contains($"has dtype {name};"));
        }
    }

    [Test]
    public void Every_half_is_widened_as_the_runtime_does()
    {
        byte[] data = new byte[2 * 65536];
        for (int i = 0; i < 65536; i++)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(data.AsSpan(2 * i), (ushort)i);
        }
        using SafetensorsFile file = Open(File("""{"a":{"dtype":"F16","shape":[65536],"data_offsets":[0,131072]}}"""u8.ToArray(), data));
        float[] values = new float[65536];
        file.ReadFloat32(file.Entry("a"), 0, values);
        for (int i = 0; i < 65536; i++)
        {
            Assert.That(BitConverter.SingleToInt32Bits(values[i]), Is.EqualTo(BitConverter.SingleToInt32Bits((float)BitConverter.UInt16BitsToHalf((ushort)i))));
        }
    }

    [Test]
    public void Every_bfloat16_is_the_upper_half_of_its_float()
    {
        byte[] data = new byte[2 * 65536];
        for (int i = 0; i < 65536; i++)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(data.AsSpan(2 * i), (ushort)i);
        }
        using SafetensorsFile file = Open(File("""{"a":{"dtype":"BF16","shape":[65536],"data_offsets":[0,131072]}}"""u8.ToArray(), data));
        float[] values = new float[65536];
        file.ReadFloat32(file.Entry("a"), 0, values);
        for (int i = 0; i < 65536; i++)
        {
            Assert.That(BitConverter.SingleToUInt32Bits(values[i]), Is.EqualTo((uint)i << 16));
        }
    }

    [TestCase("F16")]
    [TestCase("BF16")]
    public void Widening_in_place_loses_nothing_at_any_length(string type)
    {
        byte[] data = new byte[2 * 300];
        new Random(7).NextBytes(data);
        using SafetensorsFile file = Open(File(System.Text.Encoding.UTF8.GetBytes($$$"""{"a":{"dtype":"{{{type}}}","shape":[300],"data_offsets":[0,600]}}"""), data));
        for (int length = 0; length <= 130; length++)
        {
            float[] values = new float[length + 1];
            values[length] = 12345;
            file.ReadFloat32(file.Entry("a"), length, values.AsSpan(0, length));
            for (int i = 0; i < length; i++)
            {
                ushort bits = BinaryPrimitives.ReadUInt16LittleEndian(data.AsSpan(2 * (length + i)));
                float expected = type == "F16" ? (float)BitConverter.UInt16BitsToHalf(bits) : NarrowFloats.FromBFloat16(bits);
                Assert.That(BitConverter.SingleToInt32Bits(values[i]), Is.EqualTo(BitConverter.SingleToInt32Bits(expected)), $"{i} of {length}");
            }
            Assert.That(values[length], Is.EqualTo(12345), "nothing is written behind the destination");
        }
    }

    [Test]
    public void Doubles_are_rounded_to_the_nearest_float_across_chunks()
    {
        byte[] data = new byte[8 * 3000];
        for (int i = 0; i < 3000; i++)
        {
            BinaryPrimitives.WriteDoubleLittleEndian(data.AsSpan(8 * i), Math.PI * i);
        }
        using SafetensorsFile file = Open(File("""{"a":{"dtype":"F64","shape":[3000],"data_offsets":[0,24000]}}"""u8.ToArray(), data));
        float[] values = new float[2500];
        file.ReadFloat32(file.Entry("a"), 450, values);
        Assert.That(values, Is.EqualTo(Enumerable.Range(450, 2500).Select(i => (float)(Math.PI * i))));
    }

    [Test]
    public void Long_integers_are_read_if_they_fit_and_named_if_not()
    {
        byte[] data = new byte[8 * 1500];
        for (int i = 0; i < 1500; i++)
        {
            BinaryPrimitives.WriteInt64LittleEndian(data.AsSpan(8 * i), i == 1400 ? 1L << 31 : int.MinValue + i);
        }
        byte[] header = """{"ids":{"dtype":"I64","shape":[1500],"data_offsets":[0,12000]}}"""u8.ToArray();
        using SafetensorsFile file = Open(File(header, data));
        int[] values = new int[1400];
        file.ReadInt32(file.Entry("ids"), 0, values);
        Assert.That(values, Is.EqualTo(Enumerable.Range(0, 1400).Select(i => int.MinValue + i)));
        Assert.That(() => file.ReadInt32(file.Entry("ids"), 1, new int[1499]), Throws.TypeOf<ModelFileException>()
            .With.Message.Contains("element 1400 is 2147483648").And.Property("Offset").EqualTo(8 + header.Length + 8 * 1400));
    }

    [Test]
    public void Reading_outside_a_tensor_is_an_argument_error()
    {
        using SafetensorsFile file = Open(File("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}""", 16));
        SafetensorsEntry entry = file.Entry("a");
        Assert.That(() => file.ReadFloat32(entry, 1, new float[2]), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => file.ReadFloat32(entry, -1, new float[1]), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => file.ReadFloat32(entry, long.MaxValue, new float[1]), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => file.ReadBytes(entry, 7, new byte[2]), Throws.TypeOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public void A_file_that_is_cut_while_it_is_read_ends_in_an_error_with_the_byte()
    {
        string path = System.IO.Path.Combine(TestContext.CurrentContext.WorkDirectory, $"{Guid.NewGuid():N}.safetensors");
        byte[] bytes = File("""{"a":{"dtype":"F32","shape":[1000],"data_offsets":[0,4000]}}""", 4000);
        System.IO.File.WriteAllBytes(path, bytes);
        try
        {
            using SafetensorsFile file = SafetensorsFile.Open(path);
            using (var cut = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            {
                cut.SetLength(bytes.Length - 1000);
            }
            file.ReadFloat32(file.Entry("a"), 0, new float[750]);
            Assert.That(() => file.ReadFloat32(file.Entry("a"), 0, new float[1000]), Throws.TypeOf<ModelFileException>()
                .With.Message.Contains("cut while it was being read").And.Property("Offset").EqualTo(bytes.Length - 1000));
        }
        finally
        {
            System.IO.File.Delete(path);
        }
    }

    [Test]
    public void A_missing_file_and_a_folder_are_model_file_errors()
    {
        Assert.That(() => SafetensorsFile.Open(Fixtures.Path("nothing.safetensors")), Throws.TypeOf<ModelFileException>().With.Message.Contains("no such file"));
        Assert.That(() => SafetensorsFile.Open(Fixtures.Path("nothing", "model.safetensors")), Throws.TypeOf<ModelFileException>().With.Message.Contains("no such file"));
        Assert.That(() => SafetensorsFile.Open(Fixtures.Path("tiny")), Throws.TypeOf<ModelFileException>());
    }

    [Test]
    public void A_stream_is_read_from_its_start_and_closed_unless_left_open()
    {
        byte[] bytes = File("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", 1);
        var stream = new MemoryStream();
        stream.Write(bytes);
        SafetensorsFile.Open(stream, "left open", leaveOpen: true).Dispose();
        Assert.That(stream.CanRead, Is.True);
        SafetensorsFile.Open(stream, "owned").Dispose();
        Assert.That(stream.CanRead, Is.False);
    }

    [TestCase(true)]
    [TestCase(false)]
    public void Many_threads_read_at_once(bool fromFile)
    {
        string path = Fixtures.Path("tiny", "f16", "model.safetensors");
        using SafetensorsFile file = fromFile ? SafetensorsFile.Open(path) : SafetensorsFile.Open(System.IO.File.OpenRead(path), "stream");
        SafetensorsEntry[] entries = [.. file.Tensors.Values.Where(e => e.Type == SafetensorsType.F16)];
        float[][] alone = [.. entries.Select(Read)];
        Parallel.For(0, entries.Length * 4, i => Assert.That(Read(entries[i % entries.Length]).AsSpan().SequenceEqual(alone[i % entries.Length]), Is.True));

        float[] Read(SafetensorsEntry entry)
        {
            float[] values = new float[entry.ElementCount];
            file.ReadFloat32(entry, 0, values);
            return values;
        }
    }
}
