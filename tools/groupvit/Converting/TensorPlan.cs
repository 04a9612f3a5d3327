using GroupViT.Native;
using GroupViT.Native.Weights;

namespace GroupViT.Tool.Converting;

/// <summary>
/// The tensors of a converted file, each with the pieces of the source that it is made of: one, or query, key and value. Nothing is
/// read before the writer asks, and then through one small buffer.
/// </summary>
internal sealed class TensorPlan
{
    private const int BufferBytes = 128 << 10;

    private readonly WeightsSource source;
    private readonly KeyLayout from;
    private readonly ConversionOptions options;
    private readonly CancellationToken cancellation;
    private readonly List<TensorToWrite> tensors = [];
    private readonly List<TensorRounding> roundings = [];
    private readonly List<string> notes = [];
    private readonly byte[] buffer = new byte[BufferBytes];

    /// <param name="checkpoint">The source's weights, already held against its configuration.</param>
    /// <param name="source">The same, as stored.</param>
    /// <param name="options">What to make of them.</param>
    /// <param name="written">Called when the last bytes of a tensor have been asked for.</param>
    /// <param name="cancellation">Asked before every piece.</param>
    public TensorPlan(Checkpoint checkpoint, WeightsSource source, ConversionOptions options, Action written, CancellationToken cancellation)
    {
        (this.source, from, this.options, this.cancellation) = (source, checkpoint.Layout, options, cancellation);
        foreach (IGrouping<string, ParameterInfo> parts in checkpoint.Parameters.GroupBy(parameter => parameter.NameIn(options.Layout)))
        {
            Add(parts.Key, [.. parts], written);
        }
        AddOthers(checkpoint);
    }

    /// <summary>In the order in which the reference writes them.</summary>
    public IReadOnlyCollection<TensorToWrite> Tensors => [.. SafetensorsWriter.InReferenceOrder(tensors)];

    /// <summary>Beside the tensors.</summary>
    public Dictionary<string, string> Metadata { get; } = new(StringComparer.Ordinal);

    /// <summary>Of every tensor of the model; complete when the tensors are written.</summary>
    public IReadOnlyList<TensorRounding> Roundings => roundings;

    /// <summary>About what is not in the new file.</summary>
    public IReadOnlyList<string> Notes => notes;

    /// <summary>The type of all the model's tensors, or null if they differ.</summary>
    public SafetensorsType? Type => roundings.Select(rounding => rounding.To).Distinct().Take(2).ToArray() is [var only] ? only : null;

    private void Add(string name, ParameterInfo[] parts, Action written)
    {
        SafetensorsEntry[] entries = [.. parts.Select(part => source.Entry(part.NameIn(from)))];
        TensorRounding rounding = new(name, options.Type ?? OwnType(entries));
        roundings.Add(rounding);
        long last = parts.Max(part => part.FirstElementIn(options.Layout) + (long)part.ElementCount);
        int size = rounding.To.Bits() / 8;
        tensors.Add(TensorToWrite.OfBytes(name, rounding.To, parts[0].ShapeIn(options.Layout), (first, bytes) =>
        {
            long end = first + bytes.Length / size;
            for (int i = 0; i < parts.Length; i++)
            {
                long partFirst = parts[i].FirstElementIn(options.Layout);
                long begin = Math.Max(first, partFirst);
                int count = (int)(Math.Min(end, partFirst + parts[i].ElementCount) - begin);
                if (count > 0)
                {
                    Span<byte> piece = bytes.Slice((int)(begin - first) * size, count * size);
                    Copy(entries[i], parts[i].FirstElementIn(from) + (begin - partFirst), rounding, piece);
                }
            }
            if (end == last)
            {
                written();
            }
        }));
    }

    /// <summary>The widest that keeps all parts exactly; the engine computes in float32, so F64 is kept as that.</summary>
    private static SafetensorsType OwnType(SafetensorsEntry[] entries)
        => entries[0].Type != SafetensorsType.F64 && Array.TrueForAll(entries, entry => entry.Type == entries[0].Type) ? entries[0].Type : SafetensorsType.F32;

    private void Copy(SafetensorsEntry entry, long firstElement, TensorRounding rounding, Span<byte> destination)
    {
        int size = rounding.To.Bits() / 8;
        int sourceSize = entry.Type.Bits() / 8;
        int most = buffer.Length / sourceSize;
        for (int done = 0; done < destination.Length / size;)
        {
            cancellation.ThrowIfCancellationRequested();
            int count = Math.Min(most, destination.Length / size - done);
            Span<byte> read = buffer.AsSpan(0, count * sourceSize);
            source.ReadBytes(entry, (firstElement + done) * sourceSize, read);
            rounding.Convert(entry.Type, read, destination.Slice(done * size, count * size));
            done += count;
        }
    }

    private void AddOthers(Checkpoint checkpoint)
    {
        HashSet<string> known = checkpoint.Parameters.Select(parameter => parameter.NameIn(from)).ToHashSet(StringComparer.Ordinal);
        List<string> dropped = [];
        foreach (SafetensorsEntry entry in source.Tensors.Values.Where(entry => !known.Contains(entry.Name) && entry.Name != ParameterTable.MultiLabelLogitScale))
        {
            int counter = ParameterTable.BatchCounters(from).ToList().IndexOf(entry.Name);
            if (counter >= 0 && entry.ElementCount == 1 && entry.Type.Bits() % 8 == 0)
            {
                int size = entry.Type.Bits() / 8;
                tensors.Add(TensorToWrite.OfBytes(ParameterTable.BatchCounters(options.Layout)[counter], entry.Type, entry.Shape.Length == 0 ? [] : [1],
                    (first, bytes) => source.ReadBytes(entry, first * size, bytes)));
            }
            else
            {
                dropped.Add(SafetensorsHeader.Shorten(entry.Name));
            }
        }
        if (dropped.Count > 0)
        {
            notes.Add($"not kept, as no model reads them: {string.Join(", ", dropped.Take(10))}{(dropped.Count > 10 ? ", ..." : "")}");
        }
        AddTemperature();
        if (options.Layout == KeyLayout.HuggingFace)
        {
            // transformers refuses a file without it.
            Metadata["format"] = "pt";
        }
    }

    private void AddTemperature()
    {
        const string name = ParameterTable.MultiLabelLogitScale;
        if (MultiLabelTemperature.Find(source) is not { } temperature)
        {
            if (source.Tensors.ContainsKey(name) || source.Metadata.ContainsKey(MultiLabelTemperature.Key))
            {
                notes.Add($"{name} is not kept: it is not one floating-point number");
            }
            return;
        }
        if (options.Layout == KeyLayout.HuggingFace)
        {
            Metadata[MultiLabelTemperature.Key] = temperature.ToString();
            return;
        }
        TensorRounding rounding = new(name, options.Type ?? temperature.Type);
        if (rounding.To == temperature.Type)
        {
            tensors.Add(TensorToWrite.OfBytes(name, rounding.To, temperature.Shape, (_, bytes) => temperature.ToBytes().CopyTo(bytes)));
            return;
        }
        roundings.Add(rounding);
        tensors.Add(TensorToWrite.OfBytes(name, rounding.To, temperature.Shape, (_, bytes) => rounding.Convert(temperature.Type, temperature.ToBytes(), bytes)));
    }
}
