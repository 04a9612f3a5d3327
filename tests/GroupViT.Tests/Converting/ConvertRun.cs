using GroupViT.Native;
using GroupViT.Native.Weights;
using GroupViT.Tests.Tools;

namespace GroupViT.Tests.Converting;

/// <summary>Runs of groupvit convert, and sources that the fixtures do not have.</summary>
internal static class ConvertRun
{
    /// <summary>Runs it; anything but success fails the test.</summary>
    public static ToolRun Convert(string source, string folder, params string[] options)
    {
        ToolRun run = ToolRun.Of(["convert", source, "--out", folder, .. options]);
        Assert.That(run.Code, Is.Zero, run.Error);
        return run;
    }

    /// <summary>Runs it; it must fail with that exit code and say those words, and leave no folder.</summary>
    public static string Refused(int code, string source, string folder, string[] options, params string[] words)
    {
        bool existed = Directory.Exists(folder);
        ToolRun run = ToolRun.Of(["convert", source, "--out", folder, .. options]);
        Assert.That(run.Code, Is.EqualTo(code), run.Error + run.Output);
        foreach (string word in words)
        {
            Assert.That(run.Error, Does.Contain(word));
        }
        Assert.That(run.Error, Does.Not.Contain("unexpected"));
        if (!existed)
        {
            Assert.That(Directory.Exists(folder), Is.False, "nothing may be left");
        }
        return run.Error;
    }

    public static byte[] Weights(string folder) => File.ReadAllBytes(Path.Combine(folder, "model.safetensors"));

    /// <summary>Deals a model's tensors out to shards, in turn, with an index.</summary>
    public static void Shard(string weights, string folder, int count)
    {
        using SafetensorsFile file = SafetensorsFile.Open(weights);
        SafetensorsEntry[] entries = [.. file.Tensors.Values];
        List<string> map = [];
        for (int i = 0; i < count; i++)
        {
            string shard = $"model-{i + 1:00000}-of-{count:00000}.safetensors";
            int remainder = i;
            TensorToWrite[] tensors = [.. entries.Where((_, index) => index % count == remainder).Select(entry => Copy(file, entry))];
            map.AddRange(tensors.Select(tensor => $"\"{tensor.Name}\": \"{shard}\""));
            SafetensorsWriter.Write(Path.Combine(folder, shard), tensors, new Dictionary<string, string> { ["format"] = "pt" });
        }
        File.WriteAllText(Path.Combine(folder, "model.safetensors.index.json"), $"{{\"weight_map\": {{{string.Join(", ", map)}}}}}");
    }

    /// <summary>A copy of weights with tensors changed, left out (null) or added.</summary>
    public static void Rewrite(string weights, string path, Func<SafetensorsEntry, TensorToWrite, TensorToWrite?> change, params ReadOnlySpan<TensorToWrite> added)
    {
        using SafetensorsFile file = SafetensorsFile.Open(weights);
        List<TensorToWrite> tensors = [];
        foreach (SafetensorsEntry entry in file.Tensors.Values)
        {
            if (change(entry, Copy(file, entry)) is { } tensor)
            {
                tensors.Add(tensor);
            }
        }
        SafetensorsWriter.Write(path, [.. tensors, .. added], new Dictionary<string, string>(file.Metadata));
    }

    public static TensorToWrite Copy(SafetensorsFile file, SafetensorsEntry entry)
    {
        int size = entry.Type.Bits() / 8;
        byte[] bytes = new byte[entry.ByteLength];
        file.ReadBytes(entry, 0, bytes);
        return TensorToWrite.OfBytes(entry.Name, entry.Type, Shape(entry), (first, chunk) => bytes.AsSpan((int)first * size, chunk.Length).CopyTo(chunk));
    }

    public static int[] Shape(SafetensorsEntry entry) => [.. entry.Shape.ToArray().Select(side => (int)side)];
}
