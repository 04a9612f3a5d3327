using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using GroupViT.Native;

namespace GroupViT.Kernels.Devices;

/// <summary>A kernel as the driver takes it without compiling: a cubin, or an OpenCL program's binary.</summary>
/// <param name="SharedBytes">Shared memory of a group, which ILGPU asks for before a launch.</param>
/// <param name="Code">The driver's format.</param>
internal sealed record KernelImage(int SharedBytes, byte[] Code);

/// <summary>
/// Compiled kernels in files, so that the next process compiles nothing. It never fails: what cannot be read is compiled, what cannot be
/// written is compiled again next time.
/// </summary>
/// <remarks>
/// <para>One file a kernel, named by the hash of its key (<see cref="KernelKey"/>); inside, a hash of everything, the key in full, and the
/// code. A file that is not what its name says is deleted. Files are renamed into place, so processes may share a folder.</para>
/// <para>The driver runs what it is given: a folder that others may write to is not used. It is made for its user alone.</para>
/// </remarks>
internal sealed class KernelCache(string folder)
{
    /// <summary>The environment variable that names another folder, or switches the cache off.</summary>
    public const string Variable = "GROUPVIT_KERNEL_CACHE";

    /// <summary>The value of option and variable that switches it off.</summary>
    public const string Off = "off";

    /// <summary>Above this the oldest files are deleted, until half of it is left: new versions' kernels push out old ones'.</summary>
    public const long MostBytes = 256L << 20;

    private const string Suffix = ".kernel";
    private const int MostImage = 64 << 20;
    private const int MostKey = 1 << 16;

    // Hash, length of the key, shared bytes, length of the code.
    private const int HeaderBytes = SHA256.HashSizeInBytes + 3 * sizeof(int);

    private static readonly UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    private bool isPruned;

    public string Folder => folder;

    /// <summary>The cache in a folder; null where <paramref name="choice"/> (null: the variable) switches it off, or there is no folder to have.</summary>
    public static KernelCache? Open(string? choice)
    {
        choice ??= Environment.GetEnvironmentVariable(Variable);
        string? folder = string.IsNullOrWhiteSpace(choice) ? DefaultFolder() : choice.Trim().Equals(Off, StringComparison.OrdinalIgnoreCase) ? null : choice;
        return folder is null ? null : new KernelCache(Path.GetFullPath(folder));
    }

    /// <summary>Where the system keeps what can be made again; null for a user without a home.</summary>
    public static string? DefaultFolder()
    {
        string? parent = OperatingSystem.IsWindows() ? Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData)
            : OperatingSystem.IsMacOS() ? Below(Environment.GetEnvironmentVariable("HOME"), "Library/Caches")
            // The XDG specification: a relative path is to be ignored.
            : Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } cache && Path.IsPathRooted(cache) ? cache
            : Below(Environment.GetEnvironmentVariable("HOME"), ".cache");
        return Below(parent, "groupvit-native/kernels");

        static string? Below(string? above, string name) => string.IsNullOrEmpty(above) ? null : Path.Combine(above, name);
    }

    /// <summary>The kernel of that key, if it is there and whole.</summary>
    public KernelImage? Read(string key)
    {
        string file = FileOf(key);
        try
        {
            if (!IsPrivate() || !File.Exists(file))
            {
                return null;
            }
            byte[] bytes;
            using (FileStream stream = new(file, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete))
            {
                if (stream.Length is < HeaderBytes or > MostImage + MostKey + HeaderBytes)
                {
                    bytes = [];
                }
                else
                {
                    bytes = new byte[stream.Length];
                    stream.ReadExactly(bytes);
                }
            }
            KernelImage? image = Parse(bytes, key);
            if (image is null)
            {
                Drop(key);
            }
            return image;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Keeps a kernel for later processes, if it can.</summary>
    public void Write(string key, KernelImage image)
    {
        byte[] name = Encoding.UTF8.GetBytes(key);
        if (image.Code.Length is 0 or > MostImage || name.Length > MostKey)
        {
            return;
        }
        byte[] bytes = new byte[HeaderBytes + name.Length + image.Code.Length];
        Span<byte> header = bytes.AsSpan(SHA256.HashSizeInBytes);
        BinaryPrimitives.WriteInt32LittleEndian(header, name.Length);
        BinaryPrimitives.WriteInt32LittleEndian(header[4..], image.SharedBytes);
        BinaryPrimitives.WriteInt32LittleEndian(header[8..], image.Code.Length);
        name.CopyTo(bytes, HeaderBytes);
        image.Code.CopyTo(bytes, HeaderBytes + name.Length);
        SHA256.HashData(bytes.AsSpan(SHA256.HashSizeInBytes), bytes);
        try
        {
            if (OperatingSystem.IsWindows())
            {
                Directory.CreateDirectory(folder);
            }
            else
            {
                Directory.CreateDirectory(folder, OwnerOnly);
            }
            if (!IsPrivate())
            {
                return;
            }
            Prune();
            AtomicFile.Write(FileOf(key), stream => stream.Write(bytes));
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // A full disk, a folder that may only be read: the kernel runs all the same.
        }
    }

    /// <summary>Forgets a kernel that the driver refused.</summary>
    public void Drop(string key) => Delete(FileOf(key));

    /// <summary>Why it does nothing, in words; null where it works, or would once something is written.</summary>
    public string? Problem()
    {
        try
        {
            return IsPrivate() ? null : $"{folder} can be written by others than its owner: not used";
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return exception.Message;
        }
    }

    private static KernelImage? Parse(ReadOnlySpan<byte> bytes, string key)
    {
        if (bytes.Length < HeaderBytes || !SHA256.HashData(bytes[SHA256.HashSizeInBytes..]).AsSpan().SequenceEqual(bytes[..SHA256.HashSizeInBytes]))
        {
            return null;
        }
        ReadOnlySpan<byte> header = bytes[SHA256.HashSizeInBytes..];
        int name = BinaryPrimitives.ReadInt32LittleEndian(header);
        int shared = BinaryPrimitives.ReadInt32LittleEndian(header[4..]);
        int code = BinaryPrimitives.ReadInt32LittleEndian(header[8..]);
        if (name < 0 || code <= 0 || shared < 0 || (long)HeaderBytes + name + code != bytes.Length
            || !bytes.Slice(HeaderBytes, name).SequenceEqual(Encoding.UTF8.GetBytes(key)))
        {
            return null;
        }
        return new KernelImage(shared, bytes[(HeaderBytes + name)..].ToArray());
    }

    private string FileOf(string key) => Path.Combine(folder, Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(key))) + Suffix);

    // A folder that is not there is nobody's. Windows keeps a user's own folders to him.
    private bool IsPrivate()
        => OperatingSystem.IsWindows() || !Directory.Exists(folder)
        || (File.GetUnixFileMode(folder) & (UnixFileMode.GroupWrite | UnixFileMode.OtherWrite)) == 0;

    private void Prune()
    {
        if (isPruned)
        {
            return;
        }
        isPruned = true;
        List<FileInfo> files = [.. new DirectoryInfo(folder).EnumerateFiles("*" + Suffix).OrderByDescending(file => file.LastWriteTimeUtc)];
        long bytes = files.Sum(file => file.Length);
        long target = bytes > MostBytes ? MostBytes / 2 : MostBytes;
        for (int i = files.Count - 1; bytes > target; i--)
        {
            bytes -= files[i].Length;
            Delete(files[i].FullName);
        }
    }

    private static void Delete(string file)
    {
        try
        {
            File.Delete(file);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // Another process may hold it open; it is found bad again.
        }
    }
}
