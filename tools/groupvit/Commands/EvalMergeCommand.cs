using System.CommandLine;
using GroupViT.Tool.Evaluation;

namespace GroupViT.Tool.Commands;

/// <summary>groupvit eval merge: the figures of all shards of a run.</summary>
internal static class EvalMergeCommand
{
    public static Command Create()
    {
        Argument<string[]> shards = new("SHARDS") { Description = "the shards' files, or folders with shard-*-of-*.json", Arity = ArgumentArity.OneOrMore };
        shards.Validators.Add(CommonOptions.RefuseOptions);
        Option<string?> folder = new("--out") { Description = "the folder of the results; default: the first shard's", HelpName = "DIR" };
        Option<bool> skipBad = CommonOptions.SkipBad();
        Option<bool> json = CommonOptions.Json();
        Option<bool> quiet = CommonOptions.Quiet();
        Command command = new("merge", "Add the counts of the shards of one evaluation: exactly the result of the whole.") { shards, folder, skipBad, json, quiet };
        command.SetAction((parsed, cancellation) => ExitCodes.Run(
            parsed,
            token =>
            {
                Output output = new(parsed, parsed.GetValue(json), parsed.GetValue(quiet));
                List<string> files = Files(parsed.GetValue(shards)!);
                EvaluationState state = Merge(files);
                OutputFolder target = new(parsed.GetValue(folder) ?? Path.GetDirectoryName(Path.GetFullPath(files[0]))!);
                bool hasMaps = state.Settings.GetValueOrDefault("kind") != "imagenet";
                output.Line($"{files.Count} shards, {state.DoneCount} pictures");
                return EvalCommand.Finish(output, state, hasMaps, target, parsed.GetValue(skipBad), token);
            },
            cancellation));
        return command;
    }

    private static List<string> Files(IEnumerable<string> arguments)
    {
        List<string> files = [];
        foreach (string argument in arguments)
        {
            if (Directory.Exists(argument))
            {
                string[] found = [.. Directory.EnumerateFiles(argument, "shard-*-of-*.json").Order(StringComparer.Ordinal)];
                files.AddRange(found.Length > 0 ? found : throw new DatasetException($"{argument}: the folder holds no shard; files named shard-0-of-4.json and so on were looked for"));
            }
            else
            {
                files.Add(File.Exists(argument) ? argument : throw new DatasetException($"{argument}: there is no such file or folder"));
            }
        }
        return files;
    }

    private static EvaluationState Merge(List<string> files)
    {
        List<(string File, EvaluationState State)> parts = [.. files.Select(file => (file, EvaluationState.Load(file)))];
        (string firstFile, EvaluationState first) = parts[0];
        Dictionary<int, string> seen = [];
        EvaluationState all = new(first.Settings, first.Labels, first.Samples, 0, 1);
        foreach ((string file, EvaluationState part) in parts)
        {
            if (part.DifferenceTo(first.Settings) is { } difference)
            {
                throw new DatasetException($"{file}: the shard is of another run than {firstFile}: {difference}");
            }
            if (part.Shards != first.Shards || part.Samples != first.Samples || !part.Labels.SequenceEqual(first.Labels))
            {
                throw new DatasetException($"{file}: the shard is one of {part.Shards} of {part.Samples} pictures, that of {firstFile} one of {first.Shards} of {first.Samples}");
            }
            if (!seen.TryAdd(part.Shard, file))
            {
                throw new DatasetException($"{file}: shard {part.Shard} is there twice, in {seen[part.Shard]} as well");
            }
            if (!part.IsComplete)
            {
                throw new DatasetException($"{file}: shard {part.Shard} is not finished ({part.DoneCount} of {part.MineCount} pictures); run it again, it goes on where it ended");
            }
            all.Merge(part);
        }
        int[] missing = [.. Enumerable.Range(0, first.Shards).Where(shard => !seen.ContainsKey(shard)).Take(20)];
        return missing.Length == 0 ? all : throw new DatasetException($"{firstFile}: of its {first.Shards} shards {string.Join(", ", missing)} {(missing.Length == 1 ? "is" : "are")} missing");
    }
}
