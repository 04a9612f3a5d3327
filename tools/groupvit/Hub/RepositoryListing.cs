using System.Text.Json;

namespace GroupViT.Tool.Hub;

/// <summary>What a repository holds at one commit.</summary>
/// <param name="Commit">Its full name.</param>
/// <param name="Files">Paths, each checked.</param>
internal sealed record RepositoryListing(string Commit, IReadOnlySet<string> Files)
{
    /// <summary>Reads a hub's answer.</summary>
    /// <param name="json">The answer, already bounded.</param>
    /// <param name="repository">Whose, for messages.</param>
    /// <param name="mostFiles">The most files it may list.</param>
    /// <exception cref="HubAnswerException">It is no listing, or holds what must not become a path.</exception>
    public static RepositoryListing Parse(ReadOnlyMemory<byte> json, RepositoryId repository, int mostFiles)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(json);
            if (document.RootElement.ValueKind != JsonValueKind.Object
                || !document.RootElement.TryGetProperty("sha", out JsonElement sha) || sha.ValueKind != JsonValueKind.String
                || !document.RootElement.TryGetProperty("siblings", out JsonElement siblings) || siblings.ValueKind != JsonValueKind.Array)
            {
                throw Wrong("an object with 'sha' and 'siblings' is expected");
            }
            string commit = sha.GetString()!;
            if (!HubText.IsCommit(commit))
            {
                throw Wrong($"its commit '{HubText.Printable(commit)}' is no commit: 40 hexadecimal digits are expected");
            }
            if (siblings.GetArrayLength() > mostFiles)
            {
                throw Wrong($"it lists {siblings.GetArrayLength()} files, more than the {mostFiles} that a model may have");
            }
            HashSet<string> files = new(StringComparer.Ordinal);
            foreach (JsonElement sibling in siblings.EnumerateArray())
            {
                if (sibling.ValueKind != JsonValueKind.Object || !sibling.TryGetProperty("rfilename", out JsonElement name) || name.ValueKind != JsonValueKind.String)
                {
                    throw Wrong("a file without a name is in it");
                }
                string path = name.GetString()!;
                if (HubText.WhatIsWrongWithPath(path) is { } wrong)
                {
                    throw Wrong($"it lists the file '{HubText.Printable(path)}', which is refused: {wrong}");
                }
                files.Add(path);
            }
            return new RepositoryListing(commit, files);
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // InvalidOperationException: a text that is no valid Unicode.
            throw new HubAnswerException($"{repository}: the hub's answer is no listing of a repository: {HubText.Printable(exception.Message)}", exception);
        }

        HubAnswerException Wrong(string problem) => new($"{repository}: the hub's answer is no listing of a repository: {problem}");
    }
}
