namespace GroupViT.Kernels.Devices;

/// <summary>A number as the unevaluated sum of two floats: some 48 significant bits where a device need not have float64.</summary>
/// <remarks>
/// After Ogita, Rump and Oishi, "Accurate sum and dot product" (2005): a sum's rounding errors are themselves summed. Every product is an
/// explicit fused multiply-add: compilers may fuse plain ones with the additions that follow, and the errors would then be of something else.
/// </remarks>
internal struct TwoFloat
{
    public float High;
    public float Low;

    /// <summary>sum + x, with the rounding error kept.</summary>
    public static TwoFloat Add(TwoFloat sum, float x)
    {
        float high = sum.High + x;
        float taken = high - sum.High;
        return new TwoFloat { High = high, Low = sum.Low + ((sum.High - (high - taken)) + (x - taken)) };
    }

    public static TwoFloat Add(TwoFloat a, TwoFloat b)
    {
        TwoFloat sum = Add(a, b.High);
        sum.Low += b.Low;
        return sum;
    }

    /// <summary>sum + x · y.</summary>
    public static TwoFloat MultiplyAdd(float x, float y, TwoFloat sum)
    {
        float product = GpuIntrinsics.MultiplyAdd(x, y, 0f);
        float error = GpuIntrinsics.MultiplyAdd(x, y, 0f - product);
        TwoFloat next = Add(sum, product);
        next.Low += error;
        return next;
    }

    /// <summary>a · (high + low), with Low below half an ulp of High.</summary>
    public static TwoFloat Multiply(TwoFloat a, float high, float low)
    {
        float product = GpuIntrinsics.MultiplyAdd(a.High, high, 0f);
        float error = GpuIntrinsics.MultiplyAdd(a.High, high, 0f - product);
        error = GpuIntrinsics.MultiplyAdd(a.High, low, GpuIntrinsics.MultiplyAdd(a.Low, high, error));
        float sum = product + error;
        return new TwoFloat { High = sum, Low = error - (sum - product) };
    }

    /// <summary>x / sum.</summary>
    public static TwoFloat Divide(float x, TwoFloat sum)
    {
        float quotient = x / sum.High;
        float rest = GpuIntrinsics.MultiplyAdd(0f - quotient, sum.High, x);
        rest = GpuIntrinsics.MultiplyAdd(0f - quotient, sum.Low, rest);
        return new TwoFloat { High = quotient, Low = rest / sum.High };
    }

    /// <summary>a · b, rounded once.</summary>
    public static float Product(TwoFloat a, TwoFloat b)
    {
        float product = GpuIntrinsics.MultiplyAdd(a.High, b.High, 0f);
        float error = GpuIntrinsics.MultiplyAdd(a.High, b.High, 0f - product);
        return product + GpuIntrinsics.MultiplyAdd(a.High, b.Low, GpuIntrinsics.MultiplyAdd(a.Low, b.High, error));
    }
}
