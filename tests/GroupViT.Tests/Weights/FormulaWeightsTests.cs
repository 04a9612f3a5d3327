using GroupViT.Native;
using GroupViT.Native.Weights;

namespace GroupViT.Tests.Weights;

/// <summary>Against the tables of spec K.1 and K.2, and the reference's own small model.</summary>
internal sealed class FormulaWeightsTests
{
    [TestCase("img_encoder.pos_embed", 0x351DF12Du)]
    [TestCase("logit_scale", 0xE13A8C85u)]
    [TestCase("img_encoder.layers.0.blocks.0.attn.qkv.weight", 0x445E6DE6u)]
    [TestCase("", 0x811C9DC5u)]
    public void Names_are_hashed_by_FNV_1a(string name, uint hash) => Assert.That(FormulaWeights.Hash(name), Is.EqualTo(hash));

    [TestCase("img_encoder.pos_embed", new[] { 1, 196, 384 }, -0.30251956, -0.0986869484, 0.18456012, -0.0800522119, -63.955102)]
    [TestCase("img_encoder.layers.0.blocks.0.attn.qkv.weight", new[] { 1152, 384 }, -0.0784040913, -0.0146344388, -0.072378546, 0.0635427162, -14.941601)]
    [TestCase("img_encoder.layers.0.blocks.0.norm1.weight", new[] { 384 }, 0.989213943, 1.07379818, 0.990591109, 0.986111581, 382.085092)]
    [TestCase("img_encoder.layers.0.downsample.assign.q_proj.weight", new[] { 384, 384 }, -0.116502345, -0.255327702, -0.0451097861, 0.0841194093, -80.972607)]
    [TestCase("img_projector.linear_hidden.1.running_var", new[] { 4096 }, 0.871567667, 0.844822824, 0.818340957, 1.22593451, 4106.072347)]
    [TestCase("text_encoder.token_embedding.weight", new[] { 49408, 256 }, 0.333871633, 0.0188898146, 0.192656994, -0.426955402, 1352.947344)]
    public void Values_are_those_of_the_specification(string name, int[] shape, double first, double second, double third, double last, double sum)
    {
        int count = shape.Aggregate((a, b) => a * b);
        float[] values = new float[count];
        FormulaWeights.Fill(name, shape, 0, values);
        // The table gives nine digits of float32 values: more than enough to tell neighbours apart.
        Assert.That(new[] { values[0], values[1], values[2], values[^1] }, Is.EqualTo([(float)first, (float)second, (float)third, (float)last]));
        Assert.That(values.Sum(v => (double)v), Is.EqualTo(sum).Within(1e-6));
        float[] tail = new float[5];
        FormulaWeights.Fill(name, shape, count - 5, tail);
        Assert.That(tail, Is.EqualTo(values[^5..]));
    }

    [TestCase("", KeyLayout.HuggingFace, SafetensorsType.F32, false)]
    [TestCase("f16", KeyLayout.HuggingFace, SafetensorsType.F16, false)]
    [TestCase("bf16", KeyLayout.HuggingFace, SafetensorsType.BF16, false)]
    [TestCase("nvlabs", KeyLayout.Nvlabs, SafetensorsType.F32, true)]
    public void The_reference_s_small_model_is_made_anew_to_the_byte(string folder, KeyLayout layout, SafetensorsType type, bool multiLabel)
    {
        string path = Fixtures.Path("tiny", folder, "model.safetensors");
        GroupVitConfig config = GroupVitConfig.Load(Fixtures.Path("tiny", folder, "config.json"));
        var stream = new MemoryStream();
        FormulaWeights.Synthesize(config, layout, type, stream, multiLabel);
        using (SafetensorsFile made = SafetensorsFile.Open(stream, "made", leaveOpen: true), recorded = SafetensorsFile.Open(path))
        {
            Assert.That(made.Tensors.Values.Select(e => e.ToString()), Is.EquivalentTo(recorded.Tensors.Values.Select(e => e.ToString())));
            Assert.That(made.Metadata, Is.EqualTo(recorded.Metadata));
            foreach (SafetensorsEntry entry in recorded.Tensors.Values)
            {
                byte[] expected = new byte[entry.ByteLength], found = new byte[entry.ByteLength];
                recorded.ReadBytes(entry, 0, expected);
                made.ReadBytes(made.Entry(entry.Name), 0, found);
                Assert.That(found.AsSpan().SequenceEqual(expected), Is.True, entry.Name);
            }
        }
        Assert.That(stream.ToArray().AsSpan().SequenceEqual(File.ReadAllBytes(path)), Is.True, "order, header and padding too");
    }

    [TestCase(KeyLayout.HuggingFace, SafetensorsType.F16)]
    [TestCase(KeyLayout.Nvlabs, SafetensorsType.BF16)]
    public void A_file_that_is_made_opens_as_a_checkpoint(KeyLayout layout, SafetensorsType type)
    {
        GroupVitConfig config = GroupVitConfig.Load(Fixtures.Path("tiny", "config.json"));
        string path = System.IO.Path.Combine(TestContext.CurrentContext.WorkDirectory, $"{Guid.NewGuid():N}.safetensors");
        try
        {
            FormulaWeights.Synthesize(config, layout, type, path);
            using Checkpoint checkpoint = Checkpoint.Open(SafetensorsFile.Open(path), config);
            Assert.That((checkpoint.Layout, checkpoint.WeightType.ToString()), Is.EqualTo((layout, type.ToString())));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Test]
    public void What_cannot_be_made_is_refused()
    {
        GroupVitConfig uneven = new() { Vision = new VisionConfig { NumOutputGroups = [32, 8, 8] } };
        Assert.That(() => FormulaWeights.Synthesize(uneven, KeyLayout.HuggingFace, SafetensorsType.F32, Stream.Null), Throws.TypeOf<ModelFileException>());
        Assert.That(() => FormulaWeights.Synthesize(new(), KeyLayout.HuggingFace, SafetensorsType.I32, Stream.Null), Throws.ArgumentException);
        Assert.That(() => FormulaWeights.Synthesize(new(), KeyLayout.HuggingFace, SafetensorsType.F32, Stream.Null, multiLabelLogitScale: true), Throws.ArgumentException);
    }

    [Test]
    public void The_picture_is_that_of_the_specification()
    {
        float[] planes = new float[3 * 224 * 224];
        FormulaWeights.Image(224, 224, planes);
        Assert.That(planes[..4], Is.EqualTo([1.422866f, 1.570626f, 1.705187f, 1.814529f]).Within(5e-7));
        Assert.That(planes[^4..], Is.EqualTo([-0.794076f, -0.972799f, -0.773266f, -0.346479f]).Within(5e-7));
    }

    [TestCase(224, 224), TestCase(448, 448), TestCase(448, 608)]
    public void The_picture_is_the_one_that_the_reference_was_fed(int height, int width)
    {
        using ReferenceFile reference = ReferenceFile.Open(Fixtures.Path("full", "expected.safetensors"));
        float[] expected = reference.ReadFloat32($"image{height}x{width}.pixel_values");
        float[] planes = new float[3 * height * width];
        FormulaWeights.Image(height, width, planes);
        Assert.That(expected, Has.Length.EqualTo(planes.Length));
        float worst = planes.Zip(expected, (a, b) => Math.Abs(a - b)).Max();
        TestContext.Out.WriteLine($"largest difference {worst}");
        Assert.That(worst, Is.LessThanOrEqualTo(2.4e-7f), "one unit in the last place of the largest values");
    }

    [TestCase(0, 224), TestCase(224, 3585)]
    public void A_picture_outside_the_formula_is_an_argument_error(int height, int width)
        => Assert.That(() => FormulaWeights.Image(height, width, new float[3 * height * width]), Throws.TypeOf<ArgumentOutOfRangeException>());
}
