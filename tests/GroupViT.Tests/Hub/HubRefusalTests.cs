using System.Text;
using GroupViT.Tool;
using GroupViT.Tool.Hub;

namespace GroupViT.Tests.Hub;

/// <summary>Hubs that redirect, refuse, or are not to be trusted.</summary>
[Category("Cpu")]
internal sealed class HubRefusalTests
{
    private const string Token = "hf_abcdefghijklmnop";

    [Test]
    public async Task The_token_goes_to_the_hub_and_not_to_where_it_redirects()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Variables["HF_TOKEN"] = Token;
        await fixture.PullAsync();
        Assert.That(fixture.Hub.Seen.Where(request => request.Server == "hub").Select(request => request.Authorization), Has.All.EqualTo($"Bearer {Token}"));
        SeenRequest[] store = [.. fixture.Hub.Seen.Where(request => request.Server == "store")];
        Assert.That(store, Is.Not.Empty);
        Assert.That(store.Select(request => request.Authorization), Has.All.Null);
    }

    [Test]
    public async Task A_redirect_to_plain_http_is_not_followed()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        RedirectWeights(fixture, () => new Uri(fixture.Hub.Plain, "/objects/x").AbsoluteUri);
        Assert.That((await fixture.FailAsync<HubAnswerException>()).Message, Does.Contain("only https is followed"));
        Assert.That(fixture.Hub.Seen, Has.None.Matches<SeenRequest>(request => request!.Server == "plain"));
    }

    [Test]
    public async Task A_store_that_redirects_to_plain_http_is_not_followed()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Hub.Interfere = (context, server) =>
        {
            if (server == "store")
            {
                context.Response.Redirect(new Uri(fixture.Hub.Plain, "/objects/x").AbsoluteUri);
            }
            return Task.FromResult(server == "store");
        };
        await fixture.FailAsync<HubAnswerException>();
        Assert.That(fixture.Hub.Seen, Has.None.Matches<SeenRequest>(request => request!.Server == "plain"));
    }

    [TestCase("file:///etc/passwd")]
    [TestCase("https://user:password@127.0.0.1/x")]
    [TestCase("ftp://127.0.0.1/x")]
    public async Task A_redirect_to_what_is_no_plain_address_is_not_followed(string location)
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        RedirectWeights(fixture, () => location);
        await fixture.FailAsync<HubAnswerException>();
    }

    [Test]
    public async Task Redirects_in_a_circle_are_given_up()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Hub.Interfere = (context, _) =>
        {
            context.Response.Redirect(context.Request.Path);
            return Task.FromResult(true);
        };
        Assert.That((await fixture.FailAsync<HubAnswerException>()).Message, Does.Contain("redirects"));
        Assert.That(fixture.Hub.Seen, Has.Count.EqualTo(9));
    }

    [Test]
    public async Task A_redirect_within_the_hub_is_followed_with_the_token()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Variables["HF_TOKEN"] = Token;
        fixture.Hub.Interfere = (context, _) =>
        {
            string path = context.Request.Path.Value!;
            bool moved = path.Contains("/older/", StringComparison.Ordinal);
            if (moved)
            {
                context.Response.StatusCode = 307;
                context.Response.Headers.Location = path.Replace("/older/", "/tiny/", StringComparison.Ordinal);
            }
            return Task.FromResult(moved);
        };
        PullResult result = await new HubPull(
            fixture.Environment, fixture.Options, fixture.Converter, RepositoryId.Parse("owner/older"), "main", NoProgress.Instance, _ => { }).RunAsync(CancellationToken.None);
        Assert.That(result.Snapshot, Does.Contain("models--owner--older"), "kept under the name that was asked for");
        Assert.That(File.ReadAllBytes(Path.Combine(result.Snapshot, "model.safetensors")), Is.EqualTo(fixture.Weights));
        Assert.That(fixture.Hub.Seen.Where(request => request.Server == "hub").Select(request => request.Authorization), Has.All.EqualTo($"Bearer {Token}"));
    }

    [Test]
    public async Task A_hub_on_this_machine_may_be_plain_http()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Variables["HF_ENDPOINT"] = fixture.Hub.Plain.AbsoluteUri;
        fixture.Variables["HF_TOKEN"] = Token;
        await fixture.PullAsync();
        Assert.That(fixture.Hub.Seen.Where(request => request.Server == "plain").Select(request => request.Authorization), Has.All.EqualTo($"Bearer {Token}"));
        Assert.That(File.ReadAllBytes(fixture.WeightsBlob), Is.EqualTo(fixture.Weights));
    }

    [TestCase("https://hub.example", false)]
    [TestCase("http://127.0.0.1:8080", false)]
    [TestCase("http://hub.example", true)]
    public void The_token_never_goes_over_plain_http_to_another_machine(string endpoint, bool withheld)
    {
        using HubTransport transport = new(new Uri(endpoint), Token, new HubHttpOptions());
        Assert.That(transport.WithholdsToken, Is.EqualTo(withheld));
        Assert.That(transport.HasToken, Is.Not.EqualTo(withheld));
    }

    [Test]
    public async Task A_certificate_that_is_not_trusted_ends_the_pull_at_once()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Options = fixture.Options with { AcceptCertificate = null };
        Assert.That((await fixture.FailAsync<HubUnreachableException>()).Message, Does.Contain("no secure connection"));
        Assert.That(fixture.Clock.Pauses, Is.Empty);
    }

    [TestCase(403, "GatedRepo", "Access to model owner/tiny is restricted.", typeof(GatedRepositoryException), "gated")]
    [TestCase(401, "GatedRepo", null, typeof(GatedRepositoryException), "HF_TOKEN")]
    [TestCase(401, "RepoNotFound", "Invalid username or password.", typeof(RepositoryNotFoundException), "no such repository")]
    [TestCase(404, "RepoNotFound", "Repository not found", typeof(RepositoryNotFoundException), "no such repository")]
    [TestCase(404, "RevisionNotFound", "Invalid rev id: main", typeof(RevisionNotFoundException), "revision 'main'")]
    [TestCase(401, null, null, typeof(RepositoryNotFoundException), "private")]
    [TestCase(401, null, "Invalid credentials in Authorization header", typeof(HubAccessException), "token")]
    [TestCase(403, null, null, typeof(HubAccessException), "refuses access")]
    [TestCase(403, "DisabledRepo", "Access to this resource is disabled.", typeof(HubAccessException), "disabled")]
    [TestCase(404, null, null, typeof(RepositoryNotFoundException), "no such repository")]
    [TestCase(418, null, null, typeof(HubAnswerException), "418")]
    [TestCase(204, null, null, typeof(HubAnswerException), "204")]
    public async Task Each_refusal_has_its_error(int status, string? code, string? message, Type error, string part)
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Hub.Interfere = async (context, _) =>
        {
            await TestHub.RefuseAsync(context, status, code, message);
            return true;
        };
        Exception? thrown = await Assert.CatchAsync(async () => await fixture.PullAsync());
        Assert.That(thrown, Is.TypeOf(error));
        Assert.That(thrown!.Message, Does.Contain(part).And.Contain(TestHub.Repository));
        Assert.That(fixture.Hub.Seen, Has.Count.EqualTo(1), "asking again would not help");
        Assert.That(Directory.Exists(fixture.Cached), Is.False, "nothing is left");
    }

    [Test]
    public async Task A_gated_repository_that_is_listed_says_so_at_its_first_file()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Hub.Interfere = async (context, _) =>
        {
            bool file = context.Request.Path.Value!.Contains("/resolve/", StringComparison.Ordinal);
            await (file ? TestHub.RefuseAsync(context, 401, "GatedRepo", "Access is restricted") : Task.CompletedTask);
            return file;
        };
        Assert.That((await fixture.FailAsync<GatedRepositoryException>()).Message, Does.Contain("accept its terms"));
    }

    [Test]
    public async Task An_unknown_revision_and_an_unknown_repository_are_named()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        Assert.That((await fixture.FailAsync<RevisionNotFoundException>("v9")).Message, Does.Contain("'v9'"));
        HubPull other = new(fixture.Environment, fixture.Options, fixture.Converter, RepositoryId.Parse("owner/other"), "main", NoProgress.Instance, _ => { });
        Assert.That(async () => await other.RunAsync(CancellationToken.None), Throws.TypeOf<RepositoryNotFoundException>().With.Message.Contains("owner/other"));
    }

    [Test]
    public async Task A_file_that_was_listed_and_is_not_there_is_named()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Hub.Interfere = async (context, _) =>
        {
            bool list = context.Request.Path.StartsWithSegments("/api");
            await (list ? TestHub.JsonAsync(context, new { sha = TestHub.FirstCommit, siblings = new[] { new { rfilename = "config.json" }, new { rfilename = "merges.txt" }, new { rfilename = "model.safetensors" } } }) : Task.CompletedTask);
            return list;
        };
        Assert.That((await fixture.FailAsync<HubFileNotFoundException>()).Message, Does.Contain("merges.txt"));
    }

    [Test]
    public async Task What_a_hub_says_cannot_write_on_the_terminal()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Hub.Interfere = async (context, _) =>
        {
            context.Response.StatusCode = 404;
            await TestHub.JsonAsync(context, new { });
            return true;
        };
        Assert.That(HubText.Printable("a\u001b[2Jb\u202Ec\nd"), Is.EqualTo("a?[2Jb?c?d"));
        Assert.That(HubText.Printable(new string('x', 5000)).Length, Is.LessThan(400));
        await fixture.FailAsync<RepositoryNotFoundException>();
    }

    [TestCase(429)]
    [TestCase(500)]
    [TestCase(502)]
    [TestCase(503)]
    [TestCase(504)]
    [TestCase(408)]
    public async Task A_hub_that_is_not_ready_is_asked_again_after_growing_pauses(int status)
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Options = fixture.Options with { Chance = () => 1, FirstDelay = TimeSpan.FromSeconds(2), LongestDelay = TimeSpan.FromSeconds(9) };
        fixture.Hub.Interfere = async (context, _) =>
        {
            await TestHub.RefuseAsync(context, status);
            return true;
        };
        Assert.That((await fixture.FailAsync<HubUnreachableException>()).Message, Does.Contain($"{status}"));
        Assert.That(fixture.Hub.Seen, Has.Count.EqualTo(6));
        Assert.That(fixture.Clock.Pauses.Select(pause => pause.TotalSeconds), Is.EqualTo((double[])[2, 4, 8, 9, 9]));
    }

    [Test]
    public async Task Pauses_differ_by_chance_between_half_and_all()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        double[] chances = [0, 0.5, 1, 0, 0];
        int next = 0;
        fixture.Options = fixture.Options with { Chance = () => chances[next++], FirstDelay = TimeSpan.FromSeconds(1), LongestDelay = TimeSpan.FromSeconds(30) };
        fixture.Hub.Interfere = async (context, _) =>
        {
            await TestHub.RefuseAsync(context, 503);
            return true;
        };
        await fixture.FailAsync<HubUnreachableException>();
        Assert.That(fixture.Clock.Pauses.Select(pause => pause.TotalSeconds), Is.EqualTo((double[])[0.5, 1.5, 4, 4, 8]));
    }

    [TestCase("17", 17)]
    [TestCase("Thu, 01 Jan 2026 12:00:40 GMT", 40)]
    [TestCase("Thu, 01 Jan 2026 11:00:00 GMT", 1)]
    [TestCase("soon", 1)]
    public async Task A_pause_that_the_hub_asks_for_is_made(string retryAfter, double seconds)
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Options = fixture.Options with { Chance = () => 1 };
        int refusals = 0;
        fixture.Hub.Interfere = async (context, _) =>
        {
            bool refuse = refusals++ == 0;
            context.Response.Headers.RetryAfter = refuse ? retryAfter : default;
            await (refuse ? TestHub.RefuseAsync(context, 429) : Task.CompletedTask);
            return refuse;
        };
        await fixture.PullAsync();
        Assert.That(fixture.Clock.Pauses.Select(pause => pause.TotalSeconds), Is.EqualTo((double[])[seconds]));
    }

    [Test]
    public async Task A_pause_that_is_too_long_ends_the_pull_and_is_named()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Hub.Interfere = async (context, _) =>
        {
            context.Response.Headers.RetryAfter = "3600";
            await TestHub.RefuseAsync(context, 429);
            return true;
        };
        Assert.That((await fixture.FailAsync<HubUnreachableException>()).Message, Does.Contain("3600 s"));
        Assert.That(fixture.Hub.Seen, Has.Count.EqualTo(1));
    }

    [Test]
    public async Task A_hub_that_is_not_there_is_an_error_after_all_attempts()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        int port;
        using (System.Net.Sockets.TcpListener free = new(System.Net.IPAddress.Loopback, 0))
        {
            free.Start();
            port = ((System.Net.IPEndPoint)free.LocalEndpoint).Port;
        }
        fixture.Variables["HF_ENDPOINT"] = $"https://127.0.0.1:{port}";
        Assert.That((await fixture.FailAsync<HubUnreachableException>()).Message, Does.Contain("connection failed"));
        Assert.That(fixture.Clock.Pauses, Has.Count.EqualTo(5));
    }

    [TestCase("../evil", "leads out")]
    [TestCase("a/../../evil", "leads out")]
    [TestCase("a//b", "leads out")]
    [TestCase("./a", "leads out")]
    [TestCase("/etc/passwd", "absolute")]
    [TestCase("C:evil", "colon")]
    [TestCase("..\\evil", "backslash")]
    [TestCase("a\u0000b", "control")]
    [TestCase("a\nb", "control")]
    [TestCase("", "empty")]
    [TestCase("nul.txt", "Windows")]
    [TestCase("trailing.", "Windows")]
    public async Task A_listing_with_a_name_that_must_not_become_a_path_is_refused(string name, string why)
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Hub.Files[name] = [1];
        Assert.That((await fixture.FailAsync<HubAnswerException>()).Message, Does.Contain(why));
        Assert.That(Directory.Exists(fixture.Cached), Is.False);
    }

    [Test]
    public async Task A_listing_with_names_that_are_too_long_or_too_many_is_refused()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Hub.Files[new string('n', 256)] = [1];
        await fixture.FailAsync<HubAnswerException>();
        fixture.Hub.Files.Remove(new string('n', 256));
        fixture.Hub.Files[string.Join('/', Enumerable.Repeat("nnnnnnn", 200))] = [1];
        await fixture.FailAsync<HubAnswerException>();
        fixture.Hub.Files.Clear();
        for (int i = 0; i < 10_001; i++)
        {
            fixture.Hub.Files[$"file-{i}"] = [];
        }
        Assert.That((await fixture.FailAsync<HubAnswerException>()).Message, Does.Contain("10000"));
    }

    [TestCase("")]
    [TestCase("not json")]
    [TestCase("[]")]
    [TestCase("{}")]
    [TestCase("null")]
    [TestCase("""{"sha": "1111111111111111111111111111111111111111"}""")]
    [TestCase("""{"sha": "main", "siblings": []}""")]
    [TestCase("""{"sha": "../../../../../../../../../../../../../x", "siblings": []}""")]
    [TestCase("""{"sha": 5, "siblings": []}""")]
    [TestCase("""{"sha": "1111111111111111111111111111111111111111", "siblings": {}}""")]
    [TestCase("""{"sha": "1111111111111111111111111111111111111111", "siblings": [5]}""")]
    [TestCase("""{"sha": "1111111111111111111111111111111111111111", "siblings": [{"rfilename": null}]}""")]
    [TestCase("""{"sha": "1111111111111111111111111111111111111111", "siblings": [{"rfilename": "\ud800"}]}""")]
    public async Task What_is_no_listing_is_refused(string body)
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        Answer(fixture, Encoding.UTF8.GetBytes(body));
        await fixture.FailAsync<HubAnswerException>();
    }

    [Test]
    public async Task A_listing_nested_too_deeply_is_refused()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        Answer(fixture, Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat("{\"a\":", 100_000))));
        await fixture.FailAsync<HubAnswerException>();
    }

    [Test]
    public async Task A_listing_that_never_ends_is_cut_at_its_limit()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Options = fixture.Options with { LargestListing = 1 << 20 };
        fixture.Hub.Interfere = async (context, _) =>
        {
            byte[] block = new byte[65_536];
            block.AsSpan().Fill((byte)' ');
            while (!context.RequestAborted.IsCancellationRequested)
            {
                await context.Response.Body.WriteAsync(block, context.RequestAborted);
            }
            return true;
        };
        Assert.That((await fixture.FailAsync<HubAnswerException>()).Message, Does.Contain("1048576"));
    }

    [Test]
    public async Task A_listing_that_trickles_is_given_up()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Options = fixture.Options with { ListTimeout = TimeSpan.FromMilliseconds(400), Attempts = 2 };
        fixture.Hub.Interfere = async (context, _) =>
        {
            while (!context.RequestAborted.IsCancellationRequested)
            {
                await context.Response.Body.WriteAsync(new byte[] { (byte)' ' }, context.RequestAborted);
                await context.Response.Body.FlushAsync(context.RequestAborted);
                await Task.Delay(20, context.RequestAborted);
            }
            return true;
        };
        Assert.That((await fixture.FailAsync<HubUnreachableException>()).Message, Does.Contain("0.4 s"));
    }

    [Test]
    public async Task A_hub_that_answers_with_another_commit_than_asked_for_is_refused()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Hub.Revisions[TestHub.SecondCommit] = TestHub.FirstCommit;
        await fixture.FailAsync<HubAnswerException>(TestHub.SecondCommit);
    }

    [TestCase("")]
    [TestCase("../main")]
    [TestCase("/main")]
    [TestCase("-x")]
    [TestCase("a b")]
    [TestCase("a/./b")]
    public async Task A_revision_that_is_no_name_is_a_usage_error(string revision)
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        await fixture.FailAsync<UsageException>(revision);
        Assert.That(fixture.Hub.Seen, Is.Empty);
    }

    private static void Answer(PullFixture fixture, byte[] body) => fixture.Hub.Interfere = async (context, _) =>
    {
        await context.Response.Body.WriteAsync(body);
        return true;
    };

    private static void RedirectWeights(PullFixture fixture, Func<string> location) => fixture.Hub.Interfere = (context, server) =>
    {
        bool weights = server == "hub" && TestHub.IsLarge(context.Request.Path);
        if (weights)
        {
            context.Response.Headers["X-Linked-Etag"] = $"\"{TestHub.Sha256(fixture.Weights)}\"";
            context.Response.Headers["X-Linked-Size"] = "300000";
            context.Response.StatusCode = 302;
            context.Response.Headers.Location = location();
        }
        return Task.FromResult(weights);
    };
}
