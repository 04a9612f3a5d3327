using GroupViT.Kernels.Devices;
using GroupViT.Tests.Tools;

namespace GroupViT.Tests.Devices;

/// <summary>Compiled kernels in files: what comes back, and what is refused.</summary>
[Category("Cpu"), FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
internal sealed class KernelCacheTests : IDisposable
{
    private static readonly KernelImage Image = new(512, [1, 2, 3, 4, 5]);

    private static readonly bool[] NewestTwo = [false, false, false, true, true];

    private readonly TemporaryFolder folder = new();
    private readonly string kernels;
    private readonly KernelCache cache;

    public KernelCacheTests()
    {
        kernels = folder.Join("deep/er");
        cache = new KernelCache(kernels);
    }

    public void Dispose() => folder.Dispose();

    [Test]
    public void What_was_written_is_read_by_another()
    {
        Assert.That(cache.Read("a"), Is.Null, "nothing is there yet");
        cache.Write("a", Image);
        AssertIsImage(new KernelCache(kernels).Read("a"));
        Assert.That(cache.Read("b"), Is.Null, "another key");
        cache.Write("a", new KernelImage(7, [9]));
        Assert.That(cache.Read("a")!.Code, Is.EqualTo(new byte[] { 9 }), "written again");
        Assert.That(Directory.GetFiles(kernels), Has.Length.EqualTo(1), "and nothing else is left");
    }

    [Test]
    public void Every_damaged_byte_is_seen_and_the_file_dropped()
    {
        cache.Write("a", Image);
        string file = Directory.GetFiles(kernels).Single();
        byte[] whole = File.ReadAllBytes(file);
        for (int i = 0; i < whole.Length; i++)
        {
            byte[] bytes = [.. whole];
            bytes[i] ^= 0x10;
            File.WriteAllBytes(file, bytes);
            Assert.That(cache.Read("a"), Is.Null, $"byte {i} changed");
            Assert.That(File.Exists(file), Is.False, $"byte {i} changed: dropped");
        }
        for (int length = 0; length < whole.Length; length++)
        {
            File.WriteAllBytes(file, whole.AsSpan(0, length));
            Assert.That(cache.Read("a"), Is.Null, $"cut to {length} bytes");
        }
        File.WriteAllBytes(file, [.. whole, 0]);
        Assert.That(cache.Read("a"), Is.Null, "one byte more");
    }

    [Test]
    public void A_file_under_anothers_name_is_not_taken_for_it()
    {
        cache.Write("a", Image);
        string first = Directory.GetFiles(kernels).Single();
        cache.Write("b", new KernelImage(0, [6]));
        string second = Directory.GetFiles(kernels).Single(file => file != first);
        File.Copy(second, first, overwrite: true);
        Assert.That(cache.Read("a"), Is.Null);
        Assert.That(cache.Read("b"), Is.Not.Null);
    }

    [Test]
    public void The_folder_is_its_users_alone_and_one_that_others_write_to_is_not_used()
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Ignore("file modes are Unix's");
            return;
        }
        cache.Write("a", Image);
        Assert.That(File.GetUnixFileMode(kernels), Is.EqualTo(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute));
        Assert.That(cache.Problem(), Is.Null);
        foreach (UnixFileMode others in (UnixFileMode[])[UnixFileMode.GroupWrite, UnixFileMode.OtherWrite])
        {
            File.SetUnixFileMode(kernels, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | others);
            Assert.That(cache.Read("a"), Is.Null, $"{others}: read");
            cache.Write("b", Image);
            Assert.That(Directory.GetFiles(kernels), Has.Length.EqualTo(1), $"{others}: written");
            Assert.That(cache.Problem(), Does.Contain(kernels));
        }
    }

    [Test]
    public void A_folder_that_cannot_be_made_costs_nothing_but_time()
    {
        File.WriteAllText(folder.Join("file"), "");
        KernelCache blocked = new(folder.Join("file/below"));
        Assert.DoesNotThrow(() => blocked.Write("a", Image));
        Assert.That(blocked.Read("a"), Is.Null);
    }

    [TestCase("off", ExpectedResult = null)]
    [TestCase("OFF ", ExpectedResult = null)]
    [TestCase("/some/where", ExpectedResult = "/some/where")]
    public string? The_choice_names_a_folder_or_none(string choice) => KernelCache.Open(choice)?.Folder;

    [Test]
    public void The_oldest_go_when_there_is_too_much()
    {
        Directory.CreateDirectory(kernels);
        // Files with holes: their length counts, and they take no disk.
        string[] old = [.. Enumerable.Range(0, 5).Select(i => Path.Combine(kernels, $"{i}.kernel"))];
        for (int i = 0; i < old.Length; i++)
        {
            using (FileStream stream = new(old[i], FileMode.CreateNew))
            {
                stream.SetLength(KernelCache.MostBytes / 4);
            }
            File.SetLastWriteTimeUtc(old[i], new DateTime(2026, 1, 1 + i, 0, 0, 0, DateTimeKind.Utc));
        }
        cache.Write("a", Image);
        Assert.That(old.Select(File.Exists), Is.EqualTo(NewestTwo));
        AssertIsImage(cache.Read("a"));
    }

    [Test]
    public void Keys_tell_kernels_variants_groups_and_devices_apart()
    {
        GpuKernel narrow = new(((Action<ILGPU.ArrayView<float>>)Probe<int>).Method, 64);
        GpuKernel wide = new(narrow.Method, 128);
        GpuKernel other = new(((Action<ILGPU.ArrayView<float>>)Probe<KernelCacheTests>).Method, 64);
        GpuKernel two = new(((Action<ILGPU.ArrayView<float>>)Probe<Pair<Quad>>).Method, 64);
        GpuKernel four = new(((Action<ILGPU.ArrayView<float>>)Probe<Pair<Pair<Quad>>>).Method, 64);
        string[] keys =
        [
            KernelKey.Of(narrow, "x"), KernelKey.Of(wide, "x"), KernelKey.Of(narrow with { GroupsAtOnce = 2 }, "x"), KernelKey.Of(other, "x"), KernelKey.Of(narrow, "y"),
            KernelKey.Of(two, "x"), KernelKey.Of(four, "x"),
        ];
        Assert.That(keys, Is.Unique);
        Assert.That(KernelKey.Of(new GpuKernel(narrow.Method, 64), "x"), Is.EqualTo(keys[0]));
        foreach (Type type in (Type[])[typeof(KernelCache), typeof(ILGPU.Context), typeof(KernelCacheTests)])
        {
            Assert.That(keys[0], Does.Contain(type.Module.ModuleVersionId.ToString()), type.Module.Name);
        }
    }

    private static void Probe<T>(ILGPU.ArrayView<float> values) => values[0] = typeof(T).Name.Length;

    private static void AssertIsImage(KernelImage? image)
    {
        Assert.That(image, Is.Not.Null);
        Assert.That(image!.SharedBytes, Is.EqualTo(Image.SharedBytes));
        Assert.That(image.Code, Is.EqualTo(Image.Code));
    }
}
