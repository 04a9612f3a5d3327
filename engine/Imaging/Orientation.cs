using System.Buffers.Binary;

namespace GroupViT.Native.Imaging;

/// <summary>
/// EXIF orientation: the tag 0x0112 of the first directory (EXIF 2.3, 4.6.4), one of eight ways in which the stored raster
/// must be turned and mirrored to stand upright. OpenCV applies it; cameras rely on it.
/// </summary>
internal static class Orientation
{
    private const ushort Tag = 0x0112;
    private const ushort Short = 3;

    /// <summary>
    /// Reads the orientation from a TIFF structure (what follows "Exif\0\0" in a JPEG's APP1 segment, or a PNG's eXIf chunk).
    /// Anything but one SHORT of 1 to 8 counts as 1: a damaged tag does not make a picture unreadable.
    /// </summary>
    public static int Read(ReadOnlySpan<byte> tiff)
    {
        if (tiff.Length < 8)
        {
            return 1;
        }
        bool little = tiff[0] == 'I' && tiff[1] == 'I';
        if ((!little && (tiff[0] != 'M' || tiff[1] != 'M')) || U16(tiff, 2, little) != 42)
        {
            return 1;
        }
        uint directory = little ? BinaryPrimitives.ReadUInt32LittleEndian(tiff[4..]) : BinaryPrimitives.ReadUInt32BigEndian(tiff[4..]);
        if (directory > tiff.Length - 2)
        {
            return 1;
        }
        int entries = U16(tiff, (int)directory, little);
        ReadOnlySpan<byte> rest = tiff[((int)directory + 2)..];
        for (int i = 0; i < entries && rest.Length >= 12; i++, rest = rest[12..])
        {
            if (U16(rest, 0, little) != Tag)
            {
                continue;
            }
            uint count = little ? BinaryPrimitives.ReadUInt32LittleEndian(rest[4..]) : BinaryPrimitives.ReadUInt32BigEndian(rest[4..]);
            int value = U16(rest, 8, little);
            return U16(rest, 2, little) == Short && count == 1 && value is >= 1 and <= 8 ? value : 1;
        }
        return 1;
    }

    /// <summary>Where stored pixels stand in the upright raster, as a pixel's number: that of the first, and the steps to the right and down in the stored one.</summary>
    public static (int Origin, int Right, int Down) Places(int width, int height, int orientation) => orientation switch
    {
        1 => (0, 1, width),
        2 => (width - 1, -1, width),
        3 => (height * width - 1, -1, -width),
        4 => ((height - 1) * width, 1, -width),
        5 => (0, height, 1),
        6 => (height - 1, height, -1),
        7 => (width * height - 1, -height, -1),
        8 => ((width - 1) * height, -height, 1),
        _ => throw new ArgumentOutOfRangeException(nameof(orientation), orientation, "an orientation is 1 to 8"),
    };

    /// <summary>Turns the stored raster upright; 1 returns the raster itself.</summary>
    public static RgbImage Apply(RgbImage image, int orientation)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(orientation, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(orientation, 8);
        if (orientation == 1)
        {
            return image;
        }
        int w = image.Width, h = image.Height;
        // The stored pixel (x, y) shown at the target's (column, row) is origin + column*right + row*down.
        (int x0, int y0, (int X, int Y) right, (int X, int Y) down) = orientation switch
        {
            2 => (w - 1, 0, (-1, 0), (0, 1)),
            3 => (w - 1, h - 1, (-1, 0), (0, -1)),
            4 => (0, h - 1, (1, 0), (0, -1)),
            5 => (0, 0, (0, 1), (1, 0)),
            6 => (0, h - 1, (0, -1), (1, 0)),
            7 => (w - 1, h - 1, (0, -1), (-1, 0)),
            _ => (w - 1, 0, (0, 1), (-1, 0)),
        };
        RgbImage upright = orientation >= 5 ? new(h, w, image.Name) : new(w, h, image.Name);
        byte[] source = image.Pixels;
        int step = ((right.Y * w) + right.X) * 3;
        for (int row = 0; row < upright.Height; row++)
        {
            Span<byte> target = upright.Row(row);
            int from = ((((y0 + (row * down.Y)) * w) + x0) + (row * down.X)) * 3;
            for (int to = 0; to < target.Length; to += 3, from += step)
            {
                target[to] = source[from];
                target[to + 1] = source[from + 1];
                target[to + 2] = source[from + 2];
            }
        }
        return upright;
    }

    private static ushort U16(ReadOnlySpan<byte> bytes, int offset, bool little) =>
        little ? BinaryPrimitives.ReadUInt16LittleEndian(bytes[offset..]) : BinaryPrimitives.ReadUInt16BigEndian(bytes[offset..]);
}
