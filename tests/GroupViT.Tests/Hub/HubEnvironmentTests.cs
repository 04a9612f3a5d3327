using GroupViT.Tests.Tools;
using GroupViT.Tool;
using GroupViT.Tool.Hub;

namespace GroupViT.Tests.Hub;

/// <summary>What the environment's variables mean.</summary>
[Category("Cpu")]
internal sealed class HubEnvironmentTests
{
    [Test]
    public void The_hubs_cache_is_where_Python_has_it()
    {
        string user = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
        Assert.That(Of().Cache, Is.EqualTo(Path.Combine(user, ".cache", "huggingface", "hub")));
        Assert.That(Of(("XDG_CACHE_HOME", "/x")).Cache, Is.EqualTo(Path.Combine("/x", "huggingface", "hub")));
        Assert.That(Of(("XDG_CACHE_HOME", "/x"), ("HF_HOME", "/h")).Cache, Is.EqualTo(Path.Combine("/h", "hub")));
        Assert.That(Of(("HF_HOME", "/h"), ("HUGGINGFACE_HUB_CACHE", "/o")).Cache, Is.EqualTo("/o"));
        Assert.That(Of(("HUGGINGFACE_HUB_CACHE", "/o"), ("HF_HUB_CACHE", "/c")).Cache, Is.EqualTo("/c"));
        Assert.That(Of(("HF_HOME", "~/h")).Cache, Is.EqualTo(Path.Combine(user, "h", "hub")));
    }

    [Test]
    public void Our_own_cache_is_never_the_hubs()
    {
        Assert.That(Of(("GROUPVIT_CACHE", "/g"), ("XDG_CACHE_HOME", "/x")).OwnCache, Is.EqualTo("/g"));
        Assert.That(Of(("XDG_CACHE_HOME", "/x"), ("HF_HOME", "/h")).OwnCache, Is.EqualTo(Path.Combine("/x", "groupvit")));
        Assert.That(Of().OwnCache, Does.EndWith("groupvit"));
        Assert.That(Path.IsPathFullyQualified(Of().OwnCache));
    }

    [TestCase("1", true)]
    [TestCase("true", true)]
    [TestCase("YES", true)]
    [TestCase("on", true)]
    [TestCase("0", false)]
    [TestCase("no", false)]
    [TestCase("", false)]
    public void Offline_is_said_as_in_Python(string value, bool expected) => Assert.That(Of(("HF_HUB_OFFLINE", value)).IsOffline, Is.EqualTo(expected));

    [Test]
    public void The_token_is_of_the_variable_or_of_the_file()
    {
        using TemporaryFolder folder = new();
        folder.Write("token", "hf_file\n"u8.ToArray());
        string other = folder.Write("elsewhere", "hf_other\n"u8.ToArray());
        Assert.That(Of(("HF_HOME", folder.Path)).Token(), Is.EqualTo("hf_file"));
        Assert.That(Of(("HF_HOME", folder.Path), ("HF_TOKEN_PATH", other)).Token(), Is.EqualTo("hf_other"));
        Assert.That(Of(("HF_HOME", folder.Path), ("HUGGING_FACE_HUB_TOKEN", "hf_old")).Token(), Is.EqualTo("hf_old"));
        Assert.That(Of(("HF_HOME", folder.Path), ("HUGGING_FACE_HUB_TOKEN", "hf_old"), ("HF_TOKEN", " hf_new\n")).Token(), Is.EqualTo("hf_new"));
        Assert.That(Of(("HF_HOME", folder.Path), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")).Token(), Is.Null);
        Assert.That(Of(("HF_HOME", folder.Join("nowhere"))).Token(), Is.Null);
    }

    [TestCase("two words")]
    [TestCase("line\nX-Other: header")]
    [TestCase("naïve")]
    public void A_token_that_cannot_be_sent_is_refused_and_not_printed(string token)
        => Assert.That(() => Of(("HF_TOKEN", token)).Token(), Throws.TypeOf<UsageException>().With.Message.Contains("HF_TOKEN").And.Message.Not.Contains(token));

    [Test]
    public void A_token_file_of_any_size_is_read_up_to_a_limit()
    {
        using TemporaryFolder folder = new();
        folder.Write("token", new byte[1 << 20]);
        Assert.That(() => Of(("HF_HOME", folder.Path)).Token(), Throws.TypeOf<UsageException>());
    }

    [TestCase("https://hub.example/", "https://hub.example/")]
    [TestCase("https://hub.example/artifacts/hf/", "https://hub.example/artifacts/hf")]
    [TestCase("", "https://huggingface.co/")]
    public void The_endpoint_may_have_a_path(string value, string expected) => Assert.That(Of(("HF_ENDPOINT", value)).Endpoint().AbsoluteUri, Is.EqualTo(expected));

    [TestCase("hub.example")]
    [TestCase("ftp://hub.example")]
    [TestCase("https://user:secret@hub.example")]
    [TestCase("https://hub.example?x=1")]
    public void An_endpoint_that_is_no_address_is_refused(string value)
        => Assert.That(() => Of(("HF_ENDPOINT", value)).Endpoint(), Throws.TypeOf<UsageException>().With.Message.Contains("HF_ENDPOINT").And.Message.Not.Contains("secret"));

    [TestCase("owner/name", true)]
    [TestCase("nvidia/groupvit-gcc-yfcc", true)]
    [TestCase("a/b", true)]
    [TestCase("name", false)]
    [TestCase("a/b/c", false)]
    [TestCase("a--b/c", false)]
    [TestCase("a/b..c", false)]
    [TestCase("../c", false)]
    [TestCase("a/.b", false)]
    [TestCase("a/b.git", false)]
    [TestCase("a/b-", false)]
    [TestCase("a/b\n", false)]
    [TestCase("/b", false)]
    public void Repository_ids_are_told_from_paths(string text, bool expected) => Assert.That(RepositoryId.TryParse(text) is not null, Is.EqualTo(expected));

    private static HubEnvironment Of(params (string Name, string Value)[] variables)
        => new(name => variables.FirstOrDefault(variable => variable.Name == name).Value);
}
