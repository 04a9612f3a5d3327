using GroupViT.Native;
using GroupViT.Native.Weights;
using GroupViT.Tests.Engine;

namespace GroupViT.Tests.Equivalence;

/// <summary>
/// Some of the recorded values of the full-size network, in a folder of their own: the verifier runs every picture that a file holds,
/// whatever is compared, so a file of what is asked for saves the other runs.
/// </summary>
internal sealed class RecordedSubset : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public RecordedSubset(string pattern)
    {
        File.Copy(Fixtures.Path("full", "reference_error.json"), folder["reference_error.json"]);
        using SafetensorsFile all = SafetensorsFile.Open(Fixtures.Path("full", "expected.safetensors"));
        bool Needed(string name) => Matches(name, pattern)
            || pattern == "joint*" && (name is "image224x224.pixel_values" or "image224x224.visual_projection" or "text.text_projection" || name.StartsWith("text.input", StringComparison.Ordinal) || name == "text.attention_mask");
        List<TensorToWrite> tensors = [];
        foreach (SafetensorsEntry entry in all.Tensors.Values.Where(entry => Needed(entry.Name)))
        {
            int[] shape = [.. entry.Shape.ToArray().Select(side => (int)side)];
            tensors.Add(entry.Type is SafetensorsType.F32
                ? TensorToWrite.OfFloats(entry.Name, entry.Type, shape, (first, values) => all.ReadFloat32(entry, (int)first, values))
                : TensorToWrite.OfIntegers(entry.Name, entry.Type, shape, (first, values) => all.ReadInt32(entry, (int)first, values)));
        }
        SafetensorsWriter.Write(folder["expected.safetensors"], tensors);
    }

    public string Folder => folder.Root;

    public static bool Matches(string name, string pattern) => System.IO.Enumeration.FileSystemName.MatchesSimpleExpression(pattern, name);

    public void Dispose() => folder.Dispose();
}
