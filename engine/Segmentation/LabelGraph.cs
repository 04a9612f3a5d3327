using GroupViT.Kernels;

namespace GroupViT.Native;

/// <summary>Which operations make labels of maps and embeddings.</summary>
/// <param name="Soft">Whether groups are mixed, or each pixel belongs to one.</param>
/// <param name="Logits">Whether scores are logits (preset transformers), whose softmax is a pixel's score.</param>
/// <param name="Background">Whether a first label stands for what no other names.</param>
internal readonly record struct LabelKind(bool Soft, bool Logits, bool Background)
{
    public static LabelKind Of(SegmentationOptions rules, LabelBank bank) => new(rules.IsSoft, rules.Preset == SegmentationPreset.Transformers, bank.HasBackground);

    public LabelRules Rules
        => Logits ? LabelRules.Logits
        : !Background ? LabelRules.Probabilities
        : Soft ? LabelRules.MixedBackground
        : LabelRules.Background;
}

/// <summary>
/// From embeddings and maps at patch resolution to labels, a band of a picture at a time (spec F.1, F.2): alone, or after the image encoder in
/// one graph, where nothing comes back to the host in between.
/// </summary>
internal sealed class LabelGraph
{
    /// <summary>Alone: what the image encoder makes are inputs.</summary>
    /// <param name="width">Of embeddings.</param>
    /// <param name="groups">Final groups.</param>
    /// <param name="grid">Rows of patches, and patches in a row.</param>
    /// <param name="input">Rows and columns of the network's input in pixels.</param>
    /// <param name="labels">Label embeddings: the background has none.</param>
    /// <param name="kind">Of rules.</param>
    public LabelGraph(int width, int groups, (int Height, int Width) grid, (int Height, int Width) input, int labels, LabelKind kind)
    {
        Graph = new Graph();
        Embedding = Graph.Input(Tensor.Float("embedding", 1, 1, width));
        GroupEmbeddings = Graph.Input(Tensor.Float("group embeddings", 1, groups, width));
        Maps = Graph.Input(Tensor.Float("maps", 1, groups, grid.Height * grid.Width));
        (Words, Rules, Geometry, Verdict, Labels, Sums) = Describe(grid, input, labels, kind);
    }

    /// <summary>After the image encoder of one picture.</summary>
    public LabelGraph(Graph graph, ImageFeatures features, (int Height, int Width) grid, (int Height, int Width) input, int labels, LabelKind kind)
    {
        Graph = graph;
        (Embedding, GroupEmbeddings, Maps) = (features.Embedding, features.GroupEmbeddings, features.Maps);
        (Words, Rules, Geometry, Verdict, Labels, Sums) = Describe(grid, input, labels, kind);
    }

    public Graph Graph { get; }

    public Tensor Embedding { get; }

    public Tensor GroupEmbeddings { get; }

    public Tensor Maps { get; }

    /// <summary>The labels' embeddings.</summary>
    public Tensor Words { get; }

    /// <summary>As <see cref="LabelScores"/> reads them.</summary>
    public Tensor Rules { get; }

    public Tensor Geometry { get; }

    /// <summary>As <see cref="LabelScores"/> writes it.</summary>
    public Tensor Verdict { get; }

    /// <summary>Steps before it are the same for all bands of a picture.</summary>
    public int FirstOfBand => Graph.Operations.Count - 2;

    /// <summary>Of a band's pixels.</summary>
    public Tensor Labels { get; }

    /// <summary>Of a band, as <see cref="LabelSums"/> writes it.</summary>
    public Tensor Sums { get; }

    private (Tensor Words, Tensor Rules, Tensor Geometry, Tensor Verdict, Tensor Labels, Tensor Sums) Describe(
        (int Height, int Width) grid, (int Height, int Width) input, int count, LabelKind kind)
    {
        int groups = Maps.Rows;
        Tensor words = Graph.Input(Tensor.Float("label embeddings", 1, count, Embedding.Columns));
        Tensor rules = Graph.Input(Tensor.Float("rules", 1, 1, LabelScores.RuleCount));
        Tensor geometry = Graph.Input(Tensor.Int("geometry", 1, 1, 4));
        Tensor work = Tensor.Float("affinities", 1, LabelScores.WorkRows(groups, kind.Rules), 2 * count);
        Tensor verdict = Tensor.Float("verdict", 1, 1, LabelScores.BestAt + groups);
        Tensor table = Tensor.Float("table", 1, groups, count + (kind.Background && !kind.Logits ? 1 : 0));
        Graph.Add(new LabelScores(Embedding, GroupEmbeddings, words, rules, work, verdict, table, kind.Rules));

        Tensor labels = Tensor.Labels("labels", SessionPlan.BandPixels);
        Tensor scores = Tensor.Float("scores", 1, 1, SessionPlan.BandPixels);
        PixelLabels labelling = new(table, geometry, labels, scores, input.Height, input.Width) { SoftmaxScore = kind.Logits };
        if (kind.Soft && !kind.Logits)
        {
            Graph.Add(labelling with { Maps = Maps, Height = grid.Height, Width = grid.Width });
            Graph.Output("maps", Maps);
        }
        else if (kind.Soft)
        {
            Tensor resampled = Tensor.Float("resampled maps", 1, groups, input.Height * input.Width);
            Graph.Add(new ResampleBilinear(Maps, resampled, grid.Height, grid.Width, input.Height, input.Width));
            Graph.Add(labelling with { Maps = resampled });
            Graph.Output("resampled maps", resampled);
        }
        else
        {
            Tensor pixelGroups = Tensor.Int("pixel groups", 1, 1, input.Height * input.Width);
            Graph.Add(new PixelGroups(Maps, pixelGroups, grid.Height, grid.Width, input.Height, input.Width));
            Graph.Add(labelling with { Groups = pixelGroups });
            Graph.Output("pixel groups", pixelGroups);
        }
        Tensor sums = Tensor.Int("sums", 1, table.Columns, LabelSums.Parts);
        Graph.Add(new LabelSums(labels, scores, geometry, sums));
        Graph.Output("labels", labels);
        Graph.Output("sums", sums);
        Graph.Output("verdict", verdict);
        // Bands follow one another in the same arena: what the last two steps read must survive each run.
        Graph.Output("table", table);
        Graph.Output("geometry", geometry);
        return (words, rules, geometry, verdict, labels, sums);
    }
}

/// <summary>From maps at patch resolution to the group of every pixel (spec F.1 steps 2 and 3): a window's part of mode Slide.</summary>
internal sealed class GroupGraph
{
    public GroupGraph(int groups, int gridHeight, int gridWidth, int height, int width)
    {
        Graph = new Graph();
        Maps = Graph.Input(Tensor.Float("maps", 1, groups, gridHeight * gridWidth));
        PixelGroups = Tensor.Int("pixel groups", 1, 1, height * width);
        Graph.Add(new PixelGroups(Maps, PixelGroups, gridHeight, gridWidth, height, width));
        Graph.Output("pixel groups", PixelGroups);
    }

    public Graph Graph { get; }

    public Tensor Maps { get; }

    public Tensor PixelGroups { get; }
}
