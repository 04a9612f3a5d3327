using GroupViT.Bench.Measuring;
using GroupViT.Bench.Peers.Onnx;
using GroupViT.Bench.Peers.Processes;
using GroupViT.Kernels;
using GroupViT.Native;
using GroupViT.Native.Measuring;
using GroupViT.Native.Weights;

namespace GroupViT.Bench.Peers;

/// <summary>How far an output is from ours, and how far it may be.</summary>
/// <param name="Output">Its name.</param>
/// <param name="Difference">The largest of all elements.</param>
/// <param name="Tolerance">Twice what a float32 result may differ from the reference by.</param>
internal sealed record OutputDifference(string Output, double Difference, double Tolerance)
{
    public bool Equal => Difference <= Tolerance;
}

/// <summary>What the outputs of a cell must be, to within what float32 allows.</summary>
/// <remarks>
/// The tolerance of a recorded value is four times what the reference's own float32 run differs by, and eight units in the last place
/// (<see cref="ReferenceError.Tolerance"/>). Two engines that are both within it are within twice it of each other. Unit embeddings are
/// compared with the tolerance of the projection that they are made of, carried through the normalisation.
/// </remarks>
internal sealed class Equality
{
    private readonly Dictionary<string, (float[] Values, double Tolerance)> expected = [];

    private Equality()
    {
    }

    /// <summary>Runs our engine on the cell's input with the assignment logits brought out.</summary>
    public static Equality Of(Network network, Cell cell, Inputs inputs)
    {
        string errors = Repository.Join("tests", "fixtures", "full", ReferenceFile.ErrorsName);
        IReadOnlyDictionary<string, ReferenceError> tolerances = ReferenceFile.ParseErrors(File.ReadAllBytes(errors), errors);
        Dictionary<string, float[]> values = Run(network, cell, inputs);
        Equality equality = new();
        if (cell.Encoder == Encoder.Text)
        {
            equality.expected.Add("projected", (values["projected"], 2 * tolerances["text.text_projection"].Tolerance));
            return equality;
        }
        string recorded = $"image{cell.Size}x{cell.Size}";
        equality.expected.Add("maps", (values["maps"], 2 * tolerances[$"{recorded}.composed_groups"].Tolerance));
        int width = network.Config.ProjectionDim;
        foreach ((string output, string projection) in (ReadOnlySpan<(string, string)>)[("embedding", "visual_projection"), ("group_embeddings", "visual_projection_groups")])
        {
            // d(h/|h|) is at most |dh|/|h|; in one element at most twice the largest element's error, times sqrt(width) in the worst case.
            double tolerance = (1 + Math.Sqrt(width)) * tolerances[$"{recorded}.{projection}"].Tolerance / Shortest(values[projection], width);
            equality.expected.Add(output, (values[output], 2 * tolerance));
        }
        equality.Margin = values.Where(value => value.Key.EndsWith(".assign_logits", StringComparison.Ordinal))
            .Min(value => SmallestMargin(value.Value, network.Config.Vision.NumOutputGroups[value.Key.Contains("stages.0", StringComparison.Ordinal) ? 0 : 1], cell.Batch));
        return equality;
    }

    /// <summary>How much the best group's logit is above the next best's where that is least: far above rounding, no engine may choose otherwise.</summary>
    public double Margin { get; private set; } = double.PositiveInfinity;

    /// <exception cref="ContenderException">An output is missing or of another size.</exception>
    public IReadOnlyList<OutputDifference> Compare(string contender, IReadOnlyDictionary<string, float[]> outputs)
    {
        List<OutputDifference> differences = [];
        foreach ((string name, (float[] values, double tolerance)) in expected)
        {
            float[] theirs = outputs.TryGetValue(name, out float[]? found) ? found : throw new ContenderException(contender, $"it gave no output '{name}'");
            if (theirs.Length != values.Length)
            {
                throw new ContenderException(contender, $"{name} has {theirs.Length} values instead of {values.Length}");
            }
            double most = 0;
            for (int i = 0; i < values.Length; i++)
            {
                // A NaN is as far as can be.
                double difference = Math.Abs((double)values[i] - theirs[i]);
                most = difference <= most ? most : double.IsNaN(difference) ? double.PositiveInfinity : difference;
            }
            differences.Add(new OutputDifference(name, most, tolerance));
        }
        return differences;
    }

    private static Dictionary<string, float[]> Run(Network network, Cell cell, Inputs inputs)
    {
        Graph graph = network.Describe(cell, name => name.StartsWith("visual_projection", StringComparison.Ordinal) || name.EndsWith(".assign_logits", StringComparison.Ordinal));
        using PreparedNetwork prepared = new(graph, "cpu", threads: 0);
        foreach (Tensor input in graph.Inputs)
        {
            switch (input.Name)
            {
                case "pixel_values": prepared.Upload<float>(input, inputs.Pixels); break;
                case "input_ids": prepared.Upload<int>(input, inputs.Ids); break;
                case "lengths": prepared.Upload<int>(input, Enumerable.Repeat(cell.Size, cell.Batch).ToArray()); break;
                case "pick": prepared.Upload<int>(input, Enumerable.Repeat(cell.Size - 1, cell.Batch).ToArray()); break;
            }
        }
        prepared.Run();
        // Every output here is a tensor of its own.
        Dictionary<string, float[]> values = [];
        foreach ((string name, TensorView view) in graph.Outputs)
        {
            values.Add(OnnxExport.NameOf(name), new float[view.Tensor.Count]);
            prepared.Download<float>(view.Tensor, values[OnnxExport.NameOf(name)]);
        }
        return values;
    }

    private static double Shortest(float[] rows, int width)
        => Enumerable.Range(0, rows.Length / width).Min(row => Math.Sqrt(rows.AsSpan(row * width, width).ToArray().Sum(value => (double)value * value)));

    // Logits are [B, G, L]; L is what is left.
    private static double SmallestMargin(float[] logits, int groups, int batch)
    {
        int tokens = logits.Length / batch / groups;
        double smallest = double.PositiveInfinity;
        for (int b = 0; b < batch; b++)
        {
            for (int l = 0; l < tokens; l++)
            {
                float[] each = [.. Enumerable.Range(0, groups).Select(g => logits[(b * groups + g) * tokens + l]).OrderDescending().Take(2)];
                smallest = Math.Min(smallest, each[0] - each[1]);
            }
        }
        return smallest;
    }
}
