using GroupViT.Native.Imaging;

namespace GroupViT.Native;

/// <summary>Where the windows of mode Slide stand on a resized picture (spec F.1 step 6).</summary>
internal static class SlidingWindow
{
    /// <summary>The most windows of one picture: each is a run of the network.</summary>
    public const int MaxWindows = 4096;

    /// <summary>Row by row from the upper left; the last of a row or column is shifted back to the border. All are of one size.</summary>
    /// <exception cref="SessionLimitException">There would be more than <see cref="MaxWindows"/>.</exception>
    public static Window[] Over(int width, int height, int crop, int stride)
    {
        int across = Count(width, crop, stride);
        int down = Count(height, crop, stride);
        if ((long)across * down > MaxWindows)
        {
            throw new SessionLimitException($"windows of {crop} every {stride} pixels are {across} x {down} on {width} x {height}, above the limit of {MaxWindows}; take a larger stride");
        }
        Window[] windows = new Window[across * down];
        for (int i = 0; i < windows.Length; i++)
        {
            (int top, int windowHeight) = Place(i / across, height, crop, stride);
            (int left, int windowWidth) = Place(i % across, width, crop, stride);
            windows[i] = new Window(left, top, windowWidth, windowHeight);
        }
        return windows;
    }

    /// <summary>Crop and stride by the rules, for a model whose short side is known.</summary>
    public static (int Crop, int Stride) Sizes(SegmentationOptions rules, int shortSide)
    {
        int crop = rules.Crop ?? rules.ShortSide ?? shortSide;
        int stride = rules.Stride ?? Math.Max(1, crop / 2);
        return stride <= crop
            ? (crop, stride)
            : throw new ArgumentOutOfRangeException(nameof(rules), stride, $"the window's stride must be in 1..{crop}, its side, so that every pixel is seen");
    }

    private static int Count(int side, int crop, int stride) => (Math.Max(side - crop, 0) + stride - 1) / stride + 1;

    private static (int Start, int Length) Place(int index, int side, int crop, int stride)
    {
        int end = Math.Min(index * stride + crop, side);
        int start = Math.Max(end - crop, 0);
        return (start, end - start);
    }
}
