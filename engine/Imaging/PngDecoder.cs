using System.Buffers.Binary;

namespace GroupViT.Native.Imaging;

/// <summary>
/// Decodes PNG: all colour types and depths, palettes, tRNS, Adam7. Samples of 16 bits become <c>v &gt;&gt; 8</c>; those below 8 bits
/// are stretched to 0..255. Gamma and colour profiles are ignored, as the references do. Of an APNG, the default image is read.
/// </summary>
internal static class PngDecoder
{
    public static RgbImage Decode(byte[] file, string name, ImageDecodeOptions options) => Decode(PictureBytes.Of(file, name), name, options);

    /// <summary>
    /// Row by row, each to its place in the upright picture: beside the raster of three bytes a pixel a few rows are all that is held.
    /// </summary>
    public static RgbImage Decode(PictureBytes file, string name, ImageDecodeOptions options)
    {
        PngFile png = PngFile.Parse(file, name, options);
        RgbImage image = png.Orientation >= 5 ? new(png.Height, png.Width, name) : new(png.Width, png.Height, name);
        (int origin, int right, int down) = Orientation.Places(png.Width, png.Height, png.Orientation);
        PixelExpander expander = new(png, name, options.Alpha);
        byte[] dense = png.Interlaced || png.Orientation != 1 ? new byte[png.Width * 3] : [];
        byte[] pixels = image.Pixels;
        ForEachRow(png, file, name, (row, x, y, step, width) =>
        {
            if (step == 1 && png.Orientation == 1)
            {
                expander.Expand(row, image.Row(y), y);
                return;
            }
            Span<byte> samples = dense.AsSpan(0, width * 3);
            expander.Expand(row, samples, y);
            int to = (origin + y * down + x * right) * 3;
            for (int from = 0; from < samples.Length; from += 3, to += step * right * 3)
            {
                pixels[to] = samples[from];
                pixels[to + 1] = samples[from + 1];
                pixels[to + 2] = samples[from + 2];
            }
        });
        return image;
    }

    /// <summary>
    /// Reads a label map: the stored palette indices or grey samples themselves (up to 16 bits), not colours. EXIF orientation is
    /// ignored: a label map is data, not a photograph.
    /// </summary>
    /// <returns>The size and <c>height * width</c> values.</returns>
    public static (int Width, int Height, int[] Labels) DecodeLabels(byte[] file, string name, ImageDecodeOptions? options = null)
    {
        if (!file.AsSpan().StartsWith(PngFile.Signature))
        {
            throw new ImageFileException(name, "is not a PNG file, which a label map must be");
        }
        PictureBytes bytes = PictureBytes.Of(file, name);
        PngFile png = PngFile.Parse(bytes, name, options ?? ImageDecodeOptions.Default);
        if (png.ColorType is not (PngColorType.Gray or PngColorType.Palette))
        {
            throw new ImageFileException(name, $"holds {png.ColorType} pixels, but a label map must be indexed or grey");
        }
        int[] labels = new int[png.Width * png.Height];
        ForEachRow(png, bytes, name, (row, x, y, step, width) =>
        {
            for (int i = 0; i < width; i++)
            {
                labels[(y * png.Width) + x + (i * step)] = Sample(row, i, png.BitDepth);
            }
        });
        return (png.Width, png.Height, labels);
    }

    private delegate void RowSink(ReadOnlySpan<byte> row, int x, int y, int step, int width);

    private static void ForEachRow(PngFile png, PictureBytes file, string name, RowSink sink)
    {
        using PngScanlines lines = new(png, file, name);
        foreach ((int x, int y, int stepX, int stepY, int width, int height) in png.Passes())
        {
            lines.StartPass(width);
            for (int row = 0; row < height; row++)
            {
                sink(lines.Next(row), x, y + (row * stepY), stepX, width);
            }
        }
        lines.Finish();
    }

    /// <summary>Sample <paramref name="index"/> of a row with one sample a pixel.</summary>
    private static int Sample(ReadOnlySpan<byte> row, int index, int depth)
    {
        if (depth >= 8)
        {
            return depth == 8 ? row[index] : BinaryPrimitives.ReadUInt16BigEndian(row[(index * 2)..]);
        }
        int bit = index * depth;
        return (row[bit >> 3] >> (8 - depth - (bit & 7))) & ((1 << depth) - 1);
    }

    /// <summary>Turns a row of stored samples into 8-bit RGB.</summary>
    private sealed class PixelExpander
    {
        private readonly PngFile _png;
        private readonly string _name;
        private readonly bool _compose;

        // Palette entries, or the grey levels of up to 8 bits, already composed.
        private readonly byte[] _colors;

        public PixelExpander(PngFile png, string name, AlphaMode alpha)
        {
            (_png, _name, _compose) = (png, name, alpha == AlphaMode.White);
            _colors = png.ColorType switch
            {
                PngColorType.Palette => ComposedPalette(),
                PngColorType.Gray when png.BitDepth <= 8 => GrayLevels(),
                _ => [],
            };
        }

        public void Expand(ReadOnlySpan<byte> row, Span<byte> rgb, int y)
        {
            if (_colors.Length > 0)
            {
                ExpandLookedUp(row, rgb, y);
                return;
            }
            int sampleBytes = _png.BitDepth / 8;
            bool gray = _png.ColorType is PngColorType.Gray or PngColorType.GrayAlpha;
            bool alpha = _png.ColorType is PngColorType.GrayAlpha or PngColorType.Rgba;
            int green = gray ? 0 : sampleBytes, blue = green * 2;
            int pixelBytes = _png.BitsPerPixel / 8;
            ReadOnlySpan<byte> key = _compose && _png.Transparency.Length > 0 ? TransparentColor() : [];
            for (int from = 0, to = 0; to < rgb.Length; from += pixelBytes, to += 3)
            {
                // The first byte of a 16-bit sample is v >> 8.
                rgb[to] = row[from];
                rgb[to + 1] = row[from + green];
                rgb[to + 2] = row[from + blue];
                if (alpha && _compose)
                {
                    RgbImage.ComposeOverWhite(rgb.Slice(to, 3), row[from + pixelBytes - sampleBytes]);
                }
                else if (key.Length > 0 && row.Slice(from, pixelBytes).SequenceEqual(key))
                {
                    rgb.Slice(to, 3).Fill(255);
                }
            }
        }

        private void ExpandLookedUp(ReadOnlySpan<byte> row, Span<byte> rgb, int y)
        {
            int count = rgb.Length / 3;
            for (int i = 0; i < count; i++)
            {
                int index = Sample(row, i, _png.BitDepth) * 3;
                if (index >= _colors.Length)
                {
                    throw new ImageFileException(_name, $"PNG: row {y} uses palette entry {index / 3}, but the palette has only {_colors.Length / 3}");
                }
                rgb[i * 3] = _colors[index];
                rgb[(i * 3) + 1] = _colors[index + 1];
                rgb[(i * 3) + 2] = _colors[index + 2];
            }
        }

        private byte[] ComposedPalette()
        {
            byte[] colors = (byte[])_png.Palette.Clone();
            for (int i = 0; _compose && i < _png.Transparency.Length; i++)
            {
                RgbImage.ComposeOverWhite(colors.AsSpan(i * 3, 3), _png.Transparency[i]);
            }
            return colors;
        }

        private byte[] GrayLevels()
        {
            int top = (1 << _png.BitDepth) - 1;
            byte[] colors = new byte[(top + 1) * 3];
            for (int v = 0; v <= top; v++)
            {
                colors.AsSpan(v * 3, 3).Fill((byte)(v * 255 / top));
            }
            if (_compose && _png.Transparency.Length == 2)
            {
                int key = BinaryPrimitives.ReadUInt16BigEndian(_png.Transparency);
                if (key <= top)
                {
                    colors.AsSpan(key * 3, 3).Fill(255);
                }
            }
            return colors;
        }

        /// <summary>The transparent colour as the bytes of one stored pixel; empty if no stored pixel can equal it.</summary>
        private ReadOnlySpan<byte> TransparentColor()
        {
            if (_png.BitDepth == 16)
            {
                return _png.Transparency;
            }
            byte[] t = _png.Transparency;
            return t[0] == 0 && t[2] == 0 && t[4] == 0 ? new[] { t[1], t[3], t[5] } : [];
        }
    }
}
