namespace GroupViT.Kernels;

/// <summary>How a group's four warps share a float32 product: side by side over the output, or one behind another over K. Sizes are powers of two, given as
/// exponents: the compilers turn no division by a constant into a shift.</summary>
internal interface ISharedShape
{
    /// <summary>Parts of K that are summed at the same time, each by a team of threads with stages of its own.</summary>
    static abstract int Teams { get; }

    /// <summary>log2 of a team's threads.</summary>
    static abstract int TeamBits { get; }

    /// <summary>log2 of the quads in a row of the group's outputs; there are as many rows as columns.</summary>
    static abstract int QuadBits { get; }

    /// <summary>log2 of the quads of K in a stage.</summary>
    static abstract int StepBits { get; }
}

/// <summary>32 x 32 outputs a group, four parts of K at once, 16 numbers of K a stage: many groups for few rows. 260 x 384 are 108 of them, 432 warps.</summary>
internal readonly struct DeepShared : ISharedShape
{
    public static int Teams => 4;

    public static int TeamBits => 5;

    public static int QuadBits => 3;

    public static int StepBits => 2;
}

/// <summary>64 x 64 outputs a group, 32 numbers of K a stage: each number that is read from global memory is used 64 times.</summary>
internal readonly struct WideShared : ISharedShape
{
    public static int Teams => 1;

    public static int TeamBits => 7;

    public static int QuadBits => 4;

    public static int StepBits => 3;
}
