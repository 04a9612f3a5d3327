using System.Globalization;
using System.Net;
using System.Net.Http.Headers;

namespace GroupViT.Tool.Hub;

/// <summary>A file as the hub describes it.</summary>
/// <param name="Name">Its path in the repository.</param>
/// <param name="Hash">Of its content.</param>
/// <param name="Size">Bytes.</param>
internal sealed record HubFile(string Name, ContentHash Hash, long Size);

/// <summary>The bytes of a file from a place on.</summary>
/// <param name="Exchange">Whose body they are.</param>
/// <param name="From">Where they begin: where they were asked for, or 0.</param>
internal sealed record HubBody(HubExchange Exchange, long From) : IDisposable
{
    /// <summary>The sender's own mark of this content, if it is one to rely on; not the hub's hash.</summary>
    public string? Etag => Exchange.Response.Headers.ETag is { IsWeak: false } etag ? etag.Tag : null;

    public string Host => Exchange.Response.RequestMessage!.RequestUri!.Host;

    public void Dispose() => Exchange.Dispose();
}

/// <summary>What is asked of a hub, each in one attempt.</summary>
internal sealed class HubClient(HubTransport transport, HubHttpOptions options, RepositoryId repository)
{
    /// <summary>What the repository holds at a revision.</summary>
    public async Task<RepositoryListing> ListAsync(string revision, CancellationToken cancellation)
    {
        Uri uri = transport.At($"/api/models/{Escape(repository.Owner)}/{Escape(repository.Name)}/revision/{Escape(revision)}");
        using CancellationTokenSource timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        timeout.CancelAfter(options.ListTimeout);
        try
        {
            using HubExchange exchange = await transport.SendAsync(
                HttpMethod.Get, uri, leaveHub: false, headers => headers.Accept.Add(new MediaTypeWithQualityHeaderValue("application/json")), timeout.Token);
            if (exchange.Response.StatusCode != HttpStatusCode.OK)
            {
                throw Refusal(exchange.Response, revision, file: null);
            }
            return RepositoryListing.Parse(await ReadAsync(exchange.Response, timeout.Token), repository, options.MostFiles);
        }
        catch (OperationCanceledException exception) when (!cancellation.IsCancellationRequested)
        {
            throw new TransientException(new HubUnreachableException(
                string.Create(CultureInfo.InvariantCulture, $"{uri.Host}: the listing of {repository} was not through within {options.ListTimeout.TotalSeconds:0.#} s"), exception));
        }
        catch (Exception exception) when (exception is HttpRequestException or IOException)
        {
            throw HubTransport.Failure(exception, uri.Host);
        }
    }

    /// <summary>Size and hash of a file.</summary>
    /// <exception cref="HubAnswerException">The hub does not say them, or says more bytes than <paramref name="most"/>.</exception>
    public async Task<HubFile> DescribeAsync(string commit, string file, long most, CancellationToken cancellation)
    {
        using HubExchange exchange = await transport.SendAsync(HttpMethod.Head, FileAt(commit, file), leaveHub: false, prepare: null, cancellation);
        HttpResponseMessage response = exchange.Response;
        bool complete = response.StatusCode == HttpStatusCode.OK;
        if (!complete && (int)response.StatusCode is < 300 or >= 400)
        {
            throw Refusal(response, commit, file);
        }
        if (exchange.Commit is { } other && other != commit)
        {
            throw Wrong(file, $"the hub answers for commit '{HubText.Printable(other)}', not for {commit}, which was asked for");
        }
        string? etag = exchange.LinkedEtag ?? (complete ? HubAnswers.Header(response.Headers, "ETag") : null);
        ContentHash hash = ContentHash.FromEtag(etag)
            ?? throw Wrong(file, $"the hub gives no hash that the file could be checked by: its etag is '{HubText.Printable(etag ?? "")}', and a SHA-256 or git's SHA-1 is expected");
        long? size = exchange.LinkedSize is { } linked
            ? long.TryParse(linked, NumberStyles.None, CultureInfo.InvariantCulture, out long parsed) ? parsed : null
            : complete ? response.Content.Headers.ContentLength : null;
        if (size is not >= 0)
        {
            throw Wrong(file, "the hub does not say how large the file is");
        }
        return size <= most
            ? new HubFile(file, hash, size.Value)
            : throw Wrong(file, $"{size} bytes are more than the {most} that such a file may have");
    }

    /// <summary>Begins to read a file.</summary>
    /// <param name="commit">At which.</param>
    /// <param name="file">As <see cref="DescribeAsync"/> told.</param>
    /// <param name="from">The first byte wanted. A server that does not know ranges, or whose content is not <paramref name="etag"/> any more, begins at 0.</param>
    /// <param name="etag">The mark under which earlier bytes came; or null.</param>
    /// <param name="cancellation">Of the caller.</param>
    /// <returns>Null where the server has nothing from there on (416).</returns>
    public async Task<HubBody?> OpenAsync(string commit, HubFile file, long from, string? etag, CancellationToken cancellation)
    {
        HubExchange exchange = await transport.SendAsync(HttpMethod.Get, FileAt(commit, file.Name), leaveHub: true, Prepare, cancellation);
        try
        {
            HttpResponseMessage response = exchange.Response;
            string host = response.RequestMessage!.RequestUri!.Host;
            if (response.StatusCode == HttpStatusCode.RequestedRangeNotSatisfiable && from > 0)
            {
                exchange.Dispose();
                return null;
            }
            if (response.StatusCode is not (HttpStatusCode.OK or HttpStatusCode.PartialContent))
            {
                // Elsewhere than at the hub, a refusal is an address whose time is over; the hub gives a fresh one.
                throw exchange.IsOfHub
                    ? Refusal(response, commit, file.Name)
                    : new TransientException(
                        new HubUnreachableException($"{repository}: {file.Name}: {host}, to which the hub redirects, answers {(int)response.StatusCode} {response.StatusCode}"),
                        HubAnswers.RetryAfter(response, options.Clock.GetUtcNow()));
            }
            string? said = exchange.LinkedEtag ?? (exchange.IsOfHub ? HubAnswers.Header(response.Headers, "ETag") : null);
            if (said is not null && ContentHash.FromEtag(said) != file.Hash)
            {
                throw Wrong(file.Name, $"the hub's etag changed from '{file.Hash.Hex}' to '{HubText.Printable(said)}' between two answers for one commit");
            }
            if (response.Content.Headers.ContentEncoding.Any(encoding => encoding != "identity"))
            {
                throw new TransientException(Wrong(file.Name, $"{host} sends it in another encoding than was asked for"));
            }
            long start = response.StatusCode == HttpStatusCode.OK ? 0 : from;
            if (response.StatusCode == HttpStatusCode.PartialContent
                && !(response.Content.Headers.ContentRange is { From: { } first, To: { } last } range && first == from && last < file.Size && (range.Length ?? file.Size) == file.Size))
            {
                throw new TransientException(new DamagedDownloadException(
                    $"{repository}: {file.Name}: {host} sends the range '{response.Content.Headers.ContentRange}' where bytes {from}-{file.Size - 1}/{file.Size} were asked for"));
            }
            if (response.Content.Headers.ContentLength is { } length && length > file.Size - start)
            {
                throw new TransientException(new DamagedDownloadException($"{repository}: {file.Name}: {host} announces {length} bytes, but the hub says that {file.Size - start} are to come"));
            }
            if (response.StatusCode == HttpStatusCode.OK && response.Content.Headers.ContentLength is { } whole && whole != file.Size)
            {
                throw new TransientException(new DamagedDownloadException($"{repository}: {file.Name}: {host} announces {whole} bytes, but the hub says that the file has {file.Size}"));
            }
            return new HubBody(exchange, start);
        }
        catch
        {
            exchange.Dispose();
            throw;
        }

        void Prepare(HttpRequestHeaders headers)
        {
            if (from > 0)
            {
                headers.Range = new RangeHeaderValue(from, null);
                headers.IfRange = etag is null ? null : new RangeConditionHeaderValue(etag);
            }
        }
    }

    private static string Escape(string segment) => Uri.EscapeDataString(segment);

    private Uri FileAt(string commit, string file)
        => transport.At($"/{Escape(repository.Owner)}/{Escape(repository.Name)}/resolve/{Escape(commit)}/{string.Join('/', file.Split('/').Select(Escape))}");

    private Exception Refusal(HttpResponseMessage response, string revision, string? file)
        => HubAnswers.Refusal(response, repository, revision, file, transport.HasToken, options.Clock.GetUtcNow());

    private HubAnswerException Wrong(string file, string problem) => new($"{repository}: {file}: {problem}");

    private async Task<ReadOnlyMemory<byte>> ReadAsync(HttpResponseMessage response, CancellationToken cancellation)
    {
        using Stream body = await response.Content.ReadAsStreamAsync(cancellation);
        byte[] buffer = new byte[64 << 10];
        for (int length = 0; ;)
        {
            int read = await body.ReadAsync(buffer.AsMemory(length), cancellation);
            if (read == 0)
            {
                return buffer.AsMemory(0, length);
            }
            length += read;
            if (length > options.LargestListing)
            {
                throw new HubAnswerException($"{repository}: the hub's listing is longer than {options.LargestListing} bytes");
            }
            if (length == buffer.Length)
            {
                Array.Resize(ref buffer, Math.Min(buffer.Length * 2, options.LargestListing + 1));
            }
        }
    }
}
