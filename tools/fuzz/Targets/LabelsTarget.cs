using System.Collections.Immutable;
using GroupViT.Fuzz.Mutation;
using GroupViT.Native;
using GroupViT.Native.Text;

namespace GroupViT.Fuzz.Targets;

/// <summary>labels.txt: <see cref="ClassNames.Read"/>. A text without magic; that it is UTF-8 stands for it.</summary>
internal sealed class LabelsTarget : FuzzTarget
{
    public override string Name => "labels";

    public override IReadOnlyList<string> Stages { get; } = ["refused: no UTF-8 text", "refused: what the lines say", "accepted"];

    public override int FirstStagePastHeader => 1;

    public override byte[] Mutate(Random random, byte[] parent, byte[] other)
        => random.Next(3) == 0 ? ByteMutator.Mutate(random, parent, other, []) : LineMutator.Mutate(random, parent, other);

    public override void Parse(byte[] input)
    {
        ImmutableArray<string> labels = ClassNames.Read(new MemoryStream(input), "mutant");
        Require(labels.Length is > 0 and <= ClassNames.MaxLabels && labels.Distinct(StringComparer.Ordinal).Count() == labels.Length, "labels that are none, too many or double");
        Require(labels.All(label => label.Trim() == label && label.Length > 0 && label.AsSpan().IndexOfAny('\n', '\r') < 0), "a label that is no trimmed line");
    }

    public override bool IsRefusal(Exception exception) => exception is LabelException;

    /// <summary>The text twice while it is read, and per line (one byte at least) a string, its place in lists and in a table that double as they grow.</summary>
    public override long AllocationBound(byte[] input) => (128L << 10) + 200L * input.Length;

    public override int Stage(byte[] input, Exception? refusal) => refusal is null ? 2 : System.Text.Unicode.Utf8.IsValid(input) ? 1 : 0;
}
