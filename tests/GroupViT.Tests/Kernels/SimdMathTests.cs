using System.Runtime.Intrinsics;
using GroupViT.Kernels;
using GroupViT.Kernels.Devices;
using GroupViT.Kernels.Simd;

namespace GroupViT.Tests.Kernels;

/// <summary>The elementary functions, for every width that this machine accelerates, for one lane, and as GPU kernels call them.</summary>
[Category("Cpu")]
internal sealed unsafe class SimdMathTests
{
    private const double U = ReferenceMemory.U;

    private delegate float Function(float x);

    public static IEnumerable<SimdLevel> Widths => Enum.GetValues<SimdLevel>().Where(level => level switch
    {
        SimdLevel.Vector512 => Vector512.IsHardwareAccelerated,
        SimdLevel.Vector256 => Vector256.IsHardwareAccelerated,
        SimdLevel.Vector128 => Vector128.IsHardwareAccelerated,
        _ => true,
    });

    [TestCaseSource(nameof(Widths))]
    public void Exp_is_good_to_2_to_the_minus_21(object level)
    {
        float[] arguments = [.. Sweep(1e-9f, 88f, 401), 0, -87.3f, 88];
        Exp((SimdLevel)level, arguments.Where(x => x >= -87.3f), 1.0 / (1 << 21));
    }

    [Test]
    public void Exp_of_the_gpu_kernels_is_good_to_2_to_the_minus_21()
        => Compare(Sweep(1e-9f, 88f, 401).Where(x => x >= -87.3f), GpuMath.Exp, Math.Exp, (_, y) => y / (1 << 21));

    [TestCaseSource(nameof(Widths))]
    public void Exp_is_clamped_and_keeps_not_a_number(object level)
    {
        float[] arguments = [-88, -1e30f, float.NegativeInfinity, 89, 1e30f, float.PositiveInfinity, float.NaN];
        float[] actual = Apply((SimdLevel)level, FunctionName.Exp, arguments);
        CheckClamped(actual);
        CheckClamped([.. arguments.Select(GpuMath.Exp)]);

        static void CheckClamped(float[] values)
        {
            Assert.That(values[..3], Is.All.InRange(0f, 2.4e-38f));
            Assert.That(values[3..6], Is.All.InRange(1.6e38f, 3.4e38f));
            Assert.That(values[6], Is.NaN);
        }
    }

    [TestCaseSource(nameof(Widths))]
    public void Gelu_stays_within_its_bound(object level)
    {
        float[] arguments = [.. Sweep(1e-6f, 1e4f, 2003)];
        float[] actual = Apply((SimdLevel)level, FunctionName.Gelu, arguments);
        Hold(arguments, actual, Activation.Gelu);
    }

    [TestCaseSource(nameof(Widths))]
    public void QuickGelu_stays_within_its_bound(object level)
    {
        float[] arguments = [.. Sweep(1e-6f, 1e4f, 2003)];
        Hold(arguments, Apply((SimdLevel)level, FunctionName.QuickGelu, arguments), Activation.QuickGelu);
    }

    [Test]
    public void Activations_of_the_gpu_kernels_stay_within_their_bounds()
    {
        float[] arguments = [.. Sweep(1e-6f, 1e4f, 2003)];
        Hold(arguments, [.. arguments.Select(GpuGelu.Apply)], Activation.Gelu);
        Hold(arguments, [.. arguments.Select(GpuQuickGelu.Apply)], Activation.QuickGelu);
        Hold(arguments, [.. arguments.Select(GpuRelu.Apply)], Activation.Relu);
    }

    [TestCaseSource(nameof(Widths))]
    public void Gelu_keeps_its_relative_accuracy_below_zero(object level)
    {
        // Down to -5, where the value is -1.4e-6: a form 1 + erf would have lost all of it.
        float[] arguments = [.. Sweep(1e-3f, 5f, 2003).Where(x => x < 0)];
        float[] actual = Apply((SimdLevel)level, FunctionName.Gelu, arguments);
        for (int i = 0; i < arguments.Length; i++)
        {
            double expected = ActivationReference.Apply(Activation.Gelu, arguments[i]);
            Assert.That(actual[i], Is.EqualTo(expected).Within(Math.Abs(expected) * 4e-6), $"at {arguments[i]:G9}");
        }
    }

    [TestCaseSource(nameof(Widths))]
    public void The_complementary_error_function_vanishes_beyond_6(object level)
        => Assert.That(Apply((SimdLevel)level, FunctionName.Erfc, [6.0001f, 100, 1e30f, float.PositiveInfinity]), Is.All.Zero);

    [TestCaseSource(nameof(Widths))]
    public void Lanes_are_summed_and_compared_without_losing_one(object level)
    {
        for (int lane = 0; lane < (int)(SimdLevel)level; lane++)
        {
            float[] values = new float[(int)(SimdLevel)level];
            Array.Fill(values, 1);
            values[lane] = 3;
            (float sum, float max) = (SimdLevel)level switch
            {
                SimdLevel.Vector512 => Reduce<V512>(values),
                SimdLevel.Vector256 => Reduce<V256>(values),
                SimdLevel.Vector128 => Reduce<V128>(values),
                _ => Reduce<V1>(values),
            };
            Assert.That((sum, max), Is.EqualTo((values.Length + 2f, 3f)), $"lane {lane}");
        }
    }

    private enum FunctionName
    {
        Exp,
        Erfc,
        Gelu,
        QuickGelu,
    }

    private static void Exp(SimdLevel level, IEnumerable<float> sweep, double relative)
    {
        float[] arguments = [.. sweep];
        float[] actual = Apply(level, FunctionName.Exp, arguments);
        double worst = 0;
        float at = 0;
        for (int i = 0; i < arguments.Length; i++)
        {
            double expected = Math.Exp(arguments[i]);
            double error = Math.Abs(actual[i] - expected) / expected;
            (worst, at) = error > worst ? (error, arguments[i]) : (worst, at);
        }
        TestContext.Out.WriteLine($"{arguments.Length} arguments: largest relative error 2^{Math.Log2(worst):F2} at {at:G9}");
        Assert.That(worst, Is.LessThan(relative), $"at {at:G9}");
    }

    private static void Hold(float[] arguments, float[] actual, Activation activation)
    {
        double worst = 0;
        for (int i = 0; i < arguments.Length; i++)
        {
            double error = Math.Abs(actual[i] - ActivationReference.Apply(activation, arguments[i]));
            // Below the smallest normal number a result may also be off by its last place.
            double bound = ActivationReference.Bound(activation, arguments[i], 0) + float.Epsilon;
            worst = Math.Max(worst, error / Math.Abs(arguments[i]) / U);
            Assert.That(error, Is.LessThanOrEqualTo(bound), $"{activation} at {arguments[i]:G9}");
        }
        TestContext.Out.WriteLine($"{activation}, {arguments.Length} arguments: largest error {worst:F2} u |x|");
    }

    private static void Compare(IEnumerable<float> arguments, Function actual, Func<double, double> expected, Func<double, double, double> bound)
    {
        foreach (float x in arguments)
        {
            double y = expected(x);
            Assert.That(Math.Abs(actual(x) - y), Is.LessThanOrEqualTo(bound(x, y)), $"at {x:G9}");
        }
    }

    /// <summary>Every <paramref name="step"/>-th thousand of floats of both signs: neighbours differ in all bits of the mantissa.</summary>
    private static IEnumerable<float> Sweep(float from, float to, int step)
    {
        uint last = BitConverter.SingleToUInt32Bits(to);
        for (uint bits = BitConverter.SingleToUInt32Bits(from); bits <= last; bits += (uint)step * 2)
        {
            float x = BitConverter.UInt32BitsToSingle(bits);
            yield return x;
            yield return -x;
        }
    }

    private static float[] Apply(SimdLevel level, FunctionName function, float[] arguments) => level switch
    {
        SimdLevel.Vector512 => Apply<V512>(function, arguments),
        SimdLevel.Vector256 => Apply<V256>(function, arguments),
        SimdLevel.Vector128 => Apply<V128>(function, arguments),
        _ => Apply<V1>(function, arguments),
    };

    private static float[] Apply<V>(FunctionName function, float[] arguments)
        where V : struct, ISimd<V>
    {
        float[] padded = new float[(arguments.Length + V.Width - 1) / V.Width * V.Width];
        arguments.CopyTo(padded, 0);
        fixed (float* values = padded)
        {
            for (int i = 0; i < padded.Length; i += V.Width)
            {
                V x = V.Load(values + i);
                V y = function switch
                {
                    FunctionName.Exp => SimdMath.Exp(x),
                    FunctionName.Erfc => SimdMath.ErfcOfRoot2(x),
                    FunctionName.Gelu => Gelu.Apply(x),
                    _ => QuickGelu.Apply(x),
                };
                V.Store(y, values + i);
            }
        }
        return padded[..arguments.Length];
    }

    private static (float Sum, float Max) Reduce<V>(float[] values)
        where V : struct, ISimd<V>
    {
        fixed (float* lanes = values)
        {
            V v = V.Load(lanes);
            return (V.Sum(v), V.MaxLane(v));
        }
    }
}
