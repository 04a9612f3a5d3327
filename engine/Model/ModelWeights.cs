using GroupViT.Kernels;
using GroupViT.Native.Weights;

namespace GroupViT.Native;

/// <summary>
/// The checkpoint as constants of a graph: matrices joined that are used together, batch norms folded, positions resampled. Nothing is
/// read before a device packs it.
/// </summary>
/// <remarks>One constant object per name, whichever graph asks, so that devices share their packings.</remarks>
internal sealed class ModelWeights(Checkpoint checkpoint)
{
    private readonly Dictionary<string, Tensor> constants = [];
    private readonly Lock gate = new();

    public GroupVitConfig Config => checkpoint.Config;

    /// <summary>A parameter as it lies in the checkpoint, [first axis, all others].</summary>
    public Tensor Parameter(string name) => Get(name, () =>
    {
        (int rows, int columns) = ShapeOf(name);
        return Tensor.Constant(name, rows, columns, (first, destination) => checkpoint.Read(name, first * columns, destination));
    });

    /// <summary>A parameter as a vector, [1, 1, n].</summary>
    public Tensor Vector(string name) => Get(name, () =>
    {
        (int rows, int columns) = ShapeOf(name);
        return Tensor.Constant(name, 1, rows * columns, destination => checkpoint.Read(name, destination));
    });

    /// <summary>Matrices of equal width stacked: projections of the same input, made in one product.</summary>
    public Tensor Stack(params string[] names) => Get(string.Join('+', names), () =>
    {
        (int Rows, int Columns)[] shapes = [.. names.Select(ShapeOf)];
        int columns = shapes[0].Columns;
        return Tensor.Constant(string.Join('+', names), shapes.Sum(shape => shape.Rows), columns, (first, destination) =>
        {
            for (int i = 0; !destination.IsEmpty; first = Math.Max(0, first - shapes[i].Rows), i++)
            {
                if (first < shapes[i].Rows)
                {
                    int count = Math.Min((shapes[i].Rows - first) * columns, destination.Length);
                    checkpoint.Read(names[i], first * columns, destination[..count]);
                    destination = destination[count..];
                }
            }
        });
    });

    /// <summary>Vectors joined end to end.</summary>
    public Tensor StackVectors(params string[] names) => Get(string.Join('+', names), () =>
    {
        int[] lengths = [.. names.Select(name => ShapeOf(name).Rows)];
        return Tensor.Constant(string.Join('+', names), 1, lengths.Sum(), destination =>
        {
            for (int i = 0, at = 0; i < names.Length; at += lengths[i], i++)
            {
                checkpoint.Read(names[i], destination.Slice(at, lengths[i]));
            }
        });
    });

    /// <summary>The weight of a linear layer followed by a batch norm, with the norm folded in (spec B.4).</summary>
    public Tensor FoldedWeight(string linear, string norm) => Get($"{linear}.weight*{norm}", () =>
    {
        (int rows, int columns) = ShapeOf($"{linear}.weight");
        return Tensor.Constant($"{linear}.weight*{norm}", rows, columns, destination =>
        {
            checkpoint.Read($"{linear}.weight", destination);
            double[] scale = NormScale(norm, rows);
            for (int i = 0; i < destination.Length; i++)
            {
                destination[i] = (float)(destination[i] * scale[i / columns]);
            }
        });
    });

    /// <summary>The bias that goes with <see cref="FoldedWeight"/>.</summary>
    public Tensor FoldedBias(string linear, string norm) => Get($"{linear}.bias*{norm}", () =>
    {
        int rows = ShapeOf($"{linear}.bias").Rows;
        return Tensor.Constant($"{linear}.bias*{norm}", 1, rows, destination =>
        {
            checkpoint.Read($"{linear}.bias", destination);
            double[] scale = NormScale(norm, rows);
            float[] mean = Read($"{norm}.running_mean", rows);
            float[] beta = Read($"{norm}.bias", rows);
            for (int i = 0; i < rows; i++)
            {
                destination[i] = (float)(scale[i] * ((double)destination[i] - mean[i]) + beta[i]);
            }
        });
    });

    /// <summary>
    /// The position table for a grid of patches (spec A.2): as learned for the square grid it was learned on, else resampled.
    /// </summary>
    public Tensor Positions(int gridHeight, int gridWidth)
    {
        const string parameter = "vision_model.embeddings.position_embeddings";
        int side = Config.Vision.PatchesPerSide;
        int channels = Config.Vision.HiddenSize;
        return Get($"{parameter}@{gridHeight}x{gridWidth}", () =>
            Tensor.Constant($"{parameter}@{gridHeight}x{gridWidth}", gridHeight * gridWidth, channels, destination =>
            {
                if (gridHeight == side && gridWidth == side)
                {
                    checkpoint.Read(parameter, destination);
                    return;
                }
                Bicubic.Resample(Read(parameter, side * side * channels), side, side, channels, gridHeight, gridWidth, destination);
            }, isPerSize: true));
    }

    private double[] NormScale(string norm, int rows)
    {
        float[] gamma = Read($"{norm}.weight", rows);
        float[] variance = Read($"{norm}.running_var", rows);
        double[] scale = new double[rows];
        for (int i = 0; i < rows; i++)
        {
            if (variance[i] < 0)
            {
                throw new ModelFileException(checkpoint.Name, $"the running variance at {i} is {variance[i]}; a variance is not negative", $"{norm}.running_var");
            }
            scale[i] = gamma[i] / Math.Sqrt(variance[i] + 1e-5);
        }
        return scale;
    }

    private float[] Read(string name, int count)
    {
        float[] values = new float[count];
        checkpoint.Read(name, values);
        return values;
    }

    // [1, G, C] (learned tokens) counts as [G, C]; a convolution's [o, i, k, k] as [o, i·k·k].
    private (int Rows, int Columns) ShapeOf(string name)
    {
        ParameterInfo parameter = checkpoint.Parameter(name);
        ReadOnlySpan<int> shape = parameter.Shape;
        shape = shape.Length > 2 && shape[0] == 1 ? shape[1..] : shape;
        int rows = shape.Length == 0 ? 1 : shape[0];
        return (rows, (int)(parameter.ElementCount / rows));
    }

    private Tensor Get(string name, Func<Tensor> create)
    {
        lock (gate)
        {
            if (!constants.TryGetValue(name, out Tensor? constant))
            {
                constants.Add(name, constant = create());
            }
            return constant;
        }
    }
}
