using System.Text.Json;

namespace GroupViT.Native;

/// <summary>The fields of one JSON object of a configuration, each read as its type or refused by name.</summary>
internal readonly struct ConfigFields
{
    private readonly string _file;
    private readonly string _path;
    private readonly JsonElement? _fields;
    private readonly JsonElement? _overrides;

    public ConfigFields(string file, string path, JsonElement? fields, JsonElement? overrides = null)
    {
        _file = file;
        _path = path;
        _fields = Object(fields, "the configuration");
        _overrides = Object(overrides, "the overriding values");
    }

    public ModelFileException Error(string field, string problem) => new(_file, problem, _path + field);

    /// <summary>A nested object and the older one whose values override it; either may be missing or null.</summary>
    public ConfigFields Nested(string field, string overriding)
    {
        JsonElement? nested = Find(field), overrides = Find(overriding);
        foreach ((string name, JsonElement? value) in new[] { (field, nested), (overriding, overrides) })
        {
            if (value is { ValueKind: not (JsonValueKind.Object or JsonValueKind.Null) })
            {
                throw Error(name, $"is {Shown(value.Value)}; it must be an object");
            }
        }
        return new ConfigFields(_file, _path + field + ".", nested, overrides);
    }

    public string Text(string field, string missing)
    {
        if (Find(field) is not { } value)
        {
            return missing;
        }
        return value.ValueKind == JsonValueKind.String ? value.GetString()! : throw Error(field, $"is {Shown(value)}; it must be a text");
    }

    public int Integer(string field, int missing, int most) => Find(field) is { } value ? Integer(value, field, most) : missing;

    public IReadOnlyList<int> Integers(string field, IReadOnlyList<int> missing, int most)
    {
        if (Find(field) is not { } value)
        {
            return missing;
        }
        if (value.ValueKind != JsonValueKind.Array || value.GetArrayLength() > ConfigLimits.Stages)
        {
            throw Error(field, $"is {Shown(value)}; it must be a list of at most {ConfigLimits.Stages} whole numbers, one for each stage");
        }
        int[] values = new int[value.GetArrayLength()];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = Integer(value[i], $"{field}[{i}]", most);
        }
        return Array.AsReadOnly(values);
    }

    public double Number(string field, double missing) => Find(field) is { } value ? Number(value, field) : missing;

    /// <summary>One number for both, or a list of two.</summary>
    public (double First, double Second) NumberOrPair(string field, (double First, double Second) missing)
    {
        if (Find(field) is not { } value)
        {
            return missing;
        }
        if (value.ValueKind == JsonValueKind.Number)
        {
            double both = Number(value, field);
            return (both, both);
        }
        return value.ValueKind == JsonValueKind.Array && value.GetArrayLength() == 2
            ? (Number(value[0], field + "[0]"), Number(value[1], field + "[1]"))
            : throw Error(field, $"is {Shown(value)}; it must be a number or a list of two");
    }

    public ActivationFunction Activation(string field, ActivationFunction missing)
    {
        string name = Text(field, NameOf(missing));
        foreach (ActivationFunction known in Enum.GetValues<ActivationFunction>())
        {
            if (name == NameOf(known))
            {
                return known;
            }
        }
        throw Error(field, $"is '{Shorten(name)}'; known activations are gelu (exact), quick_gelu and relu");
    }

    public static string NameOf(ActivationFunction activation) => activation switch
    {
        ActivationFunction.Gelu => "gelu",
        ActivationFunction.QuickGelu => "quick_gelu",
        ActivationFunction.Relu => "relu",
        _ => throw new ArgumentOutOfRangeException(nameof(activation), activation, "no known activation"),
    };

    /// <summary>Refuses what is no 32-bit integer; the range itself is checked once all fields are there.</summary>
    private int Integer(JsonElement value, string field, int most)
        => value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int number)
            ? number
            : throw Error(field, $"is {Shown(value)}; it must be a whole number of at most {most}");

    private double Number(JsonElement value, string field)
        => value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double number) && double.IsFinite(number)
            ? number
            : throw Error(field, $"is {Shown(value)}; it must be a finite number");

    private JsonElement? Find(string field)
    {
        if (_overrides is { } overrides && overrides.TryGetProperty(field, out JsonElement value))
        {
            return value;
        }
        return _fields is { } fields && fields.TryGetProperty(field, out value) ? value : null;
    }

    private JsonElement? Object(JsonElement? element, string what)
    {
        if (element is null or { ValueKind: JsonValueKind.Null } && _path.Length > 0)
        {
            return null;
        }
        return element is null or { ValueKind: JsonValueKind.Object } ? element : throw new ModelFileException(_file, $"{what} must be a JSON object");
    }

    private static string Shown(JsonElement value) => Shorten(value.GetRawText());

    private static string Shorten(string text) => text.Length <= 80 ? text : string.Concat(text.AsSpan(0, 80), "...");
}
