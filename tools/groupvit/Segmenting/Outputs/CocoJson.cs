using System.Text.Json;
using GroupViT.Native;
using GroupViT.Native.Imaging;

namespace GroupViT.Tool.Segmenting.Outputs;

/// <summary>
/// COCO's annotation file for one picture: an annotation for each label that won a pixel (run lengths, iscrowd 1) or for each of its parts
/// that hang together (polygons, iscrowd 0). A category's id is the label's position in the list; a background has none.
/// </summary>
internal static class CocoJson
{
    // A string is handed to the writer in parts, so that it never holds the whole of a long one.
    private const int Part = 1 << 20;

    public static void WriteRle(Stream target, string file, SegmentationResult result, LabelBank bank, SortedDictionary<int, LabelRuns> runs)
        => Write(target, file, result, bank, (writer, label, id) =>
        {
            LabelRuns own = runs[label];
            Begin(writer, id, label, own.Box, own.Pixels, 1);
            writer.WritePropertyName("segmentation");
            WriteRle(writer, result.Width, result.Height, own, flush: true);
            writer.WriteEndObject();
            return id + 1;
        });

    /// <summary>An object with the fields size and counts.</summary>
    public static void WriteRle(Utf8JsonWriter writer, int width, int height, LabelRuns runs, bool flush = false)
    {
        writer.WriteStartObject();
        writer.WriteStartArray("size");
        writer.WriteNumberValue(height);
        writer.WriteNumberValue(width);
        writer.WriteEndArray();
        writer.WritePropertyName("counts");
        ReadOnlySpan<byte> rest = runs.Counts.Span;
        for (; rest.Length > Part; rest = rest[Part..])
        {
            writer.WriteStringValueSegment(rest[..Part], isFinalSegment: false);
            if (flush)
            {
                writer.Flush();
            }
        }
        writer.WriteStringValueSegment(rest, isFinalSegment: true);
        writer.WriteEndObject();
    }

    public static void WritePolygons(Stream target, string file, SegmentationResult result, LabelBank bank, CancellationToken cancellation)
    {
        LabelPolygons polygons = new(result.Mask, result.Width, result.Height, cancellation);
        Write(target, file, result, bank, (writer, label, id) =>
        {
            foreach (IReadOnlyList<int> polygon in polygons.Of(label))
            {
                (Window box, double area) = Measure(polygon);
                Begin(writer, id++, label, box, area, 0);
                writer.WriteStartArray("segmentation");
                writer.WriteStartArray();
                foreach (int value in polygon)
                {
                    writer.WriteNumberValue(value);
                }
                writer.WriteEndArray();
                writer.WriteEndArray();
                writer.WriteEndObject();
                if (writer.BytesPending > Part)
                {
                    writer.Flush();
                }
            }
            return id;
        });
    }

    private static void Write(Stream target, string file, SegmentationResult result, LabelBank bank, Func<Utf8JsonWriter, int, int, int> annotate)
    {
        using Utf8JsonWriter writer = new(target);
        writer.WriteStartObject();
        writer.WriteStartArray("images");
        writer.WriteStartObject();
        writer.WriteNumber("id", 1);
        writer.WriteString("file_name", file);
        writer.WriteNumber("width", result.Width);
        writer.WriteNumber("height", result.Height);
        writer.WriteEndObject();
        writer.WriteEndArray();
        writer.WriteStartArray("annotations");
        int id = 1;
        foreach (LabelShare label in result.Labels.Where(label => label.Pixels > 0 && !(bank.HasBackground && label.Id == 0)))
        {
            id = annotate(writer, label.Id, id);
            // A picture of many parts is not held whole.
            writer.Flush();
        }
        writer.WriteEndArray();
        writer.WriteStartArray("categories");
        for (int label = bank.HasBackground ? 1 : 0; label < bank.Labels.Count; label++)
        {
            writer.WriteStartObject();
            writer.WriteNumber("id", label);
            writer.WriteString("name", bank.Labels[label]);
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    private static void Begin(Utf8JsonWriter writer, int id, int label, Window box, double area, int crowd)
    {
        writer.WriteStartObject();
        writer.WriteNumber("id", id);
        writer.WriteNumber("image_id", 1);
        writer.WriteNumber("category_id", label);
        writer.WriteNumber("iscrowd", crowd);
        writer.WriteNumber("area", area);
        writer.WriteStartArray("bbox");
        writer.WriteNumberValue(box.Left);
        writer.WriteNumberValue(box.Top);
        writer.WriteNumberValue(box.Width);
        writer.WriteNumberValue(box.Height);
        writer.WriteEndArray();
    }

    private static (Window Box, double Area) Measure(IReadOnlyList<int> polygon)
    {
        (int left, int top, int right, int bottom) = (int.MaxValue, int.MaxValue, int.MinValue, int.MinValue);
        long area = 0;
        for (int i = 0; i < polygon.Count; i += 2)
        {
            (int x, int y) = (polygon[i], polygon[i + 1]);
            (int nextX, int nextY) = (polygon[(i + 2) % polygon.Count], polygon[(i + 3) % polygon.Count]);
            area += (long)x * nextY - (long)nextX * y;
            (left, top, right, bottom) = (Math.Min(left, x), Math.Min(top, y), Math.Max(right, x), Math.Max(bottom, y));
        }
        return (new Window(left, top, right - left, bottom - top), area / 2.0);
    }
}

/// <summary>The smallest rectangle around each label's pixels.</summary>
internal static class LabelBoxes
{
    public static Dictionary<int, Window> Of(SegmentationResult result)
    {
        int[] left = new int[result.Labels.Count];
        int[] top = new int[result.Labels.Count];
        int[] right = new int[result.Labels.Count];
        int[] bottom = new int[result.Labels.Count];
        Array.Fill(left, int.MaxValue);
        Array.Fill(top, int.MaxValue);
        ReadOnlySpan<ushort> mask = result.Mask.Span;
        for (int y = 0; y < result.Height; y++)
        {
            ReadOnlySpan<ushort> row = mask.Slice(y * result.Width, result.Width);
            for (int first = 0, length; first < row.Length; first += length)
            {
                ushort label = row[first];
                length = row[first..].IndexOfAnyExcept(label);
                length = length < 0 ? row.Length - first : length;
                if (label != SegmentationResult.Unlabelled)
                {
                    left[label] = Math.Min(left[label], first);
                    right[label] = Math.Max(right[label], first + length);
                    top[label] = Math.Min(top[label], y);
                    bottom[label] = y + 1;
                }
            }
        }
        return Enumerable.Range(0, left.Length).Where(label => bottom[label] > 0)
            .ToDictionary(label => label, label => new Window(left[label], top[label], right[label] - left[label], bottom[label] - top[label]));
    }
}
