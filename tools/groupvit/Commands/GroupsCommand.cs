using System.CommandLine;
using GroupViT.Native;
using GroupViT.Native.Imaging;
using GroupViT.Tool.Groups;
using GroupViT.Tool.Pictures;
using GroupViT.Tool.Segmenting;

namespace GroupViT.Tool.Commands;

/// <summary>groupvit groups: what the network grouped, drawn.</summary>
internal static class GroupsCommand
{
    private static readonly string[] Modes = [.. DemoModes.Names, "sheet", "html"];

    public static Command Create()
    {
        Options options = new();
        Command command = new("groups", "Draw the groups of pictures: a contact sheet, a page, and the pictures of the authors' demonstration.") { options.Pictures };
        foreach (Option option in options.All)
        {
            command.Add(option);
        }
        command.SetAction((parsed, cancellation) => ExitCodes.Run(parsed, token => Run(parsed, options, token), cancellation));
        return command;
    }

    private static int Run(ParseResult parsed, Options options, CancellationToken cancellation)
    {
        Output output = new(parsed, quiet: parsed.GetValue(options.Quiet));
        SegmentationOptions rules = options.Rules.Read(parsed, output);
        if (rules.Preset != SegmentationPreset.Nvlabs || rules.Mode != SegmentationMode.Whole)
        {
            throw new UsageException("groups are of the whole picture as preset nvlabs shows it to the network; leave out --preset transformers and --mode slide");
        }
        string[] modes = parsed.GetValue(options.Modes)!;
        List<PictureEntry> pictures = PictureList.Expand(parsed.GetValue(options.Pictures)!);
        using GroupVitModel model = ModelLocator.Open(parsed.GetValue(options.Model)!);
        LabelChoice labels = options.Labels.Read(parsed, model, rules.Preset, background: true);
        long maxPixels = parsed.GetValue(options.MaxPixels) ?? CommonOptions.DefaultMaxPixels;
        using Session session = model.OpenSession(new SessionOptions
        {
            Device = parsed.GetValue(options.Device)!,
            MaxSize = InputSize.Largest(model, PictureHeader.Sizes(pictures, maxPixels), (width, height) => InputSize.Segmentation(model, rules, width, height)),
            MaxLabels = labels.Labels.Count,
            Threads = parsed.GetValue(options.Threads),
            StageMaps = true,
        });
        LabelBank bank = labels.Encode(session, cancellation);
        LabelColors colors = SegmentSettings.ColorsOf(bank.Labels);
        OutputFolder folder = new(parsed.GetValue(options.Out)!);
        int failed = 0;
        output.Progress("pictures", pictures.Count, done =>
        {
            foreach (PictureEntry entry in pictures)
            {
                cancellation.ThrowIfCancellationRequested();
                try
                {
                    Picture picture = PictureList.Decode(entry, parsed.GetValue(options.Alpha), maxPixels);
                    ImageEncoding encoding = session.Encode(picture, rules, cancellation);
                    SegmentationResult result = session.Label(encoding, bank, rules, cancellation);
                    Explanation explanation = session.Explain(encoding, bank, rules, [], cancellation);
                    GroupPicture drawn = new(Path.GetFileName(entry.Path), picture, encoding, result, explanation, bank, colors, model, rules.ShortSide);
                    output.Line($"{entry.Path}: {string.Join(", ", Write(drawn, folder.Claim(entry.Path), modes, folder, cancellation))}");
                }
                catch (Exception exception) when (ExitCodes.IsOfInput(exception))
                {
                    failed++;
                    output.Problem(ExitCodes.Describe(exception));
                }
                done();
            }
            return true;
        });
        return failed > 0 && !parsed.GetValue(options.SkipBad) ? ExitCodes.InputFailed : ExitCodes.Done;
    }

    private static List<string> Write(GroupPicture picture, string name, string[] modes, OutputFolder folder, CancellationToken cancellation)
    {
        List<string> files = [];
        foreach (string mode in modes)
        {
            switch (mode)
            {
                case "sheet":
                    files.Add(folder.Write($"{name}.groups.png", stream => PngWriter.WriteRgb(stream, ContactSheet.Draw(picture)), cancellation));
                    break;
                case "html":
                    files.Add(folder.Write($"{name}.groups.html", stream => GroupPage.Write(stream, picture), cancellation));
                    break;
                default:
                    foreach ((string suffix, Action<Stream> write) in DemoModes.Files(picture, mode))
                    {
                        files.Add(folder.Write($"{name}.{mode}{suffix}.png", write, cancellation));
                    }
                    break;
            }
        }
        return files;
    }

    private sealed class Options
    {
        public Argument<string[]> Pictures { get; } = CommonOptions.Pictures();

        public Option<string[]> Modes { get; } = new("--modes")
        {
            Description = "what is drawn, between commas, or all; default: sheet",
            HelpName = string.Join('|', GroupsCommand.Modes),
            DefaultValueFactory = _ => ["sheet"],
            CustomParser = result =>
            {
                string[] words = string.Join(',', result.Tokens.Select(token => token.Value)).Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
                if (words is ["all"])
                {
                    return GroupsCommand.Modes;
                }
                if (words.FirstOrDefault(word => !GroupsCommand.Modes.Contains(word)) is { } wrong)
                {
                    result.AddError($"--modes takes {string.Join(", ", GroupsCommand.Modes)} between commas, or all, not '{wrong}'");
                }
                return [.. words.Distinct()];
            },
        };

        public Option<string> Model { get; } = CommonOptions.Model();

        public Option<string> Device { get; } = CommonOptions.Device();

        public LabelChoiceOptions Labels { get; } = new("simple");

        public RuleOptions Rules { get; } = new();

        public Option<AlphaMode> Alpha { get; } = CommonOptions.Alpha();

        public Option<long?> MaxPixels { get; } = CommonOptions.MaxPixels();

        public Option<string> Out { get; } = new("--out") { Description = "the folder that pictures are written to", HelpName = "DIR", DefaultValueFactory = _ => "." };

        public Option<int> Threads { get; } = CommonOptions.Threads();

        public Option<bool> SkipBad { get; } = CommonOptions.SkipBad();

        public Option<bool> Quiet { get; } = CommonOptions.Quiet();

        public IEnumerable<Option> All => [Modes, Model, Device, .. Labels.All, .. Rules.All, Alpha, MaxPixels, Out, Threads, SkipBad, Quiet];
    }
}
