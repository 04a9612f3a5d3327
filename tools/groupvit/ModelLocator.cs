using GroupViT.Native;
using GroupViT.Tool.Converting.Sources;
using GroupViT.Tool.Hub;

namespace GroupViT.Tool;

/// <summary>From what <c>--model</c> says to a model. Never asks the network.</summary>
internal static class ModelLocator
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
        string place = Locate(name, Environment.GetEnvironmentVariable);
        if (CheckpointFile.NeedsConversion(place))
        {
            throw new UsageException($"model '{name}': the weights are a PyTorch file, which nothing computes with; 'groupvit convert {name} --out FOLDER' makes a model folder of it");
        }
        return GroupVitModel.Load(place);
    }

    /// <summary>The folder or file that a name other than <see cref="Scenes"/> means.</summary>
    /// <param name="name">What the user said.</param>
    /// <param name="environment">Environment variables, by name.</param>
    internal static string Locate(string name, Func<string, string?> environment)
        => Directory.Exists(name) || File.Exists(name)
            ? name
            : CachedModel.Find(name, new HubEnvironment(environment))
                ?? throw new UsageException($"model '{name}': there is no such folder or file, and it is no repository id (owner/name); '{Scenes}' is built in");
}
