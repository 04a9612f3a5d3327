using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using GroupViT.Tool.Hub;
using Spectre.Console;

namespace GroupViT.Tool;

/// <summary>
/// What a command prints: drawn tables and a progress bar where standard output is a terminal, plain text otherwise, JSON and nothing else
/// with <c>--json</c>. Notes and errors go to standard error.
/// </summary>
internal sealed class Output
{
    private static readonly JsonWriterOptions Compact = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private static readonly JsonWriterOptions Indented = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, Indented = true };

    private readonly TextWriter output;
    private readonly TextWriter error;
    private readonly IAnsiConsole? console;

    /// <summary>Prints where a command line says.</summary>
    public Output(ParseResult parsed, bool json = false, bool quiet = false)
        : this(parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error, json, quiet)
    {
    }

    public Output(TextWriter output, TextWriter error, bool json, bool quiet)
    {
        (this.output, this.error, IsJson, IsQuiet) = (output, error, json, quiet);
        // Only the process's own standard output can be a terminal.
        if (ReferenceEquals(output, Console.Out) && !Console.IsOutputRedirected)
        {
            console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(output) });
        }
    }

    public bool IsJson { get; }

    public bool IsQuiet { get; }

    /// <summary>True where text for people is wanted.</summary>
    public bool IsTalkative => !IsJson && !IsQuiet;

    /// <summary>A line for people on standard output.</summary>
    public void Line(string text)
    {
        if (!IsTalkative)
        {
            return;
        }
        if (console is not null)
        {
            console.WriteLine(text);
        }
        else
        {
            output.WriteLine(text);
        }
    }

    /// <summary>A note on standard error, unless --quiet.</summary>
    public void Note(string text)
    {
        if (!IsQuiet)
        {
            error.WriteLine($"groupvit: {text}");
        }
    }

    /// <summary>An error on standard error.</summary>
    public void Problem(string text) => error.WriteLine($"groupvit: {text}");

    /// <summary>One JSON value and a line's end on standard output.</summary>
    public void Json(Action<Utf8JsonWriter> write) => output.WriteLine(Encoding.UTF8.GetString(JsonBytes(write, Compact)));

    /// <summary>One JSON value, indented, as the bytes of a file.</summary>
    public static byte[] JsonFile(Action<Utf8JsonWriter> write) => [.. JsonBytes(write, Indented), (byte)'\n'];

    /// <summary>A table for people: <paramref name="headers"/> that begin with '&gt;' head columns of numbers.</summary>
    public void Table(IReadOnlyList<string> headers, IReadOnlyList<IReadOnlyList<TableCell>> rows)
    {
        if (!IsTalkative)
        {
            return;
        }
        if (console is null)
        {
            PlainTable(headers, rows);
            return;
        }
        Table table = new() { Border = TableBorder.Rounded };
        foreach (string header in headers)
        {
            TableColumn column = new(Markup.Escape(header.TrimStart('>')));
            table.AddColumn(header.StartsWith('>') ? column.RightAligned() : column);
        }
        foreach (IReadOnlyList<TableCell> row in rows)
        {
            table.AddRow(row.Select(cell => new Markup(cell.Swatch is { } color
                ? $"[rgb({color.R},{color.G},{color.B})]██[/] {Markup.Escape(cell.Text)}"
                : Markup.Escape(cell.Text))));
        }
        console.Write(table);
    }

    /// <summary>Numbers as bars, the largest the longest, where there is a terminal to draw on; elsewhere a table must do.</summary>
    /// <param name="unit">What the numbers are.</param>
    /// <param name="bars">Names and numbers, none negative.</param>
    public void Bars(string unit, IEnumerable<(string Name, double Value)> bars)
    {
        if (console is null || !IsTalkative)
        {
            return;
        }
        BarChart chart = new() { Label = Markup.Escape(unit), LabelAlignment = Justify.Left };
        foreach ((string name, double value) in bars)
        {
            chart.AddItem(Markup.Escape(name), Math.Round(value, 3), Color.Green);
        }
        console.Write(chart);
    }

    /// <summary>Runs work that says when each of <paramref name="count"/> things is done; with a bar where there is a terminal and more than one.</summary>
    public T Progress<T>(string what, int count, Func<Action, T> work)
    {
        if (console is null || !IsTalkative || count < 2)
        {
            return work(static () => { });
        }
        return console.Progress()
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn())
            .AutoClear(true)
            .Start(context =>
            {
                ProgressTask task = context.AddTask(Markup.Escape(what), maxValue: count);
                long start = Stopwatch.GetTimestamp();
                return work(() =>
                {
                    task.Increment(1);
                    double rate = task.Value / Stopwatch.GetElapsedTime(start).TotalSeconds;
                    task.Description = Markup.Escape(string.Create(CultureInfo.InvariantCulture, $"{what} {rate:0.0}/s"));
                });
            });
    }

    /// <summary>Runs work that moves bytes; with a bar for each file where there is a terminal.</summary>
    public T Transfer<T>(Func<ITransferProgress, T> work)
    {
        if (console is null || !IsTalkative)
        {
            return work(NoProgress.Instance);
        }
        return console.Progress()
            .Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn(), new PercentageColumn(), new DownloadedColumn(), new TransferSpeedColumn(), new RemainingTimeColumn())
            .AutoClear(true)
            .Start(context => work(new TransferBars(context)));
    }

    private static byte[] JsonBytes(Action<Utf8JsonWriter> write, JsonWriterOptions options)
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter writer = new(stream, options))
        {
            write(writer);
        }
        return stream.ToArray();
    }

    private void PlainTable(IReadOnlyList<string> headers, IReadOnlyList<IReadOnlyList<TableCell>> rows)
    {
        int[] widths = [.. headers.Select((header, column) => Math.Max(header.TrimStart('>').Length, rows.Count == 0 ? 0 : rows.Max(row => row[column].Text.Length)))];
        Print(headers.Select(header => header.TrimStart('>')));
        foreach (IReadOnlyList<TableCell> row in rows)
        {
            Print(row.Select(cell => cell.Text));
        }

        void Print(IEnumerable<string> texts)
            => output.WriteLine(string.Join("  ", texts.Select((text, column) => headers[column].StartsWith('>') ? text.PadLeft(widths[column]) : text.PadRight(widths[column]))).TrimEnd());
    }

    private sealed class TransferBars(ProgressContext context) : ITransferProgress
    {
        private ProgressTask? task;
        private string? current;

        public void Begin(string name, long total, long present)
        {
            if (task is null || current != name)
            {
                (task, current) = (context.AddTask(Markup.Escape(name), maxValue: Math.Max(total, 1)), name);
            }
            task.Value = present;
        }

        public void Advance(long bytes) => task?.Increment(bytes);

        public void End()
        {
            if (task is not null)
            {
                task.Value = task.MaxValue;
                task.StopTask();
            }
        }
    }
}

/// <summary>A cell of a table, with a patch of colour before it if one is given.</summary>
internal readonly record struct TableCell(string Text, (byte R, byte G, byte B)? Swatch = null)
{
    public static implicit operator TableCell(string text) => new(text);
}
