using Bellwether.Core.Durable;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Store.Chunks;
using Bellwether.Store.Head;
using Bellwether.Store.Records;

namespace Bellwether.Store.Wal;

/// <summary>What a checkpoint says: all samples before <paramref name="BoundaryMs"/> of frames before <paramref name="Next"/> stand in chunk files.</summary>
/// <param name="Number">Counts up; the larger of the two files counts.</param>
/// <param name="Next">The first frame of the log that it does not cover.</param>
/// <param name="BoundaryMs">Unix ms, a border of partitions.</param>
internal readonly record struct Checkpoint(ulong Number, ulong Next, long BoundaryMs)
{
    /// <summary>None yet.</summary>
    public static Checkpoint None { get; } = new(0, 0, long.MinValue);
}

/// <summary>
/// The checkpoint on disk: in turns in two files, so that a damaged one leaves the one before, for which the log is kept (docs/formats/wal.md).
/// </summary>
internal sealed class CheckpointFile
{
    private const byte Version = 1;

    // Behind the rest, where older programs do not read: who wrote it removes saved heads that an opening went past.
    private const byte MindsSavedHeads = 1;
    public const int MaxBytes = 512 << 20;
    private static readonly string[] s_names = ["checkpoint-0", "checkpoint-1"];
    private readonly IDisk _disk;
    private readonly string _folder;

    public CheckpointFile(IDisk disk, string folder)
    {
        _disk = disk;
        _folder = folder;
    }

    /// <summary>Names of the two files.</summary>
    public static IReadOnlyList<string> Names => s_names;

    /// <summary>Checkpoint files that were not whole.</summary>
    public int Damaged { get; private set; }

    /// <summary>Reads the newest whole checkpoint.</summary>
    /// <param name="best">Its content; null: there is none.</param>
    public Checkpoint Read(out byte[]? best)
    {
        best = null;
        Checkpoint newest = Checkpoint.None;
        foreach (string name in s_names)
        {
            AtomicFileOutcome outcome = AtomicFile.TryRead(_disk, Path.Combine(_folder, name), MaxBytes, out byte[] content);
            if (outcome == AtomicFileOutcome.Damaged || (outcome == AtomicFileOutcome.Read && (content.Length == 0 || content[0] != Version)))
                Damaged++;
            if (outcome != AtomicFileOutcome.Read || content.Length == 0 || content[0] != Version)
                continue;
            var reader = new ByteReader(content.AsSpan(1));
            var checkpoint = new Checkpoint(reader.Varint(), reader.Varint(), reader.Zigzag());
            if (best is null || checkpoint.Number > newest.Number)
                (best, newest) = (content, checkpoint);
        }
        return newest;
    }

    /// <summary>Reads one checkpoint's content to its end. Throws <see cref="InvalidDataException"/>.</summary>
    public static Checkpoint Parse(byte[] content, RecordApplier records, HeadWriter head)
    {
        if (content.Length == 0 || content[0] != Version)
            throw new InvalidDataException(content.Length == 0 ? "it is empty" : $"its version {content[0]} is not known; {Version} would be");
        var reader = new ByteReader(content.AsSpan(1));
        var checkpoint = new Checkpoint(reader.Varint(), reader.Varint(), reader.Zigzag());
        ReadState(content, records, head);
        return checkpoint;
    }

    /// <summary>The checkpoint files as they are, by name, for a copy.</summary>
    public IReadOnlyList<(string Name, byte[] Content)> ReadRaw()
    {
        var files = new List<(string Name, byte[] Content)>();
        foreach (string name in s_names)
        {
            if (AtomicFile.TryRead(_disk, Path.Combine(_folder, name), MaxBytes, out byte[] content) == AtomicFileOutcome.Read)
                files.Add((name, content));
        }
        return files;
    }

    /// <summary>Writes a checkpoint over the older of the two. Throws <see cref="IOException"/>.</summary>
    public void Write(Checkpoint checkpoint, byte[] state) => AtomicFile.Write(_disk, Path.Combine(_folder, s_names[checkpoint.Number & 1]), [.. state, MindsSavedHeads]);

    /// <summary>
    /// Whether the program that wrote a checkpoint minds saved heads. One that did not know them may have put into memory what a saved head lists as held, without a frame that says so.
    /// Throws <see cref="InvalidDataException"/> or <see cref="ArgumentException"/> when the checkpoint cannot be read.
    /// </summary>
    public static bool IsOfProgramWithSavedHeads(byte[] content)
    {
        var options = new StoreOptions { Folder = "" };
        var head = new HeadWriter(options, new HeadIndex());
        return ReadState(content, new RecordApplier(options, head, new WalLedger()), head);
    }

    /// <summary>The content of a checkpoint of the state as it is now, as a saved head has it. Throws <see cref="IOException"/> when it would be too large to be read again.</summary>
    public static byte[] Build(Checkpoint checkpoint, RecordApplier records, HeadWriter head)
    {
        var bytes = new ByteWriter(1 << 16);
        bytes.Byte(Version);
        bytes.Varint(checkpoint.Number);
        bytes.Varint(checkpoint.Next);
        bytes.Zigzag(checkpoint.BoundaryMs);
        records.Write(bytes);
        bytes.Varint((ulong)head.Held.Count);
        foreach (HeldSample held in head.Held)
        {
            RecordFrame.WriteLabels(held.Labels, bytes);
            bytes.Zigzag(held.TimeMs);
            bytes.Zigzag(held.StartMs);
            bytes.Byte(held.Histogram is null ? (byte)0 : (byte)1);
            if (held.Histogram is { } histogram)
                HistogramCodec.Write(histogram, bytes);
            else
                bytes.Double(held.Value);
        }
        bytes.Varint((ulong)head.Metadata.Count);
        foreach ((string family, MetricMetadata metadata) in head.Metadata)
            BatchFrameWriter.WriteMetadata(family, metadata, bytes);
        records.Ledger.Write(bytes);
        if (bytes.Length >= MaxBytes)
            throw new IOException($"the checkpoint would have {bytes.Length} bytes; above {MaxBytes} it could not be read again");
        return bytes.Written.ToArray();
    }

    /// <summary>The same content under another number.</summary>
    public static byte[] Renumbered(byte[] content, Checkpoint checkpoint)
    {
        var reader = new ByteReader(content.AsSpan(1));
        reader.Varint();
        var bytes = new ByteWriter(content.Length + 16);
        bytes.Byte(Version);
        bytes.Varint(checkpoint.Number);
        bytes.Bytes(content.AsSpan(1 + reader.Position));
        return bytes.Written.ToArray();
    }

    /// <summary>Reads a checkpoint's content into the store's state. Gives <see cref="IsOfProgramWithSavedHeads"/>.</summary>
    public static bool ReadState(byte[] content, RecordApplier records, HeadWriter head)
    {
        var reader = new ByteReader(content.AsSpan(1));
        reader.Varint();
        reader.Varint();
        reader.Zigzag();
        records.Read(ref reader);
        int held = reader.Count(reader.Left);
        for (int i = 0; i < held; i++)
        {
            Labels labels = RecordFrame.ReadLabels(ref reader);
            long time = reader.Zigzag(), start = reader.Zigzag();
            NativeHistogram? histogram = reader.Byte() != 0 ? HistogramCodec.Read(ref reader) : null;
            head.Hold(new HeldSample(labels, time, histogram is null ? reader.Double() : 0, histogram, start, ""));
        }
        int families = reader.Count(reader.Left);
        for (int i = 0; i < families; i++)
        {
            (string family, MetricMetadata metadata) = BatchFrameReader.ReadMetadata(ref reader);
            head.Describe(family, metadata);
        }
        // A checkpoint of an older program ends here.
        if (reader.Left > 0)
            records.Ledger.Read(ref reader);
        return reader.Left > 0 && reader.Byte() == MindsSavedHeads;
    }
}
