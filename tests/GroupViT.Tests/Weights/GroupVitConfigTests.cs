using System.Text;
using GroupViT.Native;
using GroupViT.Native.Weights;

namespace GroupViT.Tests.Weights;

internal sealed class GroupVitConfigTests
{
    private static GroupVitConfig Parse(string json) => GroupVitConfig.Parse(Encoding.UTF8.GetBytes(json), "config.json");

    private static ModelFileException Refused(string json, string item, params string[] words)
    {
        ModelFileException error = Assert.Throws<ModelFileException>(() => Parse(json))!;
        Assert.That(error.File, Is.EqualTo("config.json"));
        Assert.That(error.Item, Is.EqualTo(item));
        foreach (string word in words)
        {
            Assert.That(error.Message, Does.Contain(word));
        }
        return error;
    }

    [Test]
    public void An_empty_object_is_the_official_architecture()
    {
        GroupVitConfig config = Parse("{}");
        Assert.That(config, Is.EqualTo(new GroupVitConfig()));
        Assert.That(config.Vision.Depths, Is.EqualTo([6, 3, 3]));
        Assert.That(config.Vision.NumPatches, Is.EqualTo(196));
        Assert.That(config.Vision.TokenMixerSize, Is.EqualTo(192));
        Assert.That(config.Vision.ChannelMlpSize, Is.EqualTo(1536));
        Assert.That(config.Text.HiddenAct, Is.EqualTo(ActivationFunction.QuickGelu));
    }

    [Test]
    public void The_official_configuration_is_the_default_one()
        => Assert.That(GroupVitConfig.Load(Fixtures.Path("full", "config.json")), Is.EqualTo(new GroupVitConfig()));

    [Test]
    public void Every_field_that_changes_numbers_is_read()
    {
        GroupVitConfig config = Parse("""
            {"model_type":"groupvit","projection_dim":1,"projection_intermediate_dim":2,"logit_scale_init_value":2.6592,
             "text_config":{"vocab_size":11,"hidden_size":12,"intermediate_size":13,"num_hidden_layers":14,"num_attention_heads":2,
                "max_position_embeddings":15,"hidden_act":"relu","layer_norm_eps":1e-6,"eos_token_id":10,"bos_token_id":0,"qkv_bias":true},
             "vision_config":{"hidden_size":22,"intermediate_size":23,"depths":[1,2],"num_group_tokens":[3,0],"num_output_groups":[4,0],"num_attention_heads":11,
                "image_size":24,"patch_size":8,"num_channels":3,"hidden_act":"quick_gelu","layer_norm_eps":0.001,"assign_eps":2,"assign_mlp_ratio":[0.25,1.5],"num_hidden_layers":99}}
            """);
        Assert.That(config, Is.EqualTo(new GroupVitConfig
        {
            ProjectionDim = 1,
            ProjectionIntermediateDim = 2,
            Text = new TextConfig
            {
                VocabSize = 11, HiddenSize = 12, IntermediateSize = 13, NumHiddenLayers = 14, NumAttentionHeads = 2,
                MaxPositionEmbeddings = 15, HiddenAct = ActivationFunction.Relu, LayerNormEps = 1e-6, EosTokenId = 10,
            },
            Vision = new VisionConfig
            {
                HiddenSize = 22, IntermediateSize = 23, Depths = [1, 2], NumGroupTokens = [3, 0], NumOutputGroups = [4, 0], NumAttentionHeads = 11,
                ImageSize = 24, PatchSize = 8, HiddenAct = ActivationFunction.QuickGelu, LayerNormEps = 0.001, AssignEps = 2, AssignMlpRatio = (0.25, 1.5),
            },
        }));
        Assert.That(config.Vision.TokenMixerSize, Is.EqualTo(5), "5.5 rounded down");
        Assert.That(config.Vision.HeadSize, Is.EqualTo(2));
        Assert.That(config.Vision.PatchesPerSide, Is.EqualTo(3));
    }

    [TestCase("tiny"), TestCase("full"), TestCase("tiny/nvlabs")]
    public void What_is_written_is_read_back_equal(string folder)
    {
        GroupVitConfig config = GroupVitConfig.Load(Fixtures.Path([.. folder.Split('/'), "config.json"]));
        Assert.That(Parse(config.ToJson()), Is.EqualTo(config));
        Assert.That(Parse(config.ToJson()).GetHashCode(), Is.EqualTo(config.GetHashCode()));
        Assert.That(Parse(config.ToJson()).ToJson(), Is.EqualTo(config.ToJson()));
    }

    [Test]
    public void Lists_count_for_equality()
        => Assert.That(new VisionConfig { Depths = [6, 3, 2] }, Is.Not.EqualTo(new VisionConfig()));

    [Test]
    public void Older_dicts_override_and_null_ones_do_not()
    {
        GroupVitConfig config = Parse("""
            {"text_config":{"vocab_size":600,"hidden_size":48,"eos_token_id":599},"text_config_dict":{"hidden_size":96},
             "vision_config":null,"vision_config_dict":{"depths":[1,1,1]}}
            """);
        Assert.That((config.Text.VocabSize, config.Text.HiddenSize), Is.EqualTo((600, 96)));
        Assert.That(config.Vision.Depths, Is.EqualTo([1, 1, 1]));
        Assert.That(Parse("""{"text_config_dict":null,"vision_config_dict":null}"""), Is.EqualTo(new GroupVitConfig()));
    }

    [Test]
    public void An_end_token_of_two_means_the_largest_id()
    {
        Assert.That(Parse("""{"text_config":{"eos_token_id":2}}""").Text.PoolsAtLargestId, Is.True);
        Assert.That(Parse("""{"text_config":{"eos_token_id":49407}}""").Text.PoolsAtLargestId, Is.False);
    }

    [Test]
    public void One_assign_ratio_stands_for_both()
        => Assert.That(Parse("""{"vision_config":{"assign_mlp_ratio":2}}""").Vision.AssignMlpRatio, Is.EqualTo((2.0, 2.0)));

    [TestCase("{\"model_type\":\"clip\"}", "model_type", "is 'clip'", "groupvit")]
    [TestCase("{\"model_type\":7}", "model_type", "is 7", "text")]
    [TestCase("{\"text_config\":{\"hidden_act\":\"gelu_new\"}}", "text_config.hidden_act", "'gelu_new'", "quick_gelu")]
    [TestCase("{\"vision_config\":{\"hidden_act\":\"silu\"}}", "vision_config.hidden_act", "'silu'", "gelu (exact)")]
    [TestCase("{\"vision_config\":{\"hidden_act\":null}}", "vision_config.hidden_act", "null", "text")]
    [TestCase("{\"text_config\":[]}", "text_config", "is []", "object")]
    [TestCase("{\"vision_config_dict\":3}", "vision_config_dict", "is 3", "object")]
    public void Another_model_or_activation_is_refused_by_name(string json, string item, string found, string wanted) => Refused(json, item, found, wanted);

    [TestCase("projection_dim", "0", "from 1 to 8192")]
    [TestCase("projection_dim", "8193", "from 1 to 8192")]
    [TestCase("projection_intermediate_dim", "65537", "from 1 to 65536")]
    [TestCase("projection_dim", "99999999999999999999", "at most 8192")]
    [TestCase("projection_dim", "1.5", "whole number")]
    [TestCase("projection_dim", "\"256\"", "whole number")]
    [TestCase("projection_dim", "null", "whole number")]
    public void A_size_out_of_range_is_refused_with_its_value_and_the_range(string field, string value, string range)
        => Refused($$"""{"{{field}}":{{value}}}""", field, $"is {value}", range);

    [TestCase("vocab_size", "4194305", "from 1 to 4194304")]
    [TestCase("vocab_size", "0", "from 1 to")]
    [TestCase("hidden_size", "8196", "from 1 to 8192")]
    [TestCase("hidden_size", "-256", "from 1 to 8192")]
    [TestCase("hidden_size", "255", "no multiple of num_attention_heads = 4")]
    [TestCase("intermediate_size", "2147483647", "from 1 to 65536")]
    [TestCase("num_hidden_layers", "257", "from 1 to 256")]
    [TestCase("num_hidden_layers", "0", "from 1 to 256")]
    [TestCase("num_attention_heads", "0", "from 1 to 256")]
    [TestCase("max_position_embeddings", "65537", "from 2 to 65536")]
    [TestCase("layer_norm_eps", "0", "from 1E-12 to 0.1")]
    [TestCase("layer_norm_eps", "1", "from 1E-12 to 0.1")]
    [TestCase("layer_norm_eps", "1e999", "number")]
    [TestCase("eos_token_id", "49408", "from 0 to 49407")]
    [TestCase("eos_token_id", "-1", "from 0 to 49407")]
    [TestCase("eos_token_id", "[49407]", "whole number")]
    public void A_text_field_out_of_range_is_refused(string field, string value, string range)
        => Refused($$$"""{"text_config":{"{{{field}}}":{{{value}}}}}""", $"text_config.{field}", range);

    [TestCase("hidden_size", "1", "from 2 to 8192")]
    [TestCase("hidden_size", "385", "no multiple of num_attention_heads = 6")]
    [TestCase("image_size", "16400", "from 1 to 16384")]
    [TestCase("image_size", "225", "no multiple of patch_size = 16")]
    [TestCase("image_size", "[224,224]", "whole number")]
    [TestCase("patch_size", "257", "from 1 to 256")]
    [TestCase("patch_size", "0", "from 1 to 256")]
    [TestCase("num_channels", "4", "must be 3")]
    [TestCase("assign_eps", "0", "from 1E-06")]
    [TestCase("assign_mlp_ratio", "[0.5]", "list of two")]
    [TestCase("assign_mlp_ratio", "[0.5,4,1]", "list of two")]
    [TestCase("depths", "3", "list of at most 8")]
    [TestCase("depths", "[1,1,1,1,1,1,1,1,1]", "list of at most 8")]
    [TestCase("num_group_tokens", "[64,8]", "has 2 entries, but depths has 3")]
    [TestCase("num_output_groups", "[64,8]", "has 2 entries, but depths has 3")]
    public void A_vision_field_out_of_range_is_refused(string field, string value, string range)
        => Refused($$$"""{"vision_config":{"{{{field}}}":{{{value}}}}}""", $"vision_config.{field}", range);

    [TestCase("\"depths\":[6]", "depths (entries)", "from 2 to 8")]
    [TestCase("\"depths\":[6,0,3]", "depths[1]", "from 1 to 256")]
    [TestCase("\"depths\":[6,\"3\",3]", "depths[1]", "whole number")]
    [TestCase("\"depths\":[100,100,100]", "depths (sum)", "from 1 to 256")]
    [TestCase("\"num_group_tokens\":[64,0,0]", "num_group_tokens[1]", "from 1 to 4096")]
    [TestCase("\"num_group_tokens\":[4097,8,0]", "num_group_tokens[0]", "from 1 to 4096")]
    [TestCase("\"num_group_tokens\":[64,8,8]", "num_group_tokens[2]", "must be 0")]
    [TestCase("\"num_output_groups\":[0,8,8]", "num_output_groups[0]", "from 1 to 4096")]
    [TestCase("\"num_output_groups\":[64,8,-1]", "num_output_groups[2]", "from 0 to 4096")]
    [TestCase("\"assign_mlp_ratio\":[0,4]", "assign_mlp_ratio[0]", "must be a number")]
    [TestCase("\"assign_mlp_ratio\":[0.5,65]", "assign_mlp_ratio[1]", "to 64")]
    [TestCase("\"hidden_size\":8190,\"assign_mlp_ratio\":[0.5,60]", "assign_mlp_ratio[1] x hidden_size", "to 65536")]
    [TestCase("\"image_size\":16384,\"patch_size\":1", "(image_size / patch_size)^2", "268435456 x 384")]
    public void Fields_that_do_not_fit_together_are_refused(string fields, string item, string words)
        => Refused($$$"""{"vision_config":{{{{fields}}}}}""", $"vision_config.{item}", words);

    [Test]
    public void A_token_table_beyond_one_array_is_refused()
        => Refused("""{"text_config":{"vocab_size":4194304,"hidden_size":8192}}""", "text_config.vocab_size", "4194304 x 8192");

    [Test]
    public void Group_tokens_and_output_groups_may_differ_in_NVlabs_layout_alone()
    {
        GroupVitConfig config = Parse("""{"vision_config":{"num_group_tokens":[64,8,0],"num_output_groups":[32,8,8]}}""");
        config.Validate("config.json", KeyLayout.Nvlabs);
        ModelFileException error = Assert.Throws<ModelFileException>(() => config.Validate("config.json", KeyLayout.HuggingFace))!;
        Assert.That(error.Item, Is.EqualTo("vision_config.num_output_groups[0]"));
        Assert.That(error.Message, Does.Contain("is 32, but num_group_tokens[0] is 64").And.Contain("must be equal"));
    }

    [TestCase("")]
    [TestCase("{")]
    [TestCase("{\"a\":NaN}")]
    [TestCase("{\"model_type\":\"groupvit\",\"model_type\":\"groupvit\"}")]
    [TestCase("{\"text_config\":{\"vocab_size\":1,\"vocab_\\u0073ize\":2}}")]
    public void What_is_not_JSON_is_refused(string json)
        => Assert.That(() => Parse(json), Throws.TypeOf<ModelFileException>().With.Message.Contains("not JSON"));

    [TestCase("[]"), TestCase("null"), TestCase("3"), TestCase("\"groupvit\"")]
    public void What_is_no_object_is_refused(string json)
        => Assert.That(() => Parse(json), Throws.TypeOf<ModelFileException>().With.Message.Contains("JSON object"));

    [Test]
    public void Bad_bytes_and_giants_are_refused()
    {
        Assert.That(() => GroupVitConfig.Parse([(byte)'{', 0xFF, (byte)'}'], "x"), Throws.TypeOf<ModelFileException>().With.Message.Contains("UTF-8"));
        Assert.That(() => GroupVitConfig.Parse(new byte[(1 << 20) + 1], "x"), Throws.TypeOf<ModelFileException>().With.Message.Contains("1048576"));
        Assert.That(() => Parse(new string('[', 100_000)), Throws.TypeOf<ModelFileException>());
        Assert.That(() => Parse("{\"model_type\":\"\\ud800\"}"), Throws.TypeOf<ModelFileException>());
        Assert.That(() => GroupVitConfig.Load(Fixtures.Path("nothing.json")), Throws.TypeOf<ModelFileException>().With.Message.Contains("no such file"));
    }

    [Test]
    public void A_configuration_made_with_with_is_checked_where_it_is_used()
    {
        GroupVitConfig config = new() { Text = new TextConfig { HiddenAct = (ActivationFunction)7 } };
        Assert.That(() => ParameterTable.For(config), Throws.TypeOf<ModelFileException>().With.Property("Item").EqualTo("text_config.hidden_act"));
        Assert.That(() => new GroupVitConfig { ProjectionDim = -1 }.CountParameters(), Throws.TypeOf<ModelFileException>());
    }

    [Test]
    public void Mutants_of_a_configuration_end_in_success_or_a_typed_error()
    {
        byte[] valid = File.ReadAllBytes(Fixtures.Path("tiny", "config.json"));
        byte[] alphabet = "{}[]\",:0123456789-+.eE \\u\0\xFF"u8.ToArray();
        var random = new Random(20220222);
        int accepted = 0;
        for (int i = 0; i < 2000; i++)
        {
            List<byte> mutant = [.. valid];
            for (int changes = random.Next(1, 4); changes > 0; changes--)
            {
                int at = random.Next(mutant.Count);
                byte value = alphabet[random.Next(alphabet.Length)];
                switch (random.Next(4))
                {
                    case 0: mutant.Insert(at, value); break;
                    case 1: mutant.RemoveAt(at); break;
                    default: mutant[at] = value; break;
                }
            }
            try
            {
                GroupVitConfig config = GroupVitConfig.Parse([.. mutant], "mutant");
                config.CountParameters();
                accepted++;
            }
            catch (ModelFileException)
            {
            }
        }
        TestContext.Out.WriteLine($"{accepted} of 2000 mutants were still valid");
        Assert.That(accepted, Is.InRange(20, 1500));
    }
}
