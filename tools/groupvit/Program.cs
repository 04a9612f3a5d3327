using System.CommandLine;
using System.CommandLine.Invocation;
using System.Text;
using GroupViT.Tool.Commands;

namespace GroupViT.Tool;

/// <summary>The program groupvit.</summary>
internal static class GroupVitProgram
{
    /// <summary>What is left of the second that a cancelled command may take; the rest is the process's own end.</summary>
    private static readonly TimeSpan TerminationTimeout = TimeSpan.FromMilliseconds(600);

    public static int Main(string[] args)
    {
        using TextWriter redirected = Console.IsOutputRedirected ? Utf8(Console.OpenStandardOutput()) : TextWriter.Null;
        return Run(args, Console.IsOutputRedirected ? redirected : Console.Out, Console.Error);
    }

    /// <summary>Runs a command line.</summary>
    /// <param name="args">Without the program's name.</param>
    /// <param name="output">Standard output.</param>
    /// <param name="error">Standard error.</param>
    /// <param name="cancellation">Cancels as Ctrl-C does.</param>
    /// <returns>The exit code.</returns>
    public static int Run(string[] args, TextWriter output, TextWriter error, CancellationToken cancellation = default)
    {
        RootCommand root = new("GroupViT: segmentation, classification and embeddings by free text.");
        foreach (Command command in CommandList.All())
        {
            root.Add(command);
        }
        // No response files: a label or a picture may begin with an @.
        ParseResult parsed = root.Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
        if (parsed.Action is null or ParseErrorAction)
        {
            foreach (string problem in parsed.Errors.Select(found => found.Message).Distinct())
            {
                error.WriteLine($"groupvit: {problem}");
            }
            string command = parsed.CommandResult.Command == root ? "groupvit" : $"groupvit {parsed.CommandResult.Command.Name}";
            error.WriteLine($"groupvit: '{command} --help' lists what there is");
            return ExitCodes.Usage;
        }
        InvocationConfiguration configuration = new()
        {
            Output = output,
            Error = error,
            EnableDefaultExceptionHandler = false,
            ProcessTerminationTimeout = TerminationTimeout,
        };
        int code = parsed.InvokeAsync(configuration, cancellation).GetAwaiter().GetResult();
        output.Flush();
        return code;
    }

    // Whatever the locale says: JSON is UTF-8. Flushed line by line, for who reads along.
    private static StreamWriter Utf8(Stream stream) => new(stream, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false)) { AutoFlush = true };
}
