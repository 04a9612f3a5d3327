namespace GroupViT.Kernels;

/// <summary>How a group's four warps share a product: side by side over the output, or one behind another over K.</summary>
internal interface ITensorShape
{
    static abstract int WarpsDown { get; }

    static abstract int WarpsAcross { get; }

    /// <summary>Parts of K that are summed at the same time.</summary>
    static abstract int WarpsDeep { get; }

    /// <summary>Buffers of K's steps: copies run this many steps ahead, less one.</summary>
    static abstract int Stages { get; }
}

/// <summary>32 x 32 outputs a group, four parts of K at once: many groups for few rows. 260 x 384 are 108 of them.</summary>
internal readonly struct DeepPairs : ITensorShape
{
    public static int WarpsDown => 1;

    public static int WarpsAcross => 1;

    public static int WarpsDeep => 4;

    public static int Stages => 2;
}

/// <summary>As <see cref="DeepPairs"/> where A has 16 bits as well, and copies run beside the products: what its rows leave is a stage more.</summary>
internal readonly struct DeepHalves : ITensorShape
{
    public static int WarpsDown => 1;

    public static int WarpsAcross => 1;

    public static int WarpsDeep => 4;

    public static int Stages => 3;
}

/// <summary>64 x 64 outputs a group, or 128 x 64: each number that is read from global memory is used 64 times at least.</summary>
internal readonly struct WidePairs : ITensorShape
{
    public static int WarpsDown => 2;

    public static int WarpsAcross => 2;

    public static int WarpsDeep => 1;

    public static int Stages => 4;
}

/// <summary>As <see cref="DeepPairs"/> for numbers of four bytes: 32 x 64 outputs, two parts of K.</summary>
internal readonly struct DeepSingles : ITensorShape
{
    public static int WarpsDown => 1;

    public static int WarpsAcross => 2;

    public static int WarpsDeep => 2;

    public static int Stages => 2;
}

/// <summary>As <see cref="WidePairs"/> for numbers of four bytes.</summary>
internal readonly struct WideSingles : ITensorShape
{
    public static int WarpsDown => 2;

    public static int WarpsAcross => 2;

    public static int WarpsDeep => 1;

    public static int Stages => 3;
}
