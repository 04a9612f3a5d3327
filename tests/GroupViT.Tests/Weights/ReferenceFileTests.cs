using System.Text;
using GroupViT.Native;
using GroupViT.Native.Weights;

namespace GroupViT.Tests.Weights;

internal sealed class ReferenceFileTests
{
    private static IReadOnlyDictionary<string, ReferenceError> Parse(string json) => ReferenceFile.ParseErrors(Encoding.UTF8.GetBytes(json), "reference_error.json");

    [Test]
    public void The_tolerance_is_four_errors_and_eight_units_in_the_last_place()
    {
        IReadOnlyDictionary<string, ReferenceError> errors = Parse("""{"a":{"max_abs":2.0,"fp32_error":1e-6},"b":{"fp32_error":0,"max_abs":0}}""");
        Assert.That(errors["a"].Tolerance, Is.EqualTo(4e-6 + 8 * 2.0 / 8388608).Within(1e-18));
        Assert.That(errors["b"].Tolerance, Is.Zero);
    }

    [TestCase("tiny"), TestCase("full"), TestCase("scenes"), TestCase("tiny/f16"), TestCase("tiny/bf16")]
    public void Every_recorded_file_is_read_wholly_and_its_magnitudes_are_as_noted(string folder)
    {
        using ReferenceFile file = ReferenceFile.Open(Fixtures.Path([.. folder.Split('/'), "expected.safetensors"]));
        foreach (SafetensorsEntry entry in file.Tensors.Values)
        {
            if (entry.Type == SafetensorsType.I32)
            {
                Assert.That(file.ReadInt32(entry.Name), Has.Length.EqualTo(entry.ElementCount));
                continue;
            }
            float[] values = file.ReadFloat32(entry.Name);
            if (file.Errors.TryGetValue(entry.Name, out ReferenceError error))
            {
                double largest = values.Max(Math.Abs);
                Assert.That(largest, Is.EqualTo(error.MaxAbs).Within(1e-6 * error.MaxAbs), entry.Name);
                Assert.That(file.Tolerance(entry.Name), Is.EqualTo(error.Tolerance));
            }
        }
    }

    [Test]
    public void A_value_without_an_error_has_no_tolerance()
    {
        using ReferenceFile file = ReferenceFile.Open(Fixtures.Path("tiny", "expected.safetensors"));
        ModelFileException error = Assert.Throws<ModelFileException>(() => file.Tolerance("text.input_ids"))!;
        Assert.That(error.Item, Is.EqualTo("text.input_ids"));
        Assert.That(error.File, Does.EndWith("reference_error.json"));
        Assert.That(() => file.ReadFloat32("nothing"), Throws.TypeOf<ModelFileException>());
        Assert.That(() => file.ReadFloat32("text.input_ids"), Throws.TypeOf<ModelFileException>());
    }

    [Test]
    public void The_errors_may_be_named_or_be_missing()
    {
        string expected = Fixtures.Path("tiny", "expected.safetensors");
        using ReferenceFile other = ReferenceFile.Open(expected, Fixtures.Path("tiny", "f16", "reference_error.json"));
        Assert.That(other.Errors, Is.Not.Empty);
        Assert.That(() => ReferenceFile.Open(Fixtures.Path("tiny", "nvlabs", "model.safetensors")),
            Throws.TypeOf<ModelFileException>().With.Message.Contains("reference_error.json").And.Message.Contains("no such file"));
    }

    [TestCase("", "not JSON")]
    [TestCase("[]", "JSON object")]
    [TestCase("{\"a\":1}", "no 'max_abs'")]
    [TestCase("{\"a\":{}}", "no 'max_abs'")]
    [TestCase("{\"a\":{\"max_abs\":1}}", "no 'fp32_error'")]
    [TestCase("{\"a\":{\"max_abs\":-1,\"fp32_error\":0}}", "max_abs is -1")]
    [TestCase("{\"a\":{\"max_abs\":1,\"fp32_error\":\"0\"}}", "fp32_error is \"0\"")]
    [TestCase("{\"a\":{\"max_abs\":1,\"fp32_error\":1e999}}", "fp32_error is 1e999")]
    [TestCase("{\"a\":{\"max_abs\":1,\"fp32_error\":NaN}}", "not JSON")]
    [TestCase("{\"a\":{\"max_abs\":1,\"fp32_error\":0},\"a\":{\"max_abs\":1,\"fp32_error\":0}}", "not JSON")]
    [TestCase("{\"\\ud800\":{\"max_abs\":1,\"fp32_error\":0}}", "")]
    public void Errors_that_are_not_what_they_should_be_are_refused(string json, string words)
        => Assert.That(() => Parse(json), Throws.TypeOf<ModelFileException>().With.Message.Contains(words));

    [Test]
    public void A_recorded_NaN_is_refused()
    {
        string folder = Directory.CreateTempSubdirectory().FullName;
        try
        {
            string path = System.IO.Path.Combine(folder, "expected.safetensors");
            SafetensorsWriter.Write(path, [TensorToWrite.OfFloats("a", SafetensorsType.F32, [3], static (_, values) => values.Fill(float.NaN))]);
            File.WriteAllText(System.IO.Path.Combine(folder, "reference_error.json"), "{}");
            using ReferenceFile file = ReferenceFile.Open(path);
            Assert.That(() => file.ReadFloat32("a"), Throws.TypeOf<ModelFileException>().With.Message.Contains("element 0 is NaN"));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
