using System.Runtime.InteropServices;
using System.Text.Json;

namespace GroupViT.Bench.Peers.Facts;

/// <summary>Bytes on disk of what must be shipped beside the program and the .NET runtime to use some libraries here.</summary>
/// <param name="Managed">Bytes of assemblies.</param>
/// <param name="Native">Bytes of shared libraries for this system.</param>
internal sealed record Shipped(long Managed, long Native)
{
    public long Total => Managed + Native;

    /// <summary>Sums the files of the libraries and of all that they depend on, as this program's deps.json names them.</summary>
    public static Shipped Of(IEnumerable<string> libraries)
    {
        string folder = AppContext.BaseDirectory;
        using JsonDocument deps = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, typeof(Shipped).Assembly.GetName().Name + ".deps.json")));
        string target = deps.RootElement.GetProperty("runtimeTarget").GetProperty("name").GetString()!;
        Dictionary<string, JsonElement> all = deps.RootElement.GetProperty("targets").GetProperty(target).EnumerateObject()
            .ToDictionary(library => library.Name.Split('/')[0], library => library.Value, StringComparer.OrdinalIgnoreCase);

        HashSet<string> seen = new(StringComparer.OrdinalIgnoreCase);
        Queue<string> open = new(libraries);
        HashSet<string> managed = [];
        HashSet<string> native = [];
        while (open.TryDequeue(out string? name))
        {
            if (!seen.Add(name) || !all.TryGetValue(name, out JsonElement library))
            {
                continue;
            }
            foreach (JsonProperty dependency in Members(library, "dependencies"))
            {
                open.Enqueue(dependency.Name);
            }
            managed.UnionWith(Members(library, "runtime").Select(asset => asset.Name));
            native.UnionWith(Members(library, "native").Select(asset => asset.Name));
            foreach (JsonProperty asset in Members(library, "runtimeTargets").Where(asset => IsForHere(asset.Value.GetProperty("rid").GetString()!)))
            {
                (asset.Value.GetProperty("assetType").GetString() == "native" ? native : managed).Add(asset.Name);
            }
        }
        return new Shipped(managed.Sum(asset => Size(folder, asset)), native.Sum(asset => Size(folder, asset)));
    }

    private static IEnumerable<JsonProperty> Members(JsonElement library, string name)
        => library.TryGetProperty(name, out JsonElement members) ? members.EnumerateObject() : [];

    private static bool IsForHere(string rid)
        => rid == RuntimeInformation.RuntimeIdentifier
        || (OperatingSystem.IsLinux() && rid is "linux" or "unix")
        || (OperatingSystem.IsWindows() && rid is "win")
        || (OperatingSystem.IsMacOS() && rid is "osx" or "unix");

    // Where a build keeps a package's folders, and where it puts the file itself.
    private static long Size(string folder, string asset)
    {
        foreach (string path in (string[])[Path.Combine(folder, asset), Path.Combine(folder, Path.GetFileName(asset))])
        {
            if (File.Exists(path))
            {
                return new FileInfo(path).Length;
            }
        }
        throw new FileNotFoundException($"{asset} is named in deps.json and is not there");
    }
}
