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

    // A layer of 64 pictures at 224.
    private static readonly (string Name, int M, int N, int K)[] ManyRows =
    [
        ("q, k, v of 64 pictures", 64 * 260, 1152, 384), ("their MLP, first", 64 * 260, 1536, 384), ("their MLP, second", 64 * 260, 384, 1536),
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
                MatMul exact = Product(m, n, k, WeightFormat.Float32, null);
                MatMul product = Product(m, n, k, precision.WeightFormat(), device.Facts);
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
        ResultFile file = new ResultFile($"Products on {device.Description}", Machine.Here(), BenchOptions.CommandLine(parsed))
            .Add("Device", CeilingsCommand.Rates(ceilings), $"{device.Description}; {device.Facts}.")
            .Add(
                "Beside the cpu device", table,
                $"Medians in turn, {threads} threads, weights packed, operands warm; on the device of launches in a chain that is waited for once. The cpu device multiplies float32 in every row. The ceiling is of the "
                + "instructions that the shape's kernel multiplies with. " + string.Join("; ", device.Products.Select(product => $"{product.Format}: {product.Kernel} ({product.Reason})")) + ".");
        MarkdownTable parts = Parts(parsed, device, ceilings, seconds, cancellation);
        if (parts.Rows.Count > 0)
        {
            file.Add(
                "K in four parts and in one", parts,
                "The same kernels in turn, with K summed in the four fixed parts that give every batch the same bits, and in one. What the second is faster by is what the parts cost many rows.");
        }
        file.Finish(parsed, output);
    }

    // What the fixed parts of K cost where there are rows enough without them.
    private static MarkdownTable Parts(ParseResult parsed, GpuDevice device, DeviceCeilings ceilings, double seconds, CancellationToken cancellation)
    {
        MarkdownTable table = new("product", ">M", ">N", ">K", "weights", ">four parts GFLOP/s", ">one part GFLOP/s", ">one : four", ">four: of ceiling");
        foreach ((string shape, int m, int n, int k) in ManyRows)
        {
            foreach (Precision precision in DeviceCatalog.Precisions(device))
            {
                MatMul product = Product(m, n, k, precision.WeightFormat(), device.Facts);
                if (!OnePartProduct.Fits(product, device.Facts))
                {
                    continue;
                }
                cancellation.ThrowIfCancellationRequested();
                using PreparedOperation four = new(product, device, 1);
                using PreparedOperation one = new(new OnePartProduct(product), device, 1);
                using LaunchChain chain = four.Chain();
                using LaunchChain other = one.Chain();
                AlternatingResult times = new Alternating { Budget = TimeSpan.FromSeconds(seconds), Warmup = TimeSpan.FromSeconds(Math.Min(seconds, 0.5)) }
                    .Run([new("four", () => chain.Run()), new("one", () => other.Run())], cancellation);
                (double split, double whole) = (times["four"].Median / chain.Length, times["one"].Median / other.Length);
                table.Add(
                    shape, Number(m), Number(n), Number(k), precision.ToString(), (product.Flops / split / 1e6).Cell(1), (product.Flops / whole / 1e6).Cell(1), (split / whole).Cell(3),
                    ceilings.BoundOf(product, device.Facts).Share(split, product.Flops, 0).Percent());
                parsed.InvocationConfiguration.Error.WriteLine(string.Join("  ", table.Rows[^1]));
            }
        }
        return table;
    }

    private static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);

    // A as the device would have it from the operation before.
    private static MatMul Product(int m, int n, int k, WeightFormat format, DeviceFacts? facts)
    {
        Tensor weight = Tensor.Constant("weight", n, k, destination => destination.Fill(0.5f));
        MatMul product = new(Tensor.Float("a", 1, m, k), weight.View(), Tensor.Float("y", 1, m, n))
        {
            TransposeB = true,
            WeightFormat = format,
            RoundsFactors = format != WeightFormat.Float32,
        };
        if (facts is not null && product.RoundsTo(product.A.Tensor, facts) is WeightFormat kept and not WeightFormat.Float32)
        {
            product.A.Tensor.KeepAs(kept);
        }
        return product;
    }
}
