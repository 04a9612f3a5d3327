using System.Text;
using FsCheck;
using FsCheck.Fluent;
using GroupViT.Native;
using GroupViT.Native.Weights;

namespace GroupViT.Tests.Weights;

internal sealed class SafetensorsWriterTests
{
    private static readonly SafetensorsType[] Writable = [SafetensorsType.F32, SafetensorsType.F16, SafetensorsType.BF16, SafetensorsType.I32, SafetensorsType.I64];

    /// <summary>Shapes whose tensors are small; zeros and scalars among them.</summary>
    private static Gen<int[]> Shapes => Gen.ArrayOf(Gen.Choose(0, 5)).Where(shape => shape.Length <= 4);

    private static Gen<TensorToWrite[]> Tensors
        => Gen.ArrayOf(Gen.Zip(ArbMap.Default.GeneratorFor<UnicodeString>(), Gen.Zip(Gen.Elements(Writable), Shapes)))
            .Select(items => items
                .Where(item => item.Item1.Get is { Length: > 0 and <= 100 } name && name != "__metadata__" && WellFormed(name))
                .DistinctBy(item => item.Item1.Get, StringComparer.Ordinal)
                .Select(item => Tensor(item.Item1.Get, item.Item2.Item1, item.Item2.Item2)).ToArray());

    [Test]
    public void Whatever_is_written_is_read_back()
        => Prop.ForAll(Tensors.ToArbitrary(), tensors =>
        {
            var stream = new MemoryStream();
            var metadata = tensors.Where((_, i) => i % 3 == 0).ToDictionary(t => t.Name, t => t.Name + "\"\\\n");
            SafetensorsWriter.Write(stream, tensors, metadata);
            using SafetensorsFile file = SafetensorsFile.Open(stream, "round trip");
            Assert.That(file.Metadata, Is.EquivalentTo(metadata));
            Assert.That(file.Tensors.Keys, Is.EquivalentTo(tensors.Select(t => t.Name)));
            foreach (TensorToWrite tensor in tensors)
            {
                SafetensorsEntry entry = file.Entry(tensor.Name);
                Assert.That(entry.Type, Is.EqualTo(tensor.Type));
                Assert.That(entry.Shape.ToArray(), Is.EqualTo(tensor.Shape.Select(size => (long)size)));
                CheckValues(file, entry);
            }
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(200).WithReplay(20220222, 7));

    [Test]
    public void Tensors_longer_than_a_chunk_are_asked_for_in_order_and_in_pieces()
    {
        var asked = new List<(long First, int Count)>();
        TensorToWrite tensor = TensorToWrite.OfFloats("a", SafetensorsType.F32, [40_000], (first, values) =>
        {
            asked.Add((first, values.Length));
            for (int i = 0; i < values.Length; i++)
            {
                values[i] = first + i;
            }
        });
        var stream = new MemoryStream();
        SafetensorsWriter.Write(stream, [tensor]);
        Assert.That(asked, Has.Count.GreaterThan(1));
        Assert.That(asked.Sum(a => a.Count), Is.EqualTo(40_000));
        Assert.That(asked.Select(a => a.First), Is.Ordered.Ascending);
        using SafetensorsFile file = SafetensorsFile.Open(stream, "chunks");
        float[] read = new float[40_000];
        file.ReadFloat32(file.Entry("a"), 0, read);
        Assert.That(read, Is.EqualTo(Enumerable.Range(0, 40_000).Select(i => (float)i)));
    }

    [Test]
    public void Memory_does_not_grow_with_the_tensor()
    {
        TensorToWrite Tensor(int length) => TensorToWrite.OfFloats("a", SafetensorsType.F32, [length], static (_, values) => values.Clear());
        SafetensorsWriter.Write(Stream.Null, [Tensor(1)]);
        long before = GC.GetAllocatedBytesForCurrentThread();
        SafetensorsWriter.Write(Stream.Null, [Tensor(20_000_000)]);
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(1 << 20));
    }

    [Test]
    public void The_header_is_padded_with_spaces_to_eight_bytes([Range(1, 8)] int nameLength)
    {
        var stream = new MemoryStream();
        SafetensorsWriter.Write(stream, [Tensor(new string('n', nameLength), SafetensorsType.F32, [])]);
        byte[] file = stream.ToArray();
        long length = BitConverter.ToInt64(file);
        Assert.That(length % 8, Is.Zero);
        string header = Encoding.UTF8.GetString(file, 8, (int)length);
        Assert.That(header.TrimEnd(' '), Does.EndWith("}}"));
        Assert.That(file, Has.Length.EqualTo(8 + length + 4));
    }

    [TestCase(1f, (ushort)0x3F80)]
    [TestCase(1.00390625f, (ushort)0x3F80)] // 1 + 2^-8: a tie, to even
    [TestCase(1.01171875f, (ushort)0x3F82)] // 1 + 3 * 2^-8: a tie, to even
    [TestCase(1.0039064f, (ushort)0x3F81)] // just above the tie
    [TestCase(-0f, (ushort)0x8000)]
    [TestCase(float.PositiveInfinity, (ushort)0x7F80)]
    [TestCase(float.NegativeInfinity, (ushort)0xFF80)]
    [TestCase(float.MaxValue, (ushort)0x7F80)]
    [TestCase(1e-45f, (ushort)0)]
    public void Bfloat16_is_rounded_to_nearest_even(float value, ushort bits) => Assert.That(NarrowFloats.ToBFloat16(value), Is.EqualTo(bits));

    [TestCase(0x7F800001u)]
    [TestCase(0x7FFFFFFFu)]
    [TestCase(0xFF80FFFFu)]
    public void A_NaN_stays_one_in_bfloat16(uint bits)
        => Assert.That(float.IsNaN(NarrowFloats.FromBFloat16(NarrowFloats.ToBFloat16(BitConverter.UInt32BitsToSingle(bits)))), Is.True);

    [TestCase(SafetensorsType.F16, 65520f)]
    [TestCase(SafetensorsType.F16, -1e30f)]
    [TestCase(SafetensorsType.BF16, float.MaxValue)]
    public void A_value_too_large_for_the_type_is_named(SafetensorsType type, float value)
    {
        TensorToWrite tensor = TensorToWrite.OfFloats("a", type, [20_000], (first, values) =>
        {
            values.Clear();
            if (first <= 17_000 && 17_000 < first + values.Length)
            {
                values[(int)(17_000 - first)] = value;
            }
        });
        Assert.That(() => SafetensorsWriter.Write(Stream.Null, [tensor]), Throws.TypeOf<NumericalException>().With.Message.Contains("element 17000 of a"));
    }

    [Test]
    public void What_could_not_be_read_back_is_not_written()
    {
        Assert.That(() => SafetensorsWriter.Write(Stream.Null, [Tensor("a", SafetensorsType.F32, []), Tensor("a", SafetensorsType.F16, [])]), Throws.ArgumentException);
        Assert.That(() => SafetensorsWriter.Write(Stream.Null, [Tensor("", SafetensorsType.F32, [])]), Throws.ArgumentException);
        Assert.That(() => SafetensorsWriter.Write(Stream.Null, [Tensor("__metadata__", SafetensorsType.F32, [])]), Throws.ArgumentException);
        Assert.That(() => SafetensorsWriter.Write(Stream.Null, [Tensor(new string('n', 1025), SafetensorsType.F32, [])]), Throws.ArgumentException);
        Assert.That(() => SafetensorsWriter.Write(Stream.Null, [Tensor("a\ud800", SafetensorsType.F32, [])]), Throws.ArgumentException);
        Assert.That(() => SafetensorsWriter.Write(Stream.Null, [], new Dictionary<string, string> { ["a"] = "\udc00" }), Throws.ArgumentException);
        Assert.That(() => TensorToWrite.OfFloats("a", SafetensorsType.I32, [], static (_, _) => { }), Throws.ArgumentException);
        Assert.That(() => TensorToWrite.OfIntegers("a", SafetensorsType.F32, [], static (_, _) => { }), Throws.ArgumentException);
    }

    [Test]
    public void A_file_appears_whole_or_not_at_all()
    {
        string folder = Directory.CreateTempSubdirectory().FullName;
        try
        {
            string path = System.IO.Path.Combine(folder, "model.safetensors");
            SafetensorsWriter.Write(path, [Tensor("a", SafetensorsType.F32, [3])]);
            byte[] first = File.ReadAllBytes(path);
            TensorToWrite failing = TensorToWrite.OfFloats("a", SafetensorsType.F32, [100_000], static (at, _) =>
            {
                if (at > 0)
                {
                    throw new InvalidOperationException("the source failed half-way");
                }
            });
            Assert.That(() => SafetensorsWriter.Write(path, [failing]), Throws.InvalidOperationException);
            Assert.That(File.ReadAllBytes(path), Is.EqualTo(first), "the old file is untouched");
            Assert.That(Directory.GetFiles(folder), Has.Length.EqualTo(1), "nothing half-written is left");
            SafetensorsWriter.Write(path, [Tensor("b", SafetensorsType.F32, [3])]);
            using SafetensorsFile replaced = SafetensorsFile.Open(path);
            Assert.That(replaced.Tensors.Keys, Is.EqualTo(["b"]));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static bool WellFormed(string text) => text.EnumerateRunes().All(rune => rune.Value != 0xFFFD);

    // Element i of a tensor is i: exact in all five types at these sizes.
    private static TensorToWrite Tensor(string name, SafetensorsType type, int[] shape)
        => type is SafetensorsType.I32 or SafetensorsType.I64
            ? TensorToWrite.OfIntegers(name, type, shape, static (first, values) =>
            {
                for (int i = 0; i < values.Length; i++)
                {
                    values[i] = (int)first + i - 100;
                }
            })
            : TensorToWrite.OfFloats(name, type, shape, static (first, values) =>
            {
                for (int i = 0; i < values.Length; i++)
                {
                    values[i] = (first + i) % 256 - 128;
                }
            });

    private static void CheckValues(SafetensorsFile file, SafetensorsEntry entry)
    {
        int count = (int)entry.ElementCount;
        if (entry.Type is SafetensorsType.I32 or SafetensorsType.I64)
        {
            int[] integers = new int[count];
            file.ReadInt32(entry, 0, integers);
            Assert.That(integers, Is.EqualTo(Enumerable.Range(-100, count)));
        }
        else
        {
            float[] floats = new float[count];
            file.ReadFloat32(entry, 0, floats);
            Assert.That(floats, Is.EqualTo(Enumerable.Range(0, count).Select(i => (float)(i % 256 - 128))));
        }
    }
}
