using System.Reflection;

namespace GroupViT.Native.Measuring;

/// <summary>How a program that lies beside the running one is started as a process of its own.</summary>
internal static class ProgramBeside
{
    /// <summary>The runtime's host: the one that runs this process, if one does.</summary>
    public static string Host => IsHosted ? Environment.ProcessPath! : "dotnet";

    private static bool IsHosted => Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet";

    /// <summary>
    /// An executable and its first arguments. This process's own, where it is the program's executable; else the host with the program's
    /// library, whose dependencies and runtime are those of whatever was started.
    /// </summary>
    /// <param name="name">Of the program, without extension.</param>
    public static (string Executable, IReadOnlyList<string> Arguments) Command(string name)
    {
        string started = Assembly.GetEntryAssembly()!.GetName().Name!;
        if (!IsHosted && started == name)
        {
            return (Environment.ProcessPath!, []);
        }
        string here = AppContext.BaseDirectory;
        return (Host, ["exec", "--depsfile", Path.Combine(here, $"{started}.deps.json"), "--runtimeconfig", Path.Combine(here, $"{started}.runtimeconfig.json"), Path.Combine(here, $"{name}.dll")]);
    }
}
