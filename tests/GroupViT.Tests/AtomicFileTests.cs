using GroupViT.Native;

namespace GroupViT.Tests;

internal sealed class AtomicFileTests
{
    private string _folder = "";

    [SetUp]
    public void MakeFolder() => _folder = Directory.CreateTempSubdirectory("atomic-file-").FullName;

    [TearDown]
    public void RemoveFolder() => Directory.Delete(_folder, recursive: true);

    [Test]
    public void A_file_is_written_and_replaced()
    {
        string path = Path.Combine(_folder, "a.bin");
        AtomicFile.Write(path, s => s.Write([1, 2, 3]));
        AtomicFile.Write(path, s => s.Write([4]));
        Assert.That(File.ReadAllBytes(path), Is.EqualTo(new byte[] { 4 }));
        Assert.That(Directory.GetFiles(_folder), Is.EqualTo(new[] { path }));
    }

    [Test]
    public void A_failure_in_the_middle_keeps_the_old_file_and_leaves_nothing_behind()
    {
        string path = Path.Combine(_folder, "a.bin");
        File.WriteAllBytes(path, [9]);
        Assert.That(() => AtomicFile.Write(path, s => { s.Write([1, 2]); throw new OperationCanceledException(); }), Throws.TypeOf<OperationCanceledException>());
        Assert.That(File.ReadAllBytes(path), Is.EqualTo(new byte[] { 9 }));
        Assert.That(Directory.GetFiles(_folder), Is.EqualTo(new[] { path }));
    }

    [Test]
    public void A_missing_folder_is_named() => Assert.That(
        () => AtomicFile.Write(Path.Combine(_folder, "none", "a.bin"), _ => { }), Throws.TypeOf<IOException>().With.Message.Contains("a.bin: cannot be written: its folder does not exist"));

    [Test]
    public void A_folder_in_the_way_is_named()
    {
        string path = Path.Combine(_folder, "sub");
        Directory.CreateDirectory(path);
        Assert.That(() => AtomicFile.Write(path, _ => { }), Throws.TypeOf<IOException>().With.Message.Contains("it is a folder"));
        Assert.That(Directory.GetFileSystemEntries(_folder), Is.EqualTo(new[] { path }));
    }

    [Test]
    public void A_long_name_that_the_file_system_allows_is_allowed()
    {
        string path = Path.Combine(_folder, new string('n', 250));
        AtomicFile.Write(path, s => s.WriteByte(1));
        Assert.That(File.Exists(path));
    }

    [Test]
    public void A_name_that_the_file_system_refuses_leaves_nothing_behind()
    {
        Assert.That(() => AtomicFile.Write(Path.Combine(_folder, new string('n', 300)), s => s.WriteByte(1)), Throws.TypeOf<IOException>().With.Message.Contains("cannot be written"));
        Assert.That(Directory.GetFileSystemEntries(_folder), Is.Empty);
    }
}
