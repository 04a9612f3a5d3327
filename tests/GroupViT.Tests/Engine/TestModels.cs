using GroupViT.Kernels.Devices;
using GroupViT.Native;
using GroupViT.Native.Imaging;
using GroupViT.Native.Weights;
using GroupViT.Tests.Kernels;
// Program alone would be the tool's entry point.
using ModelProgram = GroupViT.Native.Program;

namespace GroupViT.Tests.Engine;

/// <summary>Models, pictures and labels that the engine's tests share.</summary>
internal static class TestModels
{
    /// <summary>Width 64, patches of 16; no tokenizer.</summary>
    public static GroupVitModel Tiny() => GroupVitModel.Load(Fixtures.Path("tiny"));

    /// <summary>The demonstration model: width 128, patches of 8, trained, with a tokenizer.</summary>
    public static GroupVitModel Scenes() => GroupVitModel.Load(Fixtures.Models("scenes"));

    public static Checkpoint Open(string folder)
        => Checkpoint.Open(SafetensorsFile.Open(Path.Combine(folder, "model.safetensors")), GroupVitConfig.Load(Path.Combine(folder, "config.json")));

    public static Picture Noise(int width, int height, int seed = 1)
    {
        byte[] pixels = new byte[3 * width * height];
        new Random(seed).NextBytes(pixels);
        return Picture.FromPixels(pixels, width, height, 3 * width, PixelFormat.Rgb);
    }

    /// <summary>Random unit embeddings under names of their own: labels for a model that has no tokenizer.</summary>
    public static LabelBank Bank(GroupVitModel model, int count, bool background = false, int? width = null)
    {
        Random random = new(count);
        int columns = width ?? model.Config.ProjectionDim;
        float[] embeddings = new float[count * columns];
        for (int row = 0; row < count; row++)
        {
            Span<float> values = embeddings.AsSpan(row * columns, columns);
            double squares = 0;
            for (int i = 0; i < columns; i++)
            {
                values[i] = (float)(random.NextDouble() - 0.5);
                squares += (double)values[i] * values[i];
            }
            for (int i = 0; i < columns; i++)
            {
                values[i] = (float)(values[i] / Math.Sqrt(squares));
            }
        }
        string[] labels = [.. background ? ["background"] : Array.Empty<string>(), .. Enumerable.Range(0, count).Select(i => $"thing {i}")];
        return new LabelBank(labels, background, embeddings, columns, ["a photo of a {}."], TextNormalization.OpenAI, model.Fingerprint);
    }

    public static void AssertSameBits(ImageEncoding actual, ImageEncoding expected, string what)
    {
        AssertSameBits(actual.EmbeddingValues, expected.EmbeddingValues, $"{what}: embedding");
        AssertSameBits(actual.GroupEmbeddings, expected.GroupEmbeddings, $"{what}: group embeddings");
        AssertSameBits(actual.Maps, expected.Maps, $"{what}: maps");
    }

    public static void AssertSameBits(float[] actual, float[] expected, string what)
    {
        Assert.That(actual, Has.Length.EqualTo(expected.Length), what);
        for (int i = 0; i < actual.Length; i++)
        {
            if (BitConverter.SingleToUInt32Bits(actual[i]) != BitConverter.SingleToUInt32Bits(expected[i]))
            {
                Assert.Fail($"{what}: element {i} is {actual[i]:G9}, not {expected[i]:G9}");
            }
        }
    }

    /// <summary>
    /// Managed bytes of a hundred rounds: all that the calling thread allocates, and what the other threads do. Those of the test host
    /// allocate now and then: a round in which anyone did is repeated, and what it allocates itself it allocates again.
    /// </summary>
    public static long AllocatedBytes(Action round)
    {
        long others = 0;
        long ours = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
        {
            long least = long.MaxValue;
            for (int attempt = 0; attempt < 10 && least > 0; attempt++)
            {
                long before = GC.GetTotalAllocatedBytes(precise: true);
                round();
                least = Math.Min(least, GC.GetTotalAllocatedBytes(precise: true) - before);
            }
            others += least;
        }
        return others + GC.GetAllocatedBytesForCurrentThread() - ours;
    }

    /// <summary>Runs a graph once in an arena of its own; its outputs by name.</summary>
    public static Dictionary<string, float[]> Run(TestDevice device, Graph graph, Action<ModelProgram> upload)
    {
        MemoryAccount account = new();
        using ConstantPool constants = device.Device.CreateConstants(account);
        return new Verifier.Runner(device.Device, constants, account, 2, CancellationToken.None).Run(graph, upload);
    }
}
