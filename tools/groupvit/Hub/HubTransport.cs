using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Security.Authentication;

namespace GroupViT.Tool.Hub;

/// <summary>An answer, and what the hub itself said on the way to it.</summary>
/// <param name="Response">The last answer; its body is not read yet.</param>
/// <param name="IsOfHub">False where a redirect led to another host.</param>
/// <param name="LinkedEtag">X-Linked-Etag of the hub: the hash of what it redirects to. A storage host's own etag may look like one and is none.</param>
/// <param name="LinkedSize">X-Linked-Size of the hub.</param>
/// <param name="Commit">X-Repo-Commit of the hub.</param>
internal sealed record HubExchange(HttpResponseMessage Response, bool IsOfHub, string? LinkedEtag, string? LinkedSize, string? Commit) : IDisposable
{
    public void Dispose() => Response.Dispose();
}

/// <summary>
/// HTTP to one hub and to where it redirects. Redirects are followed here and not by the handler: never to plain http, and the token goes to
/// the hub's own scheme, host and port alone.
/// </summary>
internal sealed class HubTransport : IDisposable
{
    private const int MostRedirects = 8;

    private readonly Uri endpoint;
    private readonly string? token;
    private readonly HubHttpOptions options;
    private readonly HttpClient client;

    /// <param name="endpoint">The hub's address, without a slash at its end.</param>
    /// <param name="token">Shown to the hub, unless that would go over plain http to another machine; or null.</param>
    /// <param name="options">Timeouts and limits.</param>
    public HubTransport(Uri endpoint, string? token, HubHttpOptions options)
    {
        WithholdsToken = token is not null && endpoint.Scheme != Uri.UriSchemeHttps && !endpoint.IsLoopback;
        (this.endpoint, this.options) = (endpoint, options);
        this.token = WithholdsToken ? null : token;
        SocketsHttpHandler handler = new()
        {
            AllowAutoRedirect = false,
            AutomaticDecompression = DecompressionMethods.None,
            UseCookies = false,
            UseProxy = options.UseProxy,
            ConnectTimeout = options.ConnectTimeout,
            MaxResponseDrainSize = 0,
        };
        if (options.AcceptCertificate is { } accept)
        {
            handler.SslOptions.RemoteCertificateValidationCallback = accept;
        }
        client = new HttpClient(handler, disposeHandler: true) { Timeout = Timeout.InfiniteTimeSpan };
    }

    /// <summary>True where there is a token that was not sent, because the hub's address is plain http.</summary>
    public bool WithholdsToken { get; }

    public bool HasToken => token is not null;

    /// <summary>An address at the hub.</summary>
    /// <param name="path">Begins with a slash; its parts are escaped already.</param>
    public Uri At(string path) => new(endpoint.AbsoluteUri.TrimEnd('/') + path);

    /// <summary>Sends a request and follows redirects.</summary>
    /// <param name="method">Kept through redirects.</param>
    /// <param name="uri">At the hub.</param>
    /// <param name="leaveHub">False stops before the first redirect to another host.</param>
    /// <param name="prepare">Adds headers to each request, or null.</param>
    /// <param name="cancellation">Of the caller.</param>
    /// <exception cref="TransientException">No answer.</exception>
    /// <exception cref="HubAnswerException">A redirect that is not followed.</exception>
    public async Task<HubExchange> SendAsync(HttpMethod method, Uri uri, bool leaveHub, Action<HttpRequestHeaders>? prepare, CancellationToken cancellation)
    {
        string? etag = null, size = null, commit = null;
        for (int redirects = 0; ; redirects++)
        {
            bool ofHub = IsOfHub(uri);
            HttpResponseMessage response = await SendOnceAsync(method, uri, ofHub, prepare, cancellation);
            try
            {
                if (ofHub)
                {
                    etag ??= HubAnswers.Header(response.Headers, "X-Linked-Etag");
                    size ??= HubAnswers.Header(response.Headers, "X-Linked-Size");
                    commit ??= HubAnswers.Header(response.Headers, "X-Repo-Commit");
                }
                if (!IsRedirect(response.StatusCode) || response.Headers.Location is not { } location)
                {
                    return new HubExchange(response, ofHub, etag, size, commit);
                }
                Uri next = Next(uri, location);
                if (!leaveHub && !IsOfHub(next))
                {
                    return new HubExchange(response, ofHub, etag, size, commit);
                }
                uri = redirects < MostRedirects ? next : throw new HubAnswerException($"{endpoint.Host}: more than {MostRedirects} redirects, one after the other");
            }
            catch
            {
                response.Dispose();
                throw;
            }
            response.Dispose();
        }
    }

    /// <summary>The error that a failed exchange is: one worth another attempt, or one that is not.</summary>
    public static Exception Failure(Exception exception, string host)
    {
        string reason = HubText.Printable(
            exception.InnerException is { } inner && !exception.Message.Contains(inner.Message, StringComparison.Ordinal) ? $"{exception.Message} {inner.Message}" : exception.Message);
        return exception switch
        {
            HttpRequestException { HttpRequestError: HttpRequestError.ConfigurationLimitExceeded } => new HubAnswerException($"{host}: the answer is larger than is taken: {reason}", exception),
            HttpRequestException { InnerException: AuthenticationException } => new HubUnreachableException($"{host}: no secure connection: {reason}", exception),
            HttpRequestException { HttpRequestError: HttpRequestError.NameResolutionError } => new TransientException(
                new HubUnreachableException($"{host}: there is no such host, or no network ({reason}); HF_ENDPOINT names another hub, HF_HUB_OFFLINE=1 uses what is cached", exception)),
            _ => new TransientException(new HubUnreachableException($"{host}: the connection failed: {reason}", exception)),
        };
    }

    public void Dispose() => client.Dispose();

    private async Task<HttpResponseMessage> SendOnceAsync(HttpMethod method, Uri uri, bool ofHub, Action<HttpRequestHeaders>? prepare, CancellationToken cancellation)
    {
        using HttpRequestMessage request = new(method, uri);
        request.Headers.UserAgent.Add(new ProductInfoHeaderValue("groupvit", typeof(HubTransport).Assembly.GetName().Version?.ToString(3)));
        // Ranges and lengths are of the bytes as they are.
        request.Headers.AcceptEncoding.Add(new StringWithQualityHeaderValue("identity"));
        if (ofHub && token is not null)
        {
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
        }
        prepare?.Invoke(request.Headers);
        using CancellationTokenSource timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        timeout.CancelAfter(options.HeadTimeout);
        try
        {
            return await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, timeout.Token);
        }
        catch (OperationCanceledException exception) when (!cancellation.IsCancellationRequested)
        {
            throw new TransientException(new HubUnreachableException(
                string.Create(CultureInfo.InvariantCulture, $"{uri.Host}: no answer within {options.HeadTimeout.TotalSeconds:0.#} s"), exception));
        }
        catch (Exception exception) when (exception is HttpRequestException or IOException)
        {
            throw Failure(exception, uri.Host);
        }
    }

    private Uri Next(Uri from, Uri location)
    {
        if (!Uri.TryCreate(from, location, out Uri? next) || next.Host.Length == 0 || next.UserInfo.Length > 0)
        {
            throw new HubAnswerException($"{from.Host}: redirects to what is no address: '{HubText.Printable(location.OriginalString)}'");
        }
        // Only a hub that is itself reached over plain http may stay there.
        return next.Scheme == Uri.UriSchemeHttps || (next.Scheme == Uri.UriSchemeHttp && IsOfHub(next) && IsOfHub(from))
            ? next
            : throw new HubAnswerException($"{from.Host}: redirects to '{HubText.Printable($"{next.Scheme}://{next.Authority}")}', which is refused: only https is followed");
    }

    private bool IsOfHub(Uri uri) => uri.Scheme == endpoint.Scheme && uri.Port == endpoint.Port && string.Equals(uri.IdnHost, endpoint.IdnHost, StringComparison.OrdinalIgnoreCase);

    private static bool IsRedirect(HttpStatusCode status)
        => status is HttpStatusCode.MovedPermanently or HttpStatusCode.Found or HttpStatusCode.SeeOther or HttpStatusCode.TemporaryRedirect or HttpStatusCode.PermanentRedirect;
}
