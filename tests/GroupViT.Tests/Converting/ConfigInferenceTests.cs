using GroupViT.Native;
using GroupViT.Native.Weights;
using GroupViT.Pickle;
using GroupViT.Tool.Converting;

namespace GroupViT.Tests.Converting;

[Category("Cpu")]
internal sealed class ConfigInferenceTests
{
    private static readonly GroupVitConfig Official = new();

    private static readonly GroupVitConfig Odd = new()
    {
        ProjectionDim = 17,
        ProjectionIntermediateDim = 33,
        Vision = new VisionConfig
        {
            HiddenSize = 192, NumAttentionHeads = 3, IntermediateSize = 100, Depths = [1, 4, 2, 3], NumGroupTokens = [40, 20, 5, 0], NumOutputGroups = [40, 20, 5, 5],
            ImageSize = 7 * 9, PatchSize = 7, AssignMlpRatio = (0.335, 3.3),
        },
        Text = new TextConfig { VocabSize = 1000, HiddenSize = 64, NumAttentionHeads = 1, IntermediateSize = 70, NumHiddenLayers = 3, MaxPositionEmbeddings = 13, EosTokenId = 999 },
    };

    private static IEnumerable<TestCaseData> Architectures()
    {
        foreach (KeyLayout layout in Enum.GetValues<KeyLayout>())
        {
            yield return new TestCaseData(Official, layout).SetArgDisplayNames("official", layout.ToString());
            yield return new TestCaseData(Odd, layout).SetArgDisplayNames("odd", layout.ToString());
        }
    }

    [TestCaseSource(nameof(Architectures))]
    public void An_architecture_is_read_off_its_shapes(GroupVitConfig config, KeyLayout layout)
    {
        using Shapes shapes = Shapes.Of(config, layout);
        InferredConfig inferred = ConfigInference.Infer(shapes);
        Assert.That(inferred.Layout, Is.EqualTo(layout));
        // A ratio is only known by the size it gives.
        VisionConfig vision = inferred.Config.Vision;
        Assert.That((vision.TokenMixerSize, vision.ChannelMlpSize), Is.EqualTo((config.Vision.TokenMixerSize, config.Vision.ChannelMlpSize)));
        Assert.That(inferred.Config with { Vision = vision with { AssignMlpRatio = config.Vision.AssignMlpRatio } }, Is.EqualTo(config));
        Assert.That(inferred.Notes, Has.Some.Contains("heads of the image encoder").And.Some.Contains("activations"));
        Assert.That(GroupVitConfig.Parse(System.Text.Encoding.UTF8.GetBytes(inferred.Config.ToJson()), "config.json"), Is.EqualTo(inferred.Config));
    }

    [Test]
    public void The_demonstration_model_s_configuration_is_what_its_tensors_say()
    {
        using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(Fixtures.Models("scenes"), "model.safetensors"));
        Assert.That(ConfigInference.Infer(file).Config, Is.EqualTo(GroupVitConfig.Load(Path.Combine(Fixtures.Models("scenes"), "config.json"))));
    }

    /// <summary>NVlabs' configuration in the file gives the image encoder's heads; the text encoder's are nowhere, and 48 channels are no heads of 64.</summary>
    [Test]
    public void What_is_neither_in_the_tensors_nor_in_the_stored_configuration_is_asked_for()
    {
        using PyTorchFile file = PyTorchFile.Open(Fixtures.Path("tiny", "nvlabs", "checkpoint.pth"));
        GroupVitConfig tiny = GroupVitConfig.Load(Fixtures.Path("tiny", "config.json"));
        using Shapes shapes = Shapes.Of(tiny, KeyLayout.Nvlabs);
        ModelFileException error = Assert.Throws<ModelFileException>(() => ConfigInference.Infer(shapes, file.Extras))!;
        Assert.That(error.Message, Does.Contain("text encoder").And.Contain("48").And.Contain("config.json"));
        GroupVitConfig wide = tiny with { Text = tiny.Text with { HiddenSize = 64, NumAttentionHeads = 1 } };
        using Shapes known = Shapes.Of(wide, KeyLayout.Nvlabs);
        InferredConfig inferred = ConfigInference.Infer(known, file.Extras);
        Assert.That(inferred.Config, Is.EqualTo(wide));
        Assert.That(inferred.Notes, Has.None.Contains("heads of the image encoder"));
        using Shapes other = Shapes.Of(wide with { Vision = wide.Vision with { ImageSize = 128 } }, KeyLayout.Nvlabs);
        Assert.That(ConfigInference.Infer(other, file.Extras).Notes, Has.Some.Contains("img_size 96").And.Some.Contains("128"));
    }

    [TestCase("vision_model.embeddings.position_embeddings", new long[] { 1, 195, 384 }, "195")]
    [TestCase("vision_model.embeddings.position_embeddings", new long[] { 196 }, "axes")]
    [TestCase("vision_model.embeddings.patch_embeddings.projection.weight", new long[] { 384, 4, 16, 16 }, "num_channels")]
    [TestCase("vision_model.embeddings.patch_embeddings.projection.weight", new long[] { 0, 3, 16, 16 }, "0 cannot be")]
    [TestCase("vision_model.embeddings.patch_embeddings.projection.weight", new long[] { 400, 3, 16, 16 }, "400")]
    [TestCase("vision_model.embeddings.patch_embeddings.projection.weight", new long[] { 3_000_000_000, 3, 16, 16 }, "3000000000")]
    [TestCase("text_model.embeddings.token_embedding.weight", new long[] { 49408, 1 << 20 }, "hidden_size")]
    [TestCase("vision_model.encoder.stages.0.group_token", null, "num_group_tokens")]
    [TestCase("vision_model.encoder.stages.0.layers.0.layer_norm1.weight", null, "no block")]
    [TestCase("visual_projection.3.weight", null, "no such tensor")]
    public void Shapes_that_fit_no_model_are_refused(string tensor, long[]? shape, string said)
    {
        using Shapes shapes = Shapes.Of(Official, KeyLayout.HuggingFace);
        shapes.Set(tensor, shape);
        Assert.That(Assert.Throws<ModelFileException>(() => ConfigInference.Infer(shapes))!.Message, Does.Contain(said));
    }

    [Test]
    public void Names_of_two_layouts_are_refused()
    {
        using Shapes shapes = Shapes.Of(Official, KeyLayout.HuggingFace);
        shapes.Set("img_encoder.pos_embed", [1, 196, 384]);
        Assert.That(Assert.Throws<ModelFileException>(() => ConfigInference.Infer(shapes))!.Message, Does.Contain("two layouts"));
    }

    /// <summary>Names and shapes without values.</summary>
    private sealed class Shapes : WeightsSource
    {
        private readonly Dictionary<string, SafetensorsEntry> tensors = [];

        public override string Name => "shapes";

        public override IReadOnlyDictionary<string, SafetensorsEntry> Tensors => tensors;

        public override IReadOnlyDictionary<string, string> Metadata => new Dictionary<string, string>();

        public override long Length => 0;

        public static Shapes Of(GroupVitConfig config, KeyLayout layout)
        {
            Shapes shapes = new();
            foreach (ParameterInfo parameter in ParameterTable.For(config).Parameters)
            {
                shapes.Set(parameter.NameIn(layout), [.. parameter.ShapeIn(layout).ToArray().Select(side => (long)side)]);
            }
            return shapes;
        }

        public void Set(string name, long[]? shape)
        {
            tensors.Remove(name);
            if (shape is not null)
            {
                tensors.Add(name, new SafetensorsEntry(name, SafetensorsType.F32, shape, 0, 0, 0));
            }
        }

        public override string FileOf(SafetensorsEntry entry) => Name;

        public override void ReadFloat32(SafetensorsEntry entry, long firstElement, Span<float> destination) => throw new NotSupportedException();

        public override void ReadBytes(SafetensorsEntry entry, long firstByte, Span<byte> destination) => throw new NotSupportedException();

        public override void Dispose()
        {
        }
    }
}
