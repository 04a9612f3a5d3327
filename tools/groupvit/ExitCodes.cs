using System.CommandLine;
using GroupViT.Kernels.Devices;
using GroupViT.Native;
using GroupViT.Tool.Pictures;

namespace GroupViT.Tool;

/// <summary>A command line that cannot be carried out as it was given; the message says what would be right.</summary>
internal sealed class UsageException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>What the program tells its caller, and how errors become it.</summary>
internal static class ExitCodes
{
    /// <summary>All done.</summary>
    public const int Done = 0;

    /// <summary>Some input failed.</summary>
    public const int InputFailed = 1;

    /// <summary>The command line, the model or the device cannot be used.</summary>
    public const int Usage = 2;

    /// <summary>Cancelled (Ctrl-C).</summary>
    public const int Cancelled = 130;

    /// <summary>
    /// Carries out a command on a pool thread, so that the caller can give up waiting for it when the process is to end, and turns an error
    /// into one line on standard error and an exit code.
    /// </summary>
    public static Task<int> Run(ParseResult parsed, Func<CancellationToken, int> command, CancellationToken cancellation)
        => Task.Run(() => Run(parsed.InvocationConfiguration.Error, () => command(cancellation)), CancellationToken.None);

    /// <summary>Carries out a command on this thread; see the other overload.</summary>
    public static int Run(TextWriter error, Func<int> command)
    {
        try
        {
            return command();
        }
        catch (Exception exception)
        {
            Exception cause = Unwrap(exception);
            if (cause is OperationCanceledException)
            {
                error.WriteLine("groupvit: cancelled");
                return Cancelled;
            }
            error.WriteLine($"groupvit: {Describe(cause)}");
            if (!IsExpected(cause))
            {
                // A fault of the program: what happened is worth more than a tidy line.
                error.WriteLine(cause.StackTrace);
            }
            return Of(cause);
        }
    }

    /// <summary>The exit code of an error that ends a command.</summary>
    public static int Of(Exception exception) => Unwrap(exception) switch
    {
        OperationCanceledException => Cancelled,
        ImageFileException or NumericalException => InputFailed,
        _ => Usage,
    };

    /// <summary>True for an error of one picture, after which the next can go on.</summary>
    public static bool IsOfInput(Exception exception)
        => exception is ImageFileException or NumericalException or SessionLimitException or NoPictureException;

    /// <summary>The error in one line.</summary>
    public static string Describe(Exception exception)
    {
        Exception cause = Unwrap(exception);
        if (cause is DeviceUnavailableException)
        {
            return CommonOptions.InOurWords(cause.Message);
        }
        // "(Parameter 'x')" is of use to programmers only.
        string message = cause is ArgumentException { ParamName: { } name } ? cause.Message.Replace($" (Parameter '{name}')", "", StringComparison.Ordinal) : cause.Message;
        message = string.Join(' ', message.Split(['\r', '\n'], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries));
        return IsExpected(cause) ? message : $"unexpected {cause.GetType().Name}: {message}";
    }

    private static bool IsExpected(Exception exception)
        => exception is GroupVitException or UsageException or NoPictureException or OutOfDeviceMemoryException or ArgumentException or IOException or UnauthorizedAccessException or OutOfMemoryException;

    private static Exception Unwrap(Exception exception)
        => exception is AggregateException { InnerExceptions.Count: 1 } aggregate ? Unwrap(aggregate.InnerExceptions[0]) : exception;
}
