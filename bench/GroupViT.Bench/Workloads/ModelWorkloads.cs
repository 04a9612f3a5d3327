using GroupViT.Kernels;
using GroupViT.Kernels.Devices;
using GroupViT.Native;
using GroupViT.Native.Imaging;
using GroupViT.Native.Measuring;

namespace GroupViT.Bench.Workloads;

/// <summary>
/// Every shape that the model runs, taken from its graphs, so that the list cannot fall behind the network: each different operation
/// once, with how often it occurs.
/// </summary>
internal static class ModelWorkloads
{
    /// <summary>Labels of the benchmarks: PASCAL VOC's number, background included.</summary>
    public const int Labels = 21;

    /// <summary>Tokens of a text in the benchmarks: "a photo of a ..." with start and end fits.</summary>
    public const int TextLength = 16;

    /// <param name="model">Whose image side.</param>
    /// <param name="size">Pixels of either side.</param>
    /// <param name="batch">Pictures at once.</param>
    /// <param name="format">Of the layers' weights.</param>
    /// <param name="facts">Of the GPU device that is measured; null of the cpu.</param>
    public static IReadOnlyList<Workload> Image(GroupVitModel model, int size, int batch, WeightFormat format = WeightFormat.Float32, DeviceFacts? facts = null)
    {
        Graph graph = new();
        new ImageEncoder(model.Weights, format).Describe(graph, batch, size, size);
        NarrowTensors.Choose(graph, facts);
        return Of(graph);
    }

    /// <param name="model">Whose text side.</param>
    /// <param name="format">Of the layers' weights.</param>
    /// <param name="gathersOnHost">As sessions on a GPU device do.</param>
    /// <param name="facts">Of the GPU device that is measured; null of the cpu.</param>
    public static IReadOnlyList<Workload> Text(GroupVitModel model, WeightFormat format = WeightFormat.Float32, bool gathersOnHost = false, DeviceFacts? facts = null)
    {
        Graph graph = new();
        new TextEncoder(model.Weights, format) { GathersOnHost = gathersOnHost }.Describe(graph, SessionPlan.TextBatch, TextLength);
        NarrowTensors.Choose(graph, facts);
        return Of(graph);
    }

    /// <summary>From maps to a label for every pixel, as both presets do it.</summary>
    public static IReadOnlyList<Workload> Labelling(GroupVitModel model, int size)
    {
        int grid = size / model.Config.Vision.PatchSize;
        int groups = model.Config.Vision.NumOutputGroups[^2];
        return [.. ((bool[])[false, true]).SelectMany(soft => Of(new LabelGraph(model.Config.ProjectionDim, groups, (grid, grid), (size, size), Labels, new LabelKind(soft, soft, Background: !soft)).Graph))];
    }

    /// <summary>From a decoded picture of 640 x 480 to the network's pixels.</summary>
    public static IReadOnlyList<Workload> Input(int size)
    {
        const int width = 640;
        const int height = 480;
        RgbImage picture = Noise(width, height);
        RgbImage resized = Resize.OpenCvBilinear(picture, size, size);
        float[] target = new float[3 * size * size];
        return
        [
            new Workload("Resize", $"input.resize {height}x{width} to {size}x{size}", 1, 0, 3.0 * (width * height + size * size), _ =>
            {
                OpenCvBilinear resize = new(width, height, size, size);
                return new PreparedWorkload(() => resize.Run(picture, resized));
            }),
            new Workload("Normalize", $"input.normalize {size}x{size}", 1, 0, 15.0 * size * size,
                _ => new PreparedWorkload(() => Normalize.Nvlabs.Apply(resized, size, size, target))),
        ];
    }

    /// <summary>A picture of random pixels.</summary>
    public static RgbImage Noise(int width, int height)
    {
        byte[] pixels = new byte[3 * width * height];
        new Random(1).NextBytes(pixels);
        return RgbImage.FromPixels(pixels, width, height, 3 * width, PixelFormat.Rgb, AlphaMode.Drop);
    }

    internal static IReadOnlyList<Workload> Of(Graph graph)
        => [.. graph.Operations
            .Select(operation => (Operation: operation, Shape: Shape(operation), Details: Details(operation)))
            .GroupBy(entry => (Kind: entry.Operation.GetType().Name, entry.Shape, entry.Details))
            .Select(group => new Workload(
                group.Key.Kind, $"{NetworkPart.Role(group.First().Operation)} {group.Key.Shape}", group.Count(), group.First().Operation.Flops, Bytes(group.First().Operation),
                threads =>
                {
                    PreparedOperation prepared = new(group.First().Operation, threads);
                    return new PreparedWorkload(prepared.Run, prepared);
                })
            {
                Operation = group.First().Operation,
            })];

    /// <summary>The shape in the words of the operation: M x K x N of a product, queries x keys of an attention.</summary>
    internal static string Shape(Operation operation)
    {
        string shape = operation switch
        {
            MatMul product => $"{Rows(product.Y.Batch)}{product.M}x{product.K}x{product.N}",
            Attention attention => $"{Rows(attention.Q.Batch)}{attention.Q.Rows}x{attention.K.Rows} {attention.Heads} heads x {attention.HeadSize}",
            GroupAssign assign => $"{Rows(assign.Q.Batch)}{assign.Groups}x{assign.Tokens}x{assign.Q.Columns}",
            PixelLabels labels => $"{labels.Height}x{labels.Width}, {labels.Table.Columns} of {(labels.Groups is null ? "soft maps" : "groups")}",
            LabelSums sums => $"{sums.Capacity} pixels, {sums.LabelCount} labels",
            PixelGroups groups => $"{groups.Maps.Rows}*{groups.GridHeight}x{groups.GridWidth} to {groups.Height}x{groups.Width}",
            _ => OfResult(operation),
        };
        return shape;

        static string Rows(int batch) => batch == 1 ? "" : $"{batch}*";

        static string OfResult(Operation operation)
        {
            TensorView written = Uses(operation).Writes[0];
            return $"{Rows(written.Batch)}{written.Rows}x{written.Columns}";
        }
    }

    // What makes two products of one shape different work.
    private static string Details(Operation operation) => operation switch
    {
        MatMul product => $"{product.A.Tensor.Type}, {product.Y.Tensor.Type}, {product.Activation}, {product.Bias is not null}, {product.BiasAxis}, {product.Residual is not null}, {product.TransposeB}, {product.A.Tensor.IsConstant}",
        LayerNorm norm => $"{norm.Y.Tensor.Type}, {norm.Residual is not null}",
        Attention attention => $"{attention.Q.Tensor.Type}",
        PixelLabels labels => $"{labels.SoftmaxScore}",
        _ => "",
    };

    private static double Bytes(Operation operation)
    {
        OperationUses uses = Uses(operation);
        double written = uses.Writes.Sum(view => (double)view.Tensor.Bytes / view.Tensor.Count * view.Batch * view.Rows * view.Columns);
        // Of a table only the rows asked for are read.
        return written + (operation is GatherRows ? written : uses.Reads.Distinct().Sum(Read));

        double Read(Tensor tensor)
            => operation is MatMul { WeightFormat: WeightFormat.BFloat16 or WeightFormat.Float16 } product && tensor == product.B.Tensor ? tensor.Bytes / 2.0 : tensor.Bytes;
    }

    private static OperationUses Uses(Operation operation)
    {
        OperationUses uses = new();
        operation.Describe(uses);
        return uses;
    }
}
