using System.Text.Json;
using GroupViT.Tool;

namespace GroupViT.Tests.Tools;

/// <summary>One run of the program, in this process.</summary>
internal sealed record ToolRun(int Code, string Output, string Error)
{
    public string[] Lines => Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);

    /// <summary>Standard output as one JSON value on each line; fails if anything else is there.</summary>
    public JsonElement[] Json => [.. Lines.Select(line => JsonDocument.Parse(line).RootElement)];

    public static ToolRun Of(params string[] arguments)
    {
        using StringWriter output = new() { NewLine = "\n" };
        using StringWriter error = new() { NewLine = "\n" };
        int code = GroupVitProgram.Run(arguments, output, error);
        return new ToolRun(code, output.ToString(), error.ToString());
    }

    /// <summary>As <see cref="Of"/>, on the cpu device and with few threads.</summary>
    public static ToolRun OnCpu(params string[] arguments) => Of([.. arguments, "--device", "cpu", "--threads", "2"]);
}

/// <summary>A folder of a test's own, deleted with it.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("groupvit-");

    public string Path => folder.FullName;

    public string[] Files => [.. folder.EnumerateFileSystemInfos("*", new EnumerationOptions { AttributesToSkip = 0 }).Select(file => file.Name).Order(StringComparer.Ordinal)];

    public string Join(string name) => System.IO.Path.Combine(Path, name);

    public string Write(string name, byte[] bytes)
    {
        string path = Join(name);
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(path)!);
        File.WriteAllBytes(path, bytes);
        return path;
    }

    public void Dispose() => folder.Delete(recursive: true);
}
