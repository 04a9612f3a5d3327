using GroupViT.Bench.Commands;
using GroupViT.Bench.Starting;

namespace GroupViT.Tests.Bench;

/// <summary>Fresh processes: what they are started with.</summary>
internal sealed class FirstMaskTests
{
    [Test]
    public void Cold_processes_have_no_cache_and_warm_ones_their_own()
    {
        Assert.That(FirstMask.NoCaches, Contains.Key("GROUPVIT_KERNEL_CACHE").WithValue("off").And.ContainKey("CUDA_CACHE_DISABLE").WithValue("1"));
        IReadOnlyDictionary<string, string> warm = FirstMask.CachesIn("here");
        Assert.That(warm, Contains.Key("CUDA_CACHE_DISABLE").WithValue("0"));
        Assert.That(warm.Where(variable => variable.Key != "CUDA_CACHE_DISABLE").Select(variable => variable.Value), Is.All.StartsWith("here"));
    }

    [Test]
    public void The_program_is_an_executable_a_library_or_the_one_beside()
    {
        Assert.That(FirstMask.Command("/opt/groupvit"), Is.EqualTo(("/opt/groupvit", Array.Empty<string>())).Using<(string, IReadOnlyList<string>)>(Same));
        (string host, IReadOnlyList<string> arguments) = FirstMask.Command("/opt/groupvit.dll");
        Assert.That(Path.GetFileNameWithoutExtension(host), Is.EqualTo("dotnet"));
        Assert.That(arguments, Is.EqualTo((string[])["/opt/groupvit.dll"]));
        Assert.That(FirstMask.Command("").Arguments[^1], Does.EndWith("groupvit.dll"));

        static bool Same((string Program, IReadOnlyList<string> Arguments) a, (string Program, IReadOnlyList<string> Arguments) b) => a.Program == b.Program && a.Arguments.SequenceEqual(b.Arguments);
    }

    [Test]
    public void A_child_process_has_its_variables()
    {
        if (!File.Exists("/bin/sh"))
        {
            Assert.Ignore("no shell here");
        }
        ChildProcess child = new("test", "/bin/sh", ["-c", "test \"$GROUPVIT_TEST\" = yes"]);
        Assert.That(() => (child with { Environment = new Dictionary<string, string> { ["GROUPVIT_TEST"] = "yes" } }).Run(), Throws.Nothing);
        Assert.That(child.Run, Throws.TypeOf<BenchException>());
    }

    [TestCase("--device cuda:0 --program /somewhere/groupvit --runs 1", true)]
    [TestCase("--runs 0", false)]
    public void Options(string arguments, bool good) => Assert.That(FirstMaskCommand.Create().Parse(arguments).Errors.Count == 0, Is.EqualTo(good));
}
