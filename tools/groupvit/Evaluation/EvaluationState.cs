using System.Text.Json;
using GroupViT.Native;

namespace GroupViT.Tool.Evaluation;

/// <summary>
/// What has been counted so far, and for what: everything that the numbers depend on. Kept as a file that is replaced whole, so that a
/// run that was killed goes on where the file ends.
/// </summary>
internal sealed class EvaluationState
{
    private const string Format = "GroupViT.Native evaluation 1";
    private const int MaxFailures = 1000;

    private readonly SortedSet<int> done = [];
    private readonly List<(string Name, string Error)> failures = [];

    public EvaluationState(IReadOnlyDictionary<string, string> settings, IReadOnlyList<string> labels, int samples, int shard, int shards)
    {
        (Settings, Labels, Samples, Shard, Shards) = (settings, labels, samples, shard, shards);
        Confusion = new ConfusionMatrix(labels.Count);
    }

    /// <summary>By name, what the numbers depend on; equal for all parts of a run.</summary>
    public IReadOnlyDictionary<string, string> Settings { get; }

    public IReadOnlyList<string> Labels { get; }

    /// <summary>Pictures of the whole data set.</summary>
    public int Samples { get; }

    public int Shard { get; }

    public int Shards { get; }

    public ConfusionMatrix Confusion { get; }

    /// <summary>Pictures whose label was among the best five (classification).</summary>
    public long TopFive { get; private set; }

    public int FailedCount { get; private set; }

    /// <summary>The first failures, by picture.</summary>
    public IReadOnlyList<(string Name, string Error)> Failures => failures;

    public int DoneCount => done.Count;

    /// <summary>Every n-th picture of the data set, so that the parts are alike.</summary>
    public bool IsMine(int sample) => sample % Shards == Shard;

    public int MineCount => (Samples - Shard + Shards - 1) / Shards;

    public bool IsComplete => DoneCount == MineCount;

    public bool Has(int sample) => done.Contains(sample);

    public void Add(int sample, IReadOnlyDictionary<(int Truth, int Predicted), long> counts, bool inTopFive)
    {
        foreach (((int truth, int predicted), long count) in counts)
        {
            Confusion.Add(truth, predicted, count);
        }
        TopFive += inTopFive ? 1 : 0;
        done.Add(sample);
    }

    public void Fail(int sample, string name, string error)
    {
        done.Add(sample);
        FailedCount++;
        if (failures.Count < MaxFailures)
        {
            failures.Add((name, error));
        }
    }

    /// <summary>Adds another part's counts.</summary>
    public void Merge(EvaluationState other)
    {
        Confusion.Add(other.Confusion);
        TopFive += other.TopFive;
        FailedCount += other.FailedCount;
        failures.AddRange(other.failures.Take(MaxFailures - failures.Count));
        done.UnionWith(other.done);
    }

    /// <summary>The first setting in which another run differs, as text, or null.</summary>
    public string? DifferenceTo(IReadOnlyDictionary<string, string> other)
    {
        foreach (string name in Settings.Keys.Union(other.Keys).Order(StringComparer.Ordinal))
        {
            string mine = Settings.GetValueOrDefault(name) ?? "nothing";
            string theirs = other.GetValueOrDefault(name) ?? "nothing";
            if (mine != theirs)
            {
                return $"{name} is {Shown(mine)} there and {Shown(theirs)} here";
            }
        }
        return null;

        static string Shown(string text) => $"'{(text.Length > 60 ? text[..60] + "..." : text)}'";
    }

    public void Save(string path)
        => AtomicFile.Write(path, stream =>
        {
            using Utf8JsonWriter writer = new(stream);
            Write(writer);
        });

    /// <exception cref="DatasetException">The file is damaged, or no state of an evaluation.</exception>
    public static EvaluationState Load(string path)
    {
        try
        {
            using FileStream stream = new(path, FileMode.Open, FileAccess.Read, FileShare.Read);
            using JsonDocument document = JsonDocument.Parse(stream);
            return Read(document.RootElement);
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or KeyNotFoundException or FormatException or ArgumentException or OverflowException or InvalidDataException)
        {
            throw new DatasetException($"{path}: this is no state of an evaluation, or it is damaged: {exception.Message}", exception);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new DatasetException($"{path}: cannot be read: {exception.Message}", exception);
        }
    }

    private void Write(Utf8JsonWriter writer)
    {
        writer.WriteStartObject();
        writer.WriteString("format", Format);
        writer.WriteNumber("shard", Shard);
        writer.WriteNumber("shards", Shards);
        writer.WriteNumber("samples", Samples);
        writer.WriteStartObject("settings");
        foreach ((string name, string value) in Settings.OrderBy(setting => setting.Key, StringComparer.Ordinal))
        {
            writer.WriteString(name, value);
        }
        writer.WriteEndObject();
        writer.WriteStartArray("labels");
        foreach (string label in Labels)
        {
            writer.WriteStringValue(label);
        }
        writer.WriteEndArray();
        // First and last of each run of pictures that are done: a part takes every n-th.
        writer.WriteStartArray("done");
        int step = Shards;
        int? first = null;
        int last = 0;
        foreach (int sample in done)
        {
            if (first is { } begun && sample != last + step)
            {
                writer.WriteNumberValue(begun);
                writer.WriteNumberValue(last);
                first = null;
            }
            first ??= sample;
            last = sample;
        }
        if (first is { } open)
        {
            writer.WriteNumberValue(open);
            writer.WriteNumberValue(last);
        }
        writer.WriteEndArray();
        writer.WriteStartArray("confusion");
        foreach ((int truth, int predicted, long count) in Confusion.Cells())
        {
            writer.WriteNumberValue(truth);
            writer.WriteNumberValue(predicted);
            writer.WriteNumberValue(count);
        }
        writer.WriteEndArray();
        writer.WriteNumber("top_five", TopFive);
        writer.WriteNumber("failed", FailedCount);
        writer.WriteStartArray("failures");
        foreach ((string name, string error) in failures)
        {
            writer.WriteStringValue(name);
            writer.WriteStringValue(error);
        }
        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    private static EvaluationState Read(JsonElement root)
    {
        if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("format", out JsonElement format) || format.GetString() != Format)
        {
            throw new InvalidDataException($"the field format is not '{Format}'");
        }
        Dictionary<string, string> settings = root.GetProperty("settings").EnumerateObject().ToDictionary(setting => setting.Name, setting => setting.Value.GetString() ?? "");
        string[] labels = [.. root.GetProperty("labels").EnumerateArray().Select(label => label.GetString() ?? "")];
        (int samples, int shard, int shards) = (root.GetProperty("samples").GetInt32(), root.GetProperty("shard").GetInt32(), root.GetProperty("shards").GetInt32());
        if (labels.Length is 0 or > 65_535 || samples < 0 || shards < 1 || shard < 0 || shard >= shards)
        {
            throw new InvalidDataException("labels, samples and shards do not go together");
        }
        EvaluationState state = new(settings, labels, samples, shard, shards)
        {
            TopFive = root.GetProperty("top_five").GetInt64(),
            FailedCount = root.GetProperty("failed").GetInt32(),
        };
        int[] runs = [.. root.GetProperty("done").EnumerateArray().Select(value => value.GetInt32())];
        for (int i = 0; i + 1 < runs.Length; i += 2)
        {
            if (runs[i] < 0 || runs[i + 1] >= samples || runs[i] > runs[i + 1])
            {
                throw new InvalidDataException("a picture that is done is none of the data set");
            }
            for (int sample = runs[i]; sample <= runs[i + 1]; sample += shards)
            {
                state.done.Add(sample);
            }
        }
        long[] cells = [.. root.GetProperty("confusion").EnumerateArray().Select(value => value.GetInt64())];
        if (runs.Length % 2 != 0 || cells.Length % 3 != 0)
        {
            throw new InvalidDataException("a list is cut short");
        }
        for (int i = 0; i < cells.Length; i += 3)
        {
            state.Confusion.Add(checked((int)cells[i]), checked((int)cells[i + 1]), cells[i + 2]);
        }
        string[] failures = [.. root.GetProperty("failures").EnumerateArray().Select(value => value.GetString() ?? "")];
        for (int i = 0; i + 1 < failures.Length; i += 2)
        {
            state.failures.Add((failures[i], failures[i + 1]));
        }
        return state;
    }
}
