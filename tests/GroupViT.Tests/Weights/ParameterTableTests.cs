using GroupViT.Native;
using GroupViT.Native.Weights;

namespace GroupViT.Tests.Weights;

internal sealed class ParameterTableTests
{
    private static ParameterTable Official => ParameterTable.For(new GroupVitConfig());

    [Test]
    public void The_official_counts_are_those_of_the_specification()
    {
        ParameterCounts counts = new GroupVitConfig().CountParameters();
        Assert.That(counts, Is.EqualTo(new ParameterCounts(28_837_136, 22_145_792, 2_633_984, 2_109_696, 1)));
        Assert.That(counts.Total, Is.EqualTo(55_726_609));
    }

    [Test]
    public void There_are_as_many_tensors_as_the_specification_counts()
    {
        ParameterTable table = Official;
        Assert.That(table.Parameters.Count + ParameterTable.BatchCounters(KeyLayout.HuggingFace).Count, Is.EqualTo(502));
        Assert.That(table.Parameters.Select(p => p.NvlabsName).Distinct().Count() + ParameterTable.BatchCounters(KeyLayout.Nvlabs).Count, Is.EqualTo(406));
    }

    [TestCase("tiny", KeyLayout.HuggingFace)]
    [TestCase("tiny/nvlabs", KeyLayout.Nvlabs)]
    [TestCase("tiny/f16", KeyLayout.HuggingFace)]
    public void Names_and_shapes_are_exactly_those_of_the_reference(string folder, KeyLayout layout)
    {
        string[] path = folder.Split('/');
        ParameterTable table = ParameterTable.For(GroupVitConfig.Load(Fixtures.Path([.. path, "config.json"])));
        using SafetensorsFile file = SafetensorsFile.Open(Fixtures.Path([.. path, "model.safetensors"]));
        IEnumerable<string> expected = file.Tensors.Values.Where(e => !ParameterTable.IsIgnorable(e.Name)).Select(e => $"{e.Name} {e.ShapeText}");
        IEnumerable<string> found = table.Parameters.Select(p => $"{p.NameIn(layout)} [{string.Join(',', p.ShapeIn(layout).ToArray())}]").Distinct();
        Assert.That(found, Is.EquivalentTo(expected));
    }

    [Test]
    public void Query_key_and_value_are_rows_of_one_tensor()
    {
        ParameterTable table = Official;
        ParameterInfo key = table["vision_model.encoder.stages.1.layers.2.self_attn.k_proj.weight"];
        Assert.That(key.NvlabsName, Is.EqualTo("img_encoder.layers.1.blocks.2.attn.qkv.weight"));
        Assert.That(key.NvlabsShape.ToArray(), Is.EqualTo([1152, 384]));
        Assert.That(key.NvlabsFirstElement, Is.EqualTo(384 * 384));
        ParameterInfo bias = table["text_model.encoder.layers.11.self_attn.v_proj.bias"];
        Assert.That(bias.NvlabsName, Is.EqualTo("text_encoder.transformer.resblocks.11.attn.in_proj_bias"));
        Assert.That((bias.NvlabsFirstElement, bias.ElementCount), Is.EqualTo((512, 256)));
    }

    [Test]
    public void Slices_cover_every_NVlabs_tensor_once()
    {
        foreach (IGrouping<string, ParameterInfo> tensor in Official.Parameters.GroupBy(p => p.NvlabsName))
        {
            int next = 0;
            foreach (ParameterInfo slice in tensor.OrderBy(p => p.NvlabsFirstElement))
            {
                Assert.That(slice.NvlabsFirstElement, Is.EqualTo(next), tensor.Key);
                next += slice.ElementCount;
            }
            int whole = 1;
            foreach (int size in tensor.First().NvlabsShape)
            {
                whole *= size;
            }
            Assert.That(next, Is.EqualTo(whole), tensor.Key);
        }
    }

    [TestCase("vision_model.encoder.stages.0.downsample.pre_assign_attn.attn.out_proj.weight", "img_encoder.layers.0.downsample.pre_assign_attn.attn.proj.weight")]
    [TestCase("vision_model.encoder.stages.0.downsample.assign.proj.weight", "img_encoder.layers.0.downsample.assign.proj.weight")]
    [TestCase("visual_projection.3.weight", "img_projector.linear_out.weight")]
    [TestCase("text_model.embeddings.position_embedding.weight", "text_encoder.positional_embedding")]
    public void The_names_that_mislead_are_mapped(string name, string nvlabs) => Assert.That(Official[name].NvlabsName, Is.EqualTo(nvlabs));

    [Test]
    public void The_projector_is_as_wide_as_the_group_tokens_that_it_is_fed()
    {
        var config = new GroupVitConfig { Vision = new VisionConfig { NumOutputGroups = [32, 8, 8] } };
        ParameterTable table = ParameterTable.For(config);
        Assert.That(table["vision_model.encoder.stages.1.group_projector.1.fc1.weight"].Shape.ToArray(), Is.EqualTo([192, 64]));
        Assert.That(table["vision_model.encoder.stages.0.downsample.mlp_inter.fc2.weight"].Shape.ToArray(), Is.EqualTo([32, 192]));
    }

    [Test]
    public void The_largest_shapes_allowed_do_not_overflow()
    {
        var config = new GroupVitConfig
        {
            ProjectionDim = 8192,
            ProjectionIntermediateDim = 65_536,
            Text = new TextConfig { VocabSize = 262_143, HiddenSize = 8192, IntermediateSize = 65_536, MaxPositionEmbeddings = 65_536, NumHiddenLayers = 256 },
            Vision = new VisionConfig
            {
                HiddenSize = 8192, NumAttentionHeads = 8, IntermediateSize = 65_536, PatchSize = 256, ImageSize = 16_384, Depths = [128, 100, 28],
                NumGroupTokens = [4096, 4096, 0], NumOutputGroups = [4096, 4096, 0], AssignMlpRatio = (8, 8),
            },
        };
        Assert.That(config.CountParameters().Total, Is.GreaterThan(400_000_000_000));
    }

    [Test]
    public void An_unknown_parameter_is_an_argument_error() => Assert.That(() => Official["vision_model.nothing"], Throws.ArgumentException);
}
