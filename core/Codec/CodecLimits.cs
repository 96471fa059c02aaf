namespace Bellwether.Core.Codec;

/// <summary>
/// What one segment may hold. Both ends check: the encoder so that it never makes what the decoder refuses, the decoder since a sender may be hostile.
/// </summary>
public sealed record CodecLimits
{
    /// <summary>The limits that both programs use.</summary>
    public static CodecLimits Default { get; } = new();

    /// <summary>Bytes of one record. Default 4 MiB.</summary>
    public int RecordBytesMax { get; init; } = 4 << 20;

    /// <summary>Bytes of one record's body after decompression. Default 16 MiB.</summary>
    public int InflatedBytesMax { get; init; } = 16 << 20;

    /// <summary>How many times larger than its compressed form a body may be. Default 128; ours reach about 40.</summary>
    public int InflationRatioMax { get; init; } = 128;

    /// <summary>Records in one segment. Default 1,000,000.</summary>
    public int RecordsPerSegmentMax { get; init; } = 1_000_000;

    /// <summary>Sources (tables) in one segment. Default 16,384.</summary>
    public int SourcesPerSegmentMax { get; init; } = 16_384;

    /// <summary>Slots of one source. Default 262,144.</summary>
    public int SlotsPerSourceMax { get; init; } = 262_144;

    /// <summary>Slots of all sources of a segment together: bounds a decoder's memory (about 34 bytes each, beside the labels). Default 1,048,576.</summary>
    public int SlotsPerSegmentMax { get; init; } = 1_048_576;

    /// <summary>Labels of one series. Default 256.</summary>
    public int LabelsPerSeriesMax { get; init; } = 256;

    /// <summary>Labels of all series of a segment together: bounds what a small hostile record can make a decoder allocate. Default 4,000,000.</summary>
    public int LabelsPerSegmentMax { get; init; } = 4_000_000;

    /// <summary>UTF-8 bytes of one label name, label value, family or source name. Default 64 KiB.</summary>
    public int StringBytesMax { get; init; } = 64 << 10;

    /// <summary>UTF-8 bytes of a help text; longer ones are cut by the encoder. Default 4 KiB.</summary>
    public int HelpBytesMax { get; init; } = 4 << 10;

    /// <summary>Strings in a segment's dictionary. Default 2,000,000.</summary>
    public int StringsPerSegmentMax { get; init; } = 2_000_000;

    /// <summary>UTF-8 bytes in a segment's dictionary. Default 64 MiB.</summary>
    public long DictionaryBytesMax { get; init; } = 64L << 20;

    /// <summary>Buckets on one side of a native histogram, and its custom bounds. Default 65,536.</summary>
    public int BucketsMax { get; init; } = 65_536;
}
