using System.Globalization;
using System.IO.Enumeration;
using GroupViT.Bench.Commands;

namespace GroupViT.Bench.Peers;

internal enum Encoder
{
    Image,
    Text,
}

/// <summary>What is run: an encoder, pixels to a side or tokens to a text, how many at once, and on how many threads (0: all of the machine's).</summary>
internal sealed record Cell(Encoder Encoder, int Size, int Batch, int Threads)
{
    /// <summary>The text encoder's context.</summary>
    private const int Tokens = 77;

    public static IReadOnlyList<Cell> All { get; } =
    [
        .. from size in new[] { 224, 448 } from batch in new[] { 1, 8 } from threads in new[] { 1, 0 } select new Cell(Encoder.Image, size, batch, threads),
        .. from threads in new[] { 1, 0 } select new Cell(Encoder.Text, Tokens, 8, threads),
    ];

    /// <summary>The same network and input, whatever the threads.</summary>
    public string Shape => string.Create(CultureInfo.InvariantCulture, $"{(Encoder == Encoder.Image ? "image" : "text")}-{Size}-b{Batch}");

    public string Name => $"{Shape}-t{(Threads == 0 ? "all" : Threads.ToString(CultureInfo.InvariantCulture))}";

    public int ThreadCount => Threads == 0 ? Environment.ProcessorCount : Threads;

    /// <param name="patterns">Names with wildcards, separated by commas.</param>
    public static IReadOnlyList<Cell> Matching(string patterns)
    {
        string[] each = patterns.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        Cell[] cells = [.. All.Where(cell => each.Any(pattern => FileSystemName.MatchesSimpleExpression(pattern, cell.Name)))];
        return cells.Length > 0 ? cells : throw new BenchException($"no cell is called '{patterns}'; there are {string.Join(", ", All.Select(cell => cell.Name))}");
    }

    public static Cell Named(string name) => Matching(name)[0];
}
