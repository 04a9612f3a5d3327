using System.Text;
using GroupViT.Native;
using GroupViT.Native.Weights;
using static GroupViT.Tests.Weights.SafetensorsBytes;

namespace GroupViT.Tests.Weights;

/// <summary>What a hostile header may cost, and that no damage ends in anything but a typed error.</summary>
internal sealed class SafetensorsHostileTests
{
    private static readonly byte[] Valid = File(Encoding.UTF8.GetBytes("""
        {"__metadata__":{"format":"pt","Gr\u00fc\u00dfe":"x"},"weight":{"dtype":"F16","shape":[2,3],"data_offsets":[0,12]},
         "bias":{"dtype":"F32","shape":[3],"data_offsets":[12,24]},"n":{"dtype":"I64","shape":[],"data_offsets":[24,32]},
         "\u65e5":{"dtype":"BF16","shape":[1,0],"data_offsets":[32,32]},"f4":{"dtype":"F4","shape":[4],"data_offsets":[32,34]}}
        """), [.. Enumerable.Range(0, 34).Select(i => (byte)(i * 37))]);

    private static IEnumerable<TestCaseData> ExpensiveHeaders()
    {
        // The cheapest text that makes the reader allocate: the tensor entry of 51 bytes, with shapes, names, metadata of all kinds.
        yield return Case("many small tensors", valid: true, Join(60_000, i => $"\"{i:x}\":{{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[{i},{i + 1}]}}"), 60_000);
        yield return Case("many empty tensors", valid: true, Join(60_000, i => $"\"{i:x}\":{{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}"), 0);
        yield return Case("many axes", valid: true, Join(6_000, i => $"\"{i:x}\":{{\"dtype\":\"U8\",\"shape\":[{string.Join(",", Enumerable.Repeat(0, 64))}],\"data_offsets\":[0,0]}}"), 0);
        yield return Case("one shape that never ends", valid: false, "{\"a\":{\"dtype\":\"U8\",\"shape\":[" + string.Join(",", Enumerable.Repeat(0, 1_000_000)), 0);
        yield return Case("names that are all escapes", valid: true, Join(400, i => $"\"{i:x4}{string.Concat(Enumerable.Repeat("\\u0041", 1000))}\":{{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}"), 0);
        yield return Case("names that are long", valid: true, Join(2_000, i => $"\"{i:x4}{new string('n', 1000)}\":{{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}"), 0);
        yield return Case("metadata with many keys", valid: true, "{\"__metadata__\":" + Join(4_096, i => $"\"{i:x}\":\"\"") + "}", 0);
        yield return Case("metadata with too many keys", valid: false, "{\"__metadata__\":" + Join(300_000, i => $"\"{i:x}\":\"\"") + "}", 0);
        yield return Case("metadata with a long value", valid: true, "{\"__metadata__\":{\"a\":\"" + new string('v', 2_000_000) + "\"}}", 0);
        yield return Case("metadata with a long escaped key", valid: false, "{\"__metadata__\":{\"" + string.Concat(Enumerable.Repeat("\\u0041", 500_000)) + "\":1}}", 0);
        yield return Case("one name that never ends", valid: false, "{\"" + new string('n', 2_000_000), 0);
        yield return Case("an unknown field that never ends", valid: false, "{\"a\":{\"" + new string('n', 2_000_000) + "\":1}}", 0);
        yield return Case("a dtype that never ends", valid: false, "{\"a\":{\"dtype\":\"" + new string('n', 2_000_000) + "\"}}", 0);
        yield return Case("a number that never ends", valid: false, "{\"a\":{\"dtype\":\"U8\",\"shape\":[" + new string('9', 2_000_000) + "]}}", 0);
        yield return Case("nothing but white space", valid: false, new string(' ', 2_000_000), 0);
        yield return Case("brackets", valid: false, new string('[', 2_000_000), 0);

        static TestCaseData Case(string name, bool valid, string header, int data) => new TestCaseData(File(header, data), header.Length, valid).SetName($"What_a_header_costs({name})");
        static string Join(int count, Func<int, string> entry) => "{" + string.Join(",", Enumerable.Range(0, count).Select(entry)) + "}";
    }

    [TestCaseSource(nameof(ExpensiveHeaders))]
    public void A_header_costs_at_most_eight_times_its_length_and_a_mebibyte(byte[] file, int headerLength, bool valid)
    {
        using var stream = new MemoryStream(file);
        long before = GC.GetAllocatedBytesForCurrentThread();
        bool accepted = Outcome(stream);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        TestContext.Out.WriteLine($"{headerLength} bytes of header, {allocated} allocated: {(double)allocated / headerLength:F2} times");
        Assert.That(accepted, Is.EqualTo(valid), "the case must get as far as it was meant to");
        Assert.That(allocated, Is.LessThanOrEqualTo(8L * headerLength + (1 << 20)));
    }

    [Test]
    public void The_longest_header_that_is_allowed_costs_at_most_eight_times_its_length()
    {
        // White space to the last byte, made while it is read: no second copy of 100 MB in the test.
        using var stream = new EndlessHeader(SafetensorsHeader.MaxLength);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.That(() => SafetensorsFile.Open(stream, "long"), Throws.TypeOf<ModelFileException>().With.Message.Contains("not JSON"));
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThanOrEqualTo(8L * SafetensorsHeader.MaxLength + (1 << 20)));
    }

    [Test]
    public void A_file_that_ends_at_any_byte_is_refused()
    {
        for (int length = 0; length < Valid.Length; length++)
        {
            Refused(Valid[..length]);
        }
    }

    [Test]
    public void A_file_that_is_cut_while_its_header_is_read_is_refused([Values(0, 5, 8, 9, 100)] int left)
    {
        using var stream = new CutStream(Valid, left);
        ModelFileException error = Assert.Throws<ModelFileException>(() => SafetensorsFile.Open(stream, "cut"))!;
        Assert.That(error.Message, Does.Contain("cut while it was being read"));
        Assert.That(error.Offset, Is.EqualTo(left));
    }

    [Test]
    [Platform(Include = "Linux")]
    public void No_file_is_kept_mapped_into_memory()
    {
        string path = Fixtures.Path("tiny", "model.safetensors");
        using SafetensorsFile file = SafetensorsFile.Open(path);
        foreach (SafetensorsEntry entry in file.Tensors.Values)
        {
            file.ReadBytes(entry, 0, new byte[entry.ByteLength]);
        }
        string maps = System.IO.File.ReadAllText("/proc/self/maps");
        Assert.That(maps, Does.Contain("System.Private.CoreLib.dll").And.Not.Contain("model.safetensors"), "the runtime's own files show that maps are listed");
    }

    [Test]
    public void Four_thousand_mutants_of_a_file_end_in_success_or_a_typed_error()
    {
        using (SafetensorsFile file = Open(Valid))
        {
            Assert.That(file.Tensors, Has.Count.EqualTo(5));
        }
        var random = new Random(20220222);
        byte[] alphabet = "{}[]\",:0123456789-+.eE \\/u\0\xFFFU8dtypeshapf_"u8.ToArray();
        int accepted = 0;
        for (int i = 0; i < 4000; i++)
        {
            List<byte> mutant = [.. Valid];
            for (int changes = random.Next(1, 5); changes > 0; changes--)
            {
                // Half of all changes in the length and the first entries, where they matter most.
                int at = random.Next(random.Next(2) == 0 ? Math.Min(150, mutant.Count) : mutant.Count);
                byte value = random.Next(3) == 0 ? (byte)random.Next(256) : alphabet[random.Next(alphabet.Length)];
                switch (random.Next(6))
                {
                    case 0: mutant.Insert(at, value); break;
                    case 1: mutant.RemoveAt(at); break;
                    case 2: mutant.RemoveRange(at, mutant.Count - at); break;
                    case 3: mutant.InsertRange(at, mutant.GetRange(at, Math.Min(random.Next(60), mutant.Count - at))); break;
                    default: mutant[at] = value; break;
                }
                if (mutant.Count == 0)
                {
                    break;
                }
            }
            byte[] bytes = [.. mutant];
            if (random.Next(2) == 0 && bytes.Length > 42)
            {
                // A length that fits again lets the mutant through to the later checks.
                BitConverter.TryWriteBytes(bytes, (ulong)(bytes.Length - 42));
            }
            accepted += Outcome(new MemoryStream(bytes)) ? 1 : 0;
        }
        TestContext.Out.WriteLine($"{accepted} of 4000 mutants were still valid");
        Assert.That(accepted, Is.InRange(20, 2000), "a mutator whose mutants are all valid or all hopeless tests nothing");
    }

    /// <summary>Opens the file and reads all of it; true if that went well, false for a typed error, and any other error passes out.</summary>
    private static bool Outcome(Stream stream)
    {
        try
        {
            using SafetensorsFile file = SafetensorsFile.Open(stream, "mutant");
            byte[] buffer = new byte[256];
            float[] values = new float[64];
            foreach (SafetensorsEntry entry in file.Tensors.Values)
            {
                file.ReadBytes(entry, 0, buffer.AsSpan(0, (int)Math.Min(buffer.Length, entry.ByteLength)));
                if (entry.Type.ReadsAsFloat32())
                {
                    file.ReadFloat32(entry, 0, values.AsSpan(0, (int)Math.Min(values.Length, entry.ElementCount)));
                }
            }
            return true;
        }
        catch (ModelFileException)
        {
            return false;
        }
    }

    /// <summary>The length of a header and that many blanks.</summary>
    private sealed class EndlessHeader(int length) : ReadOnlyStream
    {
        public override long Length => 8L + length;

        protected override int ReadAt(long position, Span<byte> destination)
        {
            destination.Fill((byte)' ');
            for (int i = 0; position + i < 8 && i < destination.Length; i++)
            {
                destination[i] = (byte)((ulong)length >> (8 * (int)(position + i)));
            }
            return (int)Math.Min(destination.Length, Length - position);
        }
    }

    /// <summary>A file that says it is whole and gives only its first bytes.</summary>
    private sealed class CutStream(byte[] file, int left) : ReadOnlyStream
    {
        public override long Length => file.Length;

        protected override int ReadAt(long position, Span<byte> destination)
        {
            ReadOnlySpan<byte> rest = file.AsSpan(0, left)[(int)Math.Min(position, left)..];
            rest = rest[..Math.Min(rest.Length, destination.Length)];
            rest.CopyTo(destination);
            return rest.Length;
        }
    }

    private abstract class ReadOnlyStream : Stream
    {
        public override bool CanRead => true;

        public override bool CanSeek => true;

        public override bool CanWrite => false;

        public override long Position { get; set; }

        public override int Read(Span<byte> buffer)
        {
            int count = ReadAt(Position, buffer);
            Position += count;
            return count;
        }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override void Flush()
        {
        }

        protected abstract int ReadAt(long position, Span<byte> destination);
    }
}
