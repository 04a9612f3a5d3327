using System.CommandLine;
using System.Globalization;
using GroupViT.Tool.Converting;
using GroupViT.Tool.Hub;

namespace GroupViT.Tool.Commands;

/// <summary>groupvit pull: a model from a hub into the cache that Python shares. The only command that uses the network.</summary>
internal static class PullCommand
{
    public static Command Create()
    {
        Argument<string> repository = new("REPO") { Description = "OWNER/NAME on the hub (HF_ENDPOINT, else huggingface.co), as nvidia/groupvit-gcc-yfcc" };
        repository.Validators.Add(CommonOptions.RefuseOptions);
        Option<string> revision = new("--revision") { Description = "branch, tag or commit", DefaultValueFactory = _ => HubText.MainRevision, HelpName = "R" };
        Option<bool> json = CommonOptions.Json();
        Option<bool> quiet = CommonOptions.Quiet();
        Command command = new("pull", "Download a model from a hub into the local Hugging Face cache.") { repository, revision, json, quiet };
        command.SetAction((parsed, cancellation) => ExitCodes.Run(
            parsed,
            token =>
            {
                Output output = new(parsed, parsed.GetValue(json), parsed.GetValue(quiet));
                return Run(
                    output,
                    HubEnvironment.OfProcess,
                    new HubHttpOptions(),
                    new SnapshotConverter(output.Note),
                    RepositoryId.Parse(parsed.GetValue(repository)!),
                    parsed.GetValue(revision)!,
                    token);
            },
            cancellation));
        return command;
    }

    internal static int Run(
        Output output, HubEnvironment environment, HubHttpOptions options, ISnapshotConverter converter, RepositoryId repository, string revision, CancellationToken cancellation)
    {
        PullResult result = output.Transfer(
            progress => new HubPull(environment, options, converter, repository, revision, progress, output.Note).RunAsync(cancellation).GetAwaiter().GetResult());
        output.Table(
            ["file", ">size", ">downloaded"],
            [.. result.Files.Select(file => (IReadOnlyList<TableCell>)[file.Name, Quantity.Bytes(file.Bytes), file.Downloaded == 0 ? "was here" : Quantity.Bytes(file.Downloaded)])]);
        output.Line($"{repository} at {revision} is commit {result.Commit}");
        output.Line(result.IsConverted ? $"{result.Model}: converted from {result.Snapshot}" : result.Model);
        output.Line($"use it as --model {repository}{(revision == HubText.MainRevision ? "" : $"@{revision}")}");
        if (output.IsJson)
        {
            output.Json(writer =>
            {
                writer.WriteStartObject();
                writer.WriteString("repository", repository.ToString());
                writer.WriteString("revision", revision);
                writer.WriteString("commit", result.Commit);
                writer.WriteString("snapshot", result.Snapshot);
                writer.WriteString("model", result.Model);
                writer.WriteBoolean("converted", result.IsConverted);
                writer.WriteStartArray("files");
                foreach (PulledFile file in result.Files)
                {
                    writer.WriteStartObject();
                    writer.WriteString("name", file.Name);
                    writer.WriteNumber("bytes", file.Bytes);
                    writer.WriteNumber("downloaded", file.Downloaded);
                    writer.WriteEndObject();
                }
                writer.WriteEndArray();
                writer.WriteEndObject();
            });
        }
        return ExitCodes.Done;
    }
}
