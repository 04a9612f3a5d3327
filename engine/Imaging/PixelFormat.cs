namespace GroupViT.Native;

/// <summary>The order of the 8-bit samples of one pixel in memory.</summary>
public enum PixelFormat
{
    /// <summary>Three bytes: red, green, blue.</summary>
    Rgb,

    /// <summary>Three bytes: blue, green, red (OpenCV, Windows bitmaps).</summary>
    Bgr,

    /// <summary>Four bytes: red, green, blue, alpha (not premultiplied; 255 is opaque).</summary>
    Rgba,

    /// <summary>Four bytes: blue, green, red, alpha (not premultiplied; 255 is opaque).</summary>
    Bgra,

    /// <summary>One byte, used for red, green and blue alike.</summary>
    Gray,
}

/// <summary>What becomes of transparency. The network knows only opaque pictures.</summary>
public enum AlphaMode
{
    /// <summary>Composes the picture over white: <c>round((c*a + 255*(255 - a)) / 255)</c> for every sample.</summary>
    White,

    /// <summary>Ignores alpha and keeps the stored colours, as both reference implementations do.</summary>
    Drop,
}
