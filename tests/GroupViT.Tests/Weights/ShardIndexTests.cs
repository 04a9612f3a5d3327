using System.Text;
using GroupViT.Native;
using GroupViT.Native.Weights;

namespace GroupViT.Tests.Weights;

/// <summary>What an index of shards may say, one test per malformation with its bytes.</summary>
[Category("Cpu")]
internal sealed class ShardIndexTests
{
    private static ShardIndex Parse(string json) => ShardIndex.Parse(Encoding.UTF8.GetBytes(json), "test.index.json");

    private static ModelFileException Refused(byte[] json, params string[] words)
    {
        ModelFileException error = Assert.Throws<ModelFileException>(() => ShardIndex.Parse(json, "test.index.json"))!;
        Assert.That(error.File, Is.EqualTo("test.index.json"));
        foreach (string word in words)
        {
            Assert.That(error.Message, Does.Contain(word));
        }
        return error;
    }

    private static ModelFileException Refused(string json, params string[] words) => Refused(Encoding.UTF8.GetBytes(json), words);

    [Test]
    public void The_map_and_the_shards_are_read_in_the_files_order()
    {
        ShardIndex index = Parse("""{"metadata":{"total_size":1.5e9,"x":[{"y":null}]},"weight_map":{"a":"2.safetensors","b":"1.safetensors","\u00e4":"2.safetensors"}}""");
        Assert.That(index.Shards, Is.EqualTo(["2.safetensors", "1.safetensors"]));
        Assert.That(index.WeightMap, Is.EquivalentTo(new Dictionary<string, string> { ["a"] = "2.safetensors", ["b"] = "1.safetensors", ["ä"] = "2.safetensors" }));
    }

    [TestCase("""{"weight_map":{"a":"b.safetensors"}}""")]
    [TestCase("""{"weight_map":{"a":"b.safetensors"},"metadata":null}""")]
    [TestCase(" \r\n\t{\"weight_map\":{\"a\":\"b.safetensors\"}}\n")]
    public void Metadata_are_optional_and_white_space_is_allowed(string json) => Assert.That(Parse(json).Shards, Is.EqualTo(["b.safetensors"]));

    [TestCase("../b.safetensors", "is a path")]
    [TestCase("..\\\\b.safetensors", "is a path")]
    [TestCase("/etc/b.safetensors", "is a path")]
    [TestCase("\\/etc\\/b.safetensors", "is a path")]
    [TestCase("\\u002e\\u002e\\u002fb.safetensors", "is a path")]
    [TestCase("sub/b.safetensors", "is a path")]
    [TestCase("./b.safetensors", "is a path")]
    [TestCase("C:b.safetensors", "is a path")]
    [TestCase("b.safetensors:x.safetensors", "is a path")]
    [TestCase("\\\\\\\\host\\\\share\\\\b.safetensors", "is a path")]
    [TestCase("b\\u0000.safetensors", "no file name has")]
    [TestCase("b\\n.safetensors", "no file name has")]
    [TestCase("*.safetensors", "no file name has")]
    [TestCase("..", "does not end in")]
    [TestCase("", "does not end in")]
    [TestCase(".safetensors", "does not end in")]
    [TestCase("pytorch_model.bin", "does not end in")]
    [TestCase("b.safetensors ", "does not end in")]
    [TestCase("b.safetensors.", "does not end in")]
    [TestCase("b.SAFETENSORS", "does not end in")]
    [TestCase("..safetensors", "begins with a dot")]
    [TestCase(" b.safetensors", "begins with a dot or a blank")]
    public void A_shard_that_is_no_plain_file_name_is_refused(string shard, string words)
        => Refused($$$"""{"weight_map":{"a":"{{{shard}}}"}}""", "a (byte 19)", words, "plain file name");

    [Test]
    public void A_shard_name_that_is_too_long_is_refused()
    {
        Refused($$$"""{"weight_map":{"a":"{{{new string('n', 244)}}}.safetensors"}}""", "longer than 255");
        Refused($$$"""{"weight_map":{"a":"{{{new string('n', 5000)}}}.safetensors"}}""", "longer than 255");
        Assert.That(Parse($$$"""{"weight_map":{"a":"{{{new string('n', 243)}}}.safetensors"}}""").Shards, Has.Count.EqualTo(1));
    }

    [Test]
    public void Too_many_shards_are_refused()
        => Refused("{\"weight_map\":{" + string.Join(",", Enumerable.Range(0, ShardIndex.MaxShards + 1).Select(i => $"\"{i}\":\"{i}.safetensors\"")) + "}}", "more than 256 shards");

    [Test]
    public void Too_many_tensors_are_refused()
        => Refused("{\"weight_map\":{" + string.Join(",", Enumerable.Range(0, SafetensorsHeader.MaxTensors + 1).Select(i => $"\"{i}\":\"b.safetensors\"")) + "}}", "more than 262144 tensors");

    [TestCase("""{"weight_map":{"a":"b.safetensors","a":"b.safetensors"}}""")]
    [TestCase("""{"weight_map":{"a":"b.safetensors","\u0061":"c.safetensors"}}""")]
    public void A_tensor_that_is_listed_twice_is_refused_even_if_escaped(string json) => Refused(json, "a (byte", "listed twice");

    [TestCase("""{"weight_map":{"a":"b.safetensors"},"weight_map":{"c":"d.safetensors"}}""", "weight_map")]
    [TestCase("""{"metadata":{},"weight_map":{"a":"b.safetensors"},"met\u0061data":{}}""", "metadata")]
    public void A_field_that_is_there_twice_is_refused(string json, string field) => Refused(json, field, "is there twice");

    [Test]
    public void An_unknown_field_is_refused() => Refused("""{"weight_map":{"a":"b.safetensors"},"base":"../x"}""", "base", "no field of an index");

    [TestCase("{}", "has no field 'weight_map'")]
    [TestCase("{\"metadata\":{}}", "has no field 'weight_map'")]
    [TestCase("{\"weight_map\":{}}", "names no tensor")]
    [TestCase("{\"weight_map\":[]}", "must be an object")]
    [TestCase("{\"weight_map\":null}", "must be an object")]
    [TestCase("{\"weight_map\":{\"a\":1}}", "file name in quotes")]
    [TestCase("{\"weight_map\":{\"a\":null}}", "file name in quotes")]
    [TestCase("{\"weight_map\":{\"a\":[\"b.safetensors\"]}}", "file name in quotes")]
    [TestCase("{\"weight_map\":{\"a\":{\"file\":\"b.safetensors\"}}}", "file name in quotes")]
    [TestCase("{\"weight_map\":{\"\":\"b.safetensors\"}}", "1 to 1024 characters")]
    [TestCase("{\"metadata\":[],\"weight_map\":{\"a\":\"b.safetensors\"}}", "must be an object")]
    [TestCase("[]", "must be a JSON object")]
    [TestCase("\"b.safetensors\"", "must be a JSON object")]
    public void An_index_with_wrong_types_is_refused(string json, string words) => Refused(json, words);

    [TestCase("")]
    [TestCase("{")]
    [TestCase("{\"weight_map\":{\"a\":\"b.safetensors\"}")]
    [TestCase("{\"weight_map\":{\"a\":\"b.safetensors\"}}x")]
    [TestCase("{\"weight_map\":{\"a\":\"b.safetensors\"}}\0")]
    [TestCase("{\"weight_map\":{\"a\":\"b.safetensors\",}}")]
    [TestCase("{/**/\"weight_map\":{\"a\":\"b.safetensors\"}}")]
    [TestCase("\uFEFF{\"weight_map\":{\"a\":\"b.safetensors\"}}")]
    public void An_index_that_is_not_JSON_is_refused(string json) => Refused(json, "not JSON");

    [Test]
    public void An_index_that_is_not_UTF8_is_refused() => Refused([.. "{\"weight_map\":{\""u8, 0xC3, 0x28, .. "\":\"b.safetensors\"}}"u8], "not UTF-8");

    [TestCase("{\"weight_map\":{\"\\ud800\":\"b.safetensors\"}}")]
    [TestCase("{\"weight_map\":{\"a\":\"\\udc00.safetensors\"}}")]
    [TestCase("{\"\\ud800\":1,\"weight_map\":{\"a\":\"b.safetensors\"}}")]
    public void Half_a_surrogate_pair_is_refused(string json) => Refused(json, "no valid Unicode");

    [Test]
    public void Deep_nesting_is_refused() => Refused("{\"metadata\":" + new string('[', 100_000), "metadata (byte 12): must be an object");

    [Test]
    public void Deep_nesting_within_the_metadata_is_refused() => Refused("{\"metadata\":{\"a\":" + new string('[', 100_000), "not JSON");

    [Test]
    public void A_tensor_name_that_is_too_long_is_refused([Values(1025, 6145)] int length)
        => Refused($$$"""{"weight_map":{"{{{new string('n', length)}}}":"b.safetensors"}}""", "1 to 1024 characters");

    private static IEnumerable<TestCaseData> ExpensiveIndexes()
    {
        yield return Case("many tensors of one shard", true, Map(150_000, _ => "b.safetensors"));
        yield return Case("many tensors of two shards in turn", true, Map(150_000, i => i % 2 == 0 ? "b.safetensors" : "c.safetensors"));
        yield return Case("many tensors of 256 shards in turn", true, Map(150_000, i => $"{i % 256}.safetensors"));
        yield return Case("names that are all escapes", true, Map(500, i => "b.safetensors", string.Concat(Enumerable.Repeat("\\u0041", 1000))));
        yield return Case("long names", true, Map(2_000, i => "b.safetensors", new string('n', 1000)));
        yield return Case("long metadata", true, "{\"metadata\":{\"a\":\"" + new string('m', 2_000_000) + "\"},\"weight_map\":{\"a\":\"b.safetensors\"}}");
        yield return Case("an unknown field that never ends", false, "{\"" + new string('n', 2_000_000) + "\":1}");
        yield return Case("a shard that never ends", false, "{\"weight_map\":{\"a\":\"" + new string('n', 2_000_000) + "\"}}");
        yield return Case("nothing but white space", false, new string(' ', 2_000_000));

        static TestCaseData Case(string name, bool valid, string json) => new TestCaseData(json, valid).SetName($"What_an_index_costs({name})");
        static string Map(int count, Func<int, string> shard, string suffix = "") => "{\"weight_map\":{" + string.Join(",", Enumerable.Range(0, count).Select(i => $"\"{i:x}{suffix}\":\"{shard(i)}\"")) + "}}";
    }

    [TestCaseSource(nameof(ExpensiveIndexes))]
    public void An_index_costs_at_most_eight_times_its_length_and_a_mebibyte(string json, bool valid)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(json);
        long before = GC.GetAllocatedBytesForCurrentThread();
        bool accepted = true;
        try
        {
            ShardIndex.Parse(bytes, "test.index.json");
        }
        catch (ModelFileException)
        {
            accepted = false;
        }
        // The bytes themselves are part of what reading the file costs.
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before + bytes.Length;
        TestContext.Out.WriteLine($"{bytes.Length} bytes of index, {allocated} allocated: {(double)allocated / bytes.Length:F2} times");
        Assert.That(accepted, Is.EqualTo(valid));
        Assert.That(allocated, Is.LessThanOrEqualTo(8L * bytes.Length + (1 << 20)));
    }
}
