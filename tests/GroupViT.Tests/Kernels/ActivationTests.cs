using GroupViT.Kernels;

namespace GroupViT.Tests.Kernels;

/// <summary>The activations as the products apply them, and their definitions against known values.</summary>
[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.All))]
internal sealed class ActivationTests(TestDevice device)
{
    private static readonly float[] Points = [-3, -1, -0.5f, 0.5f, 1, 3];

    [Test]
    public void The_specifications_values_hold()
    {
        // Spec K.6 and J.13.
        double[] gelu = [-0.00404969, -0.15865525, -0.15426877, 0.34573123, 0.84134475, 2.99595031];
        double[] quick = [-0.01807131, -0.15420423, -0.14961156, 0.35038844, 0.84579577, 2.98192869];
        Assert.That(Points.Select(x => ActivationReference.Apply(Activation.Gelu, x)), Is.EqualTo(gelu).Within(6e-9));
        Assert.That(Points.Select(x => ActivationReference.Apply(Activation.QuickGelu, x)), Is.EqualTo(quick).Within(6e-9));
        Assert.That(Apply(Activation.Gelu, Points), Is.EqualTo(gelu).Within(1e-6));
        Assert.That(Apply(Activation.QuickGelu, Points), Is.EqualTo(quick).Within(1e-6));
        Assert.That(Apply(Activation.Relu, Points), Is.EqualTo((float[])[0, 0, 0, 0.5f, 1, 3]));
    }

    [Test]
    public void The_complementary_error_function_has_its_known_values()
    {
        // Around the change from the series to the fraction at 3, and far out; values of the C library.
        foreach ((double x, double expected) in ((double, double)[])
            [(0, 1), (0.5, 0.4795001221869535), (1, 0.15729920705028513), (2, 0.004677734981047266), (2.999, 2.2230168599834058e-05), (4, 1.541725790028002e-08), (6, 2.1519736712498913e-17), (-1, 1.8427007929497148)])
        {
            Assert.That(ActivationReference.Erfc(x), Is.EqualTo(expected).Within(1e-9 * expected), $"erfc({x})");
        }
        Assert.That(ActivationReference.Erfc(2.9999999), Is.EqualTo(ActivationReference.Erfc(3)).Within(1e-10), "the series meets the fraction");
    }

    [Test]
    public void Not_a_number_and_infinity_are_as_documented([Values] Activation activation)
    {
        float[] values = [float.NaN, float.PositiveInfinity, float.NegativeInfinity];
        float[] actual = Apply(activation, values);
        float[] expected = activation switch
        {
            Activation.Gelu => [float.NaN, float.NaN, float.NaN],
            Activation.Relu => [float.NaN, float.PositiveInfinity, 0],
            _ => values,
        };
        Assert.That(actual, Is.EqualTo(expected));
    }

    [Test]
    public void The_other_gelu_and_the_tanh_form_are_found()
    {
        OperationHarness harness = new(device);
        Tensor x = Tensor.Float("x", 1, 6, 1);
        Tensor y = Tensor.Float("y", 1, 6, 1);
        harness.With(x, Points);
        MatMul gelu = new(x, Tensor.Constant("one", 1, 1, w => w[0] = 1), y) { Activation = Activation.Gelu };
        harness.Catches(gelu, gelu with { Activation = Activation.QuickGelu }, "QuickGELU for GELU");
        harness.Catches(gelu with { Activation = Activation.QuickGelu }, gelu, "GELU for QuickGELU");
        harness.Catches(gelu, y, _ => [.. Points.Select(v => 0.5f * v * (1 + MathF.Tanh(0.7978845608f * (v + 0.044715f * v * v * v))))], "the tanh form");
    }

    private float[] Apply(Activation activation, float[] values)
    {
        OperationHarness harness = new(device);
        Tensor x = Tensor.Float("x", 1, values.Length, 1);
        Tensor y = Tensor.Float("y", 1, values.Length, 1);
        harness.With(x, values);
        MatMul operation = new(x, Tensor.Constant("one", 1, 1, w => w[0] = 1), y) { Activation = activation };
        harness.Check(operation);
        return harness.Floats(operation, y);
    }
}
