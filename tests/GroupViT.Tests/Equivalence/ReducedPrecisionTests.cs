using GroupViT.Kernels.Devices;
using GroupViT.Native;
using GroupViT.Tests.Engine;
using GroupViT.Tests.Kernels;

namespace GroupViT.Tests.Equivalence;

/// <summary>bfloat16 weights: half the memory, and what it costs in labels and embeddings.</summary>
internal sealed class ReducedPrecisionTests
{
    [Test, Category("Cpu")]
    public void Bfloat16_weights_change_few_labels_of_the_scenes() => FewLabelsChange("cpu", Precision.BFloat16, 0.995);

    [TestCase(Precision.BFloat16, 0.995)]
    [TestCase(Precision.Float16, 0.999)]
    [Category("OpenCL")]
    public void Narrow_weights_change_few_labels_on_OpenCL(Precision precision, double least)
    {
        if (DeviceCatalog.List().All(device => device.Name != "opencl:0"))
        {
            Assert.Ignore("opencl:0: no such device on this machine");
        }
        FewLabelsChange("opencl:0", precision, least);
    }

    [TestCase(Precision.Float32, 224, 1, 160, 32)]
    [TestCase(Precision.BFloat16, 224, 1, 96, 32)]
    [TestCase(Precision.Float16, 224, 1, 96, 32)]
    [TestCase(Precision.Float16, 448, 1, 128, 32)]
    [Category("Cpu"), Category("FullSize")]
    public void A_card_with_tensor_cores_needs_little_memory_for_the_image_side(Precision precision, int size, int batch, int megabytes, int streaming)
    {
        using GroupVitModel model = GroupVitModel.Load(FullModel.Folder);
        using GpuDevice card = GpuDevice.Absent(DeviceFacts.Cuda(80), _ => { });
        MemoryEstimate need = new SessionPlan(model, new SessionOptions { Device = "cuda:0", Precision = precision, MaxSize = (size, size), MaxBatch = batch }, card).Estimate();
        TestContext.Out.WriteLine($"{precision}, {size}, batch {batch}: {need}");
        Assert.That(need.WithoutText, Is.LessThanOrEqualTo(megabytes * 1_000_000L));
        Assert.That(need.LeastLimit, Is.LessThanOrEqualTo(streaming * 1_000_000L), "weights streamed, both sides");
    }

    // Both factors, as tensor cores round them.
    [Test, Category("Cpu")]
    public void Bfloat16_factors_change_few_labels_of_the_scenes() => FewLabelsChange("cpu", Precision.BFloat16, 0.995, roundFactors: true);

    [TestCase(Precision.BFloat16, 0.995)]
    [TestCase(Precision.Float16, 0.999)]
    [Category("OpenCL")]
    public void Narrow_factors_change_few_labels_on_OpenCL(Precision precision, double least)
    {
        if (DeviceCatalog.List().All(device => device.Name != "opencl:0"))
        {
            Assert.Ignore("opencl:0: no such device on this machine");
        }
        FewLabelsChange("opencl:0", precision, least, roundFactors: true);
    }

    // What a card has beside float32, by matrix instructions where there are some.
    private static IEnumerable<TestCaseData> Cards
        => from card in TestDevices.Present.Where(device => device.Kind == DeviceKind.Cuda)
           from precision in DeviceCatalog.Precisions(card.Device).Where(precision => precision != Precision.Float32)
           select new TestCaseData(card, precision) { TestName = $"{{m}}({card}, {precision})" };

    [TestCaseSource(nameof(Cards)), Category("Cuda")]
    public void A_card_changes_few_labels_of_the_scenes(TestDevice card, Precision precision)
        => FewLabelsChange(card.Name, precision, precision == Precision.BFloat16 ? 0.995 : 0.999);

    [TestCaseSource(nameof(Cards)), Category("Cuda")]
    public void A_card_is_within_the_precisions_tolerance_at_full_size(TestDevice card, Precision precision)
    {
        using RecordedSubset recorded = new("image224x224*");
        Assert.That(Verification.Run(card.Device, FullModel.Folder, recorded.Folder, null, precision).Values, Is.Not.Empty);
    }

    // To first order an error is proportional to the unit roundoff: a coarse kernel may stay within the tolerance, but not within this.
    [TestCaseSource(nameof(Cards)), Category("Cuda")]
    public void A_card_moves_the_embedding_no_more_than_autocast(TestDevice card, Precision precision)
    {
        using GroupVitModel model = GroupVitModel.Load(FullModel.Folder);
        using Session first = model.OpenSession(Options(Precision.Float32) with { Device = card.Name });
        using Session second = model.OpenSession(Options(precision) with { Device = card.Name });
        Assert.That(Distance(first, second), Is.GreaterThan(0).And.LessThan(precision == Precision.BFloat16 ? 0.031 : 0.031 / 8));
    }

    // The same, of what tensor cores do to factors: the tolerance holds for both of them.
    [Test, Category("Cpu"), Category("FullSize")]
    public void Rounded_factors_are_within_the_precisions_tolerance_at_full_size()
    {
        using RecordedSubset recorded = new("image224x224*");
        using RoundedFactorsDevice device = new(DeviceCatalog.Open("cpu"));
        Assert.That(Verification.Run(device, FullModel.Folder, recorded.Folder, null, Precision.BFloat16).Values, Is.Not.Empty);
        Assert.That(device.Rounded, Is.Positive);
    }

    [TestCaseSource(nameof(Cards)), Category("Cuda")]
    public void A_card_gives_a_picture_the_same_bits_alone_and_in_a_batch(TestDevice card, Precision precision)
    {
        using GroupVitModel model = GroupVitModel.Load(FullModel.Folder);
        SessionOptions options = Options(precision) with { Device = card.Name, MaxSize = (224, 224) };
        using Session single = model.OpenSession(options);
        using Session many = model.OpenSession(options with { MaxBatch = 9 });
        Picture[] pictures = [.. Enumerable.Range(0, 9).Select(i => TestModels.Noise(224, 224, i))];
        SegmentationOptions rules = new() { ShortSide = 224 };
        // Twice: the second run is a recorded one.
        for (int run = 0; run < 2; run++)
        {
            IReadOnlyList<ImageEncoding> together = many.Encode(pictures, rules);
            for (int i = 0; i < pictures.Length; i++)
            {
                TestModels.AssertSameBits(together[i], single.Encode(pictures[i], rules), $"picture {i} of run {run}");
            }
        }
    }

    private static void FewLabelsChange(string device, Precision precision, double least, bool roundFactors = false)
    {
        RoundedFactorsDevice? rounding = roundFactors ? new RoundedFactorsDevice(DeviceCatalog.Open(device)) : null;
        using GroupVitModel model = GroupVitModel.Load(Fixtures.Models("scenes"));
        using Session exact = model.OpenSession(Options(Precision.Float32) with { Device = device });
        using Session reduced = model.OpenSession(Options(precision) with { Device = device }, rounding);
        string[] pictures = Directory.GetFiles(Fixtures.Path("scenes"), "*.picture.png");
        Assert.That(pictures, Is.Not.Empty);
        foreach (SegmentationPreset preset in Enum.GetValues<SegmentationPreset>())
        {
            SegmentationOptions rules = new() { Preset = preset };
            LabelBank words = exact.EncodeLabels(model.Labels);
            LabelBank reducedWords = reduced.EncodeLabels(model.Labels);
            long pixels = 0;
            long equal = 0;
            foreach (string path in pictures)
            {
                ReadOnlySpan<ushort> a = exact.Segment(Picture.FromFile(path), words, rules).Mask.Span;
                ReadOnlySpan<ushort> b = reduced.Segment(Picture.FromFile(path), reducedWords, rules).Mask.Span;
                pixels += a.Length;
                for (int i = 0; i < a.Length; i++)
                {
                    equal += a[i] == b[i] ? 1 : 0;
                }
            }
            TestContext.Out.WriteLine($"{device}, {precision}{(roundFactors ? ", both factors" : "")}, {preset}: {pixels} pixels, {(double)equal / pixels:P3} of the labels unchanged");
            Assert.That((double)equal / pixels, Is.GreaterThanOrEqualTo(least), preset.ToString());
        }
        Assert.That(rounding?.Rounded, roundFactors ? Is.Positive : Is.Null);
    }

    [Test, Category("Cpu"), Category("FullSize")]
    public void Bfloat16_weights_halve_the_memory_and_err_less_than_autocast()
    {
        using GroupVitModel model = GroupVitModel.Load(FullModel.Folder);
        MemoryEstimate exact = model.EstimateMemory(Options(Precision.Float32));
        MemoryEstimate reduced = model.EstimateMemory(Options(Precision.BFloat16));
        TestContext.Out.WriteLine($"float32: {exact}; bfloat16: {reduced}");
        Assert.That((double)reduced.ImageWeights / exact.ImageWeights, Is.LessThan(0.52));

        using Session first = model.OpenSession(Options(Precision.Float32));
        using Session second = model.OpenSession(Options(Precision.BFloat16));
        // The largest that the sessions are for, so that the estimate is met to the byte.
        Picture picture = TestModels.Noise(448, 224);
        SegmentationOptions rules = new() { ShortSide = 224 };
        float[] a = [.. first.Encode(picture, rules).Embedding.Span];
        float[] b = [.. second.Encode(picture, rules).Embedding.Span];
        Assert.That(second.MemoryInUse, Is.EqualTo(reduced.WithoutText));
        double error = Math.Sqrt(a.Zip(b, (x, y) => ((double)x - y) * ((double)x - y)).Sum());
        TestContext.Out.WriteLine($"the unit embedding moves by {error:G3}");
        // Half the worst that PyTorch's autocast makes of the same network in bfloat16 (docs/numerics.md), which rounds activations too.
        Assert.That(error, Is.GreaterThan(0).And.LessThan(0.0155));
    }

    [Test, Category("Cpu"), Category("FullSize")]
    public void Bfloat16_factors_err_no_more_than_autocast()
    {
        using GroupVitModel model = GroupVitModel.Load(FullModel.Folder);
        using Session first = model.OpenSession(Options(Precision.Float32));
        using Session second = model.OpenSession(Options(Precision.BFloat16), new RoundedFactorsDevice(DeviceCatalog.Open("cpu")));
        Assert.That(Distance(first, second), Is.GreaterThan(0).And.LessThan(0.031));
    }

    private static double Distance(Session first, Session second)
    {
        Picture picture = TestModels.Noise(448, 224);
        SegmentationOptions rules = new() { ShortSide = 224 };
        float[] a = [.. first.Encode(picture, rules).Embedding.Span];
        float[] b = [.. second.Encode(picture, rules).Embedding.Span];
        double error = Math.Sqrt(a.Zip(b, (x, y) => ((double)x - y) * ((double)x - y)).Sum());
        TestContext.Out.WriteLine($"the unit embedding moves by {error:G3}");
        return error;
    }

    [Test, Category("Cpu")]
    public void A_bfloat16_file_loses_nothing_more_before_the_head()
    {
        using GroupVitModel model = GroupVitModel.Load(Fixtures.Path("tiny", "bf16"));
        using Session exact = model.OpenSession(Options(Precision.Float32));
        using Session reduced = model.OpenSession(Options(Precision.BFloat16));
        Picture picture = TestModels.Noise(160, 96);
        SegmentationOptions rules = new() { ShortSide = 96 };
        ImageEncoding a = exact.Encode(picture, rules);
        ImageEncoding b = reduced.Encode(picture, rules);
        Assert.That(b.Maps, Is.EqualTo(a.Maps), "to the bit");
        // The head's weights are folded with its batch norm first, and are bfloat16 no more.
        Assert.That(b.EmbeddingValues, Is.EqualTo(a.EmbeddingValues).Within(0.004 * a.EmbeddingValues.Max(Math.Abs)));
    }

    [Test, Category("Cpu")]
    public void A_device_without_kernels_for_a_precision_says_what_it_has()
    {
        using GroupVitModel model = TestModels.Tiny();
        Assert.That(
            () => model.OpenSession(Options(Precision.TensorFloat32) with { Device = "simulator" }),
            Throws.InstanceOf<DeviceUnavailableException>().With.Message.Contains("Float32, BFloat16, Float16"));
        Assert.That(
            () => model.OpenSession(Options(Precision.Float16)),
            Throws.InstanceOf<DeviceUnavailableException>().With.Message.Contains("Float32, BFloat16"));
    }

    private static SessionOptions Options(Precision precision) => new() { Device = "cpu", Precision = precision, MaxSize = (224, 448) };
}
