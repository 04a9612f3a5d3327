using System.Text;
using GroupViT.Native;

namespace GroupViT.Fuzz.Targets;

/// <summary>config.json: <see cref="GroupVitConfig.Parse"/>.</summary>
internal sealed class ConfigTarget : JsonTarget
{
    public override string Name => "config";

    protected override IReadOnlyList<string> Words { get; } =
    [
        "\"gelu\"", "\"quick_gelu\"", "\"relu\"", "\"groupvit\"", "\"model_type\"", "\"text_config\"", "\"vision_config\"", "\"text_config_dict\"", "\"vision_config_dict\"", "\"hidden_size\"",
        "\"intermediate_size\"", "\"num_attention_heads\"", "\"depths\"", "\"num_group_tokens\"", "\"num_output_groups\"", "\"assign_mlp_ratio\"", "\"vocab_size\"", "\"eos_token_id\"",
        "[6,3,3]", "[1,1]", "[64,8,0]", "[0,0,0]", "[1,1,1,1,1,1,1,1]", "[1,1,1,1,1,1,1,1,1]", "[0.5,4.0]", "256", "384", "64", "8192", "8193", "65536", "1e-5", "16", "224",
    ];

    public override void Parse(byte[] input)
    {
        GroupVitConfig config = GroupVitConfig.Parse(input, "mutant");
        string json = config.ToJson();
        Require(GroupVitConfig.Parse(Encoding.UTF8.GetBytes(json), "written").Equals(config), "what was read, written and read again is another configuration");
        Require(config.CountParameters().Total is > 0 and < 1L << 46, "an accepted configuration has an absurd number of parameters");
    }

    /// <summary>
    /// The document's table (12 bytes per token of at least one byte, doubled as it grows), its copy of the text and the sets that find
    /// double names; and for the few fields that are known, for the text written out and for the table of parameters (up to 256 layers
    /// of 16 tensors each), a fixed sum.
    /// </summary>
    public override long AllocationBound(byte[] input) => (4L << 20) + 100L * input.Length;
}
