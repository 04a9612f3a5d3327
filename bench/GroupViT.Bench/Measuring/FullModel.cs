using GroupViT.Native;
using GroupViT.Native.Weights;

namespace GroupViT.Bench.Measuring;

/// <summary>
/// The official architecture at full size with formula weights (spec K.1) and the public CLIP vocabulary: 223 MB under artifacts/, made when
/// first asked for. Its speed is that of the released weights: no kernel looks at values.
/// </summary>
internal static class FullModel
{
    private const string Config = "config.json";
    private const string Weights = "model.safetensors";
    private const string Vocabulary = "bpe_simple_vocab_16e6.txt.gz";

    /// <summary>The model folder, complete.</summary>
    public static string Folder => EnsureAt(Repository.Join("artifacts", "bench", "full"));

    /// <summary>The network input of spec K.2: [3, height, width] normalised values.</summary>
    public static float[] Pixels(int height, int width)
    {
        float[] pixels = new float[3 * height * width];
        FormulaWeights.Image(height, width, pixels);
        return pixels;
    }

    private static string EnsureAt(string folder)
    {
        byte[] config = File.ReadAllBytes(Repository.Join("tests", "fixtures", "full", Config));
        string configPath = Path.Combine(folder, Config);
        string weightsPath = Path.Combine(folder, Weights);
        // The configuration is written last: where it is and is the same, so is the rest.
        if (File.Exists(configPath) && File.ReadAllBytes(configPath).AsSpan().SequenceEqual(config) && File.Exists(weightsPath))
        {
            return folder;
        }
        Directory.CreateDirectory(folder);
        FormulaWeights.Synthesize(GroupVitConfig.Parse(config, Config), KeyLayout.HuggingFace, SafetensorsType.F32, weightsPath);
        byte[] vocabulary = File.ReadAllBytes(Repository.Join("tests", "fixtures", Vocabulary));
        AtomicFile.Write(Path.Combine(folder, Vocabulary), stream => stream.Write(vocabulary));
        AtomicFile.Write(configPath, stream => stream.Write(config));
        return folder;
    }
}
