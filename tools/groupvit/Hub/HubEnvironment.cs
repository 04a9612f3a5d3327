namespace GroupViT.Tool.Hub;

/// <summary>What the environment says of hubs and caches: the variables that Python's huggingface_hub knows, and our own.</summary>
/// <param name="variable">Environment variables, by name.</param>
internal sealed class HubEnvironment(Func<string, string?> variable)
{
    private const string DefaultEndpoint = "https://huggingface.co";
    private const int LongestToken = 4096;

    public static HubEnvironment OfProcess { get; } = new(Environment.GetEnvironmentVariable);

    /// <summary>The hub's cache: HF_HUB_CACHE, else hub in <see cref="Home"/>.</summary>
    public string Cache => Path("HF_HUB_CACHE") ?? Path("HUGGINGFACE_HUB_CACHE") ?? System.IO.Path.Combine(Home, "hub");

    /// <summary>Our own cache, for what was made of a hub's files: GROUPVIT_CACHE, else groupvit where the platform keeps caches.</summary>
    public string OwnCache => Path("GROUPVIT_CACHE") ?? System.IO.Path.Combine(
        Path("XDG_CACHE_HOME")
        ?? (OperatingSystem.IsWindows() ? Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData)
            : OperatingSystem.IsMacOS() ? System.IO.Path.Combine(UserFolder, "Library", "Caches")
            : System.IO.Path.Combine(UserFolder, ".cache")),
        "groupvit");

    /// <summary>True where HF_HUB_OFFLINE forbids the network.</summary>
    public bool IsOffline => Flag("HF_HUB_OFFLINE");

    /// <summary>True where HF_HUB_DISABLE_SYMLINKS asks for copies in snapshots.</summary>
    public bool WithoutSymlinks => Flag("HF_HUB_DISABLE_SYMLINKS");

    private string Home => Path("HF_HOME") ?? System.IO.Path.Combine(Path("XDG_CACHE_HOME") ?? System.IO.Path.Combine(UserFolder, ".cache"), "huggingface");

    private string UserFolder => variable("HOME") is { Length: > 0 } home && !OperatingSystem.IsWindows() ? home : Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);

    /// <summary>The hub's address, without a slash at its end.</summary>
    /// <exception cref="UsageException">HF_ENDPOINT is no address.</exception>
    public Uri Endpoint()
    {
        string text = variable("HF_ENDPOINT") is { Length: > 0 } given ? given.Trim() : DefaultEndpoint;
        if (!Uri.TryCreate(text.TrimEnd('/'), UriKind.Absolute, out Uri? uri) || uri.Scheme is not ("https" or "http") || uri.Host.Length == 0)
        {
            throw new UsageException($"HF_ENDPOINT: '{HubText.Printable(text)}' is no address; it would be as {DefaultEndpoint}");
        }
        return uri.UserInfo.Length > 0 || uri.Query.Length > 0 || uri.Fragment.Length > 0
            ? throw new UsageException("HF_ENDPOINT: an address without user, query and fragment is expected; the token has a variable of its own, HF_TOKEN")
            : uri;
    }

    /// <summary>The token to show the hub: HF_TOKEN, else the token file (HF_TOKEN_PATH, else token in <see cref="Home"/>); null where there is none, or HF_HUB_DISABLE_IMPLICIT_TOKEN is set.</summary>
    /// <exception cref="UsageException">It holds what cannot be sent.</exception>
    public string? Token()
    {
        if (Flag("HF_HUB_DISABLE_IMPLICIT_TOKEN"))
        {
            return null;
        }
        foreach (string name in (string[])["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"])
        {
            if (Clean(variable(name), name) is { } token)
            {
                return token;
            }
        }
        string file = Path("HF_TOKEN_PATH") ?? System.IO.Path.Combine(Home, "token");
        return Clean(ReadTokenFile(file), file);
    }

    private static string? ReadTokenFile(string file)
    {
        try
        {
            if (!File.Exists(file))
            {
                return null;
            }
            using StreamReader reader = new(file);
            char[] text = new char[LongestToken + 1];
            return new string(text, 0, reader.ReadBlock(text));
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"{file}: the token file cannot be read: {exception.Message}", exception);
        }
    }

    // The message says where the token is, never what it is.
    private static string? Clean(string? token, string where)
    {
        string trimmed = (token ?? "").Trim();
        return trimmed.Length == 0 ? null
            : trimmed.Length <= LongestToken && trimmed.All(c => char.IsAscii(c) && !char.IsControl(c) && c != ' ') ? trimmed
            : throw new UsageException($"{where}: what is there is no token: one word of ASCII characters, at most {LongestToken}, is expected");
    }

    private bool Flag(string name) => variable(name)?.Trim().ToUpperInvariant() is "1" or "ON" or "YES" or "TRUE";

    private string? Path(string name)
    {
        if (variable(name) is not { Length: > 0 } path)
        {
            return null;
        }
        return path == "~" ? UserFolder : path.StartsWith("~/", StringComparison.Ordinal) ? System.IO.Path.Combine(UserFolder, path[2..]) : path;
    }
}
