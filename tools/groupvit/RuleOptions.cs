using System.CommandLine;
using System.Globalization;
using GroupViT.Native;

namespace GroupViT.Tool;

/// <summary>The options that say by whose rules, and with which values, groups become labels. Shared by every command that segments.</summary>
internal sealed class RuleOptions
{
    private static readonly Dictionary<string, SegmentationMode> Modes = new() { ["whole"] = SegmentationMode.Whole, ["slide"] = SegmentationMode.Slide };
    private static readonly Dictionary<string, PictureFit> Fits = new() { ["crop"] = PictureFit.Crop, ["stretch"] = PictureFit.Stretch };
    private static readonly Dictionary<string, GroupMapKind> MapKinds = new() { ["hard"] = GroupMapKind.Hard, ["soft"] = GroupMapKind.Soft };

    private readonly Option<SegmentationPreset> preset = CommonOptions.Preset();
    private readonly Option<SegmentationMode?> mode = CommonOptions.OptionalChoice("--mode", "preset nvlabs: the whole picture at once, or a window that slides over it; default: whole", Modes);
    private readonly Option<int?> shortSide = CommonOptions.OptionalWhole("--short-side", "preset nvlabs: short side of the network's input in pixels; default: the model's own, else 448", 1, 2048);
    private readonly Option<int?> crop = CommonOptions.OptionalWhole("--crop", "--mode slide: the window's side in pixels; default: the short side", 16, 2048);
    private readonly Option<int?> stride = CommonOptions.OptionalWhole("--stride", "--mode slide: pixels from one window to the next; default: half the window", 1, 2048);
    private readonly Option<double?> backgroundThreshold = OptionalNumber("--background-threshold", "preset nvlabs, where the list begins with background: what scores below this is background; default: 0.95", "0..1", value => value is >= 0 and <= 1, "a number from 0 to 1");
    private readonly Option<int?> topClasses = CommonOptions.OptionalWhole("--top-classes", "preset nvlabs: so many labels, those nearest to the whole picture, take part; default: 5", 1, 65_535);
    private readonly Option<GroupMapKind?> maps = CommonOptions.OptionalChoice("--maps", "each pixel to one group, or a mixture of groups; default: hard with preset nvlabs, soft with transformers", MapKinds);
    private readonly Option<double?> temperature = OptionalNumber("--temperature", "the factor of cosines before the softmax; default: the model's own", "N", value => value is > 0 and <= 1e6, "a number above 0, at most 1e6");
    private readonly Option<PictureFit> fit = CommonOptions.Choice("--fit", "preset transformers: the centre of a picture that is not square, or all of it, stretched", Fits);

    public IEnumerable<Option> All => [preset, mode, shortSide, crop, stride, backgroundThreshold, topClasses, maps, temperature, fit];

    /// <summary>The rules that the command line asks for.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="output">Where it is said that an option has no effect.</param>
    /// <param name="defaults">What holds where the command line is silent (a data set's own settings); the preset is always the command line's.</param>
    /// <exception cref="UsageException">The options do not go together.</exception>
    public SegmentationOptions Read(ParseResult parsed, Output output, SegmentationOptions? defaults = null)
    {
        defaults ??= new SegmentationOptions();
        SegmentationPreset chosen = parsed.GetValue(preset);
        bool nvlabs = chosen == SegmentationPreset.Nvlabs;
        if (!nvlabs && parsed.GetValue(mode) == SegmentationMode.Slide)
        {
            throw new UsageException("--mode slide is for preset nvlabs; preset transformers always sees the whole input");
        }
        SegmentationMode way = nvlabs ? parsed.GetValue(mode) ?? defaults.Mode : SegmentationMode.Whole;
        bool slides = way == SegmentationMode.Slide;
        foreach (Option option in nvlabs ? (Option[])[fit, .. slides ? [] : (Option[])[crop, stride]] : [shortSide, crop, stride, backgroundThreshold, topClasses])
        {
            if (parsed.GetResult(option) is { Implicit: false })
            {
                output.Note($"{option.Name} has no effect with {(nvlabs && option != fit ? "--mode whole" : $"preset {CommonOptions.NameOf(chosen)}")}");
            }
        }
        SegmentationOptions rules = new()
        {
            Preset = chosen,
            Mode = way,
            ShortSide = parsed.GetValue(shortSide) ?? defaults.ShortSide,
            Crop = slides ? parsed.GetValue(crop) ?? defaults.Crop : null,
            Stride = slides ? parsed.GetValue(stride) ?? defaults.Stride : null,
            BackgroundThreshold = parsed.GetValue(backgroundThreshold) ?? defaults.BackgroundThreshold,
            TopClasses = parsed.GetValue(topClasses) ?? defaults.TopClasses,
            Maps = parsed.GetValue(maps) ?? defaults.Maps,
            Temperature = parsed.GetValue(temperature) ?? defaults.Temperature,
            Fit = parsed.GetValue(fit),
        };
        try
        {
            rules.Validate();
        }
        catch (Exception exception) when (exception is ArgumentException or NotSupportedException)
        {
            throw new UsageException(exception.Message, exception);
        }
        return rules;
    }

    /// <summary>The values that have an effect, by name: the model's own where the rules leave them to it.</summary>
    public static IEnumerable<(string Name, string Value)> Values(SegmentationOptions rules, GroupVitModel model)
    {
        if (rules.Preset == SegmentationPreset.Nvlabs)
        {
            yield return ("mode", rules.Mode == SegmentationMode.Slide ? "slide" : "whole");
            yield return ("short_side", Text(rules.ShortSide ?? model.SegmentationShortSide));
            if (rules.Mode == SegmentationMode.Slide)
            {
                (int crop, int stride) = SlidingWindow.Sizes(rules, model.SegmentationShortSide);
                yield return ("crop", Text(crop));
                yield return ("stride", Text(stride));
            }
            yield return ("background_threshold", Text(rules.BackgroundThreshold));
            yield return ("top_classes", Text(rules.TopClasses));
        }
        else
        {
            yield return ("fit", rules.Fit == PictureFit.Stretch ? "stretch" : "crop");
        }
        bool soft = (rules.Maps ?? (rules.Preset == SegmentationPreset.Nvlabs ? GroupMapKind.Hard : GroupMapKind.Soft)) == GroupMapKind.Soft;
        yield return ("maps", soft ? "soft" : "hard");
        yield return ("temperature", rules.Temperature is { } temperature ? Text(temperature) : "the model's");

        static string Text(double value) => value.ToString(CultureInfo.InvariantCulture);
    }

    private static Option<double?> OptionalNumber(string name, string description, string help, Func<double, bool> allowed, string expected) => new(name)
    {
        Description = description,
        HelpName = help,
        CustomParser = result =>
        {
            string text = result.Tokens.Count > 0 ? result.Tokens[^1].Value : "";
            if (double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) && allowed(value))
            {
                return value;
            }
            result.AddError($"{name} takes {expected}, not '{text}'");
            return null;
        },
    };
}
