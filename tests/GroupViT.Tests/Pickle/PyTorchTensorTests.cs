using System.Buffers.Binary;
using GroupViT.Pickle;
using static GroupViT.Tests.Pickle.TorchBytes;

namespace GroupViT.Tests.Pickle;

/// <summary>Views of storages: what is read through them, and those that reach where they must not.</summary>
[Category("Cpu")]
internal sealed class PyTorchTensorTests
{
    private static readonly float[] Twelve = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

    [TestCase(0, new long[] { 3, 4 }, new long[] { 4, 1 }, true, new float[] { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 }, TestName = "Contiguous")]
    [TestCase(0, new long[] { 4, 3 }, new long[] { 1, 4 }, false, new float[] { 0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11 }, TestName = "Transposed")]
    [TestCase(4, new long[] { 2, 4 }, new long[] { 4, 1 }, true, new float[] { 4, 5, 6, 7, 8, 9, 10, 11 }, TestName = "The_last_rows")]
    [TestCase(1, new long[] { 3, 2 }, new long[] { 4, 1 }, false, new float[] { 1, 2, 5, 6, 9, 10 }, TestName = "Some_columns")]
    [TestCase(2, new long[] { 2, 2, 2 }, new long[] { 1, 4, 2 }, false, new float[] { 2, 4, 6, 8, 3, 5, 7, 9 }, TestName = "Permuted")]
    [TestCase(11, new long[] { }, new long[] { }, true, new float[] { 11 }, TestName = "A_scalar")]
    [TestCase(3, new long[] { 1, 2, 1 }, new long[] { 99, 1, 77 }, true, new float[] { 3, 4 }, TestName = "Strides_of_axes_of_size_1_are_never_used")]
    [TestCase(12, new long[] { 0, 4 }, new long[] { 4, 1 }, true, new float[] { }, TestName = "No_elements_at_the_storage_s_end")]
    [TestCase(5, new long[] { 3 }, new long[] { 0 }, false, new float[] { 5, 5, 5 }, TestName = "One_element_three_times")]
    public void Views_are_read_row_major(int offset, long[] size, long[] stride, bool isContiguous, float[] expected)
    {
        using PyTorchFile file = OpenView(offset, size, stride);
        PyTorchTensor tensor = file.Tensors[0];
        Assert.That(tensor.Name, Is.EqualTo("weight"));
        Assert.That(tensor.Shape, Is.EqualTo(size));
        Assert.That(tensor.Count, Is.EqualTo(expected.Length));
        Assert.That(tensor.IsContiguous, Is.EqualTo(isContiguous));
        Assert.That(ReadFloats(tensor), Is.EqualTo(expected));
        byte[] one = new byte[4];
        for (int i = 0; i < expected.Length; i++)
        {
            tensor.Read(i, one);
            Assert.That(BinaryPrimitives.ReadSingleLittleEndian(one), Is.EqualTo(expected[i]), $"element {i} alone");
        }
    }

    [Test]
    public void A_transposed_matrix_larger_than_the_window_is_read()
    {
        const int rows = 700, columns = 900;
        byte[] storage = new byte[4 * rows * columns];
        for (int i = 0; i < rows * columns; i++)
        {
            BinaryPrimitives.WriteInt32LittleEndian(storage.AsSpan(4 * i), i);
        }
        byte[] pickle = new PickleBuilder().Op("}").Text("w").Tensor("0", rows * columns, 0, [columns, rows], [1, columns], "IntStorage").Op("s").Stop();
        using PyTorchFile file = Open(ZipBuilder.Of(pickle, ("0", storage)).Build());
        byte[] piece = new byte[4 * 250_000];
        for (int first = 0; first < rows * columns; first += 210_000)
        {
            int count = Math.Min(210_000, rows * columns - first);
            file.Tensors[0].Read(first, piece.AsSpan(0, 4 * count));
            for (int i = 0; i < count; i += 97)
            {
                (int column, int row) = Math.DivRem(first + i, rows);
                Assert.That(BinaryPrimitives.ReadInt32LittleEndian(piece.AsSpan(4 * i)), Is.EqualTo(row * columns + column));
            }
        }
    }

    [TestCase("DoubleStorage", PyTorchType.F64, 8)]
    [TestCase("FloatStorage", PyTorchType.F32, 4)]
    [TestCase("HalfStorage", PyTorchType.F16, 2)]
    [TestCase("BFloat16Storage", PyTorchType.BF16, 2)]
    [TestCase("LongStorage", PyTorchType.I64, 8)]
    [TestCase("IntStorage", PyTorchType.I32, 4)]
    [TestCase("ShortStorage", PyTorchType.I16, 2)]
    [TestCase("CharStorage", PyTorchType.I8, 1)]
    [TestCase("ByteStorage", PyTorchType.U8, 1)]
    [TestCase("BoolStorage", PyTorchType.Bool, 1)]
    public void Every_storage_class(string storage, PyTorchType type, int size)
    {
        byte[] values = [.. Enumerable.Range(1, 3 * size).Select(i => (byte)i)];
        using PyTorchFile file = Open(ZipBuilder.Of(new PickleBuilder().Op("}").Text("w").Vector("0", 3, storage).Op("s").Stop(), ("0", values)).Build());
        Assert.That(file.Tensors[0].Type, Is.EqualTo(type));
        byte[] read = new byte[2 * size];
        file.Tensors[0].Read(1, read);
        Assert.That(read, Is.EqualTo(values[size..]));
    }

    [Test]
    public void A_parameter_is_its_tensor_and_torch_Size_a_tuple()
    {
        using PyTorchFile parameter = Open(Zip(new PickleBuilder().Op("}").Text("w").Global("torch._utils", "_rebuild_parameter").Op("(").Vector("0", 2).Op(0x88)
            .Global("collections", "OrderedDict").Op(")RtRs").Stop()));
        Assert.That(ReadFloats(parameter.Tensors[0]), Is.EqualTo(new float[] { 1, 2 }));
        using PyTorchFile old = Open(Zip(new PickleBuilder().Op("}").Text("w").Global("torch._utils", "_rebuild_tensor").Op("(").Storage("0", 2).Op("K").Op(0)
            .Tuple(2).Tuple(1).Op("tRs").Stop()));
        Assert.That(ReadFloats(old.Tensors[0]), Is.EqualTo(new float[] { 1, 2 }));
        Assert.That(Accepted(p => p.Global("torch", "Size").Op("(").Tuple(2, 3).Op("tR")), Is.InstanceOf<PickleTuple>());
    }

    [Test]
    public void A_tensor_of_a_closed_file_is_not_read()
    {
        PyTorchFile file = OpenView(0, [12], [1]);
        file.Dispose();
        Assert.Throws<ObjectDisposedException>(() => file.Tensors[0].Read(0, new byte[4]));
    }

    [TestCase(new long[] { 4, 3 }, new long[] { -1, 4 }, "stride -1", TestName = "Negative_strides")]
    [TestCase(new long[] { -4 }, new long[] { 1 }, "size -4", TestName = "Negative_sizes")]
    [TestCase(new long[] { long.MinValue }, new long[] { 1 }, "size -9223372036854775808", TestName = "The_most_negative_size")]
    public void Negative_numbers(long[] size, long[] stride, string words) => RefusedView(0, size, stride, words);

    [Test]
    public void Negative_offsets() => RefusedView(-1, [2], [1], "offset -1");

    [Test]
    public void Offsets_beyond_the_storage()
    {
        RefusedView(12, [1], [1], "starts at element 12", "has 12");
        RefusedView(13, [0], [1], "starts at element 13");
        RefusedView(long.MaxValue, [1], [1], "starts at element 9223372036854775807");
    }

    [Test]
    public void Numbers_of_more_than_64_bits()
        => RefusedValue(p => p.Global("torch._utils", "_rebuild_tensor_v2").Op("(").Storage("0", 2).Op(0x8a, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1).Tuple(1).Tuple(1).Op(0x89).Op("NtR"), "offset 18446744073709551616");

    [Test]
    public void Numbers_that_are_none()
    {
        RefusedValue(p => p.Global("torch._utils", "_rebuild_tensor_v2").Op("(").Storage("0", 2).Op("K").Op(0).Op("(").Text("2").Op("t").Tuple(1).Op(0x89).Op("NtR"), "size a str");
        RefusedValue(p => p.Global("torch._utils", "_rebuild_tensor_v2").Op("(").Storage("0", 2).Op("K").Op(0).Tuple(2).Op("(").Op(0x88).Op("t").Op(0x89).Op("NtR"), "stride a bool");
        RefusedValue(p => p.Global("torch._utils", "_rebuild_tensor_v2").Op("(N").Op("K").Op(0).Tuple(2).Tuple(1).Op(0x89).Op("NtR"), "needs (storage");
    }

    [Test]
    public void Views_that_reach_beyond_their_storage()
    {
        RefusedView(0, [13], [1], "13", "has 12");
        RefusedView(1, [12], [1], "from element 1", "12 elements");
        RefusedView(0, [3, 4], [5, 1], "3x4", "5,1");
        RefusedView(0, [2], [12], "beyond its storage");
        RefusedView(0, [2, 2], [11, 1], "beyond its storage");
    }

    [Test]
    public void Sizes_and_strides_whose_products_overflow()
    {
        RefusedView(0, [2], [long.MaxValue], "beyond its storage");
        RefusedView(1, [2], [long.MaxValue], "beyond its storage");
        RefusedView(0, [1L << 32, 1L << 32], [1, 1], "more elements than its storage");
        RefusedView(0, [1L << 62, 4], [0, 1], "more elements than its storage");
        RefusedView(0, [long.MaxValue, long.MaxValue, 3], [0, 0, 0], "more elements than its storage");
        RefusedView(0, [2, 2, 2], [long.MaxValue, long.MaxValue, 2], "beyond its storage");
        RefusedView(0, [3], [(1L << 62) + 1], "beyond its storage");
    }

    [Test]
    public void Expanded_tensors_larger_than_their_storage() => RefusedView(0, [1_000_000_000_000], [0], "more elements than its storage");

    [Test]
    public void More_axes_than_8_and_unequal_counts()
    {
        RefusedView(0, [1, 1, 1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1, 1, 1], "9 sizes");
        RefusedView(0, [2, 2], [1], "2 sizes and 1 strides");
    }

    [Test]
    public void A_storage_shorter_than_its_tensor_says()
    {
        Refused(ZipBuilder.Of(new PickleBuilder().Op("}").Text("w").Vector("0", 3).Op("s").Stop(), ("0", Floats(1, 2))).Build(), "archive/data/0", "has 8 bytes", "make 12");
        Refused(ZipBuilder.Of(new PickleBuilder().Op("}").Text("w").Vector("0", 1).Op("s").Stop(), ("0", Floats(1, 2))).Build(), "archive/data/0", "has 8 bytes", "make 4");
        Refused(ZipBuilder.Of(new PickleBuilder().Op("}").Text("w").Vector("0", 2, "DoubleStorage").Op("s").Stop(), ("0", Floats(1, 2))).Build(), "archive/data/0", "make 16");
    }

    [Test]
    public void A_storage_that_is_not_there() => RefusedValue(p => p.Vector("1", 2), "archive/data/1", "has none of that name");

    [Test]
    public void A_storage_key_that_leads_elsewhere()
    {
        RefusedValue(p => p.Vector("../data.pkl", 2), "data/../data.pkl", "has none of that name");
        RefusedValue(p => p.Vector("/etc/passwd", 2), "has none of that name");
        RefusedValue(p => p.Vector("", 2), "has none of that name");
    }

    [Test]
    public void A_storage_of_absurd_numbers_of_elements()
    {
        RefusedValue(p => p.Vector("0", -1), "storage 0", "-1 elements");
        RefusedValue(p => p.Vector("0", long.MaxValue), "9223372036854775807 elements");
        RefusedValue(p => p.Vector("0", (1L << 62) + 2), "elements of F32");
    }

    [Test]
    public void A_storage_of_two_types_or_lengths()
    {
        RefusedValue(p => p.Vector("0", 2, "IntStorage"), "storage 0", "2 elements of F32 in one place and 2 of I32 in another");
        RefusedValue(p => p.Vector("0", 1), "storage 0", "in another");
    }

    [Test]
    public void Tied_weights_share_a_storage_and_a_thousand_names_do_not()
    {
        using PyTorchFile tied = Open(Zip(new PickleBuilder().Op("}(").Text("a").Vector("0", 2).Text("b").Vector("0", 2).Op("u").Stop()));
        Assert.That(ReadFloats(tied.Tensors[0]), Is.EqualTo(ReadFloats(tied.Tensors[1])));
        PickleBuilder many = new PickleBuilder().Op("}").Vector("0", 100_000).Op("q").Op(0).Op("0(");
        for (int i = 0; i < 1000; i++)
        {
            many.Text($"w{i}").Op("h").Op(0);
        }
        Refused(ZipBuilder.Of(many.Op("u").Stop(), ("0", new byte[400_000])).Build(), "w16", "share storages");
    }

    [Test]
    public void Reading_beyond_the_tensor_is_the_caller_s_error()
    {
        using PyTorchFile file = OpenView(0, [12], [1]);
        Assert.Throws<ArgumentException>(() => file.Tensors[0].Read(0, new byte[3]));
        Assert.Throws<ArgumentOutOfRangeException>(() => file.Tensors[0].Read(0, new byte[52]));
        Assert.Throws<ArgumentOutOfRangeException>(() => file.Tensors[0].Read(12, new byte[4]));
        Assert.Throws<ArgumentOutOfRangeException>(() => file.Tensors[0].Read(-1, new byte[4]));
        Assert.Throws<ArgumentOutOfRangeException>(() => file.Tensors[0].Read(long.MinValue, new byte[4]));
        Assert.DoesNotThrow(() => file.Tensors[0].Read(12, []));
    }

    private static byte[] ViewBytes(long offset, long[] size, long[] stride)
        => ZipBuilder.Of(new PickleBuilder().Op("}").Text("weight").Tensor("7", 12, offset, size, stride).Op("s").Stop(), ("7", Floats(Twelve))).Build();

    private static PyTorchFile OpenView(long offset, long[] size, long[] stride) => Open(ViewBytes(offset, size, stride));

    private static void RefusedView(long offset, long[] size, long[] stride, params string[] words)
    {
        PickleFileException error = Refused(ViewBytes(offset, size, stride), words);
        Assert.That(error.Item, Is.EqualTo("a tensor of storage 7"));
        Assert.That(error.Offset, Is.GreaterThan(64));
    }
}
