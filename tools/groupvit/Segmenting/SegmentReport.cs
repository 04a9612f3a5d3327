using System.Globalization;
using GroupViT.Native;
using GroupViT.Native.Imaging;

namespace GroupViT.Tool.Segmenting;

/// <summary>What people read about segmented pictures: a table each, or a line each where there are many.</summary>
internal sealed class SegmentReport(Output output, int? pictures, LabelBank bank, LabelColors colors, bool named)
{
    private const int MostTables = 10;

    public void Add(SegmentOutcome outcome)
    {
        if (outcome.Error is { } error)
        {
            output.Problem(error);
        }
        if (output.IsJson)
        {
            output.Json(writer => SegmentJson.WriteLine(writer, outcome));
            return;
        }
        if (outcome.Result is not { } result)
        {
            return;
        }
        // Only labels that won a pixel; a share that rounds to 0.0 % is still one.
        LabelShare[] found = [.. result.Labels.Where(label => label.Pixels > 0).OrderByDescending(label => label.Pixels).ThenBy(label => label.Id)];
        SegmentTimes times = outcome.Times;
        if (pictures is null or > MostTables)
        {
            string shares = string.Join(", ", found.Take(3).Select(label => $"{label.Label} {Percent(label.Share)}")) + (found.Length > 3 ? ", ..." : "");
            output.Line($"{outcome.Task.Picture.Path}: {shares} ({times.Total.ToString("0", CultureInfo.InvariantCulture)} ms)");
            Explain(outcome);
            return;
        }
        output.Line($"{outcome.Task.Picture.Path}: {result.Width} x {result.Height} pixels");
        output.Table(
            ["label", ">share", ">score", "colour"],
            [.. found.Select(label => (IReadOnlyList<TableCell>)[label.Label, Percent(label.Share), label.Score?.ToString("0.000", CultureInfo.InvariantCulture) ?? "-", Color(label.Id)])]);
        long unlabelled = ((long)result.Width * result.Height) - result.Labels.Sum(label => label.Pixels);
        if (unlabelled > 0)
        {
            output.Line($"{unlabelled} pixels lie outside the preset's square crop and have no label (--fit stretch uses the whole picture)");
        }
        output.Line(string.Create(
            CultureInfo.InvariantCulture,
            $"decode {times.Decode:0.0} ms, prepare {times.Prepare:0.0} ms, encode {times.Encode:0.0} ms, label {times.Label:0.0} ms, write {times.Write:0.0} ms, total {times.Total:0.0} ms"));
        if (outcome.Files.Count > 0)
        {
            output.Line($"written: {string.Join(", ", outcome.Files)}");
        }
        Explain(outcome);
    }

    private void Explain(SegmentOutcome outcome)
    {
        if (outcome.Explanation is { } explanation)
        {
            foreach (string line in ExplainText.Lines(explanation, bank, (long)outcome.Result!.Width * outcome.Result.Height, named))
            {
                output.Line(line);
            }
        }
    }

    private TableCell Color(int label)
    {
        (byte r, byte g, byte b) = colors[label];
        return new TableCell($"#{r:x2}{g:x2}{b:x2}", (r, g, b));
    }

    private static string Percent(double share) => (100 * share).ToString("0.0", CultureInfo.InvariantCulture) + " %";
}
