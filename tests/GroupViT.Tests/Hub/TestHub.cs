using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace GroupViT.Tests.Hub;

/// <summary>A request as it arrived.</summary>
/// <param name="Server">hub, store or plain.</param>
internal sealed record SeenRequest(string Server, string Method, string Path, string? Authorization, string? Range, string? IfRange);

/// <summary>
/// A hub on this machine, of real HTTP servers: the hub itself and a store for large files, both https with a certificate of their own, and a
/// server of plain http. It is well-behaved until a test says otherwise.
/// </summary>
internal sealed class TestHub : IAsyncDisposable
{
    public const string Repository = "owner/tiny";
    public const string FirstCommit = "1111111111111111111111111111111111111111";
    public const string SecondCommit = "2222222222222222222222222222222222222222";

    private static readonly Lazy<X509Certificate2> SharedCertificate = new(MakeCertificate);

    private readonly WebApplication application;
    private readonly ConcurrentQueue<SeenRequest> seen = new();

    private TestHub(WebApplication application) => this.application = application;

    /// <summary>Revisions to commits.</summary>
    public Dictionary<string, string> Revisions { get; } = new() { ["main"] = FirstCommit };

    /// <summary>Commits to their files.</summary>
    public Dictionary<string, Dictionary<string, byte[]>> Commits { get; } = new() { [FirstCommit] = [] };

    /// <summary>The files of the first commit.</summary>
    public Dictionary<string, byte[]> Files => Commits[FirstCommit];

    /// <summary>Handles a request instead of the hub, or returns false.</summary>
    public Func<HttpContext, string, Task<bool>>? Interfere { get; set; }

    public Uri Endpoint { get; private set; } = null!;

    public Uri Store { get; private set; } = null!;

    public Uri Plain { get; private set; } = null!;

    public IReadOnlyList<SeenRequest> Seen => [.. seen];

    /// <summary>Requests for contents, not for what is there.</summary>
    public IEnumerable<SeenRequest> Downloads => Seen.Where(request => request.Method == "GET" && !request.Path.StartsWith("/api/models/", StringComparison.Ordinal) && (request.Server == "store" || !IsLarge(request.Path)));

    public static X509Certificate2 Certificate => SharedCertificate.Value;

    public static async Task<TestHub> StartAsync()
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MinResponseDataRate = null;
            kestrel.Listen(IPAddress.Loopback, 0, listen => listen.UseHttps(Certificate));
            kestrel.Listen(IPAddress.Loopback, 0, listen => listen.UseHttps(Certificate));
            kestrel.Listen(IPAddress.Loopback, 0);
        });
        // A test that is over does not wait for an answer that never ends.
        builder.Services.Configure<Microsoft.Extensions.Hosting.HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromMilliseconds(100));
        TestHub hub = new(builder.Build());
        hub.application.Run(hub.AnswerAsync);
        await hub.application.StartAsync();
        Uri[] addresses = [.. hub.application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Select(address => new Uri(address))];
        (hub.Endpoint, hub.Store, hub.Plain) = (addresses[0], addresses[1], addresses[2]);
        return hub;
    }

    public static string Sha256(byte[] content) => Convert.ToHexStringLower(SHA256.HashData(content));

    public static string GitSha1(byte[] content)
    {
        byte[] head = Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"blob {content.Length}\0"));
#pragma warning disable CA5350 // git's own.
        return Convert.ToHexStringLower(SHA1.HashData([.. head, .. content]));
#pragma warning restore CA5350
    }

    /// <summary>The name of a file's blob.</summary>
    public static string Hash(string file, byte[] content) => IsLarge(file) ? Sha256(content) : GitSha1(content);

    /// <summary>The hub keeps them in the store.</summary>
    public static bool IsLarge(string file) => file.EndsWith(".safetensors", StringComparison.Ordinal) || file.EndsWith(".bin", StringComparison.Ordinal);

    /// <summary>An answer with one part of a content, or all of it, as the request asks.</summary>
    public static async Task ServeAsync(HttpContext context, byte[] content, string etag)
    {
        HttpResponse response = context.Response;
        response.Headers.ETag = $"\"{etag}\"";
        response.Headers.AcceptRanges = "bytes";
        int from = 0;
        string ifRange = context.Request.Headers.IfRange.ToString();
        if (context.Request.Headers.Range.ToString() is { Length: > 0 } range && (ifRange.Length == 0 || ifRange == $"\"{etag}\""))
        {
            from = int.Parse(range["bytes=".Length..^1], CultureInfo.InvariantCulture);
            response.StatusCode = 206;
            response.Headers.ContentRange = $"bytes {from}-{content.Length - 1}/{content.Length}";
        }
        response.ContentLength = content.Length - from;
        if (context.Request.Method == "GET")
        {
            await response.Body.WriteAsync(content.AsMemory(from));
        }
    }

    /// <summary>Sends what is written so far and, once it has arrived, breaks the connection.</summary>
    /// <param name="context">Whose.</param>
    /// <param name="arrived">A connection that is reset may forget what was sent and not read yet.</param>
    public static async Task BreakAsync(HttpContext context, Func<bool> arrived)
    {
        await context.Response.Body.FlushAsync();
        await UntilAsync(arrived);
        context.Abort();
    }

    /// <summary>Waits, up to 20 s.</summary>
    public static async Task UntilAsync(Func<bool> condition)
    {
        for (int i = 0; i < 2000 && !condition(); i++)
        {
            await Task.Delay(10);
        }
    }

    /// <summary>An error as hubs send it.</summary>
    public static Task RefuseAsync(HttpContext context, int status, string? code = null, string? message = null)
    {
        context.Response.StatusCode = status;
        if (code is not null)
        {
            context.Response.Headers["X-Error-Code"] = code;
        }
        if (message is not null)
        {
            context.Response.Headers["X-Error-Message"] = message;
        }
        return Task.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        await application.StopAsync();
        await application.DisposeAsync();
    }

    private async Task AnswerAsync(HttpContext context)
    {
        int port = context.Connection.LocalPort;
        string server = port == Endpoint.Port ? "hub" : port == Store.Port ? "store" : "plain";
        IHeaderDictionary headers = context.Request.Headers;
        seen.Enqueue(new SeenRequest(server, context.Request.Method, context.Request.Path, Text(headers.Authorization), Text(headers.Range), Text(headers.IfRange)));
        if (Interfere is { } interfere && await interfere(context, server))
        {
            return;
        }
        string[] parts = context.Request.Path.Value!.Split('/', StringSplitOptions.RemoveEmptyEntries);
        await (parts switch
        {
            ["objects", var sha] when server == "store" => ServeAsync(context, Commits.Values.SelectMany(files => files.Values).First(content => Sha256(content) == sha), StoreEtag(sha)),
            ["api", "models", "owner", "tiny", "revision", var revision] => ListAsync(context, Uri.UnescapeDataString(revision)),
            ["owner", "tiny", "resolve", var commit, var file] => ResolveAsync(context, commit, file),
            _ => RefuseAsync(context, 401, "RepoNotFound", "Invalid username or password."),
        });

        static string? Text(Microsoft.Extensions.Primitives.StringValues values) => values.Count == 0 ? null : values.ToString();
    }

    // Looks like the content's hash and is none, as stores' own do.
    private static string StoreEtag(string sha) => Sha256(Encoding.ASCII.GetBytes(sha));

    private Task ListAsync(HttpContext context, string revision)
    {
        if (!Revisions.TryGetValue(revision, out string? commit))
        {
            commit = Commits.ContainsKey(revision) ? revision : null;
        }
        return commit is null
            ? RefuseAsync(context, 404, "RevisionNotFound", $"Invalid rev id: {revision}")
            : JsonAsync(context, new { id = Repository, sha = commit, siblings = Commits[commit].Keys.Select(name => new { rfilename = name }) });
    }

    public static Task JsonAsync(HttpContext context, object value)
    {
        context.Response.ContentType = "application/json; charset=utf-8";
        return context.Response.Body.WriteAsync(JsonSerializer.SerializeToUtf8Bytes(value)).AsTask();
    }

    private Task ResolveAsync(HttpContext context, string commit, string file)
    {
        if (!Commits.TryGetValue(commit, out Dictionary<string, byte[]>? files) || !files.TryGetValue(file, out byte[]? content))
        {
            return RefuseAsync(context, 404, "EntryNotFound", "Entry not found");
        }
        context.Response.Headers["X-Repo-Commit"] = commit;
        if (!IsLarge(file))
        {
            return ServeAsync(context, content, GitSha1(content));
        }
        string sha = Sha256(content);
        context.Response.Headers["X-Linked-Etag"] = $"\"{sha}\"";
        context.Response.Headers["X-Linked-Size"] = content.Length.ToString(CultureInfo.InvariantCulture);
        context.Response.StatusCode = 302;
        context.Response.Headers.Location = new Uri(Store, $"/objects/{sha}?signature=secret").AbsoluteUri;
        return Task.CompletedTask;
    }

    private static X509Certificate2 MakeCertificate()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=127.0.0.1", key, HashAlgorithmName.SHA256);
        SubjectAlternativeNameBuilder names = new();
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        using X509Certificate2 made = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        // Windows serves only with a key that was imported.
        return X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pkcs12), null);
    }
}
