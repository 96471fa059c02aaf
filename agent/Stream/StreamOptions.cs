using System.Security.Cryptography.X509Certificates;

namespace Bellwether.Agent.Stream;

/// <summary>One aggregator address with what it takes to be let in. Immutable.</summary>
internal sealed record AggregatorAddress
{
    /// <summary><c>https://host:port</c>, or <c>http://</c> on loopback.</summary>
    public required Uri Uri { get; init; }

    /// <summary>Bearer token; null: none.</summary>
    public string? Token { get; init; }

    /// <summary>Certificate authorities to trust instead of the system's; null: the system's.</summary>
    public X509Certificate2Collection? TrustedRoots { get; init; }

    /// <summary>Own certificate with its key; null: none.</summary>
    public X509Certificate2? ClientCertificate { get; init; }

    /// <summary>Where it was read from, to be named in errors; null: it is not from a file.</summary>
    public string? ClientCertificateFile { get; init; }

    /// <summary>Name to expect in the aggregator's certificate; null: the address's host.</summary>
    public string? ServerName { get; init; }

    /// <summary>Reads the credentials' files again for a new session; null: they do not change. May throw what reading files throws.</summary>
    public Func<AggregatorAddress>? Renew { get; init; }

    /// <summary>Lets <c>http://</c> go beyond loopback. Default: false.</summary>
    public bool AllowPlaintext { get; init; }
}

/// <summary>How the agent keeps its stream. Immutable.</summary>
internal sealed record StreamOptions
{
    /// <summary>Addresses in order of preference; all must be one store. At least one.</summary>
    public required IReadOnlyList<AggregatorAddress> Aggregators { get; init; }

    /// <summary>First wait after a failure; doubles, with jitter, up to <see cref="BackoffMax"/>. Default: 500 ms.</summary>
    public TimeSpan BackoffMin { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>Longest wait between attempts. Default: 1.5 s, so that a backlog is there within two seconds of the end of an outage. The jitter spreads a fleet over its upper half.</summary>
    public TimeSpan BackoffMax { get; init; } = TimeSpan.FromSeconds(1.5);

    /// <summary>How long the answer to a hello may take. Default: 10 s.</summary>
    public TimeSpan HelloTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>A session that lasts less counts as a failed attempt, so that a peer that accepts and throws out again is left in peace. Default: 10 s.</summary>
    public TimeSpan MinSession { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Payload bytes a second, live data first; 0: no bound. Default: 0.</summary>
    public long BandwidthLimit { get; init; }

    /// <summary>
    /// How often a session with another address than the first looks whether the first is back, jittered by a fifth; zero: never, the session stays where it is. Default: 5 min.
    /// </summary>
    public TimeSpan ReturnInterval { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>How long stopping may wait for acknowledgements. Default: 5 s.</summary>
    public TimeSpan DrainTimeout { get; init; } = TimeSpan.FromSeconds(5);
}
