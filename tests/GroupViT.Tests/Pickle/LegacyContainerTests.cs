using GroupViT.Pickle;
using static GroupViT.Tests.Pickle.TorchBytes;

namespace GroupViT.Tests.Pickle;

/// <summary>Files of the kind that PyTorch wrote before 1.6, valid and not.</summary>
[Category("Cpu")]
internal sealed class LegacyContainerTests
{
    private static readonly byte[] Pickle = new PickleBuilder().Op("}(").Text("a").Vector("1", 2, legacy: true).Text("b").Vector("0", 1, legacy: true).Op("u").Stop();

    private static readonly (string Key, byte[] Bytes)[] Storages = [("0", Floats(9)), ("1", Floats(7, 8))];

    [Test]
    public void Storages_are_found_in_the_order_of_the_keys()
    {
        using PyTorchFile file = Open(Legacy(Pickle, Storages));
        Assert.That(file.Container, Is.EqualTo(PyTorchContainer.Legacy));
        Assert.That(ReadFloats(file.Tensors[0]), Is.EqualTo(new float[] { 7, 8 }));
        Assert.That(ReadFloats(file.Tensors[1]), Is.EqualTo(new float[] { 9 }));
    }

    [Test]
    public void Wrong_magic()
    {
        Refused([.. new PickleBuilder().Op(0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x1a).Stop(), .. Legacy(Pickle, Storages)[Magic.Length..]], "magic number");
        Refused(new PickleBuilder().Op("}").Stop(), "magic number");
        Refused([.. "PK\u0005\u0006"u8, .. new byte[100]], "begins with the bytes 504B0506");
        Refused([.. "{\"a\":1}"u8], "begins with the bytes 7B226122");
        Refused([0x1f, 0x8b], "begins with the bytes 1F8B");
        Refused([], "is empty");
        Refused([.. "PK\u0003\u0004"u8], "too short");
        Refused([0x80], "PROTO", "0 left");
    }

    [Test]
    public void A_call_before_the_magic_number()
        => Refused(new PickleBuilder().Global("os", "system").Op("(").Text("id").Op("tR").Stop(), "os.system", "Nothing was called");

    [Test]
    public void A_persistent_id_before_the_object()
    {
        byte[] file = [.. Magic, .. new PickleBuilder().Storage("0", 1, legacy: true).Stop()];
        Refused(file, "BINPERSID", "where there can be none");
    }

    [Test]
    public void Another_version() => Refused([.. LegacyHeader(version: 1002), .. Pickle], "protocol version", "1001 was expected");

    [Test]
    public void A_big_endian_machine() => Refused([.. LegacyHeader(isLittleEndian: false), .. Pickle], "big-endian");

    [Test]
    public void A_system_that_says_nothing() => Refused([.. Magic, .. new PickleBuilder().Int(1001).Stop(), .. new PickleBuilder().Op("}").Stop(), .. Pickle], "little_endian");

    [Test]
    public void Ids_without_a_sixth_entry_or_with_a_view()
    {
        Refused(Legacy(new PickleBuilder().Op("}").Text("a").Vector("1", 2).Op("s").Stop(), Storages), "BINPERSID", "None)");
        byte[] view = new PickleBuilder().Op("(").Text("storage").Global("torch", "FloatStorage").Text("1").Text("cpu").Int(2).Op("(").Text("v").Int(0).Int(1).Op("ttQ").Stop();
        Refused(Legacy(view, Storages), "BINPERSID");
    }

    [Test]
    public void Keys_that_do_not_match_the_tensors()
    {
        Refused(Legacy(Pickle, Storages[0]), "storage keys", "lists 1 storages; the tensors have 2");
        Refused(Legacy(Pickle, [.. Storages, ("2", Floats(1))]), "lists 3 storages");
        Refused(Legacy(Pickle, Storages[0], ("2", Floats(7, 8))), "names a storage that no tensor has (2)");
        Refused(Legacy(Pickle, Storages[0], Storages[0]), "storage 0", "listed twice");
        Refused([.. LegacyHeader(), .. Pickle, .. new PickleBuilder().Op("}").Stop()], "a list was expected");
        Refused([.. LegacyHeader(), .. Pickle, .. new PickleBuilder().Op("](KAKBe").Stop()], "no tensor has (an int)");
    }

    [Test]
    public void A_storage_of_another_length_than_its_tensor_says()
    {
        Refused(Legacy(Pickle, Storages[0], ("1", Floats(7))), "storage 1", "has 1 elements here; the tensors say 2");
        Refused(Legacy(Pickle, Storages[0], ("1", Floats(7, 8, 9))), "has 3 elements here");
    }

    [Test]
    public void A_storage_cut_short()
    {
        byte[] file = Legacy(Pickle, Storages);
        Refused(file[..^1], "storage 1", "the file ends after 7 of them");
        Refused(file[..^9], "storage 1", "its length was expected here");
    }

    [Test]
    public void Bytes_behind_the_last_storage() => Refused([.. Legacy(Pickle, Storages), 0], "end of the file", "1 bytes are left");

    [Test]
    public void A_storage_of_more_elements_than_the_file_has_bytes()
        => Refused(Legacy(new PickleBuilder().Op("}").Text("a").Vector("1", 1L << 50, legacy: true).Op("s").Stop(), Storages), "storage 1", "1125899906842624 elements");

    [Test]
    public void A_pickle_larger_than_any_checkpoint_s()
    {
        // Behind the header nothing but values, in a file of 4 GiB.
        using var stream = new SparseStream(1L << 32);
        byte[] header = [.. LegacyHeader(), .. new PickleBuilder().Op("B").UInt32(100_000_000).Cut()];
        stream.Write(0, header);
        PickleFileException error = Assert.Throws<PickleFileException>(() => PyTorchFile.Open(stream, Name).Dispose())!;
        Assert.That(error.Message, Does.Contain("asks for 100000000 bytes").And.Contain("the object's pickle has only"));
    }
}
