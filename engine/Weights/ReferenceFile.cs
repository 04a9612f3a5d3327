using System.Globalization;
using System.Text.Json;
using System.Text.Unicode;

namespace GroupViT.Native.Weights;

/// <summary>What is known of a recorded value: how large it gets, and what the reference's own float32 run differs from it by.</summary>
/// <param name="MaxAbs">Largest magnitude in the tensor.</param>
/// <param name="Fp32Error">Largest difference of the reference's float32 run from its float64 run.</param>
internal readonly record struct ReferenceError(double MaxAbs, double Fp32Error)
{
    /// <summary>
    /// How far a float32 result may differ: four times the reference's own error, and eight units in the last place of the largest
    /// value, for tensors where that run happened to be exact.
    /// </summary>
    public double Tolerance => 4 * Fp32Error + 8 * Math.ScaleB(1, -23) * MaxAbs;
}

/// <summary>
/// The reference's recorded values: <c>expected.safetensors</c>, and beside it <c>reference_error.json</c> with
/// <c>{"name": {"max_abs": a, "fp32_error": e}, ...}</c> for the values that are compared within a tolerance. Inputs and indices have no entry there.
/// </summary>
internal sealed class ReferenceFile : IDisposable
{
    public const string ErrorsName = "reference_error.json";

    private const int MaxErrorsLength = 16 << 20;

    private readonly SafetensorsFile _file;
    private readonly string _errorsFile;

    private readonly double _scale;

    private ReferenceFile(SafetensorsFile file, string errorsFile, IReadOnlyDictionary<string, ReferenceError> errors, Precision precision)
    {
        _scale = precision switch
        {
            Precision.BFloat16 => Math.ScaleB(1, 24 - 9),
            Precision.Float16 or Precision.TensorFloat32 => Math.ScaleB(1, 24 - 11),
            _ => 1,
        };
        _file = file;
        _errorsFile = errorsFile;
        Errors = errors;
    }

    /// <summary>The file of values as the user named it.</summary>
    public string Name => _file.Name;

    public IReadOnlyDictionary<string, SafetensorsEntry> Tensors => _file.Tensors;

    /// <summary>May name values that the file does not hold: a file may hold any subset.</summary>
    public IReadOnlyDictionary<string, ReferenceError> Errors { get; }

    /// <param name="expected">The safetensors file.</param>
    /// <param name="errors">The errors; null: <see cref="ErrorsName"/> in the same folder.</param>
    /// <param name="precision">What is compared with it; tolerances follow.</param>
    /// <exception cref="ModelFileException">Either file is missing or not what it should be.</exception>
    public static ReferenceFile Open(string expected, string? errors = null, Precision precision = Precision.Float32)
    {
        SafetensorsFile file = SafetensorsFile.Open(expected);
        try
        {
            string errorsFile = errors ?? Path.Combine(Path.GetDirectoryName(expected) ?? "", ErrorsName);
            using ByteSource source = ByteSource.OpenFile(errorsFile);
            if (source.Length > MaxErrorsLength)
            {
                throw new ModelFileException(errorsFile, $"is {source.Length} bytes long; at most {MaxErrorsLength} are allowed");
            }
            byte[] utf8 = new byte[source.Length];
            source.Read(0, utf8);
            return new ReferenceFile(file, errorsFile, ParseErrors(utf8, errorsFile), precision);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>A whole tensor of numbers.</summary>
    /// <exception cref="ModelFileException">There is none, it is not of numbers, or one is NaN or infinite: no value to compare with.</exception>
    public float[] ReadFloat32(string name)
    {
        SafetensorsEntry entry = _file.Entry(name);
        float[] values = new float[Length(entry)];
        _file.ReadFloat32(entry, 0, values);
        int bad = Checkpoint.IndexOfNonFinite(values);
        return bad < 0 ? values : throw new ModelFileException(Name, FormattableString.Invariant($"element {bad} is {values[bad]}; a value to compare with must be finite"), name, entry.Offset);
    }

    /// <summary>A whole tensor of whole numbers (token ids, masks, group indices).</summary>
    /// <exception cref="ModelFileException">There is none, or it is not I32 or I64 within 32 bits.</exception>
    public int[] ReadInt32(string name)
    {
        SafetensorsEntry entry = _file.Entry(name);
        int[] values = new int[Length(entry)];
        _file.ReadInt32(entry, 0, values);
        return values;
    }

    /// <summary>
    /// How far a result for this value may differ from the recorded one. With bfloat16 weights the float32 tolerance times 2^15, the ratio of
    /// the two unit roundoffs: to first order an error is proportional to it, and rounding the weights is part of what the float32 run rounds.
    /// </summary>
    /// <exception cref="ModelFileException">The errors do not name it.</exception>
    public double Tolerance(string name)
        => Errors.TryGetValue(name, out ReferenceError error)
            ? _scale * error.Tolerance
            : throw new ModelFileException(_errorsFile, "has no entry here, so there is no tolerance to compare it by", name);

    public void Dispose() => _file.Dispose();

    internal static IReadOnlyDictionary<string, ReferenceError> ParseErrors(ReadOnlyMemory<byte> utf8, string file)
    {
        if (!Utf8.IsValid(utf8.Span))
        {
            throw new ModelFileException(file, "is not UTF-8");
        }
        try
        {
            using var document = JsonDocument.Parse(utf8, new JsonDocumentOptions { AllowDuplicateProperties = false, MaxDepth = 8 });
            if (document.RootElement.ValueKind != JsonValueKind.Object)
            {
                throw new ModelFileException(file, "must be a JSON object of names");
            }
            var errors = new Dictionary<string, ReferenceError>(StringComparer.Ordinal);
            foreach (JsonProperty property in document.RootElement.EnumerateObject())
            {
                errors.Add(property.Name, new ReferenceError(Number(property, "max_abs", file), Number(property, "fp32_error", file)));
            }
            return errors;
        }
        catch (JsonException e)
        {
            throw new ModelFileException(file, $"is not JSON: {JsonProblem.Of(e)}", inner: e);
        }
        catch (InvalidOperationException e)
        {
            throw new ModelFileException(file, $"holds a name that is no valid Unicode: {JsonProblem.Of(e)}", inner: e);
        }
    }

    private static double Number(JsonProperty property, string field, string file)
    {
        string item = SafetensorsHeader.Shorten(property.Name);
        if (property.Value.ValueKind != JsonValueKind.Object || !property.Value.TryGetProperty(field, out JsonElement element))
        {
            throw new ModelFileException(file, $"has no '{field}'; every name needs max_abs and fp32_error", item);
        }
        if (element.ValueKind == JsonValueKind.Number && element.TryGetDouble(out double value) && double.IsFinite(value) && value >= 0)
        {
            return value;
        }
        throw new ModelFileException(file, string.Create(CultureInfo.InvariantCulture, $"{field} is {SafetensorsHeader.Shorten(element.GetRawText())}; it must be a finite number from 0 on"), item);
    }

    private int Length(SafetensorsEntry entry)
        => entry.ElementCount <= Array.MaxLength
            ? (int)entry.ElementCount
            : throw new ModelFileException(Name, $"has {entry.ElementCount} elements; at most {Array.MaxLength} can be compared", entry.Name, entry.Offset);
}
