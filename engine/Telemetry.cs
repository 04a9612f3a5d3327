using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace GroupViT.Native;

/// <summary>Activities and measurements under the name GroupViT.Native; without a listener they cost nothing.</summary>
internal static class Telemetry
{
    private const string Name = "GroupViT.Native";

    private static readonly Meter Meter = new(Name);

    public static ActivitySource Source { get; } = new(Name);

    public static Histogram<double> EncodeMilliseconds { get; } = Meter.CreateHistogram<double>("groupvit.encode", "ms", "One run of the image tower.");

    public static Histogram<double> LabelMilliseconds { get; } = Meter.CreateHistogram<double>("groupvit.label", "ms", "From groups to a label for every pixel.");
}
