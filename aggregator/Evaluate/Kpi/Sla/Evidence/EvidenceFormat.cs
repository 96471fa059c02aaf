namespace Bellwether.Evaluate.Kpi.Sla.Evidence;

/// <summary>Names and bounds of evidence packs (docs/formats/evidence.md).</summary>
public static class EvidenceFormat
{
    /// <summary>What <c>evidence.json</c> says it is.</summary>
    public const string Format = "bellwether evidence 1";

    /// <summary>The first line of the series.</summary>
    public const string SeriesFormat = "bellwether series 1";

    /// <summary>Contracts, definitions and numbers.</summary>
    public const string DocumentName = "evidence.json";

    /// <summary>The samples that the numbers were made of.</summary>
    public const string SeriesName = "series.txt";

    /// <summary>The public key of who signed.</summary>
    public const string KeyName = "public.pem";

    /// <summary>SHA-256 of each file, as sha256sum writes and checks it.</summary>
    public const string ManifestName = "manifest.sha256";

    /// <summary>The manifest's signature: ECDSA over P-256 with SHA-256, DER, as openssl writes and checks it.</summary>
    public const string SignatureName = "manifest.sig";

    /// <summary>The largest pack, in bytes as it is on disk.</summary>
    public const long PackBytesMax = 512L << 20;

    /// <summary>The largest <c>evidence.json</c>.</summary>
    public const int DocumentBytesMax = 16 << 20;

    /// <summary>The largest <c>series.txt</c>, unpacked.</summary>
    public const long SeriesBytesMax = 1L << 30;

    /// <summary>The largest of the other files.</summary>
    public const int SmallBytesMax = 64 << 10;

    /// <summary>Most samples of a pack.</summary>
    public const long SamplesMax = 20_000_000;

    /// <summary>Most series of a pack.</summary>
    public const int SeriesMax = 100_000;

    /// <summary>The longest line of the series, in characters.</summary>
    public const int LineCharsMax = 256 << 10;

    /// <summary>Most contracts of a pack.</summary>
    public const int ContractsMax = 1_000;
}

/// <summary>Why a pack cannot be made or is refused, in words for people.</summary>
public sealed class EvidenceException : Exception
{
    /// <summary>No reason.</summary>
    public EvidenceException()
    {
    }

    /// <summary>With the reason.</summary>
    public EvidenceException(string message)
        : base(message)
    {
    }

    /// <summary>With the reason and what led to it.</summary>
    public EvidenceException(string message, Exception inner)
        : base(message, inner)
    {
    }
}
