using GroupViT.Native;
using GroupViT.Native.Text;

namespace GroupViT.Tool.Evaluation;

/// <summary>Segmentation data sets in the layouts in which they are distributed, with the authors' settings (spec F.1, L.2, L.3).</summary>
internal static class SegmentationSets
{
    private static readonly string[] PictureEndings = [".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG"];

    private static readonly string[] ListNames = ["classes.txt", "labels.txt"];

    // The values in 0..89 that COCO-Stuff's label maps never hold (spec L.3).
    private static readonly int[] UnusedThings = [11, 25, 28, 29, 44, 65, 67, 68, 70, 82];

    /// <summary>Pascal VOC 2012: the VOCdevkit folder, or VOC2012 in it.</summary>
    public static EvaluationSet Voc(string folder, string? split)
        => Pascal(folder, ["VOC2012"], ["Segmentation"], "SegmentationClass", split ?? "val", DatasetKind.Voc, "voc", 0.95);

    /// <summary>Pascal Context: the VOCdevkit folder with VOC2010, or VOC2010 itself; 60 labels.</summary>
    public static EvaluationSet Context(string folder, string? split)
        => Pascal(folder, ["VOC2010"], ["SegmentationContext", "Segmentation"], "SegmentationClassContext", split ?? "val", DatasetKind.Context, "context", 0.35);

    /// <summary>COCO Object: COCO's pictures with COCO-Stuff's label maps.</summary>
    public static EvaluationSet CocoObject(string folder, string? split)
    {
        RequireFolder(folder);
        string name = split ?? "val2017";
        string pictures = First([Path.Combine(folder, "images", name), Path.Combine(folder, name)])
            ?? throw new DatasetException($"{folder}: this is no COCO folder: neither images/{name} nor {name} is in it");
        string truths = First([
            Path.Combine(folder, "annotations", name), Path.Combine(folder, "stuffthingmaps", name), Path.Combine(folder, "annotations", "stuffthingmaps", name), Path.Combine(folder, "labels", name)])
            ?? throw new DatasetException($"{folder}: there are no label maps: none of annotations/{name}, stuffthingmaps/{name} and labels/{name} is in it (COCO-Stuff's PNG files were looked for)");
        string[] files = Pngs(truths);
        (string suffix, string what, Func<int, int?> id) = files switch
        {
            _ when files.Any(file => file.EndsWith("_instanceTrainIds.png", StringComparison.Ordinal)) => ("_instanceTrainIds.png", "ids of COCO Object", Listed(81)),
            _ when files.Any(file => file.EndsWith("_labelTrainIds.png", StringComparison.Ordinal)) => ("_labelTrainIds.png", "training ids of COCO-Stuff", value => value is >= 0 and <= 79 ? value + 1 : value is <= 255 ? 0 : null),
            _ => (".png", "values of COCO-Stuff", (Func<int, int?>)StuffValue),
        };
        return new EvaluationSet
        {
            Kind = DatasetKind.CocoObject,
            Labels = ClassNames.Get("coco"),
            Samples = Paired(pictures, files.Where(file => file.EndsWith(suffix, StringComparison.Ordinal)), suffix),
            Description = $"pictures of {pictures}, label maps of {truths} ({what})",
            Id = id,
            Rules = Published(0.95),
            Templates = "simple",
        };
    }

    /// <summary>A folder with images/ and labels/, the label maps named as the pictures, and a list of labels.</summary>
    public static EvaluationSet Folder(string folder, string? labelsFile, int ignore)
    {
        RequireFolder(folder);
        string pictures = First([Path.Combine(folder, "images")]) ?? throw new DatasetException($"{folder}: there is no folder images in it; images/ with the pictures and labels/ with a PNG of label ids for each were looked for");
        string truths = First([Path.Combine(folder, "labels")]) ?? throw new DatasetException($"{folder}: there is no folder labels in it; labels/ with a PNG of label ids for each picture of images/ was looked for");
        string list = labelsFile ?? ListNames.Select(name => Path.Combine(folder, name)).FirstOrDefault(File.Exists)
            ?? throw new DatasetException($"{folder}: there is no list of labels; classes.txt with one label on a line was looked for (or give --labels-file)");
        IReadOnlyList<string> labels = ReadLabels(list);
        string[] named = [.. Directory.EnumerateFiles(pictures).Where(file => PictureEndings.Contains(Path.GetExtension(file))).Select(file => Path.GetFileNameWithoutExtension(file)).Order(StringComparer.Ordinal)];
        HashSet<string> mapped = [.. Pngs(truths).Select(file => Path.GetFileNameWithoutExtension(file))];
        string? alone = named.FirstOrDefault(name => !mapped.Contains(name));
        if (alone is not null)
        {
            throw new DatasetException($"{Path.Combine(pictures, alone)}.*: the picture has no label map; {Path.Combine(truths, alone)}.png was looked for");
        }
        return new EvaluationSet
        {
            Kind = DatasetKind.Folder,
            Labels = labels,
            Samples = Paired(pictures, Pngs(truths), ".png"),
            Description = $"pictures of {pictures}, label maps of {truths}, labels of {list}",
            Id = value => value == ignore ? EvaluationSet.Ignored : value >= 0 && value < labels.Count ? value : null,
            Rules = new SegmentationOptions(),
            Templates = "simple",
        };
    }

    /// <exception cref="DatasetException">The list cannot be read.</exception>
    public static IReadOnlyList<string> ReadLabels(string file)
    {
        try
        {
            using FileStream stream = new(file, FileMode.Open, FileAccess.Read, FileShare.Read);
            return ClassNames.Read(stream, file);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new DatasetException($"{file}: the list of labels cannot be read: {exception.Message}", exception);
        }
    }

    private static EvaluationSet Pascal(string folder, string[] inside, string[] splitFolders, string truthFolder, string split, DatasetKind kind, string labels, double threshold)
    {
        RequireFolder(folder);
        string[] roots = [folder, .. inside.Select(name => Path.Combine(folder, name)), .. inside.Select(name => Path.Combine(folder, "VOCdevkit", name))];
        string root = roots.FirstOrDefault(candidate => Directory.Exists(Path.Combine(candidate, "JPEGImages")))
            ?? throw new DatasetException($"{folder}: this is no {inside[0]} folder: neither it nor {inside[0]} in it holds JPEGImages");
        string truths = First([Path.Combine(root, truthFolder)])
            ?? throw new DatasetException($"{root}: the label maps are missing: there is no folder {truthFolder}");
        string list = splitFolders.Select(name => Path.Combine(root, "ImageSets", name, $"{split}.txt")).FirstOrDefault(File.Exists)
            ?? throw new DatasetException($"{root}: the split '{split}' is missing: {string.Join(" and ", splitFolders.Select(name => Path.Combine("ImageSets", name, $"{split}.txt")))} were looked for");
        List<EvaluationSample> samples = [];
        foreach ((string name, int number) in ReadNames(list))
        {
            string picture = Path.Combine(root, "JPEGImages", $"{name}.jpg");
            string truth = Path.Combine(truths, $"{name}.png");
            if (!File.Exists(picture) || !File.Exists(truth))
            {
                throw new DatasetException($"{list}, line {number}: '{name}': there is no {(File.Exists(picture) ? truth : picture)}");
            }
            samples.Add(new EvaluationSample(name, picture, truth));
        }
        if (samples.Count == 0)
        {
            throw new DatasetException($"{list}: the split is empty; the name of a picture on each line was expected");
        }
        IReadOnlyList<string> names = ClassNames.Get(labels);
        return new EvaluationSet
        {
            Kind = kind,
            Labels = names,
            Samples = samples,
            Description = $"{list}, label maps of {truths}",
            Id = Listed(names.Count),
            Rules = Published(threshold),
            Templates = "simple",
        };
    }

    private static List<(string Name, int Line)> ReadNames(string list)
    {
        List<(string, int)> names = [];
        HashSet<string> seen = new(StringComparer.Ordinal);
        try
        {
            using FileStream stream = new(list, FileMode.Open, FileAccess.Read, FileShare.Read);
            int number = 0;
            foreach (string line in UserText.Lines(stream, list))
            {
                number++;
                // Per-class lists have a second column; the first is the name in all of them.
                string name = line.Split((char[]?)null, 2, StringSplitOptions.RemoveEmptyEntries).FirstOrDefault() ?? "";
                if (name.Length == 0)
                {
                    continue;
                }
                if (name.AsSpan().ContainsAny('/', '\\') || name is "." or "..")
                {
                    throw new DatasetException($"{list}, line {number}: '{name}' is no name of a picture but a path");
                }
                if (!seen.Add(name))
                {
                    throw new DatasetException($"{list}, line {number}: '{name}' is there twice");
                }
                names.Add((name, number));
            }
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new DatasetException($"{list}: the split cannot be read: {exception.Message}", exception);
        }
        return names;
    }

    private static List<EvaluationSample> Paired(string pictures, IEnumerable<string> truths, string suffix)
    {
        List<EvaluationSample> samples = [];
        foreach (string truth in truths)
        {
            string name = Path.GetFileName(truth)[..^suffix.Length];
            string picture = PictureEndings.Select(ending => Path.Combine(pictures, name + ending)).FirstOrDefault(File.Exists)
                ?? throw new DatasetException($"{truth}: the label map has no picture; {Path.Combine(pictures, name)}.jpg (or .jpeg, .png) was looked for");
            samples.Add(new EvaluationSample(name, picture, truth));
        }
        return samples.Count > 0 ? samples : throw new DatasetException($"{pictures}: no picture has a label map: the data set is empty");
    }

    private static SegmentationOptions Published(double threshold)
        => new() { Mode = SegmentationMode.Slide, ShortSide = 448, Crop = 448, Stride = 224, BackgroundThreshold = threshold };

    private static Func<int, int?> Listed(int count) => value => value == 255 ? EvaluationSet.Ignored : value >= 0 && value < count ? value : null;

    // Things keep their order, everything else is background, 255 too: nothing is ignored.
    private static int? StuffValue(int value)
        => value is < 0 or > 255 ? null : value > 90 || value == 90 || UnusedThings.Contains(value) ? 0 : value + 1 - UnusedThings.Count(unused => unused < value);

    private static string[] Pngs(string folder) => [.. Directory.EnumerateFiles(folder, "*.png").Order(StringComparer.Ordinal)];

    private static string? First(IEnumerable<string> folders) => folders.FirstOrDefault(Directory.Exists);

    private static void RequireFolder(string folder)
    {
        if (!Directory.Exists(folder))
        {
            throw new DatasetException($"{folder}: {(File.Exists(folder) ? "is a file, not the folder of a data set" : "there is no such folder")}");
        }
    }
}
