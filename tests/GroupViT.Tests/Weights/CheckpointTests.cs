using GroupViT.Native;
using GroupViT.Native.Weights;

namespace GroupViT.Tests.Weights;

internal sealed class CheckpointTests
{
    private static GroupVitConfig Tiny => GroupVitConfig.Load(Fixtures.Path("tiny", "config.json"));

    private static Checkpoint OpenFixture(params ReadOnlySpan<string> folder)
        => Checkpoint.Open(SafetensorsFile.Open(Fixtures.Path([.. folder, "model.safetensors"])), GroupVitConfig.Load(Fixtures.Path([.. folder, "config.json"])));

    /// <summary>The tiny model written anew, with its tensors changed first.</summary>
    private static Checkpoint Changed(Action<Dictionary<string, TensorToWrite>> change, params ReadOnlySpan<string> folder)
    {
        using SafetensorsFile file = SafetensorsFile.Open(Fixtures.Path([.. folder, "model.safetensors"]));
        Dictionary<string, TensorToWrite> tensors = file.Tensors.Values.Where(e => e.Type.ReadsAsFloat32())
            .ToDictionary(e => e.Name, e => Copy(file, e, e.Type, e.Shape));
        change(tensors);
        var stream = new MemoryStream();
        SafetensorsWriter.Write(stream, tensors.Values);
        return Checkpoint.Open(SafetensorsFile.Open(stream, "changed.safetensors"), Tiny);
    }

    private static TensorToWrite Copy(SafetensorsFile file, SafetensorsEntry entry, SafetensorsType type, ReadOnlySpan<long> shape, int set = -1, float value = 0)
    {
        int[] sizes = new int[shape.Length];
        for (int i = 0; i < sizes.Length; i++)
        {
            sizes[i] = (int)shape[i];
        }
        float[] values = new float[entry.ElementCount];
        file.ReadFloat32(entry, 0, values);
        if (set >= 0)
        {
            values[set] = value;
        }
        return TensorToWrite.OfFloats(entry.Name, type, sizes, (first, chunk) => values.AsSpan((int)first, chunk.Length).CopyTo(chunk));
    }

    private static TensorToWrite With(TensorToWrite tensor, int index, float value)
    {
        float[] values = new float[tensor.ElementCount];
        tensor.FillFloats!(0, values);
        values[index] = value;
        return TensorToWrite.OfFloats(tensor.Name, tensor.Type, tensor.Shape, (first, chunk) => values.AsSpan((int)first, chunk.Length).CopyTo(chunk));
    }

    private static TensorToWrite Zeros(string name, SafetensorsType type, params int[] shape) => TensorToWrite.OfFloats(name, type, shape, static (_, values) => values.Clear());

    private static float[] Read(Checkpoint checkpoint, string name)
    {
        float[] values = new float[checkpoint.Parameter(name).ElementCount];
        checkpoint.Read(name, values);
        return values;
    }

    [Test]
    public void Layout_type_and_size_are_told()
    {
        using Checkpoint f32 = OpenFixture("tiny"), f16 = OpenFixture("tiny", "f16"), bf16 = OpenFixture("tiny", "bf16"), nvlabs = OpenFixture("tiny", "nvlabs");
        Assert.That(new[] { f32, f16, bf16, nvlabs }.Select(c => c.Layout), Is.EqualTo([KeyLayout.HuggingFace, KeyLayout.HuggingFace, KeyLayout.HuggingFace, KeyLayout.Nvlabs]));
        Assert.That(new[] { f32, f16, bf16, nvlabs }.Select(c => c.WeightType), Is.EqualTo([WeightType.F32, WeightType.F16, WeightType.BF16, WeightType.F32]));
        long numbers = Tiny.CountParameters().Total + 4 * Tiny.ProjectionIntermediateDim;
        Assert.That(new[] { f32, f16, bf16, nvlabs }.Select(c => c.Bytes), Is.EqualTo([4 * numbers, 2 * numbers, 2 * numbers, 4 * numbers]));
    }

    [Test]
    public void Both_layouts_give_the_same_numbers_under_the_same_names()
    {
        using Checkpoint huggingFace = OpenFixture("tiny"), nvlabs = OpenFixture("tiny", "nvlabs");
        foreach (ParameterInfo parameter in huggingFace.Parameters)
        {
            Assert.That(Read(nvlabs, parameter.Name), Is.EqualTo(Read(huggingFace, parameter.Name)), parameter.Name);
        }
        Assert.That(huggingFace.Parameters, Has.Count.EqualTo(212));
    }

    [Test]
    public void Narrow_weights_are_the_rounded_wide_ones()
    {
        using Checkpoint f32 = OpenFixture("tiny"), f16 = OpenFixture("tiny", "f16"), bf16 = OpenFixture("tiny", "bf16");
        foreach (ParameterInfo parameter in f32.Parameters)
        {
            float[] wide = Read(f32, parameter.Name);
            Assert.That(Read(f16, parameter.Name), Is.EqualTo(wide.Select(v => (float)(Half)v)), parameter.Name);
            Assert.That(Read(bf16, parameter.Name), Is.EqualTo(wide.Select(v => NarrowFloats.FromBFloat16(NarrowFloats.ToBFloat16(v)))), parameter.Name);
        }
    }

    [Test]
    public void The_temperatures_are_scalars()
    {
        using Checkpoint checkpoint = OpenFixture("tiny", "nvlabs");
        Assert.That(checkpoint.ReadScalar("logit_scale"), Is.EqualTo((float)Math.Log(1 / 0.07)));
        Assert.That(checkpoint.ReadMultiLabelLogitScale(), Is.EqualTo((float)Math.Log(1 / 0.07)));
        using Checkpoint without = OpenFixture("tiny");
        Assert.That(without.ReadMultiLabelLogitScale(), Is.Null);
    }

    [Test]
    public void Missing_and_extra_tensors_are_both_listed()
    {
        ModelFileException error = Assert.Throws<ModelFileException>(() => Changed(tensors =>
        {
            tensors.Remove("visual_projection.0.weight");
            tensors.Remove("logit_scale");
            tensors.Add("visual_projection.0.weights", Zeros("visual_projection.0.weights", SafetensorsType.F32, 1));
        }, "tiny"))!;
        Assert.That(error.Message, Does.Contain("missing: visual_projection.0.weight, logit_scale (2)").And.Contain("are there: visual_projection.0.weights (1)"));
    }

    [Test]
    public void At_most_twenty_names_are_listed_with_their_number()
    {
        ModelFileException error = Assert.Throws<ModelFileException>(() => Changed(tensors =>
        {
            foreach (string name in tensors.Keys.Where(name => name.StartsWith("text_model", StringComparison.Ordinal)).ToList())
            {
                tensors.Remove(name);
            }
        }, "tiny"))!;
        Assert.That(error.Message, Does.Contain("... (36 in all)"));
        Assert.That(error.Message.Split(", "), Has.Length.EqualTo(21));
    }

    [Test]
    public void A_wrong_shape_is_named_with_what_was_expected()
    {
        ModelFileException error = Assert.Throws<ModelFileException>(() => Changed(tensors =>
            tensors["visual_projection.0.weight"] = Zeros("visual_projection.0.weight", SafetensorsType.F32, 64, 96), "tiny"))!;
        Assert.That(error.Item, Is.EqualTo("visual_projection.0.weight"));
        Assert.That(error.Message, Does.Contain("has shape [64,96]; the configuration asks for [96,64]"));
        error = Assert.Throws<ModelFileException>(() => Changed(tensors =>
            tensors["img_projector.linear_out.weight"] = Zeros("img_projector.linear_out.weight", SafetensorsType.F32, 32, 96), "tiny", "nvlabs"))!;
        Assert.That(error.Message, Does.Contain("img_projector.linear_out.weight").And.Contain("asks for [32,96,1]"));
    }

    [Test]
    public void A_wrong_dtype_is_named()
    {
        ModelFileException error = Assert.Throws<ModelFileException>(() => Changed(tensors =>
            tensors["logit_scale"] = TensorToWrite.OfIntegers("logit_scale", SafetensorsType.I32, [], static (_, values) => values.Clear()), "tiny"))!;
        Assert.That(error.Item, Is.EqualTo("logit_scale"));
        Assert.That(error.Message, Does.Contain("has dtype I32"));
    }

    [Test]
    public void Mixed_types_are_read_and_told()
    {
        using Checkpoint checkpoint = Changed(tensors => tensors["logit_scale"] = Zeros("logit_scale", SafetensorsType.BF16), "tiny");
        Assert.That(checkpoint.WeightType, Is.EqualTo(WeightType.Mixed));
        Assert.That(checkpoint.ReadScalar("logit_scale"), Is.Zero);
    }

    [TestCase(float.NaN, "NaN")]
    [TestCase(float.PositiveInfinity, "Infinity")]
    [TestCase(float.NegativeInfinity, "-Infinity")]
    public void A_weight_that_is_not_finite_is_named_with_its_index_when_read(float value, string shown)
    {
        const string name = "vision_model.embeddings.layernorm.weight";
        using Checkpoint checkpoint = Changed(tensors => tensors[name] = With(tensors[name], 37, value), "tiny");
        ModelFileException error = Assert.Throws<ModelFileException>(() => Read(checkpoint, name))!;
        Assert.That(error.Item, Is.EqualTo(name));
        Assert.That(error.Message, Does.Contain($"element 37 of shape [64] is {shown}"));
        Assert.That(Read(checkpoint, "vision_model.embeddings.layernorm.bias"), Has.Length.EqualTo(64), "other tensors can still be read");
    }

    [Test]
    public void A_bad_weight_in_a_fused_tensor_is_named_by_both_names()
    {
        const string fused = "img_encoder.layers.0.blocks.1.attn.qkv.weight";
        using Checkpoint checkpoint = Changed(tensors => tensors[fused] = With(tensors[fused], 64 * 64 + 5, float.NaN), "tiny", "nvlabs");
        Read(checkpoint, "vision_model.encoder.stages.0.layers.1.self_attn.q_proj.weight");
        ModelFileException error = Assert.Throws<ModelFileException>(() => Read(checkpoint, "vision_model.encoder.stages.0.layers.1.self_attn.k_proj.weight"))!;
        Assert.That(error.Message, Does.Contain($"element 5 (element 4101 of the file's {fused})"));
    }

    [Test]
    public void The_first_value_that_is_not_finite_is_found_wherever_it_stands([Range(1, 40)] int length)
    {
        float[] values = [.. Enumerable.Repeat(float.MaxValue, length)];
        Assert.That(Checkpoint.IndexOfNonFinite(values), Is.EqualTo(-1));
        for (int i = length - 1; i >= 0; i--)
        {
            values[i] = i % 2 == 0 ? float.NaN : float.NegativeInfinity;
            Assert.That(Checkpoint.IndexOfNonFinite(values), Is.EqualTo(i));
        }
    }

    [Test]
    public void A_file_of_something_else_and_one_of_both_layouts_are_refused()
    {
        Assert.That(() => Changed(tensors =>
        {
            tensors.Clear();
            tensors.Add("bert.weight", Zeros("bert.weight", SafetensorsType.F32, 1));
        }, "tiny"), Throws.TypeOf<ModelFileException>().With.Message.Contains("no GroupViT weights").And.Message.Contains("bert.weight (1)"));
        Assert.That(() => Changed(tensors => tensors.Add("img_encoder.x", Zeros("img_encoder.x", SafetensorsType.F32, 1)), "tiny"),
            Throws.TypeOf<ModelFileException>().With.Message.Contains("mixes two layouts"));
        using SafetensorsFile empty = SafetensorsBytes.Open(SafetensorsBytes.File("{}"));
        Assert.That(() => Checkpoint.Open(empty, Tiny), Throws.TypeOf<ModelFileException>().With.Message.Contains("found none"));
    }

    [Test]
    public void What_nothing_reads_may_be_there()
    {
        using Checkpoint checkpoint = Changed(tensors =>
        {
            foreach (string name in (ReadOnlySpan<string>)["text_model.embeddings.position_ids", "visual_projection.1.num_batches_tracked"])
            {
                tensors.Add(name, TensorToWrite.OfIntegers(name, SafetensorsType.I64, [1, 24], static (_, values) => values.Clear()));
            }
            tensors.Add("multi_label_logit_scale", Zeros("multi_label_logit_scale", SafetensorsType.F32));
        }, "tiny");
        Assert.That(checkpoint.ReadMultiLabelLogitScale(), Is.Zero);
    }

    [Test]
    public void A_configuration_of_another_size_is_refused()
    {
        using SafetensorsFile file = SafetensorsFile.Open(Fixtures.Path("tiny", "model.safetensors"));
        Assert.That(() => Checkpoint.Open(file, new GroupVitConfig()), Throws.TypeOf<ModelFileException>().With.Message.Contains("missing").And.Message.Contains("stages.0.layers.2.layer_norm1.weight, ").And.Message.Contains("(288 in all)"));
        GroupVitConfig wider = Tiny with { Text = Tiny.Text with { VocabSize = 601 } };
        Assert.That(() => Checkpoint.Open(file, wider), Throws.TypeOf<ModelFileException>().With.Message.Contains("[600,48]").And.Message.Contains("[601,48]"));
    }

    [Test]
    public void The_fingerprint_knows_weights_apart_but_not_their_packing()
    {
        using Checkpoint original = OpenFixture("tiny"), again = OpenFixture("tiny"), f16 = OpenFixture("tiny", "f16");
        Assert.That(original.Fingerprint, Does.Match("^[0-9a-f]{64}$"));
        Assert.That(again.Fingerprint, Is.EqualTo(original.Fingerprint));
        Assert.That(f16.Fingerprint, Is.Not.EqualTo(original.Fingerprint));

        using Checkpoint rewritten = Changed(_ => { }, "tiny");
        using Checkpoint reordered = Changed(tensors =>
        {
            TensorToWrite first = tensors["logit_scale"];
            tensors.Remove("logit_scale");
            tensors.Remove("text_model.final_layer_norm.bias", out TensorToWrite? moved);
            tensors.Add("text_model.final_layer_norm.bias", moved!);
            tensors.Add("logit_scale", first);
        }, "tiny");
        Assert.That(reordered.Fingerprint, Is.EqualTo(rewritten.Fingerprint));

        foreach ((string name, int index) in new[] { ("logit_scale", 0), ("visual_projection.3.bias", 1), ("vision_model.embeddings.patch_embeddings.projection.weight", 0), ("vision_model.embeddings.patch_embeddings.projection.weight", 64 * 768 - 1) })
        {
            using Checkpoint changed = Changed(tensors => tensors[name] = With(tensors[name], index, 0.123f), "tiny");
            Assert.That(changed.Fingerprint, Is.Not.EqualTo(rewritten.Fingerprint), $"{name} {index}");
        }
        using Checkpoint otherText = Changed(tensors => tensors["text_model.final_layer_norm.bias"] = With(tensors["text_model.final_layer_norm.bias"], 47, 0.123f), "tiny");
        Assert.That(otherText.Fingerprint, Is.EqualTo(rewritten.Fingerprint), "label banks are compared with the image side");
        using Checkpoint imageOnly = Changed(WithoutText, "tiny");
        Assert.That((imageOnly.Fingerprint, imageOnly.HasText, rewritten.HasText), Is.EqualTo((rewritten.Fingerprint, false, true)));
        Assert.That(imageOnly.Parameters.Select(parameter => parameter.Name), Has.None.StartWith("text"));
    }

    [Test]
    public void A_part_of_the_text_side_is_a_damaged_file()
    {
        Assert.That(
            () => Changed(tensors =>
            {
                WithoutText(tensors);
                tensors.Add("text_model.final_layer_norm.bias", TensorToWrite.OfFloats("text_model.final_layer_norm.bias", SafetensorsType.F32, [48], (first, span) => span.Clear()));
            }, "tiny"),
            Throws.TypeOf<ModelFileException>().With.Message.Contains("missing").And.Message.Contains("text_model.embeddings.token_embedding.weight"));
    }

    private static void WithoutText(Dictionary<string, TensorToWrite> tensors)
    {
        foreach (string name in tensors.Keys.Where(name => name.StartsWith("text_", StringComparison.Ordinal)).ToArray())
        {
            tensors.Remove(name);
        }
    }

    [Test]
    public void A_destination_of_another_length_is_an_argument_error()
    {
        using Checkpoint checkpoint = OpenFixture("tiny");
        Assert.That(() => checkpoint.Read("logit_scale", new float[2]), Throws.ArgumentException);
        Assert.That(() => checkpoint.Read("img_encoder.pos_embed", new float[2]), Throws.ArgumentException);
    }
}
