using System.Text.RegularExpressions;
using GroupViT.Native;

namespace GroupViT.Tool;

/// <summary>From what <c>--model</c> says to a model. Never asks the network.</summary>
internal static partial class ModelLocator
{
    /// <summary>The built-in demonstration model; a folder of that name is ./scenes.</summary>
    public const string Scenes = "scenes";

    /// <summary>Opens the built-in model, a folder, a weights file, or a repository in the Hugging Face hub cache.</summary>
    /// <exception cref="UsageException">There is nothing of that name; says where it was looked for.</exception>
    /// <exception cref="ModelFileException">It was found and cannot be used.</exception>
    public static GroupVitModel Open(string name)
    {
        if (name == Scenes)
        {
            return GroupVitModel.Load(new ResourceModelFiles(typeof(ModelLocator).Assembly, Scenes));
        }
        return GroupVitModel.Load(Locate(name, Environment.GetEnvironmentVariable));
    }

    /// <summary>The folder or file that a name other than <see cref="Scenes"/> means.</summary>
    /// <param name="name">What the user said.</param>
    /// <param name="environment">Environment variables, by name.</param>
    internal static string Locate(string name, Func<string, string?> environment)
    {
        if (Directory.Exists(name) || File.Exists(name))
        {
            return name;
        }
        if (!RepositoryId().IsMatch(name))
        {
            throw new UsageException($"model '{name}': there is no such folder or file, and it is no repository id (owner/name); '{Scenes}' is built in");
        }
        string cache = HubCache(environment);
        string repository = Path.Combine(cache, $"models--{name.Replace("/", "--", StringComparison.Ordinal)}");
        if (!Directory.Exists(repository))
        {
            throw new UsageException($"model '{name}': there is no such folder or file, and the Hugging Face cache has no {repository}; '{Scenes}' is built in");
        }
        string reference = Path.Combine(repository, "refs", "main");
        if (!File.Exists(reference))
        {
            throw new UsageException($"model '{name}': the cached repository has no revision 'main' ({reference} is missing)");
        }
        using StreamReader reader = new(reference);
        char[] head = new char[200];
        string revision = new string(head, 0, reader.ReadBlock(head)).Trim();
        if (!Revision().IsMatch(revision))
        {
            throw new UsageException($"model '{name}': {reference} holds no revision");
        }
        string snapshot = Path.Combine(repository, "snapshots", revision);
        return Directory.Exists(snapshot)
            ? snapshot
            : throw new UsageException($"model '{name}': the cached revision is incomplete ({snapshot} is missing)");
    }

    private static string HubCache(Func<string, string?> environment)
    {
        if (environment("HF_HUB_CACHE") is { Length: > 0 } cache)
        {
            return cache;
        }
        if (environment("HF_HOME") is { Length: > 0 } home)
        {
            return Path.Combine(home, "hub");
        }
        string user = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
        return Path.Combine(user, ".cache", "huggingface", "hub");
    }

    [GeneratedRegex(@"^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*\z")]
    private static partial Regex RepositoryId();

    [GeneratedRegex(@"^[A-Za-z0-9][A-Za-z0-9._-]*\z")]
    private static partial Regex Revision();
}
