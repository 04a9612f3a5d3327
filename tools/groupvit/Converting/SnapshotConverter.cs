using GroupViT.Tool.Converting.Sources;
using GroupViT.Tool.Hub;

namespace GroupViT.Tool.Converting;

/// <summary>Makes model folders of pulled snapshots: Hugging Face names, each tensor with its own type.</summary>
/// <param name="note">Told what a user may want to know.</param>
internal sealed class SnapshotConverter(Action<string> note) : ISnapshotConverter
{
    public void Convert(string snapshot, string weights, string destination, CancellationToken cancellation)
    {
        using CheckpointFile file = CheckpointFile.Open(Path.Combine(snapshot, weights));
        ConversionResult result = ModelConversion.Run(file, new ConversionFolder(destination, destination), new ConversionOptions(), static () => { }, cancellation);
        foreach (string text in result.Notes)
        {
            note(text);
        }
    }
}
