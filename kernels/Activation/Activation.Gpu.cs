using GroupViT.Kernels.Devices;

namespace GroupViT.Kernels;

/// <summary>An activation as a type, for GPU kernels: ILGPU compiles one kernel per type.</summary>
internal interface IGpuActivation
{
    static abstract float Apply(float x);
}

internal struct GpuNoActivation : IGpuActivation
{
    public static float Apply(float x) => x;
}

internal struct GpuGelu : IGpuActivation
{
    public static float Apply(float x)
    {
        float half = 0.5f * x * GpuMath.ErfcOfRoot2(x < 0f ? -x : x);
        return x < 0f ? half : x - half;
    }
}

internal struct GpuQuickGelu : IGpuActivation
{
    public static float Apply(float x) => x / (1f + GpuMath.Exp(-1.702f * x));
}

internal struct GpuRelu : IGpuActivation
{
    // Written so that NaN stays NaN.
    public static float Apply(float x) => x < 0f ? 0f : x;
}
