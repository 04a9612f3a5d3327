using System.Globalization;
using System.Security.Cryptography;

namespace GroupViT.Tool.Hub;

/// <summary>
/// One file from a hub into a file whose name says that it is not complete, through as many connections as it takes; then checked, and only
/// then renamed.
/// </summary>
internal sealed class HubDownload : IDisposable
{
    private const int BufferBytes = 1 << 17;

    // What was wrong twice from its first byte on will be wrong again.
    private const int MostDamaged = 2;

    private readonly HubClient client;
    private readonly HubHttpOptions options;
    private readonly string commit;
    private readonly HubFile file;
    private readonly string name;
    private readonly ITransferProgress progress;
    private readonly byte[] buffer = new byte[BufferBytes];
    private IncrementalHash hash;
    private string? etag;
    private int damaged;
    private long highest;

    /// <param name="client">Of the hub.</param>
    /// <param name="options">Timeouts.</param>
    /// <param name="repository">For messages.</param>
    /// <param name="commit">At which.</param>
    /// <param name="file">What.</param>
    /// <param name="progress">Told of every byte.</param>
    public HubDownload(HubClient client, HubHttpOptions options, RepositoryId repository, string commit, HubFile file, ITransferProgress progress)
    {
        (this.client, this.options, this.commit, this.file, this.progress) = (client, options, commit, file, progress);
        name = $"{repository}: {file.Name}";
        hash = file.Hash.Begin(file.Size);
    }

    /// <summary>How many bytes an earlier download had left.</summary>
    public long Resumed { get; private set; }

    /// <summary>Downloads to <paramref name="incomplete"/> what is not there yet, and renames it to <paramref name="final"/> when all of it is right.</summary>
    /// <exception cref="HubException">It could not be had; what is right so far stays in <paramref name="incomplete"/>.</exception>
    public async Task RunAsync(Retry retry, string incomplete, string final, CancellationToken cancellation)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(incomplete)!);
        try
        {
            await FillAsync(retry, incomplete, cancellation);
        }
        catch when (new FileInfo(incomplete) is { Exists: true, Length: 0 })
        {
            // All that had arrived was wrong.
            File.Delete(incomplete);
            throw;
        }
        File.Move(incomplete, final, overwrite: true);
        progress.End();
    }

    public void Dispose() => hash.Dispose();

    private async Task FillAsync(Retry retry, string incomplete, CancellationToken cancellation)
    {
        using FileStream target = new(incomplete, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read, 1, FileOptions.Asynchronous);
        if (target.Length > file.Size)
        {
            target.SetLength(0);
        }
        ContentHash.Append(hash, target, target.Length, cancellation);
        highest = Resumed = target.Length;
        progress.Begin(file.Name, file.Size, target.Length);
        await retry.RunAsync(() => AttemptAsync(target, cancellation), cancellation);
        // On the disk before it has its name: a power cut must not leave a hole under it.
        target.Flush(flushToDisk: true);
    }

    private async Task<bool> AttemptAsync(FileStream target, CancellationToken cancellation)
    {
        long before = target.Length;
        if (before < file.Size)
        {
            using HubBody? body = await client.OpenAsync(commit, file, before, etag, cancellation);
            if (body is null)
            {
                Discard(target);
                throw new TransientException(new DamagedDownloadException($"{name}: the server says that there is nothing after byte {before}, where the hub says {file.Size} bytes"));
            }
            if (before > 0 && (body.From == 0 || (etag is not null && body.Etag is not null && etag != body.Etag)))
            {
                Discard(target);
                if (body.From > 0)
                {
                    etag = body.Etag;
                    throw new TransientException(new DamagedDownloadException($"{name}: {body.Host} changed the file between two parts of it (etag '{HubText.Printable(body.Etag!)}')"));
                }
            }
            etag = body.Etag;
            await CopyAsync(body, target, cancellation);
        }
        if (!file.Hash.IsOf(hash))
        {
            Discard(target);
            DamagedDownloadException error = new($"{name}: the {file.Size} bytes that arrived are not the file's: {file.Hash} is expected");
            throw ++damaged < MostDamaged ? new TransientException(error) : error;
        }
        return true;
    }

    private async Task CopyAsync(HubBody body, FileStream target, CancellationToken cancellation)
    {
        using CancellationTokenSource stall = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        try
        {
            using Stream source = await body.Exchange.Response.Content.ReadAsStreamAsync(cancellation);
            target.Position = target.Length;
            stall.CancelAfter(options.StallTimeout);
            for (long sinceTimer = 0; ;)
            {
                int read = await source.ReadAsync(buffer, stall.Token);
                if (read == 0)
                {
                    break;
                }
                if (read > file.Size - target.Length)
                {
                    Discard(target);
                    DamagedDownloadException error = new($"{name}: {body.Host} sends more than the {file.Size} bytes that the hub says the file has");
                    throw ++damaged < MostDamaged ? new TransientException(error) : error;
                }
                await Store(target, buffer.AsMemory(0, read), cancellation);
                hash.AppendData(buffer, 0, read);
                progress.Advance(read);
                sinceTimer += read;
                if (sinceTimer >= options.StallBytes)
                {
                    stall.CancelAfter(options.StallTimeout);
                    sinceTimer = 0;
                }
            }
        }
        catch (OperationCanceledException exception) when (!cancellation.IsCancellationRequested)
        {
            throw Broken(string.Create(CultureInfo.InvariantCulture, $"less than {options.StallBytes} bytes in {options.StallTimeout.TotalSeconds:0.#} s"), exception);
        }
        catch (Exception exception) when (exception is HttpRequestException or HttpIOException)
        {
            throw Broken(HubText.Printable(exception.Message), exception);
        }
        catch (IOException exception) when (exception is not LocalFileException)
        {
            throw Broken(HubText.Printable(exception.Message), exception);
        }
        if (target.Length < file.Size)
        {
            throw Broken("the answer ended", null);
        }

        TransientException Broken(string why, Exception? cause) => new(
            new HubUnreachableException($"{name}: the connection to {body.Host} broke after {target.Length} of {file.Size} bytes: {why}", cause),
            gotOn: GotOn(target.Length));
    }

    // Further than ever: a server that always begins at 0 and always breaks must not be tried for ever.
    private bool GotOn(long length)
    {
        bool further = length - highest >= options.ProgressBytes;
        highest = further ? length : highest;
        return further;
    }

    // A full disk is no broken connection, and no reason to try again.
    private static async Task Store(FileStream target, ReadOnlyMemory<byte> bytes, CancellationToken cancellation)
    {
        try
        {
            await target.WriteAsync(bytes, cancellation);
        }
        catch (IOException exception)
        {
            throw new LocalFileException($"{target.Name}: cannot be written: {exception.Message}", exception);
        }
    }

    private void Discard(FileStream target)
    {
        target.SetLength(0);
        target.Position = 0;
        hash.Dispose();
        hash = file.Hash.Begin(file.Size);
        Resumed = 0;
        progress.Begin(file.Name, file.Size, 0);
    }

    private sealed class LocalFileException(string message, Exception inner) : IOException(message, inner);
}
