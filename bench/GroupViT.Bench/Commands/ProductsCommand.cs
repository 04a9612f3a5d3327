using System.CommandLine;
using System.Globalization;
using GroupViT.Bench.Ceilings;
using GroupViT.Bench.Measuring;
using GroupViT.Bench.Workloads;
using GroupViT.Kernels;
using GroupViT.Kernels.Devices;
using GroupViT.Native;
using GroupViT.Native.Measuring;

namespace GroupViT.Bench.Commands;

/// <summary>The model's products on a GPU device beside the cpu device, in turn.</summary>
internal static class ProductsCommand
{
    // The cube that kernels are compared by everywhere, then the image encoder's own at 224 and 448.
    private static readonly (string Name, int M, int N, int K)[] Shapes =
    [
        ("512 cubed", 512, 512, 512), ("first layers' q, k, v at 224", 260, 1152, 384), ("their projection", 260, 384, 384), ("their MLP, first", 260, 1536, 384),
        ("their MLP, second", 260, 384, 1536), ("q, k, v at 448", 848, 1152, 384), ("MLP, first, at 448", 848, 1536, 384), ("grouping, 8 queries", 8, 384, 384),
    ];

    public static Command Create()
    {
        Option<string> device = new("--device") { Description = "beside cpu", DefaultValueFactory = _ => "opencl:0" };
        Option<int> threads = BenchOptions.Threads();
        Option<double> seconds = BenchOptions.Seconds(2, "for each shape");
        Option<string?> output = BenchOptions.Out();
        Command command = new("products", "Time the model's products on a GPU device beside the cpu device.") { device, threads, seconds, output };
        command.SetAction((parsed, cancellation) =>
        {
            Run(parsed, parsed.GetValue(device)!, BenchOptions.Actual(parsed.GetValue(threads)), parsed.GetValue(seconds), parsed.GetValue(output), cancellation);
            return Task.CompletedTask;
        });
        return command;
    }

    private static void Run(ParseResult parsed, string name, int threads, double seconds, string? output, CancellationToken cancellation)
    {
        using GpuDevice device = BenchOptions.OpenGpu(name);
        DeviceCeilings ceilings = CeilingMeasurement.Of(device);
        MarkdownTable table = new("product", ">M", ">N", ">K", "weights", ">cpu GFLOP/s", $">{name} GFLOP/s", ">spread", ">of cpu", ">of ceiling");
        foreach ((string shape, int m, int n, int k) in Shapes)
        {
            foreach (Precision precision in DeviceCatalog.Precisions(device))
            {
                cancellation.ThrowIfCancellationRequested();
                MatMul exact = Product(m, n, k, WeightFormat.Float32);
                MatMul product = Product(m, n, k, precision.WeightFormat());
                using PreparedOperation cpu = new(exact, threads);
                using PreparedOperation other = new(product, device, threads);
                using LaunchChain chain = other.Chain();
                AlternatingResult result = new Alternating { Budget = TimeSpan.FromSeconds(seconds), Warmup = TimeSpan.FromSeconds(Math.Min(seconds, 0.5)) }
                    .Run([new("cpu", cpu.Run), new(name, () => chain.Run())], cancellation);
                (double ours, double theirs) = (result["cpu"].Median, result[name].Median / chain.Length);
                table.Add(
                    shape, Number(m), Number(n), Number(k), precision.ToString(), Rate(ours), Rate(theirs), (result[name].Spread / result[name].Median).Percent(), (ours / theirs).Percent(),
                    ceilings.BoundOf(product, device.Facts).Share(theirs, exact.Flops, 0).Percent());
                parsed.InvocationConfiguration.Error.WriteLine(string.Join("  ", table.Rows[^1]));

                string Rate(double milliseconds) => (exact.Flops / milliseconds / 1e6).Cell(1);
            }
        }
        new ResultFile($"Products on {device.Description}", Machine.Here(), BenchOptions.CommandLine(parsed))
            .Add("Device", CeilingsCommand.Rates(ceilings), $"{device.Description}; {device.Facts}.")
            .Add(
                "Beside the cpu device", table,
                $"Medians in turn, {threads} threads, weights packed, operands warm; on the device of launches in a chain that is waited for once. The cpu device multiplies float32 in every row. The ceiling is of the "
                + "instructions that the shape's kernel multiplies with. " + string.Join("; ", device.Products.Select(product => $"{product.Format}: {product.Kernel} ({product.Reason})")) + ".")
            .Finish(parsed, output);

        static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);
    }

    private static MatMul Product(int m, int n, int k, WeightFormat format)
    {
        Tensor weight = Tensor.Constant("weight", n, k, destination => destination.Fill(0.5f));
        return new MatMul(Tensor.Float("a", 1, m, k), weight.View(), Tensor.Float("y", 1, m, n))
        {
            TransposeB = true,
            WeightFormat = format,
            RoundsFactors = format != WeightFormat.Float32,
        };
    }
}
