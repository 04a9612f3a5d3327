using System.CommandLine;

namespace GroupViT.Tool.Segmenting.Outputs;

/// <summary>What is written for a picture.</summary>
[Flags]
internal enum OutputKind
{
    None = 0,

    /// <summary>NAME.overlay.png: colours over the picture, lines, legend.</summary>
    Overlay = 1,

    /// <summary>NAME.mask.png: palette indices are label ids, 255 for none; grey of 16 bits above 255 labels.</summary>
    Mask = 2,

    /// <summary>NAME.json: settings, shares, scores, times.</summary>
    Json = 4,

    /// <summary>NAME.ids.png: label ids as grey of 16 bits, 65535 for none.</summary>
    Ids = 8,

    /// <summary>NAME.rle.json: COCO annotations with run lengths.</summary>
    Rle = 16,

    /// <summary>NAME.polygons.json: COCO annotations with polygons.</summary>
    Polygons = 32,

    /// <summary>NAME.LABEL.mask.png: 255 where the label is, else 0.</summary>
    Masks = 64,

    /// <summary>NAME.LABEL.cutout.png: the label's pixels on transparent ground, cut to their box.</summary>
    Cutouts = 128,

    /// <summary>NAME.npy: uint16, (height, width), 65535 for none.</summary>
    Npy = 256,
}

internal static class OutputKinds
{
    private static readonly Dictionary<string, OutputKind> Names = Enum.GetValues<OutputKind>().ToDictionary(kind => kind.ToString().ToLowerInvariant());

    public const OutputKind Default = OutputKind.Overlay | OutputKind.Mask | OutputKind.Json;

    public static Option<OutputKind> Option() => new("--write")
    {
        Description = "what is written for each picture, between commas; default: overlay,mask,json",
        HelpName = string.Join('|', Names.Keys),
        DefaultValueFactory = _ => Default,
        CustomParser = result =>
        {
            OutputKind kinds = OutputKind.None;
            foreach (string word in string.Join(',', result.Tokens.Select(token => token.Value)).Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
            {
                if (!Names.TryGetValue(word, out OutputKind kind))
                {
                    result.AddError($"--write takes {string.Join(", ", Names.Keys)} between commas, not '{word}'");
                }
                kinds |= kind;
            }
            return kinds;
        },
    };
}
