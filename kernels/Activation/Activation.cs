namespace GroupViT.Kernels;

/// <summary>The non-linearities of the two towers and the heads.</summary>
/// <remarks>NaN gives NaN. Infinity: GELU gives NaN for both, QuickGELU keeps both, ReLU is max(x, 0).</remarks>
internal enum Activation
{
    None,

    /// <summary>½·x·(1 + erf(x/√2)), the exact form, never the tanh one (spec 0).</summary>
    Gelu,

    /// <summary>x·σ(1.702·x) (spec 0).</summary>
    QuickGelu,

    /// <summary>max(x, 0).</summary>
    Relu,
}

/// <summary>The definitions, and what float32 may differ by.</summary>
internal static class ActivationReference
{
    public static double Apply(Activation activation, double x) => activation switch
    {
        Activation.None => x,
        Activation.Gelu => double.IsInfinity(x) ? double.NaN : 0.5 * x * Erfc(-x / Math.Sqrt(2)),
        Activation.QuickGelu => double.IsInfinity(x) ? x : x / (1 + Math.Exp(-1.702 * x)),
        Activation.Relu => Math.Max(x, 0),
        _ => throw new ArgumentOutOfRangeException(nameof(activation)),
    };

    /// <summary>
    /// What float32 may differ by, given that x itself is uncertain by <paramref name="inputBound"/>. The slopes are at most 1.13
    /// (GELU), 1.10 (QuickGELU) and 1; evaluating costs at most eight roundings of a value no larger than |x|.
    /// </summary>
    public static double Bound(Activation activation, double x, double inputBound) => activation switch
    {
        Activation.None => inputBound,
        Activation.Relu => inputBound,
        _ => 1.13 * inputBound + 8 * ReferenceMemory.U * Math.Abs(x),
    };

    /// <summary>
    /// erfc by its Taylor series below 3 and its continued fraction above (Abramowitz and Stegun 7.1.5, 7.1.14); better than 1e-10
    /// relative, worst just below 3, where the series cancels.
    /// </summary>
    public static double Erfc(double x)
    {
        double z = Math.Abs(x);
        double upper;
        if (z < 3)
        {
            double term = z;
            double sum = z;
            for (int n = 1; Math.Abs(term) > 1e-18 * Math.Abs(sum) && n < 200; n++)
            {
                term *= -z * z / n;
                sum += term / (2 * n + 1);
            }
            upper = 1 - 2 / Math.Sqrt(Math.PI) * sum;
        }
        else
        {
            double fraction = z;
            for (int n = 120; n > 0; n--)
            {
                fraction = z + n / 2.0 / fraction;
            }
            upper = Math.Exp(-z * z) / Math.Sqrt(Math.PI) / fraction;
        }
        return x < 0 ? 2 - upper : upper;
    }
}
