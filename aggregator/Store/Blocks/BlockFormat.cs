namespace Bellwether.Store.Blocks;

/// <summary>Numbers of the chunk file's format (docs/formats/chunk.md and docs/formats/index.md).</summary>
internal static class BlockFormat
{
    /// <summary>"BWCH", little-endian.</summary>
    public const uint Magic = 0x48435742;

    /// <summary>The version of files of samples.</summary>
    public const byte Version = 4;

    /// <summary>The version of files of a coarser resolution. Its index is that of <see cref="SecondVersion"/>.</summary>
    public const byte CoarseVersion = 5;

    /// <summary>Files of samples with columns of times in every entry of the index. Still read.</summary>
    public const byte SecondVersion = 2;

    /// <summary>Files of a coarser resolution from before <see cref="CoarseVersion"/>, which differs only in the forms that its blocks may have. Still read.</summary>
    public const byte FirstCoarseVersion = 3;

    /// <summary>The first version: one chunk per series, unused postings in the index. Still read.</summary>
    public const byte FirstVersion = 1;

    /// <summary>Magic, version, three zero bytes.</summary>
    public const int HeadBytes = 8;

    /// <summary>Fixed size of the footer at the file's end.</summary>
    public const int FooterBytes = 64;

    /// <summary>Chunk flags.</summary>
    public const byte HasFloats = 1, HasHistograms = 2, HasStarts = 4, HasSummary = 8, HasSlots = 16, HasBriefSummary = 32;

    /// <summary>Whether a file of this version may hold slots.</summary>
    public static bool IsCoarse(byte version) => version is FirstCoarseVersion or CoarseVersion;

    /// <summary>Ending of chunk files.</summary>
    public const string Ending = ".chunks";

    /// <summary>The most samples in a chunk.</summary>
    public const int MaxSamples = 1 << 24;
}

/// <summary>The end of a chunk file: where its parts lie and what it covers.</summary>
internal readonly record struct BlockFooter(long IndexOffset, int IndexBytes, uint IndexCrc, long MinMs, long MaxMs, long Samples, int Series, int ResolutionMs);
