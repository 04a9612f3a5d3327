using System.Net;
using System.Net.Http.Headers;

namespace GroupViT.Tool.Hub;

/// <summary>What a hub's refusals mean.</summary>
internal static class HubAnswers
{
    private const string ErrorCode = "X-Error-Code";
    private const string ErrorMessage = "X-Error-Message";

    /// <summary>The error that an answer other than success is.</summary>
    /// <param name="response">From the hub itself.</param>
    /// <param name="repository">Whose.</param>
    /// <param name="revision">Asked for.</param>
    /// <param name="file">Asked for; null for the repository itself.</param>
    /// <param name="hasToken">Whether a token was shown.</param>
    /// <param name="now">The time of day.</param>
    public static Exception Refusal(HttpResponseMessage response, RepositoryId repository, string revision, string? file, bool hasToken, DateTimeOffset now)
    {
        HttpStatusCode status = response.StatusCode;
        string host = response.RequestMessage!.RequestUri!.Host;
        string said = Header(response.Headers, ErrorMessage) is { Length: > 0 } message ? $" ('{HubText.Printable(message)}')" : "";
        string what = file is null ? $"{repository}" : $"{repository}: {file}";
        if (IsTransient(status))
        {
            return new TransientException(new HubUnreachableException($"{what}: {host} answers {(int)status} {status}{said}"), RetryAfter(response, now));
        }
        switch (Header(response.Headers, ErrorCode))
        {
            case "GatedRepo":
                return new GatedRepositoryException(
                    $"{repository}: the repository is gated{said}: accept its terms on {host} and set HF_TOKEN to a token of that account" + (hasToken ? " (a token was sent, and does not do)" : ""));
            case "RepoNotFound":
                return NoRepository(repository, host, hasToken);
            case "RevisionNotFound":
                return NoRevision(repository, revision, host);
            case "EntryNotFound":
                return new HubFileNotFoundException($"{what}: {host} has no such file at revision '{revision}'");
            default:
                break;
        }
        bool badToken = said.Contains("nvalid credentials", StringComparison.Ordinal) || said.Contains("nvalid user", StringComparison.Ordinal);
        return status switch
        {
            HttpStatusCode.Unauthorized when hasToken || badToken => new HubAccessException($"{what}: {host} does not accept the token{said}; see HF_TOKEN and the token file"),
            HttpStatusCode.Unauthorized => NoRepository(repository, host, hasToken),
            HttpStatusCode.Forbidden => new HubAccessException($"{what}: {host} refuses access{said}" + (hasToken ? "; the token has no right to it" : "; HF_TOKEN may have to be set")),
            HttpStatusCode.NotFound when file is not null => new HubFileNotFoundException($"{what}: {host} has no such file at revision '{revision}'{said}"),
            HttpStatusCode.NotFound => revision == HubText.MainRevision ? NoRepository(repository, host, hasToken) : NoRevision(repository, revision, host),
            _ => new HubAnswerException($"{what}: {host} answers {(int)status} {status}{said}, which is no answer of a hub"),
        };
    }

    public static bool IsTransient(HttpStatusCode status)
        => status is HttpStatusCode.RequestTimeout or HttpStatusCode.TooManyRequests or HttpStatusCode.InternalServerError or HttpStatusCode.BadGateway
            or HttpStatusCode.ServiceUnavailable or HttpStatusCode.GatewayTimeout;

    public static TimeSpan? RetryAfter(HttpResponseMessage response, DateTimeOffset now) => response.Headers.RetryAfter switch
    {
        { Delta: { } delta } => delta,
        { Date: { } date } when date > now => date - now,
        _ => null,
    };

    public static string? Header(HttpHeaders headers, string name)
        => headers.TryGetValues(name, out IEnumerable<string>? values) ? values.First() : null;

    private static RepositoryNotFoundException NoRepository(RepositoryId repository, string host, bool hasToken)
        => new($"{repository}: {host} has no such repository, or it is private" + (hasToken ? " and the token has no right to it" : "; for a private one, set HF_TOKEN"));

    private static RevisionNotFoundException NoRevision(RepositoryId repository, string revision, string host)
        => new($"{repository}: {host} has no revision '{revision}' of it");
}
