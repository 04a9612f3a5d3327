using GroupViT.Bench.Measuring;
using GroupViT.Native.Measuring;

foreach (string line in Machine.Here().Lines())
{
    Console.WriteLine(line);
}
foreach (int threads in (int[])[1, Environment.ProcessorCount])
{
    (double read, double triad) = Ceiling.Bandwidth(threads);
    Console.WriteLine(string.Create(
        System.Globalization.CultureInfo.InvariantCulture, $"{threads} threads: {Ceiling.FloatRate(threads):F1} GFLOP/s, read {read:F1} GB/s, triad {triad:F1} GB/s"));
}
