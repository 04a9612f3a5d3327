using ILGPU;

namespace GroupViT.Kernels.Devices;

/// <summary>
/// Elementary functions for GPU kernels: the same range reductions and polynomials as <see cref="Simd.SimdMath"/>, so that results do
/// not hang on a vendor's library.
/// </summary>
internal static class GpuMath
{
    /// <summary>e^x with a relative error below 2^-21 on [-87.33, 88.02]; arguments outside are clamped to it.</summary>
    public static float Exp(float x)
    {
        x = x < -87.3365f ? -87.3365f : x > 88.0296f ? 88.0296f : x;
        int n = RoundToInt(x * 1.442695041f);
        float r = x - n * 0.693145752f;
        r -= n * 1.42860677e-6f;
        float p = 1.39485928e-3f;
        p = p * r + 8.37513727e-3f;
        p = p * r + 4.16662181e-2f;
        p = p * r + 1.66664154e-1f;
        p = p * r + 0.5f;
        p = p * r + 1f;
        p = p * r + 1f;
        return p * PowerOfTwo(n);
    }

    /// <summary>erfc(z/√2) for z ≥ 0; 0 beyond 6.</summary>
    public static float ErfcOfRoot2(float z)
    {
        bool beyond = z > 6f;
        z = beyond ? 6f : z;
        float h = 2.019980953e-9f;
        h = h * z - 7.843754042e-8f;
        h = h * z + 1.3484904226e-6f;
        h = h * z - 1.338402579e-5f;
        h = h * z + 8.209328818e-5f;
        h = h * z - 2.810574693e-4f;
        h = h * z - 2.309633042e-5f;
        h = h * z + 6.999189632e-3f;
        h = h * z - 5.249000763e-2f;
        h = h * z - 4.592008123e-1f;
        h = h * z - 1.151107110f;
        h = h * z + 6.363782993e-8f;
        int n = RoundToInt(h);
        float f = h - n;
        float p = 1.546973464e-4f;
        p = p * f + 1.340043485e-3f;
        p = p * f + 9.618025595e-3f;
        p = p * f + 5.550327208e-2f;
        p = p * f + 2.402265121e-1f;
        p = p * f + 6.931472067e-1f;
        p = p * f + 1f;
        return beyond ? 0f : p * PowerOfTwo(n);
    }

    /// <summary>The order of arg-max: a number is above not-a-number, and nothing is above its equal, so the first of equals stays.</summary>
    public static bool IsAbove(float value, float most) => value > most || (IsNaN(most) && !IsNaN(value));

    /// <summary>value where <paramref name="test"/> is finite, else not a number (infinity less itself).</summary>
    public static float OrNotANumber(float value, float test)
        => (Interop.FloatAsInt(test) & 0x7F800000u) == 0x7F800000u ? test - test : value;

    public static bool IsNaN(float x) => (Interop.FloatAsInt(x) & 0x7FFFFFFFu) > 0x7F800000u;

    private static int RoundToInt(float x) => (int)(x < 0f ? x - 0.5f : x + 0.5f);

    private static float PowerOfTwo(int n) => Interop.IntAsFloat((uint)((n + 127) << 23));
}
