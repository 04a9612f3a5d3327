using GroupViT.Fuzz.Targets;

namespace GroupViT.Fuzz;

/// <summary>Every parser that reads files from outside.</summary>
internal static class TargetList
{
    /// <summary>New ones, in a fixed order.</summary>
    public static IReadOnlyList<FuzzTarget> All() =>
    [
        new SafetensorsTarget(),
        new ShardIndexTarget(),
        new ConfigTarget(),
        new PreprocessorTarget(),
        new VocabularyTarget(),
        new MergesTarget(),
        new GzipVocabularyTarget(),
        new LabelBankTarget(),
        new LabelsTarget(),
        new PickleTarget(),
        new PyTorchZipTarget(),
        new PngTarget(),
        new JpegTarget(),
    ];
}
