using System.Net.Security;

namespace GroupViT.Tool.Hub;

/// <summary>How long to wait for a hub, how often to try, and how much to take from it.</summary>
internal sealed record HubHttpOptions
{
    /// <summary>For a connection.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>From a request to the head of its answer.</summary>
    public TimeSpan HeadTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>For a whole answer in JSON.</summary>
    public TimeSpan ListTimeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>In so much time, <see cref="StallBytes"/> of a file must arrive.</summary>
    public TimeSpan StallTimeout { get; init; } = TimeSpan.FromSeconds(30);

    public int StallBytes { get; init; } = 4096;

    /// <summary>How often a request is tried in all. A download that got on since begins to count anew.</summary>
    public int Attempts { get; init; } = 6;

    /// <summary>So much of a file is getting on.</summary>
    public long ProgressBytes { get; init; } = 1 << 20;

    /// <summary>Before the second attempt; doubled each time up to <see cref="LongestDelay"/>, and between half and all of it by chance.</summary>
    public TimeSpan FirstDelay { get; init; } = TimeSpan.FromSeconds(1);

    public TimeSpan LongestDelay { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>A hub that asks for a longer pause gets it: the command ends and says so.</summary>
    public TimeSpan LongestRetryAfter { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>The most bytes of an answer in JSON.</summary>
    public int LargestListing { get; init; } = 16 << 20;

    /// <summary>The most files that a repository may list.</summary>
    public int MostFiles { get; init; } = 10_000;

    /// <summary>Waits between attempts by it, and reads the time of day from it.</summary>
    public TimeProvider Clock { get; init; } = TimeProvider.System;

    /// <summary>From 0 up to 1.</summary>
    public Func<double> Chance { get; init; } = Random.Shared.NextDouble;

    /// <summary>False ignores the proxies that the environment names.</summary>
    public bool UseProxy { get; init; } = true;

    /// <summary>Accepts what the platform does not; null in earnest.</summary>
    public RemoteCertificateValidationCallback? AcceptCertificate { get; init; }
}
