using GroupViT.Pickle;
using static GroupViT.Tests.Pickle.TorchBytes;

namespace GroupViT.Tests.Pickle;

/// <summary>Archives that PyTorch did not write. All hold a good pickle, so that only the archive can be the reason.</summary>
[Category("Cpu")]
internal sealed class StoredZipTests
{
    private static readonly byte[] Pickle = new PickleBuilder().Op("}").Text("weight").Vector("0", 2).Op("s").Stop();

    private static ZipBuilder Good => ZipBuilder.Of(Pickle, ("0", Floats(1, 2)));

    [Test]
    public void The_archive_that_the_others_are_made_from_is_good()
    {
        using PyTorchFile file = Open(Good.Build());
        Assert.That(ReadFloats(file.Tensors[0]), Is.EqualTo(new float[] { 1, 2 }));
        using PyTorchFile plain = Open(Good.With(z => z.HasZip64 = false).Build());
        Assert.That(plain.Tensors, Has.Count.EqualTo(1));
    }

    [Test]
    public void Deflated_entries()
    {
        RefusedArchive(z => z["data.pkl"].Method = 8, "archive/data.pkl", "compressed (method 8)");
        RefusedArchive(z => z["data/0"].Method = 8, "archive/data/0", "compressed (method 8)");
    }

    [Test]
    public void Encrypted_and_patched_entries()
    {
        RefusedArchive(z => z["data/0"].Flags |= 1, "archive/data/0", "encrypted");
        RefusedArchive(z => z["data/0"].Flags |= 1 << 5, "archive/data/0", "patched");
        RefusedArchive(z => z["data/0"].Flags |= 1 << 13, "archive/data/0", "encrypted");
    }

    [Test]
    public void Duplicate_entries()
    {
        RefusedArchive(z => z.Add("data/0", Floats(3, 4)), "archive/data/0", "there twice");
        RefusedArchive(z => z.Add("data.pkl", Pickle), "archive/data.pkl", "there twice");
    }

    [TestCase("archive/../../etc/passwd")]
    [TestCase("../archive/data/1")]
    [TestCase("archive/data/..")]
    [TestCase("archive/./data/1")]
    [TestCase("/archive/data/1")]
    [TestCase("archive//data/1")]
    [TestCase("archive/data/")]
    [TestCase("archive\\data\\1")]
    public void Entries_that_lead_elsewhere(string name)
        => RefusedArchive(z => z.Items.Add(new ZipItem(name, [])), "may lead out of the archive");

    [Test]
    public void Entries_with_control_characters_in_their_names()
    {
        RefusedArchive(z => z.Items.Add(new ZipItem("archive/data/1\0.txt", [])), "may lead out of the archive");
        RefusedArchive(z => z.Items.Add(new ZipItem("archive/data/\u001b[2J", [])), "may lead out of the archive");
    }

    [Test]
    public void Entries_in_no_folder_or_in_several()
    {
        RefusedArchive(z => z.Items.Add(new ZipItem("data", [])), "lies in no folder");
        RefusedArchive(z => z.Items.Add(new ZipItem("other/data/1", [])), "other/data/1", "another folder");
    }

    [Test]
    public void Names_of_no_or_endless_length_or_of_no_text()
    {
        RefusedArchive(z => z.Items.Add(new ZipItem("", [])), "a name of 0 bytes");
        RefusedArchive(z => z.Add(new string('n', 600), []), "a name of 608 bytes");
        byte[] file = Good.Build();
        int at = file.AsSpan().LastIndexOf("archive/data/0"u8);
        file[at] = 0xff;
        Refused(file, "not UTF-8");
    }

    [Test]
    public void Overlapping_entries()
    {
        // The second entry's header lies inside the first one's bytes, where it is good: both would be read.
        byte[] inner = Good.Build();
        RefusedArchive(z =>
        {
            z.Items.Insert(0, new ZipItem("archive/outer", inner));
            z["data.pkl"].Offset = 64;
        }, "archive/data.pkl", "overlaps archive/outer");
        RefusedArchive(z => z["data/0"].Length = z["data/0"].Packed = 80, "archive/version", "overlaps archive/data/0");
    }

    [Test]
    public void Two_names_for_the_same_bytes()
    {
        // Both entries of the directory lead to one local header, whose name can be that of one only.
        byte[] file = Good.With(z => z.Add("data/1", Floats(1, 2))).With(z => z["data/1"].Offset = 0).Build();
        Refused(file, "archive/data/1", "another name in front of its bytes");
    }

    [Test]
    public void A_local_header_of_another_name() => RefusedArchive(z => z["data/0"].LocalName = "archive/data/9", "archive/data/0", "another name");

    [Test]
    public void A_local_header_of_another_length()
    {
        RefusedArchive(z => z["data/0"].LocalLength = 4, "archive/data/0", "4 bytes by its own header and 8");
        Good.With(z => z["data/0"].LocalLength = 8).Build();
        RefusedArchive(z => z["data/0"].Flags = 0, "archive/data/0", "0 bytes by its own header and 8");
        RefusedArchive(z =>
        {
            z["data/0"].Packed = 9;
        }, "archive/data/0", "9 bytes are to become 8");
    }

    [Test]
    public void Entries_that_end_beyond_the_directory_or_the_file()
    {
        RefusedArchive(z => z["version"].Length = z["version"].Packed = 1_000_000, "archive/version", "has 1000000 bytes", "the directory begins");
        RefusedArchive(z => z["version"].Length = z["version"].Packed = 0xfffffffe, "archive/version", "has 4294967294 bytes");
        RefusedArchive(z => z["version"].Offset = 0xfffffff0, "archive/version", "begins at byte 4294967280");
        RefusedArchive(z => z["version"].Offset = 3, "archive/version", "header was expected here");
    }

    [Test]
    public void Zip64_fields_that_lie_or_are_missing()
    {
        RefusedArchive(z => z["data/0"].Length = uint.MaxValue, "archive/data/0", "zip64 field that is not there");
        RefusedArchive(z => Wide(z["data/0"], ulong.MaxValue, ulong.MaxValue), "archive/data/0", "has 18446744073709551615 bytes");
        RefusedArchive(z => Wide(z["data/0"], long.MaxValue, long.MaxValue), "archive/data/0", "has 9223372036854775807 bytes");
        RefusedArchive(z => Wide(z["data/0"], 8, 9), "archive/data/0", "9 bytes are to become 8");
        RefusedArchive(z =>
        {
            z["data/0"].Offset = uint.MaxValue;
            z["data/0"].Extra = new Bytes().UInt16(1).UInt16(8).UInt64(1UL << 63).ToArray();
        }, "archive/data/0", "begins at byte 9223372036854775808");
        RefusedArchive(z =>
        {
            z["data/0"].Length = z["data/0"].Packed = uint.MaxValue;
            z["data/0"].Extra = new Bytes().UInt16(1).UInt16(4).UInt32(8).ToArray();
        }, "archive/data/0", "zip64 field that is too short");
        RefusedArchive(z => z["data/0"].Extra = new Bytes().UInt16(1).UInt16(400).ToArray(), "archive/data/0", "extra field of 400 bytes in 0");
        using PyTorchFile good = Open(Good.With(z => Wide(z["data/0"], 8, 8)).Build());
        Assert.That(ReadFloats(good.Tensors[0]), Is.EqualTo(new float[] { 1, 2 }));

        static void Wide(ZipItem item, ulong length, ulong packed)
        {
            item.Length = item.Packed = uint.MaxValue;
            item.Extra = new Bytes().UInt16(1).UInt16(16).UInt64(length).UInt64(packed).ToArray();
        }
    }

    [Test]
    public void Zip_bomb_directory_counts()
    {
        RefusedArchive(z => z.Count64 = ulong.MaxValue, "end of the archive's directory", "says 18446744073709551615");
        RefusedArchive(z => (z.Count64, z.Count) = (ulong.MaxValue, ushort.MaxValue), "18446744073709551615 entries", "cannot hold");
        RefusedArchive(z => (z.Count64, z.Count) = (1UL << 40, ushort.MaxValue), "1099511627776 entries", "cannot hold");
        RefusedArchive(z => (z.HasZip64, z.Count) = (false, 65535), "65535 entries", "cannot hold");
        RefusedArchive(z => (z.HasZip64, z.Count) = (false, 5), "the directory has only 0 left");
        RefusedArchive(z => (z.HasZip64, z.Count) = (false, 3), "bytes of the directory are left");
        RefusedArchive(z => (z.HasZip64, z.Count) = (false, 0), "bytes of the directory are left");
    }

    [Test]
    public void Directories_that_are_elsewhere()
    {
        RefusedArchive(z => (z.HasZip64, z.DirectoryOffset) = (false, 0), "the directory must end at byte");
        RefusedArchive(z => (z.HasZip64, z.DirectoryOffset) = (false, uint.MaxValue), "the directory must end at byte");
        RefusedArchive(z => (z.HasZip64, z.DirectoryLength) = (false, uint.MaxValue), "the directory must end at byte");
        RefusedArchive(z => (z.DirectoryOffset64, z.DirectoryOffset) = (ulong.MaxValue, uint.MaxValue), "the directory must end at byte");
        RefusedArchive(z => z.DirectoryOffset64 = 5, "where the plain record says");
    }

    [Test]
    public void Archives_of_several_parts()
    {
        RefusedArchive(z => z.Disks = 1, "several parts");
        RefusedArchive(z => z["data/0"].Disk = 1, "archive/data/0", "another part");
    }

    [Test]
    public void Comments() => RefusedArchive(z => z["data/0"].CommentLength = 5, "archive/data/0", "comment");

    [Test]
    public void Bytes_behind_the_archive() => Refused([.. Good.Build(), 0], "end of the archive's directory", "something was put behind it");

    [Test]
    public void Two_archives_one_behind_the_other()
    {
        // Readers that search backwards and readers that search forwards would read different files.
        byte[] good = Good.Build();
        Refused([.. good, .. good], "its locator says byte");
        byte[] plain = Good.With(z => z.HasZip64 = false).Build();
        Refused([.. plain, .. plain], "the directory must end at byte");
    }

    [Test]
    public void An_archive_without_a_pickle_or_a_version()
    {
        RefusedArchive(z => z.Items.Remove(z["data.pkl"]), "archive/data.pkl", "not in the archive");
        RefusedArchive(z => z.Items.Remove(z["version"]), "archive/.data/version", "not in the archive");
        RefusedArchive(z =>
        {
            z.Items.Clear();
            z.HasZip64 = false;
        }, "begins with the bytes 504B0506");
        Open(Good.With(z => z["version"].Name = "archive/.data/version").Build()).Dispose();
    }

    [Test]
    public void Versions_and_byte_orders_that_are_not_read()
    {
        RefusedArchive(z => z["version"].Bytes = "11\n"u8.ToArray(), "archive/version", "'11'");
        RefusedArchive(z => z["version"].Bytes = "-1\n"u8.ToArray(), "archive/version", "'-1'");
        RefusedArchive(z => z["version"].Bytes = [], "archive/version", "''");
        RefusedArchive(z => z["version"].Bytes = new byte[100], "archive/version", "100 bytes");
        RefusedArchive(z => z["byteorder"].Bytes = "big"u8.ToArray(), "archive/byteorder", "'big'");
        RefusedArchive(z => z["byteorder"].Bytes = new byte[100], "archive/byteorder", "100 bytes");
        Open(Good.With(z => z.Items.Remove(z["byteorder"])).Build()).Dispose();
    }

    [Test]
    public void TorchScript_programs() => RefusedArchive(z => z.Add("constants.pkl", Pickle), "TorchScript");

    [Test]
    public void A_directory_larger_than_any_checkpoint_s()
    {
        using var stream = new SparseStream(1L << 32);
        stream.Write(0, [0x50, 0x4b, 3, 4]);
        stream.Write((1L << 32) - 22, new Bytes().UInt32(0x06054b50).UInt16(0).UInt16(0).UInt16(9).UInt16(9).UInt32(uint.MaxValue - 21).UInt32(0).UInt16(0).ToArray());
        PickleFileException error = Assert.Throws<PickleFileException>(() => PyTorchFile.Open(stream, Name).Dispose())!;
        Assert.That(error.Message, Does.Contain("directory has 4294967274 bytes"));
    }

    [Test]
    public void An_archive_of_more_than_4_gigabytes_is_read()
    {
        // A storage of 5 GiB, and one behind it whose place needs more than 32 bits: what zip64 is for. The stream holds what was written only.
        const long far = 5L << 30;
        byte[] pickle = new PickleBuilder().Op("}(").Text("far").Vector("1", 2).Text("wide").Vector("0", far / 4).Op("u").Stop();
        byte[] head = ZipBuilder.Of(pickle, ("0", [])).Build();
        int storage = head.AsSpan().IndexOf("archive/data/0"u8) - 30;
        int data = (storage + 30 + 14 + 4 + 63) / 64 * 64;
        byte[] local = [.. new Bytes().UInt32(0x04034b50).UInt16(0).UInt16(0x0808).UInt16(0).UInt32(0).UInt32(0).UInt32(0).UInt32(0).UInt16(14).UInt16(0).Raw("archive/data/1"u8).ToArray()];
        byte[] version = [.. new Bytes().UInt32(0x04034b50).UInt16(0).UInt16(0x0808).UInt16(0).UInt32(0).UInt32(0).UInt32(0).UInt32(0).UInt16(15).UInt16(0).Raw("archive/version"u8).Raw("3\n"u8).ToArray()];
        long second = data + far, third = second + local.Length + 8, start = third + version.Length;
        Bytes directory = new();
        Central("archive/data.pkl", (ulong)pickle.Length, 0);
        Central("archive/data/0", far, (ulong)storage);
        Central("archive/data/1", 8, (ulong)second);
        Central("archive/version", 2, (ulong)third);
        ulong length = (ulong)directory.Count;
        directory.UInt32(0x06064b50).UInt64(44).UInt16(0).UInt16(45).UInt32(0).UInt32(0).UInt64(4).UInt64(4).UInt64(length).UInt64((ulong)start)
            .UInt32(0x07064b50).UInt32(0).UInt64((ulong)start + length).UInt32(1)
            .UInt32(0x06054b50).UInt16(0).UInt16(0).UInt16(4).UInt16(4).UInt32((uint)length).UInt32(uint.MaxValue).UInt16(0);
        byte[] tail = directory.ToArray();
        using var stream = new SparseStream(start + tail.Length);
        stream.Write(0, head.AsSpan(0, data));
        stream.Write(second, [.. local, .. Floats(7, 8), .. version, .. tail]);
        long before = GC.GetAllocatedBytesForCurrentThread();
        using PyTorchFile file = PyTorchFile.Open(stream, Name);
        Assert.That(ReadFloats(file.Tensors[0]), Is.EqualTo(new float[] { 7, 8 }));
        Assert.That(file.Tensors[1].Count, Is.EqualTo(far / 4));
        file.Tensors[1].Read(far / 4 - 2, new byte[8]);
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(1 << 20));

        void Central(string name, ulong bytes, ulong offset)
        {
            byte[] utf8 = System.Text.Encoding.UTF8.GetBytes(name);
            directory.UInt32(0x02014b50).UInt16(0).UInt16(45).UInt16(0x0808).UInt16(0).UInt32(0).UInt32(0).UInt32(uint.MaxValue).UInt32(uint.MaxValue)
                .UInt16(utf8.Length).UInt16(28).UInt16(0).UInt16(0).UInt16(0).UInt32(0).UInt32(uint.MaxValue).Raw(utf8)
                .UInt16(1).UInt16(24).UInt64(bytes).UInt64(bytes).UInt64(offset);
        }
    }

    private static void RefusedArchive(Action<ZipBuilder> change, params string[] words) => Refused(Good.With(change).Build(), words);
}
