using System.Security.Cryptography;
using System.Text;
using GroupViT.Native;

namespace GroupViT.Tool.Evaluation;

/// <summary>A data set that is not as it should be; the message names the file or folder and says what was looked for.</summary>
internal sealed class DatasetException(string message, Exception? inner = null) : GroupVitException(message, inner);

/// <summary>The kinds of data sets, by the layout in which people have them.</summary>
internal enum DatasetKind
{
    Voc,
    Context,
    CocoObject,
    ImageNet,
    Folder,
}

/// <summary>One picture with its truth.</summary>
/// <param name="Name">Short and unique in the data set.</param>
/// <param name="Picture">The picture's file.</param>
/// <param name="Truth">Its label map, or null where the whole picture has one label.</param>
/// <param name="Label">The whole picture's label, or -1.</param>
internal sealed record EvaluationSample(string Name, string Picture, string? Truth, int Label = -1);

/// <summary>A data set: its pictures in a fixed order, its labels, and how it is evaluated where nothing else is said.</summary>
internal sealed record EvaluationSet
{
    /// <summary>A truth's value that counts for nothing.</summary>
    public const int Ignored = -1;

    public required DatasetKind Kind { get; init; }

    /// <summary>In the order of their ids; a first one named background is a threshold with preset nvlabs.</summary>
    public required IReadOnlyList<string> Labels { get; init; }

    public required IReadOnlyList<EvaluationSample> Samples { get; init; }

    /// <summary>What was found where, for people.</summary>
    public required string Description { get; init; }

    /// <summary>From a value of a label map to a label's id, <see cref="Ignored"/>, or null for a value that the data set does not have.</summary>
    public Func<int, int?> Id { get; init; } = _ => null;

    /// <summary>The authors' settings for it (spec F.1), or the program's own.</summary>
    public required SegmentationOptions Rules { get; init; }

    public required string Templates { get; init; }

    public bool HasMaps => Kind != DatasetKind.ImageNet;

    /// <summary>Stands for the list of pictures and truths, so that what was counted for one list is not added to another.</summary>
    public string ListHash
    {
        get
        {
            using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            foreach (EvaluationSample sample in Samples)
            {
                hash.AppendData(Encoding.UTF8.GetBytes($"{sample.Name}\0{Path.GetFileName(sample.Truth)}\0{sample.Label}\n"));
            }
            return Convert.ToHexStringLower(hash.GetHashAndReset());
        }
    }
}
