using System.Numerics;
using System.Runtime.InteropServices;

namespace GroupViT.Native.Weights;

/// <summary>How a checkpoint stores its weights.</summary>
internal enum WeightType
{
    F32,
    F16,
    BF16,
    F64,

    /// <summary>Not all tensors alike.</summary>
    Mixed,
}

/// <summary>
/// A model's weights in a file or in shards, by their canonical (Hugging Face) names whichever layout the file has. On opening, there must be
/// exactly the tensors that the configuration asks for, in their shapes; values are checked when they are read.
/// Any number of threads may read at once.
/// </summary>
internal sealed class Checkpoint : IDisposable
{
    private const int MaxNamesListed = 20;

    private readonly WeightsSource _file;
    private readonly ParameterTable _table;
    private readonly Lazy<string> _fingerprint;

    private Checkpoint(WeightsSource file, GroupVitConfig config, ParameterTable table, KeyLayout layout)
    {
        _file = file;
        _table = table;
        Config = config;
        Layout = layout;
        var types = new HashSet<SafetensorsType>();
        HasText = file.Tensors.ContainsKey(table.Parameters.First(p => IsText(p)).NameIn(layout));
        Parameters = HasText ? table.Parameters : [.. table.Parameters.Where(p => !IsText(p))];
        foreach (string name in Parameters.Select(p => p.NameIn(layout)).Distinct())
        {
            SafetensorsEntry entry = file.Tensors[name];
            types.Add(entry.Type);
            Bytes += entry.ByteLength;
        }
        WeightType = types.Count > 1 ? WeightType.Mixed : Enum.Parse<WeightType>(types.Single().ToString());
        _fingerprint = new(() => CheckpointFingerprint.Of(_file, Config, [.. table.Parameters.Where(p => !IsText(p)).Select(p => p.NameIn(layout)).Distinct()]));
    }

    public GroupVitConfig Config { get; }

    /// <summary>The file, or the index of the shards, as the user named it.</summary>
    public string Name => _file.Name;

    public KeyLayout Layout { get; }

    public WeightType WeightType { get; }

    /// <summary>Bytes of the model's tensors as they are stored.</summary>
    public long Bytes { get; }

    /// <summary>Every tensor of the file, as stored; those that no model needs are among them.</summary>
    public IEnumerable<SafetensorsEntry> Entries => _file.Tensors.Values;

    /// <summary>Every tensor of the model that is there, in the order of the computation.</summary>
    public IReadOnlyList<ParameterInfo> Parameters { get; }

    /// <summary>False for a file without any tensor of the text side: labels then come from a <see cref="LabelBank"/>.</summary>
    public bool HasText { get; }

    /// <summary>
    /// 64 hexadecimal digits that stand for the image side, which label banks must fit: SHA-256 over the configuration, the name, type and
    /// shape of every tensor of the image encoder, its projection and the temperature, and a sample of each (small ones wholly). Equal for
    /// files that differ only in order, padding, metadata, or in having a text side.
    /// Computed on first use, reading at most 4 KiB of each tensor; a change that avoids the sampled bytes is not seen.
    /// </summary>
    public string Fingerprint => _fingerprint.Value;

    /// <summary>Opens the weights in <paramref name="file"/>, which the checkpoint owns from then on (not if this throws).</summary>
    /// <exception cref="ModelFileException">Tensors missing or too many (both listed), a wrong shape or dtype (named), or an unknown layout.</exception>
    public static Checkpoint Open(WeightsSource file, GroupVitConfig config)
    {
        KeyLayout layout = FindLayout(file);
        config.Validate(file.Name, layout);
        ParameterTable table = ParameterTable.For(config);
        CheckNames(file, table, layout);
        CheckTensors(file, table, layout);
        return new Checkpoint(file, config, table, layout);
    }

    /// <summary>The parameter of that canonical name.</summary>
    public ParameterInfo Parameter(string canonicalName) => _table[canonicalName];

    /// <summary>Reads a whole tensor, widened to float32.</summary>
    /// <param name="canonicalName">One of <see cref="Parameters"/>.</param>
    /// <param name="destination">As long as the tensor.</param>
    /// <exception cref="ModelFileException">A value is NaN or infinite (named with its index), or the file was cut since it was opened.</exception>
    public void Read(string canonicalName, Span<float> destination)
    {
        CheckWhole(canonicalName, destination.Length);
        Read(canonicalName, 0, destination);
    }

    /// <summary>Reads part of a tensor, from its element <paramref name="firstElement"/> on.</summary>
    /// <exception cref="ModelFileException">As for the whole.</exception>
    public void Read(string canonicalName, int firstElement, Span<float> destination)
    {
        ParameterInfo parameter = _table[canonicalName];
        ArgumentOutOfRangeException.ThrowIfNegative(firstElement);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(firstElement + (long)destination.Length, parameter.ElementCount);
        SafetensorsEntry entry = _file.Entry(parameter.NameIn(Layout));
        int first = parameter.FirstElementIn(Layout);
        _file.ReadFloat32(entry, first + firstElement, destination);
        int bad = IndexOfNonFinite(destination);
        if (bad >= 0)
        {
            float value = destination[bad];
            bad += firstElement;
            long offset = entry.Offset + (long)(first + bad) * (entry.Type.Bits() / 8);
            string where = entry.Name == canonicalName ? $"element {bad}" : $"element {bad} (element {first + bad} of the file's {entry.Name})";
            throw new ModelFileException(_file.FileOf(entry), FormattableString.Invariant($"{where} of shape [{string.Join(',', parameter.Shape.ToArray())}] is {value}; weights must be finite"), canonicalName, offset);
        }
    }

    /// <summary>As <see cref="Read(string, int, Span{float})"/>, but NaN and infinity pass: for who counts them.</summary>
    public void ReadUnchecked(string canonicalName, int firstElement, Span<float> destination)
    {
        ParameterInfo parameter = _table[canonicalName];
        ArgumentOutOfRangeException.ThrowIfNegative(firstElement);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(firstElement + (long)destination.Length, parameter.ElementCount);
        _file.ReadFloat32(_file.Entry(parameter.NameIn(Layout)), parameter.FirstElementIn(Layout) + firstElement, destination);
    }

    /// <summary>Reads a tensor of one element.</summary>
    /// <exception cref="ModelFileException">It is NaN or infinite.</exception>
    public float ReadScalar(string canonicalName)
    {
        float value = 0;
        Read(canonicalName, new Span<float>(ref value));
        return value;
    }

    /// <summary>The multi-label loss's temperature (natural logarithm), if the checkpoint kept it; inference does not need it.</summary>
    public float? ReadMultiLabelLogitScale()
    {
        if (!_file.Tensors.TryGetValue(ParameterTable.MultiLabelLogitScale, out SafetensorsEntry? entry) || entry.ElementCount != 1)
        {
            return null;
        }
        float value = 0;
        _file.ReadFloat32(entry, 0, new Span<float>(ref value));
        return value;
    }

    public void Dispose() => _file.Dispose();

    /// <summary>Index of the first NaN or infinity, or -1: all exponent bits set, eight or sixteen values at a time.</summary>
    internal static int IndexOfNonFinite(ReadOnlySpan<float> values)
    {
        const int exponent = 0x7F80_0000;
        ReadOnlySpan<int> bits = MemoryMarshal.Cast<float, int>(values);
        var mask = new Vector<int>(exponent);
        int i = 0;
        for (; i <= bits.Length - Vector<int>.Count; i += Vector<int>.Count)
        {
            if (Vector.EqualsAny(new Vector<int>(bits[i..]) & mask, mask))
            {
                break;
            }
        }
        for (; i < bits.Length; i++)
        {
            if ((bits[i] & exponent) == exponent)
            {
                return i;
            }
        }
        return -1;
    }

    private void CheckWhole(string canonicalName, int length)
    {
        if (length != _table[canonicalName].ElementCount)
        {
            throw new ArgumentException($"{canonicalName} has {_table[canonicalName].ElementCount} elements, the destination {length}", nameof(length));
        }
    }

    /// <summary>Which layout the names are of.</summary>
    /// <exception cref="ModelFileException">They are of both, or of neither.</exception>
    internal static KeyLayout FindLayout(WeightsSource file)
    {
        string? huggingFace = FirstWith(file, "vision_model.", "text_model.", "visual_projection.", "text_projection.");
        string? nvlabs = FirstWith(file, "img_encoder.", "text_encoder.", "img_projector.", "text_projector.");
        if (huggingFace is not null && nvlabs is not null)
        {
            throw new ModelFileException(file.Name, $"mixes two layouts: '{Shown(huggingFace)}' is a Hugging Face name, '{Shown(nvlabs)}' one of NVlabs'");
        }
        if (huggingFace is null && nvlabs is null)
        {
            throw new ModelFileException(file.Name, $"holds no GroupViT weights: names begin with 'vision_model.' (Hugging Face) or 'img_encoder.' (NVlabs); found {Listed(file.Tensors.Keys)}");
        }
        return huggingFace is not null ? KeyLayout.HuggingFace : KeyLayout.Nvlabs;
    }

    private static string? FirstWith(WeightsSource file, params ReadOnlySpan<string> prefixes)
    {
        foreach (string name in file.Tensors.Keys)
        {
            foreach (string prefix in prefixes)
            {
                if (name.StartsWith(prefix, StringComparison.Ordinal))
                {
                    return name;
                }
            }
        }
        return null;
    }

    private static bool IsText(ParameterInfo parameter) => parameter.Part is ModelPart.TextEncoder or ModelPart.TextProjector;

    private static void CheckNames(WeightsSource file, ParameterTable table, KeyLayout layout)
    {
        // Missing ones in the order of the computation, extra ones in the file's: what belongs together stays together.
        string[] expected = [.. table.Parameters.Select(p => p.NameIn(layout)).Distinct()];
        var known = expected.ToHashSet(StringComparer.Ordinal);
        List<string> missing = [.. expected.Where(name => !file.Tensors.ContainsKey(name))];
        // All of the text side or nothing: a part of it is a damaged file.
        string[] text = [.. table.Parameters.Where(IsText).Select(p => p.NameIn(layout)).Distinct()];
        if (text.All(missing.Contains))
        {
            missing.RemoveAll(text.Contains);
        }
        List<string> extra = [.. file.Tensors.Keys.Where(name => !known.Contains(name) && !ParameterTable.IsIgnorable(name))];
        if (missing.Count == 0 && extra.Count == 0)
        {
            return;
        }
        var problems = new List<string>();
        if (missing.Count > 0)
        {
            problems.Add($"tensors that the configuration asks for are missing: {Listed(missing)}");
        }
        if (extra.Count > 0)
        {
            problems.Add($"tensors that it does not ask for are there: {Listed(extra)}");
        }
        throw new ModelFileException(file.Name, string.Join("; ", problems), missing.Concat(extra).First());
    }

    private static void CheckTensors(WeightsSource file, ParameterTable table, KeyLayout layout)
    {
        Span<long> expected = stackalloc long[8];
        foreach (ParameterInfo parameter in table.Parameters)
        {
            if (!file.Tensors.TryGetValue(parameter.NameIn(layout), out SafetensorsEntry? entry))
            {
                continue;
            }
            ReadOnlySpan<int> shape = parameter.ShapeIn(layout);
            for (int axis = 0; axis < shape.Length; axis++)
            {
                expected[axis] = shape[axis];
            }
            if (!entry.Shape.SequenceEqual(expected[..shape.Length]))
            {
                throw new ModelFileException(file.FileOf(entry), $"has shape {entry.ShapeText}; the configuration asks for {SafetensorsEntry.ShapeToText(expected[..shape.Length])}", entry.Name, entry.Offset);
            }
            if (!entry.Type.ReadsAsFloat32())
            {
                throw new ModelFileException(file.FileOf(entry), $"has dtype {entry.Type}; weights must be F32, F16, BF16 or F64", entry.Name, entry.Offset);
            }
        }
    }

    private static string Listed(IEnumerable<string> names)
    {
        string[] all = [.. names];
        string text = string.Join(", ", all.Take(MaxNamesListed).Select(Shown));
        return all.Length switch
        {
            0 => "none",
            <= MaxNamesListed => $"{text} ({all.Length})",
            _ => $"{text}, ... ({all.Length} in all)",
        };
    }

    private static string Shown(string name) => SafetensorsHeader.Shorten(name);
}
