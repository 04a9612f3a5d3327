using System.Text.Json;
using System.Text.Unicode;

namespace GroupViT.Native.Imaging;

/// <summary>Pillow's resampling filters that are implemented; the values are Pillow's own.</summary>
internal enum PilFilter
{
    Bilinear = 2,
    Bicubic = 3,
}

/// <summary>
/// What <c>preprocessor_config.json</c> says about pictures: the fields of Hugging Face's CLIP image processor, with its defaults, and
/// one of our own, <c>segmentation_short_side</c>. Fields that change no number are ignored.
/// </summary>
internal sealed record PreprocessorConfig
{
    /// <summary>The largest size a configuration may ask for.</summary>
    public const int MaxSide = 8192;

    private const int MaxFileBytes = 1 << 20;

    /// <summary>CLIP's processor for 224 x 224, with CLIP's statistics.</summary>
    public static PreprocessorConfig Default { get; } = new();

    /// <summary><c>do_resize</c>.</summary>
    public bool Resize { get; private init; } = true;

    /// <summary><c>size.shortest_edge</c>; null where <see cref="Size"/> is given.</summary>
    public int? ShortestEdge { get; private init; } = 224;

    /// <summary><c>size.width</c> and <c>size.height</c>, where <see cref="ShortestEdge"/> is null.</summary>
    public (int Width, int Height) Size { get; private init; }

    /// <summary><c>resample</c>.</summary>
    public PilFilter Filter { get; private init; } = PilFilter.Bicubic;

    /// <summary><c>do_center_crop</c>.</summary>
    public bool CenterCrop { get; private init; } = true;

    /// <summary><c>crop_size</c>.</summary>
    public (int Width, int Height) CropSize { get; private init; } = (224, 224);

    /// <summary><c>rescale_factor</c>; 1 if <c>do_rescale</c> is false.</summary>
    public double RescaleFactor { get; private init; } = 1 / 255.0;

    /// <summary><c>image_mean</c>; zeros if <c>do_normalize</c> is false.</summary>
    public IReadOnlyList<double> Mean { get; private init; } = [0.48145466, 0.4578275, 0.40821073];

    /// <summary><c>image_std</c>; ones if <c>do_normalize</c> is false.</summary>
    public IReadOnlyList<double> Std { get; private init; } = [0.26862954, 0.26130258, 0.27577711];

    /// <summary><c>segmentation_short_side</c>: the short side of the nvlabs preset, if the folder names one.</summary>
    public int? SegmentationShortSide { get; private init; }

    /// <summary>CLIP's processing at another size: for a model that brings no configuration of its own.</summary>
    public static PreprocessorConfig OfSize(int side) => Default with { ShortestEdge = side, CropSize = (side, side) };

    public Normalize Normalization => Normalize.OnUnitScale(RescaleFactor, [.. Mean], [.. Std]);

    /// <summary>Reads a configuration file.</summary>
    /// <exception cref="ModelFileException">It cannot be read, is no JSON object, or a field has a value that makes no sense; the field is named.</exception>
    public static PreprocessorConfig Load(string path)
    {
        try
        {
            using FileStream stream = File.OpenRead(path);
            if (stream.Length > MaxFileBytes)
            {
                throw new ModelFileException(path, $"is {stream.Length} bytes long; a preprocessor configuration has a few hundred (at most {MaxFileBytes} are read)");
            }
            byte[] json = new byte[stream.Length];
            stream.ReadExactly(json);
            return Parse(json, path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ModelFileException(path, $"cannot be read: {error.Message}", inner: error);
        }
    }

    /// <summary>Reads a configuration from UTF-8 JSON.</summary>
    /// <exception cref="ModelFileException">See <see cref="Load"/>.</exception>
    public static PreprocessorConfig Parse(ReadOnlyMemory<byte> json, string file)
    {
        if (json.Span.StartsWith("\uFEFF"u8))
        {
            json = json[3..];
        }
        // JsonDocument looks at the encoding of names only when they are read, and then throws another type of exception.
        if (!Utf8.IsValid(json.Span))
        {
            throw new ModelFileException(file, "is not UTF-8 text");
        }
        try
        {
            using JsonDocument document = JsonDocument.Parse(json, new JsonDocumentOptions { AllowDuplicateProperties = false, MaxDepth = 32 });
            return document.RootElement.ValueKind == JsonValueKind.Object
                ? new Reader(document.RootElement, file).Read()
                : throw new ModelFileException(file, $"must hold a JSON object, not {Describe(document.RootElement)}");
        }
        catch (JsonException error)
        {
            throw new ModelFileException(file, $"is not valid JSON: {JsonProblem.Of(error)}", inner: error);
        }
        catch (InvalidOperationException error)
        {
            // An escaped half of a surrogate pair in a name, met while names are compared.
            throw new ModelFileException(file, $"holds a name that is no valid Unicode: {JsonProblem.Of(error)}", inner: error);
        }
    }

    private static string Describe(JsonElement value)
    {
        string text = value.GetRawText();
        return text.Length <= 40 ? text : text[..40] + "...";
    }

    private sealed class Reader(JsonElement root, string file)
    {
        public PreprocessorConfig Read()
        {
            PreprocessorConfig defaults = Default;
            (int? edge, (int, int) size) = ReadSize();
            bool rescale = Flag("do_rescale", true), normalize = Flag("do_normalize", true);
            double factor = Number("rescale_factor", defaults.RescaleFactor, positive: true);
            IReadOnlyList<double> mean = Three("image_mean", defaults.Mean, positive: false), std = Three("image_std", defaults.Std, positive: true);
            return new PreprocessorConfig
            {
                Resize = Flag("do_resize", true),
                ShortestEdge = edge,
                Size = size,
                Filter = ReadFilter(),
                CenterCrop = Flag("do_center_crop", true),
                CropSize = ReadCropSize(),
                RescaleFactor = rescale ? factor : 1,
                Mean = normalize ? mean : [0, 0, 0],
                Std = normalize ? std : [1, 1, 1],
                SegmentationShortSide = Find(root, "segmentation_short_side") is JsonElement side ? Side(side, "segmentation_short_side") : null,
            };
        }

        private (int? ShortestEdge, (int Width, int Height) Size) ReadSize()
        {
            if (Find(root, "size") is not JsonElement size)
            {
                return (Default.ShortestEdge, default);
            }
            if (size.ValueKind != JsonValueKind.Object)
            {
                return (Side(size, "size"), default);
            }
            if (Find(size, "shortest_edge") is JsonElement edge)
            {
                if (Find(size, "longest_edge") is not null)
                {
                    throw Bad("size.longest_edge", "is not supported beside shortest_edge");
                }
                return (Side(edge, "size.shortest_edge"), default);
            }
            return Find(size, "width") is JsonElement width && Find(size, "height") is JsonElement height
                ? (null, (Side(width, "size.width"), Side(height, "size.height")))
                : throw Bad("size", $"must be a number, or hold shortest_edge, or height and width, not {Describe(size)}");
        }

        private (int Width, int Height) ReadCropSize()
        {
            if (Find(root, "crop_size") is not JsonElement size)
            {
                return Default.CropSize;
            }
            if (size.ValueKind != JsonValueKind.Object)
            {
                int side = Side(size, "crop_size");
                return (side, side);
            }
            return Find(size, "width") is JsonElement width && Find(size, "height") is JsonElement height
                ? (Side(width, "crop_size.width"), Side(height, "crop_size.height"))
                : throw Bad("crop_size", $"must be a number, or hold height and width, not {Describe(size)}");
        }

        private PilFilter ReadFilter()
        {
            if (Find(root, "resample") is not JsonElement value)
            {
                return Default.Filter;
            }
            if (value.ValueKind != JsonValueKind.Number || !value.TryGetInt32(out int filter))
            {
                throw Bad("resample", $"must be 2 (bilinear) or 3 (bicubic), not {Describe(value)}");
            }
            string? other = filter switch
            {
                0 => "nearest",
                1 => "Lanczos",
                4 => "box",
                5 => "Hamming",
                _ => null,
            };
            return filter is 2 or 3
                ? (PilFilter)filter
                : throw Bad("resample", $"must be 2 (bilinear) or 3 (bicubic), not {filter}{(other is null ? "" : $" ({other})")}");
        }

        /// <summary>A field's value; null if it is missing or null, which Hugging Face treats alike.</summary>
        private static JsonElement? Find(JsonElement parent, string name) =>
            parent.TryGetProperty(name, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value : null;

        private bool Flag(string name, bool fallback) => Find(root, name) switch
        {
            null => fallback,
            { ValueKind: JsonValueKind.True } => true,
            { ValueKind: JsonValueKind.False } => false,
            JsonElement value => throw Bad(name, $"must be true or false, not {Describe(value)}"),
        };

        private double Number(string name, double fallback, bool positive) => Find(root, name) is JsonElement value ? Number(value, name, positive) : fallback;

        private double Number(JsonElement value, string name, bool positive)
        {
            // Means and deviations are sample values at most; the bound keeps the float32 results finite.
            bool valid = value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double number) && Math.Abs(number) <= 1e6 && (!positive || number >= 1e-6);
            return valid ? value.GetDouble() : throw Bad(name, $"must be a number {(positive ? "of 1e-6 to 1e6" : "of at most 1e6 in magnitude")}, not {Describe(value)}");
        }

        private IReadOnlyList<double> Three(string name, IReadOnlyList<double> fallback, bool positive)
        {
            if (Find(root, name) is not JsonElement value)
            {
                return fallback;
            }
            return value.ValueKind == JsonValueKind.Array && value.GetArrayLength() == 3
                ? [.. value.EnumerateArray().Select((x, i) => Number(x, $"{name}[{i}]", positive))]
                : throw Bad(name, $"must be three numbers (red, green, blue), not {Describe(value)}");
        }

        private int Side(JsonElement value, string name) =>
            value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int side) && side is >= 1 and <= MaxSide
                ? side
                : throw Bad(name, $"must be a whole number of pixels, 1 to {MaxSide}, not {Describe(value)}");

        private ModelFileException Bad(string field, string problem) => new(file, problem, field);
    }
}
