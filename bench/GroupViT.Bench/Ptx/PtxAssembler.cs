using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;
using GroupViT.Bench.Commands;

namespace GroupViT.Bench.Ptx;

/// <summary>What the assembler said of one kernel on one architecture.</summary>
/// <param name="Registers">Of a thread.</param>
/// <param name="SharedBytes">Of a group, static.</param>
/// <param name="StackBytes">Of a thread, in local memory.</param>
/// <param name="SpillBytes">Stored to and loaded from local memory, because registers ran out.</param>
internal sealed record AssembledKernel(int Registers, int SharedBytes, int StackBytes, int SpillBytes);

/// <summary>
/// NVIDIA's own assembler for PTX, from the library nvJitLink, which needs neither a GPU nor a driver. Debian's package libnvjitlink12 has
/// it (section non-free); it is a tool here and never shipped.
/// </summary>
internal static partial class PtxAssembler
{
    /// <summary>Names a file of the library where it is not installed in the system.</summary>
    public const string Variable = "GROUPVIT_NVJITLINK";

    private const int InputPtx = 2;

    private static readonly Lazy<string?> Problem = new(Find);

    /// <summary>Why it cannot be used, or null.</summary>
    public static string? WhyMissing => Problem.Value;

    /// <summary>12.4, for instance.</summary>
    public static string Version()
    {
        Check(Native.Version(out uint major, out uint minor), 0, "nvJitLinkVersion");
        return $"{major}.{minor}";
    }

    /// <exception cref="BenchException">It is refused; the assembler's words are in the message.</exception>
    public static AssembledKernel Assemble(string ptx, int architecture)
    {
        if (WhyMissing is { } reason)
        {
            throw new BenchException(reason);
        }
        nint[] options = [Marshal.StringToHGlobalAnsi($"-arch=sm_{architecture}"), Marshal.StringToHGlobalAnsi("-verbose")];
        byte[] text = [.. Encoding.ASCII.GetBytes(ptx), 0];
        nint handle = 0;
        try
        {
            Check(Native.Create(out handle, (uint)options.Length, options), 0, "nvJitLinkCreate");
            Check(Native.AddData(handle, InputPtx, text, (nuint)text.Length, "kernel"), handle, "assembling");
            Check(Native.Complete(handle), handle, "linking");
            return Parse(Log(handle, error: false));
        }
        finally
        {
            if (handle != 0)
            {
                _ = Native.Destroy(ref handle);
            }
            Array.ForEach(options, Marshal.FreeHGlobal);
        }
    }

    /// <summary>Reads the words of the assembler's -verbose.</summary>
    internal static AssembledKernel Parse(string log)
    {
        Match stack = Stack().Match(log);
        Match registers = Registers().Match(log);
        if (!stack.Success || !registers.Success)
        {
            throw new BenchException($"the assembler's words were not understood: {log}");
        }
        Match shared = Shared().Match(log);
        return new AssembledKernel(
            Number(registers.Groups[1]), shared.Success ? Number(shared.Groups[1]) : 0, Number(stack.Groups[1]), Number(stack.Groups[2]) + Number(stack.Groups[3]));

        static int Number(Group group) => int.Parse(group.Value, CultureInfo.InvariantCulture);
    }

    private static string? Find()
    {
        string file = Environment.GetEnvironmentVariable(Variable) ?? Native.Library;
        return NativeLibrary.TryLoad(file, out _)
            ? null
            : $"NVIDIA's assembler ({file}) does not load; Debian's package libnvjitlink12 has it, and {Variable} may name its file";
    }

    private static void Check(int code, nint handle, string what)
    {
        if (code != 0)
        {
            throw new BenchException($"{what} failed with {code}{(handle == 0 ? "" : $": {Log(handle, error: true)}")}");
        }
    }

    private static string Log(nint handle, bool error)
    {
        _ = error ? Native.ErrorLogSize(handle, out nuint size) : Native.InfoLogSize(handle, out size);
        byte[] log = new byte[checked((int)size) + 1];
        _ = error ? Native.ErrorLog(handle, log) : Native.InfoLog(handle, log);
        return Encoding.UTF8.GetString(log).TrimEnd('\0', '\n');
    }

    [GeneratedRegex(@"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")]
    private static partial Regex Stack();

    [GeneratedRegex(@"Used (\d+) registers")]
    private static partial Regex Registers();

    [GeneratedRegex(@"(\d+) bytes smem")]
    private static partial Regex Shared();

    private static class Native
    {
        public const string Library = "libnvJitLink.so.12";

        static Native() => NativeLibrary.SetDllImportResolver(typeof(PtxAssembler).Assembly, (name, _, _) =>
            name == Library && Environment.GetEnvironmentVariable(Variable) is { } file ? NativeLibrary.Load(file) : 0);

        [DllImport(Library, EntryPoint = "nvJitLinkVersion")]
        public static extern int Version(out uint major, out uint minor);

        [DllImport(Library, EntryPoint = "__nvJitLinkCreate_12_0")]
        public static extern int Create(out nint handle, uint count, nint[] options);

        [DllImport(Library, EntryPoint = "__nvJitLinkDestroy_12_0")]
        public static extern int Destroy(ref nint handle);

        [DllImport(Library, EntryPoint = "__nvJitLinkAddData_12_0", CharSet = CharSet.Ansi, BestFitMapping = false, ThrowOnUnmappableChar = true)]
        public static extern int AddData(nint handle, int type, byte[] data, nuint size, [MarshalAs(UnmanagedType.LPStr)] string name);

        [DllImport(Library, EntryPoint = "__nvJitLinkComplete_12_0")]
        public static extern int Complete(nint handle);

        [DllImport(Library, EntryPoint = "__nvJitLinkGetErrorLogSize_12_0")]
        public static extern int ErrorLogSize(nint handle, out nuint size);

        [DllImport(Library, EntryPoint = "__nvJitLinkGetErrorLog_12_0")]
        public static extern int ErrorLog(nint handle, byte[] log);

        [DllImport(Library, EntryPoint = "__nvJitLinkGetInfoLogSize_12_0")]
        public static extern int InfoLogSize(nint handle, out nuint size);

        [DllImport(Library, EntryPoint = "__nvJitLinkGetInfoLog_12_0")]
        public static extern int InfoLog(nint handle, byte[] log);
    }
}
