using GroupViT.Bench.Measuring;
using GroupViT.Native;
using GroupViT.Native.Imaging;

namespace GroupViT.Bench.Soaking;

/// <summary>How a caller asks for a segmentation.</summary>
internal enum SoakWay
{
    /// <summary>Pixels into the caller's own mask: nothing is allocated.</summary>
    OwnMask,

    Picture,

    Async,
}

/// <summary>One picture with its first result, and the three ways of asking for it again.</summary>
internal sealed class SoakJob
{
    private readonly Session session;
    private readonly LabelBank bank;
    private readonly SegmentationOptions rules;
    private readonly Picture picture;
    private readonly byte[] pixels;
    private ushort[] mask;
    private LabelShare[] shares;

    public SoakJob(Session session, LabelBank bank, SegmentationOptions rules, RgbImage image)
    {
        (this.session, this.bank, this.rules) = (session, bank, rules);
        pixels = [.. image.Pixels];
        picture = Picture.FromPixels(pixels, image.Width, image.Height, 3 * image.Width, PixelFormat.Rgb);
        SegmentationResult first = session.Segment(picture, bank, rules);
        mask = first.Mask.ToArray();
        shares = [.. first.Labels];
    }

    /// <summary>This picture held to another's first result: what a wrong answer looks like.</summary>
    internal SoakJob WithAnswerOf(SoakJob other)
    {
        SoakJob job = (SoakJob)MemberwiseClone();
        (job.mask, job.shares) = (other.mask, other.shares);
        return job;
    }

    /// <summary>A buffer for <see cref="IsRight"/>, one per caller.</summary>
    public ushort[] NewMask() => new ushort[mask.Length];

    /// <summary>Segments the picture; true where every bit is the first result's.</summary>
    public bool IsRight(SoakWay way, ushort[] buffer, CancellationToken cancellation)
    {
        switch (way)
        {
            case SoakWay.Picture:
                return Same(session.Segment(picture, bank, rules, cancellation));
            case SoakWay.OwnMask:
                session.Segment(pixels, picture.Width, picture.Height, 3 * picture.Width, PixelFormat.Rgb, bank, buffer, rules, cancellation);
                return buffer.AsSpan().SequenceEqual(mask);
            default:
                return Same(session.SegmentAsync(picture, bank, rules, cancellation).GetAwaiter().GetResult());
        }
    }

    private bool Same(SegmentationResult result)
        => result.Mask.Span.SequenceEqual(mask) && result.Labels.SequenceEqual(shares);
}
