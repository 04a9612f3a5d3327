namespace GroupViT.Kernels;

/// <summary>How a group's threads share a tile of eight tokens: a thread takes eight groups, four of the tokens and one slice of K.</summary>
internal interface IAssignShape
{
    /// <summary>Two to this power are the eights of groups: 0 for up to 8 groups, 3 for up to 64.</summary>
    static abstract int OctetBits { get; }

    /// <summary>Two to this power are the slices of K that are summed side by side.</summary>
    static abstract int SliceBits { get; }
}

/// <summary>The first stage, 64 groups: 256 threads.</summary>
internal readonly struct ManyGroups : IAssignShape
{
    public static int OctetBits => 3;

    public static int SliceBits => 4;
}

/// <summary>The second stage, 8 groups: 32 threads.</summary>
internal readonly struct FewGroups : IAssignShape
{
    public static int OctetBits => 0;

    public static int SliceBits => 4;
}

/// <summary><see cref="ManyGroups"/> for the simulator: 16 threads.</summary>
internal readonly struct NarrowManyGroups : IAssignShape
{
    public static int OctetBits => 3;

    public static int SliceBits => 0;
}

/// <summary><see cref="FewGroups"/> for the simulator: 8 threads.</summary>
internal readonly struct NarrowFewGroups : IAssignShape
{
    public static int OctetBits => 0;

    public static int SliceBits => 2;
}
