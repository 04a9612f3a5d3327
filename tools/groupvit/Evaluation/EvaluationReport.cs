using System.Globalization;
using System.Text;
using System.Text.Json;
using GroupViT.Native.Imaging;

namespace GroupViT.Tool.Evaluation;

/// <summary>The figures of an evaluation: as a table, as JSON, and as files.</summary>
internal sealed class EvaluationReport(EvaluationState state, bool hasMaps)
{
    private readonly ConfusionMatrix confusion = state.Confusion;

    public void Print(Output output)
    {
        if (hasMaps)
        {
            output.Table(
                ["class", ">IoU", ">Acc"],
                [.. Enumerable.Range(0, confusion.Labels).Select(i => (IReadOnlyList<TableCell>)[state.Labels[i], Percent(confusion.Iou(i)), Percent(confusion.Accuracy(i))])]);
            output.Table([">aAcc", ">mIoU", ">mAcc"], [[Percent(confusion.PixelAccuracy), Percent(confusion.MeanIou), Percent(confusion.MeanAccuracy)]]);
        }
        else
        {
            output.Table([">top-1", ">top-5", ">pictures"], [[Percent(confusion.PixelAccuracy), Percent(TopFive), confusion.Total.ToString(CultureInfo.InvariantCulture)]]);
        }
    }

    public void Write(Utf8JsonWriter writer)
    {
        writer.WriteStartObject();
        writer.WriteStartObject("settings");
        foreach ((string name, string value) in state.Settings.OrderBy(setting => setting.Key, StringComparer.Ordinal))
        {
            writer.WriteString(name, value);
        }
        writer.WriteEndObject();
        writer.WriteNumber("pictures", state.DoneCount - state.FailedCount);
        writer.WriteNumber("failed", state.FailedCount);
        if (hasMaps)
        {
            Number(writer, "mIoU", confusion.MeanIou);
            Number(writer, "mAcc", confusion.MeanAccuracy);
            Number(writer, "aAcc", confusion.PixelAccuracy);
            writer.WriteNumber("pixels", confusion.Total);
        }
        else
        {
            Number(writer, "top1", confusion.PixelAccuracy);
            Number(writer, "top5", TopFive);
        }
        writer.WriteStartArray("classes");
        for (int i = 0; i < confusion.Labels; i++)
        {
            writer.WriteStartObject();
            writer.WriteNumber("id", i);
            writer.WriteString("label", state.Labels[i]);
            if (hasMaps)
            {
                Number(writer, "IoU", confusion.Iou(i));
            }
            Number(writer, "Acc", confusion.Accuracy(i));
            writer.WriteNumber(hasMaps ? "pixels" : "pictures", confusion.Row(i));
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
        writer.WriteStartArray("failures");
        foreach ((string name, string error) in state.Failures)
        {
            writer.WriteStartObject();
            writer.WriteString("picture", name);
            writer.WriteString("error", error);
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    /// <summary>result.json, classes.csv, confusion.csv and confusion.png.</summary>
    public void WriteFiles(OutputFolder folder, CancellationToken cancellation)
    {
        folder.Write("result.json", Output.JsonFile(Write), cancellation);
        folder.Write("classes.csv", Encoding.UTF8.GetBytes(ClassesCsv()), cancellation);
        folder.Write("confusion.csv", Encoding.UTF8.GetBytes(ConfusionCsv()), cancellation);
        using MemoryStream picture = new();
        PngWriter.WriteRgb(picture, ConfusionPicture.Draw(confusion, state.Labels));
        folder.Write("confusion.png", picture.ToArray(), cancellation);
    }

    private double TopFive => confusion.Total == 0 ? double.NaN : (double)state.TopFive / confusion.Total;

    private string ClassesCsv()
    {
        StringBuilder text = new(hasMaps ? "id,class,IoU,Acc,pixels\n" : "id,class,Acc,pictures\n");
        for (int i = 0; i < confusion.Labels; i++)
        {
            string iou = hasMaps ? $",{Percent(confusion.Iou(i))}" : "";
            text.Append(CultureInfo.InvariantCulture, $"{i},{Quoted(state.Labels[i])}{iou},{Percent(confusion.Accuracy(i))},{confusion.Row(i)}\n");
        }
        return text.ToString();
    }

    // A row for each truth, a column for each prediction; the last column counts what got no label.
    private string ConfusionCsv()
    {
        StringBuilder text = new("truth\\prediction");
        foreach (string label in state.Labels)
        {
            text.Append(',').Append(Quoted(label));
        }
        text.Append(",(none)\n");
        for (int truth = 0; truth < confusion.Labels; truth++)
        {
            text.Append(Quoted(state.Labels[truth]));
            for (int predicted = 0; predicted <= confusion.Labels; predicted++)
            {
                text.Append(CultureInfo.InvariantCulture, $",{confusion[truth, predicted]}");
            }
            text.Append('\n');
        }
        return text.ToString();
    }

    private static string Quoted(string text) => text.AsSpan().ContainsAny(',', '"', '\n') ? $"\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\"" : text;

    private static string Percent(double value) => double.IsNaN(value) ? "nan" : (100 * value).ToString("0.00", CultureInfo.InvariantCulture);

    private static void Number(Utf8JsonWriter writer, string name, double value)
    {
        if (double.IsNaN(value))
        {
            writer.WriteNull(name);
        }
        else
        {
            writer.WriteNumber(name, Math.Round(100 * value, 4));
        }
    }
}
