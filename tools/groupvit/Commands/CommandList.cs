using System.CommandLine;

namespace GroupViT.Tool.Commands;

/// <summary>The commands, in the order of the help.</summary>
internal static class CommandList
{
    public static IEnumerable<Command> All() =>
    [
        SegmentCommand.Create(),
        GroupsCommand.Create(),
        ClassifyCommand.Create(),
        EvalCommand.Create(),
        EmbedCommand.Create(),
        TokenizeCommand.Create(),
        LabelsCommand.Create(),
        InfoCommand.Create(),
        DevicesCommand.Create(),
        BenchCommand.Create(),
        VerifyCommand.Create(),
        ConvertCommand.Create(),
        SynthCommand.Create(),
        PullCommand.Create(),
    ];
}
