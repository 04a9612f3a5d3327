using System.CommandLine;

namespace GroupViT.Bench.Peers.Commands;

internal static class CommonOptions
{
    public static Option<string?> Model() => new("--model")
    {
        Description = "folder with config.json and model.safetensors of the official architecture; default: formula weights under artifacts/", HelpName = "DIR",
    };
}
