using GroupViT.Bench.Measuring;
using GroupViT.Bench.Soaking;
using GroupViT.Native;
using GroupViT.Native.Imaging;
using GroupViT.Native.Measuring;
using GroupViT.Tool;

namespace GroupViT.Tests.Bench;

/// <summary>The soak's verdict, and a short soak of the demonstration model.</summary>
internal sealed class SoakTests
{
    private const long Mebi = 1 << 20;

    [Test]
    public void A_good_soak_passes() => Assert.That(Verdict(Good()).Faults, Is.Empty);

    [TestCase("wrong", "3 answers differ")]
    [TestCase("error", "1 calls failed, the first with boom")]
    [TestCase("nothing", "no call was answered")]
    [TestCase("resident", "resident memory reached 401.0 MiB; before the session it was 100.0, the estimate is 200.0, and 64 are allowed")]
    [TestCase("growth", "grew by 30.0 MiB")]
    public void A_fault_of_the_load_fails_it(string fault, string says)
    {
        SoakPhase load = fault switch
        {
            "wrong" => Good() with { Wrong = 3 },
            "error" => Good() with { Errors = ["boom"] },
            "nothing" => Good() with { Milliseconds = null },
            "resident" => Good() with { Rss = [.. Good().Rss, 401 * Mebi] },
            _ => Good() with { Rss = [.. Enumerable.Range(0, 90).Select(i => (200 + i / 30 * 15L) * Mebi)] },
        };
        SoakVerdict verdict = Verdict(load);
        Assert.That(verdict.Passed, Is.False);
        Assert.That(verdict.Faults.Single(), Does.Contain(says));
        Assert.That(verdict.ToString(), Does.StartWith("* FAILED: "));
    }

    [Test]
    public void Asking_for_more_than_was_said_wrong_answers_afterwards_and_nothing_cancelled_fail_it()
    {
        Assert.That(Verdict(Good(), peak: 200 * Mebi + 1).Faults.Single(), Does.Contain("1 more than it had said"));
        Assert.That(Verdict(Good(), wrongAfter: 2).Faults.Single(), Does.Contain("after cancelling: 2"));
        Assert.That(Verdict(Good(), cancelled: 0).Faults.Single(), Does.Contain("no call was cancelled"));
    }

    [Test]
    public void Thirds_are_medians_of_their_own_part()
    {
        long[] samples = [1, 2, 9, 10, 20, 30, 5, 6, 7];
        Assert.That(((int[])[0, 1, 2]).Select(third => SoakVerdict.Third(samples, third)), Is.EqualTo((long[])[2, 20, 6]));
        Assert.That(SoakVerdict.Third([4], 2), Is.EqualTo(4));
    }

    [Test, Category("Cpu")]
    public void Callers_get_the_first_answer_again_and_a_wrong_one_is_found()
    {
        using GroupVitModel model = ModelLocator.Open("scenes");
        using Session session = model.OpenSession(new SessionOptions { Device = "cpu", Threads = 2, Workers = 2, MaxLabels = 4 });
        LabelBank bank = session.EncodeLabels(["grass", "sky", "horse", "tree"]);
        SegmentationOptions rules = new() { ShortSide = 56 };
        SoakJob[] jobs = [.. ((string[])["meadow.png", "street.png"]).Select(name => new SoakJob(session, bank, rules, Picture.FromFile(Fixtures.Samples(name)).Image))];
        SoakPhase load = Load(1);
        // A busy machine gets more time.
        for (int seconds = 2; seconds <= 32 && load.Milliseconds is not { Count: > 3 }; seconds *= 2)
        {
            load = Load(seconds);
        }
        Assert.That((load.Wrong, load.Errors.Count, load.Cancelled, load.Milliseconds?.Count > 3), Is.EqualTo((0L, 0, 0L, true)), string.Join('\n', load.Errors));
        Assert.That(load.Rss, Is.Not.Empty.And.All.Positive);

        SoakPhase Load(int seconds) => Soak.Run("load", jobs, Enum.GetValues<SoakWay>(), callers: 3, TimeSpan.FromSeconds(seconds));

        // A job whose first answer is another picture's must be found out, whichever way it is asked.
        Picture meadow = Picture.FromFile(Fixtures.Samples("meadow.png"));
        RgbImage altered = new(meadow.Width, meadow.Height, [.. meadow.Image.Pixels.Select(sample => (byte)(255 - sample))]);
        SoakJob other = new(session, bank, rules, altered);
        SoakJob swapped = jobs[0].WithAnswerOf(other);
        foreach (SoakWay way in Enum.GetValues<SoakWay>())
        {
            Assert.That(swapped.IsRight(way, swapped.NewMask(), default), Is.False, way.ToString());
            Assert.That(jobs[0].IsRight(way, jobs[0].NewMask(), default), Is.True, way.ToString());
        }
    }

    [Test]
    public void The_systems_words_are_understood()
    {
        string[] status = ["Name:\tdotnet", "VmPeak:\t  274512 kB", "VmHWM:\t   22528 kB", "VmRSS:\t   22000 kB", "Threads:\t8"];
        Assert.That(Rss.Field(status, "VmHWM"), Is.EqualTo(22528L << 10));
        Assert.That(Rss.Field(status, "VmSwap"), Is.Null);
        Assert.That(Rss.Field(["VmHWM: much kB"], "VmHWM"), Is.Null);
        Assert.That(Machine.ParseCpuInfo(["processor\t: 0", "cpu family\t: 25", "model\t\t: 17", "model name\t: AMD EPYC", "processor\t: 1", "model name\t: Other"]), Is.EqualTo("AMD EPYC (family 25, model 17)"));
        Assert.That(Machine.ParseCpuInfo(["processor : 0", "CPU implementer : 0x41", "CPU part : 0xd0c"]), Is.EqualTo("Arm implementer 0x41, part 0xd0c"));
        Assert.That(Machine.ParseCpuInfo([]), Is.EqualTo("unknown"));
    }

    private static SoakPhase Good() => new("load", 1, new Series(1.0, 2), 0, 0, null, [.. Enumerable.Repeat(300 * Mebi, 90)], []);

    private static SoakVerdict Verdict(SoakPhase load, long peak = 200 * Mebi, int wrongAfter = 0, long cancelled = 5)
        => SoakVerdict.Of(load, Good() with { Name = "results" }, Good() with { Name = "cancelling", Cancelled = cancelled }, wrongAfter, 100 * Mebi, 200 * Mebi, peak, 64 * Mebi, 8 * Mebi);
}
