using GroupViT.Native;
using GroupViT.Native.Weights;
using GroupViT.Tests.Engine;

namespace GroupViT.Tests.Equivalence;

/// <summary>The official architecture with formula weights (spec K.1) and the public CLIP vocabulary: 223 MB, made once per run when first asked for.</summary>
[SetUpFixture]
internal sealed class FullModel
{
    private static Lazy<TemporaryFolder> folder = new(Create);

    public static string Folder => folder.Value.Root;

    public static GroupVitConfig Config => GroupVitConfig.Load(Fixtures.Path("full", "config.json"));

    /// <summary>The network input of spec K.2.</summary>
    public static float[] Input(int height, int width)
    {
        float[] pixels = new float[3 * height * width];
        FormulaWeights.Image(height, width, pixels);
        return pixels;
    }

    [OneTimeTearDown]
    public void Delete()
    {
        if (folder.IsValueCreated)
        {
            folder.Value.Dispose();
            folder = new(Create);
        }
    }

    private static TemporaryFolder Create()
    {
        TemporaryFolder made = new();
        File.Copy(Fixtures.Path("full", "config.json"), made["config.json"]);
        File.Copy(Fixtures.Path("bpe_simple_vocab_16e6.txt.gz"), made["bpe_simple_vocab_16e6.txt.gz"]);
        FormulaWeights.Synthesize(Config, KeyLayout.HuggingFace, SafetensorsType.F32, made["model.safetensors"]);
        return made;
    }
}
