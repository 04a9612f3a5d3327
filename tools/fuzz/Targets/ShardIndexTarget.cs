using GroupViT.Native.Weights;

namespace GroupViT.Fuzz.Targets;

/// <summary>model.safetensors.index.json: <see cref="ShardIndex.Parse"/>.</summary>
internal sealed class ShardIndexTarget : JsonTarget
{
    public override string Name => "index";

    protected override IReadOnlyList<string> Words { get; } =
    [
        "\"weight_map\"", "\"metadata\"", "\"total_size\"", "\"a.safetensors\"", "\"model-00001-of-00002.safetensors\"", "\"../a.safetensors\"", "\"a\\\\b.safetensors\"", "\"C:a.safetensors\"",
        "\"a.bin\"", "\".safetensors\"", "\"\\u002e\\u002e\\u002fa.safetensors\"", "\"a.safetensors\\u0000\"", "{\"a\":\"a.safetensors\"}", "{}",
    ];

    public override void Parse(byte[] input)
    {
        ShardIndex index = ShardIndex.Parse(input, "mutant");
        Require(index.Shards.Count is > 0 and <= ShardIndex.MaxShards, "a number of shards that is not allowed");
        foreach (string shard in index.Shards)
        {
            // What the name is used for: joined to a folder it must stay there.
            string full = Path.GetFullPath(Path.Combine("/models/a", shard));
            Require(Path.GetDirectoryName(full) == Path.GetFullPath("/models/a") && Path.GetFileName(full) == shard && full.EndsWith(".safetensors", StringComparison.Ordinal), "a shard outside the index's folder");
        }
        Require(index.WeightMap.Count >= index.Shards.Count && index.WeightMap.Values.All(index.Shards.Contains), "a tensor in a shard that is not listed");
    }

    /// <summary>The parser's own bound: eight times the text; 64 KiB instead of its mebibyte, which is for nothing but fixed costs.</summary>
    public override long AllocationBound(byte[] input) => (64L << 10) + 8L * input.Length;
}
