namespace Bellwether.Core.Bundles;

/// <summary>Names a segment in a bundle, as spool and wire do.</summary>
/// <param name="Epoch">Grows when the spool was lost or recreated.</param>
/// <param name="Number">Grows within the epoch.</param>
/// <param name="Nonce">Random.</param>
public readonly record struct BundleSegmentId(ulong Epoch, ulong Number, uint Nonce)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Epoch}/{Number}";
}

/// <summary>A segment as a manifest tells of it.</summary>
/// <param name="Id">Its name.</param>
/// <param name="Records">Its records, from 0 on.</param>
/// <param name="FromMs">Least time of its records, Unix ms.</param>
/// <param name="ToMs">Greatest time of its records, Unix ms.</param>
public sealed record BundleSegment(BundleSegmentId Id, ulong Records, long FromMs, long ToMs);

/// <summary>One file of a bundle.</summary>
/// <param name="Bytes">Its length up to the manifest, or the whole when it holds none.</param>
/// <param name="Sha256">Of these bytes.</param>
public sealed record BundleVolume(long Bytes, byte[] Sha256);

/// <summary>How the records were encrypted: AES-256-GCM under a key agreed by ECDH on P-256 with a key made for this bundle alone.</summary>
/// <param name="EphemeralKey">The bundle's public key, SubjectPublicKeyInfo.</param>
/// <param name="Recipient">SHA-256 of the recipient's public key.</param>
public sealed record BundleEncryption(byte[] EphemeralKey, byte[] Recipient);

/// <summary>What a bundle says of itself; signed. Immutable.</summary>
public sealed record BundleManifest
{
    /// <summary>Random, 16 bytes.</summary>
    public required Guid Bundle { get; init; }

    /// <summary>Whose records.</summary>
    public required string Agent { get; init; }

    /// <summary>Version of the program that made it.</summary>
    public string Version { get; init; } = "";

    /// <summary>When it was made, Unix ms.</summary>
    public required long CreatedMs { get; init; }

    /// <summary>The files before the manifest.</summary>
    public IReadOnlyList<BundleVolume> Volumes { get; init; } = [];

    /// <summary>Set when the records are encrypted.</summary>
    public BundleEncryption? Encryption { get; init; }

    /// <summary>What it carries: whole segments.</summary>
    public IReadOnlyList<BundleSegment> Segments { get; init; } = [];

    /// <summary>What the agent holds or has carried before beside these: what of it the aggregator does not have is a gap.</summary>
    public IReadOnlyList<BundleSegment> Announced { get; init; } = [];

    /// <summary>The agent's ledger when the bundle was made: a <c>Report</c> message as it goes over the wire; empty: not told.</summary>
    public ReadOnlyMemory<byte> Report { get; init; }
}

/// <summary>What became of reading a bundle or a receipt.</summary>
public enum BundleOutcome
{
    /// <summary>Whole, signed by whom it should be, readable.</summary>
    Good,
    /// <summary>It does not begin as one.</summary>
    NotABundle,
    /// <summary>It ends too early, or a volume is missing.</summary>
    Cut,
    /// <summary>Its bytes are not those that were signed.</summary>
    Altered,
    /// <summary>A later version of the program made it.</summary>
    NewerFormat,
    /// <summary>It is of an agent (or an aggregator) that is not known here.</summary>
    Stranger,
    /// <summary>It is not signed by the key that its agent has here.</summary>
    WrongSignature,
    /// <summary>It is encrypted for somebody else.</summary>
    NotForUs,
    /// <summary>It is over a limit.</summary>
    TooLarge,
}

/// <summary>An outcome with its reason in words.</summary>
public readonly record struct BundleVerdict(BundleOutcome Outcome, string Reason)
{
    /// <summary>All is well.</summary>
    public static BundleVerdict Good { get; } = new(BundleOutcome.Good, "");

    /// <summary>Whether it may be used.</summary>
    public bool IsGood => Outcome == BundleOutcome.Good;
}

/// <summary>Limits of reading and writing.</summary>
public sealed record BundleLimits
{
    /// <summary>Bytes of a manifest. Default 64 MiB.</summary>
    public int ManifestBytesMax { get; init; } = 64 << 20;

    /// <summary>Bytes of a block: what is in memory at a time. Default 8 MiB.</summary>
    public int BlockBytesMax { get; init; } = 8 << 20;

    /// <summary>Files of one bundle. Default 10,000.</summary>
    public int VolumesMax { get; init; } = 10_000;

    /// <summary>Segments of a manifest. Default 500,000.</summary>
    public int SegmentsMax { get; init; } = 500_000;

    /// <summary>Bytes of records that a writer gathers before it writes a block. Default 1 MiB.</summary>
    public int BlockBytes { get; init; } = 1 << 20;
}
