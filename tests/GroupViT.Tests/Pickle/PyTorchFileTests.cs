using System.Diagnostics;
using GroupViT.Pickle;
using static GroupViT.Tests.Pickle.TorchBytes;

namespace GroupViT.Tests.Pickle;

/// <summary>Files cut, changed at random, or made to cost: whatever they are, a typed error or a good file, and bounded memory.</summary>
[Category("Cpu")]
internal sealed class PyTorchFileTests
{
    private static readonly byte[] SmallZip = Zip(With(p => p.Global("omegaconf.nodes", "AnyNode").Op(")").Op(0x81).Op("}").Text("_val").Op("](K").Op(5).Op("G").Op(new byte[8]).Op("esb")));

    private static readonly byte[] SmallLegacy = Legacy(new PickleBuilder().Op("}(").Text("a").Vector("1", 2, legacy: true).Text("b").Vector("0", 1, legacy: true).Op("u").Stop(), ("0", Floats(9)), ("1", Floats(7, 8)));

    [Test]
    public void Files_cut_at_every_byte()
    {
        foreach (byte[] file in new[] { SmallZip, SmallLegacy })
        {
            Assert.That(Outcome(file), Is.True, "the whole file is good");
            for (int length = 0; length < file.Length; length++)
            {
                Assert.That(Outcome(file[..length]), Is.False, $"cut to {length} of {file.Length} bytes");
            }
        }
    }

    [TestCase("checkpoint.pth")]
    [TestCase("checkpoint_legacy.pth")]
    public void A_checkpoint_cut_at_its_structural_places(string name)
    {
        byte[] file = File.ReadAllBytes(Fixtures.Path("tiny", "nvlabs", name));
        // Headers, pickles, the first and last storages, the directory and its end.
        int[] places = [0, 1, 4, 14, 20, 64, 137, 1000, 78_568, 88_531, 107_334, 107_342, file.Length / 2, file.Length - 50_000, file.Length - 98, file.Length - 42, file.Length - 22, file.Length - 4, file.Length - 1];
        foreach (int place in places)
        {
            Assert.That(Outcome(file.AsSpan(0, place).ToArray()), Is.False, $"cut to {place} bytes");
        }
    }

    [Test]
    public void A_file_cut_while_it_is_open()
    {
        string path = Path.Combine(Path.GetTempPath(), $"groupvit-{Guid.NewGuid():N}.pth");
        try
        {
            File.WriteAllBytes(path, SmallZip);
            using var stream = new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, bufferSize: 0);
            using PyTorchFile file = PyTorchFile.Open(stream, path, leaveOpen: true);
            stream.SetLength(file.Tensors[0].FileOffset + 4);
            PickleFileException error = Assert.Throws<PickleFileException>(() => ReadFloats(file.Tensors[0]))!;
            Assert.That(error.Message, Does.Contain("cut while it was being read"));
            Assert.That(error.Offset, Is.EqualTo(file.Tensors[0].FileOffset + 4));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Test]
    public void Paths_that_are_no_files()
    {
        Assert.That(Assert.Throws<PickleFileException>(() => PyTorchFile.Open("no/such.pth"))!.Message, Does.Contain("no such file"));
        Assert.That(Assert.Throws<PickleFileException>(() => PyTorchFile.Open(Path.GetTempPath()))!.Message, Does.Contain("is a folder"));
        Assert.Throws<ArgumentException>(() => PyTorchFile.Open(""));
    }

    [Test]
    public void A_refused_stream_is_closed_unless_it_stays_the_caller_s()
    {
        var closed = new MemoryStream([1, 2, 3, 4, 5]);
        Assert.Throws<PickleFileException>(() => PyTorchFile.Open(closed, Name));
        Assert.That(closed.CanRead, Is.False);
        using var open = new MemoryStream([1, 2, 3, 4, 5]);
        Assert.Throws<PickleFileException>(() => PyTorchFile.Open(open, Name, leaveOpen: true));
        Assert.That(open.CanRead, Is.True);
    }

    [TestCase(true)]
    [TestCase(false)]
    public void Ten_thousand_mutants_end_in_success_or_a_typed_error(bool isZip)
    {
        byte[] good = isZip ? SmallZip : SmallLegacy;
        int start = isZip ? 64 : LegacyHeader().Length;
        int end = isZip ? SmallZip.AsSpan().IndexOf("PK\x07\x08"u8) : good.Length;
        byte[] opcodes = [.. Enum.GetValues<PickleOpcode>().Select(o => (byte)o)];
        var random = new Random(20220222);
        int accepted = 0;
        for (int i = 0; i < 10_000; i++)
        {
            byte[] mutant = [.. good];
            for (int changes = random.Next(1, 4); changes > 0; changes--)
            {
                // Most changes in the pickle, where a changed byte is another opcode; the others anywhere.
                int at = random.Next(4) > 0 ? random.Next(start, end) : random.Next(mutant.Length);
                mutant[at] = random.Next(3) switch
                {
                    0 => opcodes[random.Next(opcodes.Length)],
                    1 => (byte)(mutant[at] ^ (1 << random.Next(8))),
                    _ => (byte)random.Next(256),
                };
            }
            accepted += Outcome(mutant) ? 1 : 0;
        }
        TestContext.Out.WriteLine($"{accepted} of 10000 mutants were still good");
        Assert.That(accepted, Is.InRange(100, 9000), "mutants that are all good or all hopeless test nothing");
    }

    private static IEnumerable<TestCaseData> ExpensivePickles()
    {
        const int n = 400_000;
        yield return Case("empty dicts", Repeat(n, [(byte)'}']));
        yield return Case("empty lists", Repeat(n, [(byte)']']));
        yield return Case("empty sets", Repeat(n, [0x8f]));
        yield return Case("frozen sets", Repeat(n / 2, [(byte)'(', 0x91]));
        yield return Case("tuples in tuples", [(byte)')', .. Repeat(n, [0x85])]);
        yield return Case("pairs", [(byte)'N', .. Repeat(n / 2, [(byte)'N', 0x86])]);
        yield return Case("lists in lists", [.. Repeat(n, [(byte)']']), .. Repeat(n - 1, [(byte)'a'])]);
        yield return Case("dicts in dicts", [.. Repeat(n / 2, [(byte)'}', (byte)'N']), (byte)'N', .. Repeat(n / 2, [(byte)'s'])]);
        yield return Case("marks", Repeat(n, [(byte)'(']));
        yield return Case("a memo", [(byte)'N', .. Repeat(n, [0x94])]);
        yield return Case("a memo of dicts", Repeat(n / 2, [(byte)'}', 0x94]));
        yield return Case("short texts", Repeat(n / 2, [0x8c, 0]));
        yield return Case("texts of one letter", Repeat(n / 3, [0x8c, 1, (byte)'a']));
        yield return Case("short bytes", Repeat(n / 2, [(byte)'C', 0]));
        yield return Case("whole numbers", Repeat(n / 2, [0x8a, 0]));
        yield return Case("floats", Repeat(n / 9, [(byte)'G', 0, 0, 0, 0, 0, 0, 0, 0]));
        yield return Case("globals", Repeat(n / 5, [.. "cm\na\n"u8]));
        yield return Case("empty globals", Repeat(n / 3, [.. "c\n\n"u8]));
        yield return Case("objects", [.. "cm\na\n"u8, 0x94, .. Repeat(n / 4, [(byte)'h', 0, (byte)')', 0x81])]);
        yield return Case("ordered dicts", [.. "ccollections\nOrderedDict\n"u8, 0x94, .. Repeat(n / 4, [(byte)'h', 0, (byte)')', (byte)'R'])]);
        yield return Case("items of one dict", [(byte)'}', .. Numbered(n / 8, i => [(byte)'J', (byte)i, (byte)(i >> 8), (byte)(i >> 16), 1, (byte)'N', (byte)'s'])]);
        yield return Case("items of many dicts", Repeat(n / 4, [(byte)'}', (byte)'N', (byte)'N', (byte)'s']));
        yield return Case("nine items of many dicts", Repeat(n / 29, [(byte)'}', (byte)'(', .. Enumerable.Range(0, 9).SelectMany(k => new byte[] { (byte)'K', (byte)k, (byte)'N' }), (byte)'u']));
        yield return Case("items of many lists", Repeat(n / 3, [(byte)']', (byte)'N', (byte)'a']));
        yield return Case("one long text", new PickleBuilder(4).Op("X").UInt32(n).Op(Repeat(n, [(byte)'a'])).Cut()[2..]);
        yield return Case("one long text of two bytes a letter", new PickleBuilder(4).Op("X").UInt32(n).Op(Repeat(n / 2, [0xc3, 0xbc])).Cut()[2..]);
        byte[] tensor = new PickleBuilder(4).Global("torch._utils", "_rebuild_tensor_v2").Op(0x94).Op("(").Storage("0", 2)
            .Int(0).Tuple(1, 1, 1, 1, 1, 1, 1, 1).Tuple(1, 1, 1, 1, 1, 1, 1, 1).Op(0x89).Op("Nt").Op(0x94).Cut()[2..];
        yield return Case("tensors of eight axes", [.. tensor, .. Repeat(n / 5, [(byte)'h', 0, (byte)'h', 1, (byte)'R'])]);

        static TestCaseData Case(string name, byte[] opcodes) => new TestCaseData(opcodes).SetName($"What_a_pickle_costs({name})");
        static byte[] Numbered(int count, Func<int, byte[]> piece) => [.. Enumerable.Range(0, count).SelectMany(piece)];
    }

    private static byte[] Repeat(int count, byte[] piece)
    {
        byte[] bytes = new byte[count * piece.Length];
        for (int i = 0; i < bytes.Length; i++)
        {
            bytes[i] = piece[i % piece.Length];
        }
        return bytes;
    }

    [TestCaseSource(nameof(ExpensivePickles))]
    public void Opening_costs_at_most_what_is_promised(byte[] opcodes)
    {
        // Good up to the end, where the stack is not one value: everything was built, and the file is refused.
        byte[] pickle = new PickleBuilder(4).Op(opcodes).Op("NN").Stop();
        using var stream = new MemoryStream(Zip(pickle));
        long directory = Zip([]).Length;
        long before = GC.GetAllocatedBytesForCurrentThread();
        var watch = Stopwatch.StartNew();
        PickleFileException error = Assert.Throws<PickleFileException>(() => PyTorchFile.Open(stream, Name).Dispose())!;
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        TestContext.Out.WriteLine($"{(double)allocated / pickle.Length:F1} bytes a byte, {watch.ElapsedMilliseconds} ms");
        Assert.That(error.Item, Is.EqualTo("STOP"), error.Message);
        Assert.That(allocated, Is.LessThanOrEqualTo((long)PyTorchFile.AllocationPerByte * (pickle.Length + directory) + PyTorchFile.AllocationBase));
    }

    [Test]
    public void A_state_dict_of_many_names_costs_at_most_what_is_promised()
    {
        // One tensor of no elements under 50,000 names: the cheapest text that makes entries, and the file is good.
        PickleBuilder pickle = new PickleBuilder(4).Op("}").Tensor("0", 2, 0, [0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0]).Op(0x94).Op("0(");
        for (int i = 0; i < 50_000; i++)
        {
            pickle.Op(0x8c, 3, (byte)('a' + i / 2500), (byte)('0' + i / 50 % 50), (byte)('0' + i % 50)).Op("h").Op(0);
        }
        byte[] bytes = pickle.Op("u").Stop();
        using var stream = new MemoryStream(Zip(bytes));
        long before = GC.GetAllocatedBytesForCurrentThread();
        using PyTorchFile file = PyTorchFile.Open(stream, Name);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        TestContext.Out.WriteLine($"{(double)allocated / bytes.Length:F1} bytes a byte");
        Assert.That(file.Tensors, Has.Count.EqualTo(50_000));
        Assert.That(allocated, Is.LessThanOrEqualTo((long)PyTorchFile.AllocationPerByte * bytes.Length + PyTorchFile.AllocationBase));
    }

    [Test]
    public void A_directory_costs_at_most_what_is_promised()
    {
        ZipBuilder zip = ZipBuilder.Of(With(p => p.Op("N")), ("0", Floats(1, 2)));
        for (int i = 0; i < 20_000; i++)
        {
            zip.Add($"{i:x}", []);
        }
        byte[] file = zip.Build();
        long directory = zip.Items.Sum(item => 46L + item.Name.Length);
        using var stream = new MemoryStream(file);
        long before = GC.GetAllocatedBytesForCurrentThread();
        PyTorchFile.Open(stream, Name).Dispose();
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        TestContext.Out.WriteLine($"{(double)allocated / directory:F1} bytes a byte of directory");
        Assert.That(allocated, Is.LessThanOrEqualTo(PyTorchFile.AllocationPerByte * directory + PyTorchFile.AllocationBase));
    }

    [Test]
    public void The_fixtures_cost_little()
    {
        string path = Fixtures.Path("tiny", "nvlabs", "checkpoint.pth");
        PyTorchFile.Open(path).Dispose();
        long before = GC.GetAllocatedBytesForCurrentThread();
        var watch = Stopwatch.StartNew();
        PyTorchFile.Open(path).Dispose();
        TestContext.Out.WriteLine($"{GC.GetAllocatedBytesForCurrentThread() - before} bytes, {watch.Elapsed.TotalMilliseconds:F1} ms for 815 tensors");
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(4 << 20));
    }

    [Test]
    public void A_long_key_used_again_and_again_does_not_make_the_reader_slow()
    {
        // 4096 letters, hashed anew for every one of 40,000 dictionaries that are large enough for an index.
        PickleBuilder pickle = new PickleBuilder(4).Text(new string('k', 4096)).Op(0x94);
        byte[] dict = [(byte)'}', (byte)'(', .. Enumerable.Range(0, 9).SelectMany(k => new byte[] { (byte)'K', (byte)k, (byte)'N' }), (byte)'h', 0, (byte)'N', (byte)'u'];
        var watch = Stopwatch.StartNew();
        Refused(Zip(pickle.Op(Repeat(40_000, dict)).Stop()), "STOP");
        Assert.That(watch.Elapsed, Is.LessThan(TimeSpan.FromSeconds(5)));
    }

    /// <summary>Opens the file and reads all of it; true if that went well, false for a typed error, and any other error passes out.</summary>
    private static bool Outcome(byte[] bytes)
    {
        try
        {
            using PyTorchFile file = Open(bytes);
            foreach (PyTorchTensor tensor in file.Tensors)
            {
                tensor.Read(0, new byte[tensor.Count * tensor.Type.Size()]);
            }
            foreach (PickleValue value in file.Extras.Values)
            {
                value.Find("a", "0");
                value.TryGetDouble(out _);
            }
            return true;
        }
        catch (PickleFileException error)
        {
            Assert.That(error.Path, Is.EqualTo(Name));
            return false;
        }
    }
}
