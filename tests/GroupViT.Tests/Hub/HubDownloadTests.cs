using System.Globalization;
using System.Text;
using GroupViT.Tool.Hub;
using Microsoft.AspNetCore.Http;

namespace GroupViT.Tests.Hub;

/// <summary>Downloads that do not go as they should.</summary>
[Category("Cpu")]
internal sealed class HubDownloadTests
{
    [Test]
    public async Task A_connection_that_breaks_is_resumed_where_it_broke()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        int breaks = 0;
        OnStore(fixture, async context =>
        {
            if (++breaks > 2)
            {
                return false;
            }
            int from = From(context);
            context.Response.StatusCode = from > 0 ? 206 : 200;
            context.Response.Headers.ETag = "\"mark\"";
            if (from > 0)
            {
                context.Response.Headers.ContentRange = $"bytes {from}-{fixture.Weights.Length - 1}/{fixture.Weights.Length}";
            }
            context.Response.ContentLength = fixture.Weights.Length - from;
            await context.Response.Body.WriteAsync(fixture.Weights.AsMemory(from, 90_000));
            await TestHub.BreakAsync(context, () => fixture.Arrived >= from + 90_000);
            return true;
        });
        PullResult result = await fixture.PullAsync();
        Assert.That(result.Files[^1].Downloaded, Is.EqualTo(fixture.Weights.Length), "nothing was here before");
        Assert.That(File.ReadAllBytes(fixture.WeightsBlob), Is.EqualTo(fixture.Weights));
        SeenRequest[] store = [.. fixture.Hub.Seen.Where(request => request.Server == "store")];
        Assert.That(store.Select(request => request.Range), Is.EqualTo((string?[])[null, "bytes=90000-", "bytes=180000-"]));
        Assert.That(store[1].IfRange, Is.EqualTo("\"mark\""), "the part must be of the same content");
        Assert.That(fixture.Notes, Has.Some.Contains("trying again"));
    }

    [Test]
    public async Task What_an_earlier_process_left_is_gone_on_with()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Leave(Incomplete(fixture), fixture.Weights[..123_456]);
        PullResult result = await fixture.PullAsync();
        Assert.That(result.Files[^1].Downloaded, Is.EqualTo(fixture.Weights.Length - 123_456));
        Assert.That(fixture.Hub.Seen.Single(request => request.Server == "store").Range, Is.EqualTo("bytes=123456-"));
        Assert.That(File.ReadAllBytes(fixture.WeightsBlob), Is.EqualTo(fixture.Weights));
    }

    [Test]
    public async Task What_an_earlier_process_finished_but_did_not_rename_needs_no_download()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Leave(Incomplete(fixture), fixture.Weights);
        await fixture.PullAsync();
        Assert.That(fixture.Hub.Seen.Where(request => request.Server == "store"), Is.Empty);
        Assert.That(File.ReadAllBytes(fixture.WeightsBlob), Is.EqualTo(fixture.Weights));
    }

    [TestCase(200_000, TestName = "Wrong_bytes_left_by_an_earlier_process_are_found_by_the_hash_and_replaced")]
    [TestCase(400_000, TestName = "More_bytes_than_the_file_has_left_by_an_earlier_process_are_replaced")]
    public async Task Wrong_bytes_left_by_an_earlier_process_are_replaced(int count)
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Leave(Incomplete(fixture), PullFixture.Noise(count, seed: 7));
        await fixture.PullAsync();
        Assert.That(File.ReadAllBytes(fixture.WeightsBlob), Is.EqualTo(fixture.Weights));
        Assert.That(fixture.Blobs(), Has.None.Contains("incomplete"));
    }

    [Test]
    public async Task A_server_without_ranges_is_read_from_the_beginning()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Leave(Incomplete(fixture), fixture.Weights[..100_000]);
        OnStore(fixture, async context =>
        {
            context.Response.ContentLength = fixture.Weights.Length;
            await context.Response.Body.WriteAsync(fixture.Weights);
            return true;
        });
        PullResult result = await fixture.PullAsync();
        Assert.That(result.Files[^1].Downloaded, Is.EqualTo(fixture.Weights.Length));
        Assert.That(File.ReadAllBytes(fixture.WeightsBlob), Is.EqualTo(fixture.Weights));
    }

    [Test]
    public async Task A_server_without_ranges_that_always_breaks_is_not_tried_for_ever()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        OnStore(fixture, async context =>
        {
            context.Response.ContentLength = fixture.Weights.Length;
            await context.Response.Body.WriteAsync(fixture.Weights.AsMemory(0, 150_000));
            await TestHub.BreakAsync(context, () => fixture.Arrived == 150_000);
            return true;
        });
        Assert.That((await fixture.FailAsync<HubUnreachableException>()).Message, Does.Contain("model.safetensors").And.Contains("of 300000 bytes"));
        Assert.That(fixture.Hub.Seen.Count(request => request.Server == "store"), Is.EqualTo(fixture.Options.Attempts), "the first one got on, the others did not get further");
        Assert.That(File.Exists(fixture.WeightsBlob), Is.False);
        Assert.That(Directory.Exists(Path.Combine(fixture.Cached, "refs")), Is.False);
    }

    [Test]
    public async Task A_content_that_changes_between_two_parts_is_read_anew()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        int requests = 0;
        byte[] other = PullFixture.Noise(fixture.Weights.Length, seed: 8);
        OnStore(fixture, async context =>
        {
            switch (++requests)
            {
                case 1:
                    context.Response.Headers.ETag = "\"first\"";
                    context.Response.ContentLength = other.Length;
                    await context.Response.Body.WriteAsync(other.AsMemory(0, 100_000));
                    await TestHub.BreakAsync(context, () => fixture.Arrived == 100_000);
                    return true;
                case 2:
                    // A server that ignores If-Range and sends a part of something else.
                    int from = From(context);
                    context.Response.StatusCode = 206;
                    context.Response.Headers.ETag = "\"second\"";
                    context.Response.Headers.ContentRange = $"bytes {from}-{other.Length - 1}/{other.Length}";
                    context.Response.ContentLength = other.Length - from;
                    await context.Response.Body.WriteAsync(fixture.Weights.AsMemory(from));
                    return true;
                default:
                    return false;
            }
        });
        await fixture.PullAsync();
        Assert.That(File.ReadAllBytes(fixture.WeightsBlob), Is.EqualTo(fixture.Weights));
        Assert.That(fixture.Notes, Has.Some.Contains("second"));
        Assert.That(fixture.Hub.Seen.Last(request => request.Server == "store").Range, Is.Null, "from the beginning");
    }

    [Test]
    public async Task A_hub_whose_etag_changes_under_one_commit_is_refused()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        string other = new('a', 64);
        fixture.Hub.Interfere = (context, server) =>
        {
            bool lie = server == "hub" && context.Request.Method == "GET" && TestHub.IsLarge(context.Request.Path);
            if (lie)
            {
                context.Response.Headers["X-Linked-Etag"] = $"\"{other}\"";
                context.Response.StatusCode = 302;
                context.Response.Headers.Location = new Uri(fixture.Hub.Store, $"/objects/{TestHub.Sha256(fixture.Weights)}").AbsoluteUri;
            }
            return Task.FromResult(lie);
        };
        Assert.That((await fixture.FailAsync<HubAnswerException>()).Message, Does.Contain(other));
        Assert.That(File.Exists(fixture.WeightsBlob), Is.False);
    }

    [TestCase("model.safetensors")]
    [TestCase("config.json")]
    public async Task Wrong_bytes_are_found_by_the_hash_and_nothing_of_them_stays(string file)
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        byte[] right = fixture.Hub.Files[file];
        byte[] wrong = [.. right];
        wrong[^1] ^= 1;
        fixture.Hub.Interfere = async (context, server) =>
        {
            bool lie = context.Request.Method == "GET" && (server == "store" ? file == "model.safetensors" : context.Request.Path.Value!.EndsWith(file, StringComparison.Ordinal) && !TestHub.IsLarge(file));
            if (lie)
            {
                await TestHub.ServeAsync(context, wrong, TestHub.GitSha1(right));
            }
            return lie;
        };
        Assert.That((await fixture.FailAsync<DamagedDownloadException>()).Message, Does.Contain(file).And.Contains(TestHub.Hash(file, right)));
        Assert.That(fixture.Blobs(), Has.None.Contains(TestHub.Hash(file, right)));
        Assert.That(File.Exists(Path.Combine(fixture.Snapshot(), file)), Is.False);
        Assert.That(Directory.Exists(Path.Combine(fixture.Cached, "refs")), Is.False);
    }

    [TestCase(299_999, 299_999, TestName = "A_length_below_the_hubs_is_refused")]
    [TestCase(300_001, 300_001, TestName = "A_length_above_the_hubs_is_refused")]
    [TestCase(null, 300_001, TestName = "More_bytes_than_the_hub_announced_are_refused")]
    public async Task A_lie_about_the_length_is_refused(int? announced, int sent)
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        byte[] content = new byte[sent];
        fixture.Weights.AsSpan(0, Math.Min(sent, fixture.Weights.Length)).CopyTo(content);
        OnStore(fixture, async context =>
        {
            context.Response.ContentLength = announced;
            await context.Response.Body.WriteAsync(content);
            return true;
        });
        await fixture.FailAsync<DamagedDownloadException>();
        Assert.That(fixture.Blobs(), Has.None.Contains(TestHub.Sha256(fixture.Weights)), "neither whole nor in part");
    }

    [Test]
    public async Task An_answer_that_ends_early_is_resumed_and_given_up_in_the_end()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        OnStore(fixture, async context =>
        {
            int from = From(context);
            context.Response.StatusCode = from > 0 ? 206 : 200;
            if (from > 0)
            {
                context.Response.Headers.ContentRange = $"bytes {from}-{fixture.Weights.Length - 1}/{fixture.Weights.Length}";
            }
            // Chunked, so that nothing but the count tells.
            await context.Response.Body.WriteAsync(fixture.Weights.AsMemory(from, 10));
            return true;
        });
        await fixture.FailAsync<HubUnreachableException>();
        Assert.That(File.ReadAllBytes(fixture.WeightsBlob + ".incomplete"), Is.EqualTo(fixture.Weights[..(10 * fixture.Options.Attempts)]), "what was right stays for the next time");
        fixture.Hub.Interfere = null;
        await fixture.PullAsync();
        Assert.That(File.ReadAllBytes(fixture.WeightsBlob), Is.EqualTo(fixture.Weights));
    }

    [Test]
    public async Task An_answer_that_never_ends_is_cut_at_the_announced_size()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        OnStore(fixture, async context =>
        {
            byte[] block = new byte[65_536];
            while (!context.RequestAborted.IsCancellationRequested)
            {
                await context.Response.Body.WriteAsync(block, context.RequestAborted);
            }
            return true;
        });
        await fixture.FailAsync<DamagedDownloadException>();
        Assert.That(fixture.Blobs(), Has.None.Contains(TestHub.Sha256(fixture.Weights)));
    }

    [Test]
    public async Task An_answer_that_trickles_is_given_up()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Options = fixture.Options with { StallTimeout = TimeSpan.FromMilliseconds(400), Attempts = 2 };
        OnStore(fixture, async context =>
        {
            context.Response.ContentLength = fixture.Weights.Length;
            for (int i = 0; !context.RequestAborted.IsCancellationRequested && i < fixture.Weights.Length; i++)
            {
                await context.Response.Body.WriteAsync(fixture.Weights.AsMemory(i, 1), context.RequestAborted);
                await context.Response.Body.FlushAsync(context.RequestAborted);
                await Task.Delay(20, context.RequestAborted);
            }
            return true;
        });
        Assert.That((await fixture.FailAsync<HubUnreachableException>()).Message, Does.Contain("less than 4096 bytes in 0.4 s"));
        Assert.That(File.Exists(fixture.WeightsBlob), Is.False);
    }

    [Test]
    public async Task A_server_that_never_answers_is_given_up()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Options = fixture.Options with { HeadTimeout = TimeSpan.FromMilliseconds(300), Attempts = 2 };
        fixture.Hub.Interfere = async (context, _) =>
        {
            await Task.Delay(Timeout.Infinite, context.RequestAborted).ContinueWith(_ => { }, TaskScheduler.Default);
            return true;
        };
        Assert.That((await fixture.FailAsync<HubUnreachableException>()).Message, Does.Contain("no answer within 0.3 s"));
    }

    [TestCase("bytes 5-299999/300000")]
    [TestCase("bytes 100000-299999/300001")]
    [TestCase("bytes 100000-300000/300000")]
    [TestCase("")]
    public async Task A_part_that_was_not_asked_for_is_refused(string range)
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Leave(Incomplete(fixture), fixture.Weights[..100_000]);
        OnStore(fixture, async context =>
        {
            context.Response.StatusCode = 206;
            if (range.Length > 0)
            {
                context.Response.Headers.ContentRange = range;
            }
            await context.Response.Body.WriteAsync(fixture.Weights.AsMemory(100_000));
            return true;
        });
        await fixture.FailAsync<DamagedDownloadException>();
        Assert.That(File.Exists(fixture.WeightsBlob), Is.False);
    }

    [Test]
    public async Task A_server_that_has_nothing_after_the_part_that_is_here_is_read_from_the_beginning()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Leave(Incomplete(fixture), fixture.Weights[..100_000]);
        OnStore(fixture, async context =>
        {
            bool refuse = context.Request.Headers.Range.Count > 0;
            await (refuse ? TestHub.RefuseAsync(context, 416) : Task.CompletedTask);
            return refuse;
        });
        await fixture.PullAsync();
        Assert.That(File.ReadAllBytes(fixture.WeightsBlob), Is.EqualTo(fixture.Weights));
    }

    [Test]
    public async Task An_encoding_that_was_not_asked_for_is_refused()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        OnStore(fixture, async context =>
        {
            context.Response.Headers.ContentEncoding = "gzip";
            await context.Response.Body.WriteAsync(fixture.Weights);
            return true;
        });
        Assert.That((await fixture.FailAsync<HubAnswerException>()).Message, Does.Contain("encoding"));
    }

    [Test]
    public async Task An_address_in_the_store_whose_time_is_over_is_asked_for_anew()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        int requests = 0;
        OnStore(fixture, async context =>
        {
            bool expired = ++requests == 1;
            await (expired ? TestHub.RefuseAsync(context, 403) : Task.CompletedTask);
            return expired;
        });
        await fixture.PullAsync();
        Assert.That(fixture.Hub.Seen.Count(request => request.Server == "hub" && request.Method == "GET" && TestHub.IsLarge(request.Path)), Is.EqualTo(2), "the hub gives a fresh one");
        Assert.That(fixture.Notes, Has.None.Contains("secret"), "such addresses are keys");
    }

    [TestCase("etag", null)]
    [TestCase("etag", "\"not-a-hash\"")]
    [TestCase("commit", TestHub.SecondCommit)]
    [TestCase("size", "-1")]
    [TestCase("size", "1e3")]
    [TestCase("size", "99999999999999")]
    [TestCase("size", "99999999999999999999999")]
    public async Task A_description_that_nothing_could_be_checked_by_is_refused(string field, string? value)
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Hub.Interfere = (context, _) =>
        {
            bool lie = context.Request.Method == "HEAD" && TestHub.IsLarge(context.Request.Path);
            if (lie)
            {
                IHeaderDictionary headers = context.Response.Headers;
                headers["X-Linked-Etag"] = field == "etag" ? value : $"\"{TestHub.Sha256(fixture.Weights)}\"";
                headers["X-Linked-Size"] = field == "size" ? value : fixture.Weights.Length.ToString(CultureInfo.InvariantCulture);
                headers["X-Repo-Commit"] = field == "commit" ? value : TestHub.FirstCommit;
                context.Response.StatusCode = 302;
                context.Response.Headers.Location = fixture.Hub.Store.AbsoluteUri;
            }
            return Task.FromResult(lie);
        };
        Assert.That((await fixture.FailAsync<HubAnswerException>()).Message, Does.Contain("model.safetensors"));
        Assert.That(fixture.Hub.Seen, Has.None.Matches<SeenRequest>(request => request!.Server == "store"));
    }

    private static string Incomplete(PullFixture fixture) => $"blobs/{TestHub.Sha256(fixture.Weights)}.incomplete";

    private static int From(HttpContext context)
        => context.Request.Headers.Range.ToString() is { Length: > 0 } range ? int.Parse(range["bytes=".Length..^1], CultureInfo.InvariantCulture) : 0;

    private static void OnStore(PullFixture fixture, Func<HttpContext, Task<bool>> answer)
        => fixture.Hub.Interfere = (context, server) => server == "store" ? answer(context) : Task.FromResult(false);
}
