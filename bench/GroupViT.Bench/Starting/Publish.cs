using System.Diagnostics;
using System.Runtime.InteropServices;
using GroupViT.Bench.Commands;
using GroupViT.Bench.Measuring;

namespace GroupViT.Bench.Starting;

/// <summary>The command-line program as it would be shipped.</summary>
/// <param name="Name">In the tables.</param>
/// <param name="Folder">Where it was published to.</param>
internal sealed record Publish(string Name, string Folder)
{
    // Symbols and documentation are for who develops.
    private static readonly string[] NotShipped = [".pdb", ".xml"];

    public string Executable => Path.Combine(Folder, OperatingSystem.IsWindows() ? "groupvit.exe" : "groupvit");

    public int Files => Shipped.Count();

    /// <summary>Of the files that must be shipped.</summary>
    public long Bytes => Shipped.Sum(file => file.Length);

    private IEnumerable<FileInfo> Shipped => new DirectoryInfo(Folder).EnumerateFiles("*", SearchOption.AllDirectories).Where(file => !NotShipped.Contains(file.Extension));

    /// <summary>Publishes tools/groupvit for this system.</summary>
    /// <param name="name">In the tables, and of the folder under artifacts/.</param>
    /// <param name="selfContained">With the .NET runtime.</param>
    /// <param name="properties">MSBuild properties, NAME=VALUE.</param>
    /// <param name="log">Receives what is being done.</param>
    public static Publish Make(string name, bool selfContained, IReadOnlyList<string> properties, TextWriter log)
    {
        string folder = Repository.Join("artifacts", "bench", "publish", string.Concat(name.Select(letter => char.IsAsciiLetterOrDigit(letter) ? letter : '-')));
        if (Directory.Exists(folder))
        {
            Directory.Delete(folder, recursive: true);
        }
        log.WriteLine($"publishing: {name}");
        string[] arguments =
        [
            "publish", Repository.Join("tools", "groupvit"), "-c", "Release", "-r", RuntimeInformation.RuntimeIdentifier, selfContained ? "--self-contained" : "--no-self-contained",
            "-o", folder, "-m:1", "-v", "quiet", .. properties.Select(property => $"-p:{property}"),
        ];
        using Process process = Process.Start(new ProcessStartInfo("dotnet", arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0)
        {
            throw new BenchException($"publishing {name} failed: {output}{errors.Result}");
        }
        return new Publish(name, folder);
    }
}
