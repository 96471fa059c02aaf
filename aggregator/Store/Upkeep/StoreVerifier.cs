using System.Globalization;
using Bellwether.Core.Durable;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Store.Blocks;
using Bellwether.Store.Chunks;
using Bellwether.Store.Head;
using Bellwether.Store.Records;
using Bellwether.Store.Wal;

namespace Bellwether.Store.Upkeep;

/// <summary>
/// Reads everything in a store's folder and tells what is not whole: every chunk with its check and its structure, every index and footer, every frame of the log, the checkpoints and the
/// id. Changes nothing. Memory is bounded by one chunk file's index and one frame. One thread at a time.
/// </summary>
public sealed class StoreVerifier
{
    private readonly IDisk _real;
    private readonly OverlayDisk _disk;
    private readonly string _folder;
    private readonly Action<long, long> _progress;
    private readonly StoreReport _report = new();
    private long _bytesDone;
    private long _bytesAll;

    private StoreVerifier(IDisk disk, string folder, Action<long, long> progress)
    {
        _real = disk;
        _disk = new OverlayDisk(disk);
        _folder = folder;
        _progress = progress;
    }

    /// <summary>
    /// Checks the folder of a stopped store, or a copy. Throws <see cref="IOException"/> when a running process holds it, when it cannot be read, or when it is not a store's folder.
    /// </summary>
    /// <param name="disk">Where the folder is.</param>
    /// <param name="folder">The store's folder.</param>
    /// <param name="progress">Bytes done, of how many.</param>
    /// <param name="cancellation">Ends it early.</param>
    public static StoreReport Verify(IDisk disk, string folder, Action<long, long> progress, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(disk);
        ArgumentNullException.ThrowIfNull(progress);
        var verifier = new StoreVerifier(disk, folder, progress);
        ThrowIfNoStore(disk, folder);
        using IDisposable hold = verifier._disk.Lock(folder);
        return verifier.Run(cancellation);
    }

    /// <summary>Throws <see cref="IOException"/> with words when a folder is not that of a store.</summary>
    public static void ThrowIfNoStore(IDisk disk, string folder)
    {
        ArgumentNullException.ThrowIfNull(disk);
        bool isStore = disk.Exists(Path.Combine(folder, "store-id")) || disk.Exists(Path.Combine(folder, "checkpoint-0")) || disk.List(Path.Combine(folder, "chunks")).Count > 0 || disk.List(Path.Combine(folder, "wal")).Count > 0;
        if (!isStore)
            throw new IOException($"{folder} is not the folder of a store: it has no store-id, chunks/ or wal/; name the aggregator's data_dir, or a copy of it");
    }

    private StoreReport Run(CancellationToken cancellation)
    {
        string chunks = Path.Combine(_folder, "chunks");
        string[] names = [.. _real.List(chunks).Where(n => n.EndsWith(BlockFormat.Ending, StringComparison.Ordinal))];
        foreach (string name in names)
            _bytesAll += LengthOf(Path.Combine(chunks, name));
        _report.ChunkFileBytes = _bytesAll;
        foreach (string name in _real.List(Path.Combine(_folder, "wal")))
            _bytesAll += LengthOf(Path.Combine(_folder, "wal", name));
        _report.Quarantined = _real.List(Path.Combine(chunks, "quarantine")).Count + _real.List(Path.Combine(_folder, "wal", SegmentLog.QuarantineFolder)).Count;
        CheckIdentity();
        Checkpoint checkpoint = CheckCheckpoints();
        CheckSavedHead();
        foreach (string name in names)
            CheckFile(chunks, name, cancellation);
        CheckLog(checkpoint, cancellation);
        _progress(_bytesAll, _bytesAll);
        return _report;
    }

    private long LengthOf(string path)
    {
        using IDiskFile file = _real.Open(path, DiskOpen.ReadOnly);
        return file.Length;
    }

    private void CheckIdentity()
    {
        if (StoreIdentity.TryRead(_disk, _folder) is { } id)
            _report.StoreId = id;
        else
            _report.Add(StoreIdentity.FileName, -1, "it is missing or damaged", "the store gets a new id when it is opened, and agents send again what they still hold: no sample is missing for that");
    }

    private Checkpoint CheckCheckpoints()
    {
        Checkpoint newest = Checkpoint.None;
        int damaged = 0;
        foreach (string name in CheckpointFile.Names)
        {
            string? wrong = null;
            try
            {
                AtomicFileOutcome outcome = AtomicFile.TryRead(_disk, Path.Combine(_folder, name), CheckpointFile.MaxBytes, out byte[] content);
                if (outcome == AtomicFileOutcome.Missing)
                    continue;
                if (outcome == AtomicFileOutcome.Damaged)
                    wrong = "its check is wrong";
                else if (ParseCheckpoint(content) is { } read)
                    newest = read.Number > newest.Number ? read : newest;
            }
            catch (Exception e) when (e is InvalidDataException or IOException or ArgumentException)
            {
                wrong = e.Message;
            }
            if (wrong is null)
            {
                _report.Checkpoints++;
                continue;
            }
            damaged++;
            _report.Add(name, -1, wrong, damaged == 1 ? "nothing is missing while the other checkpoint is whole: the log is kept back to it" : "what agents had been told is stored is not known any more, and they send again what they still hold; the log is read from its beginning");
        }
        return newest;
    }

    private void CheckSavedHead()
    {
        using HeadLoader? saved = HeadLoader.TryOpen(_disk, _folder, out string? damage);
        if (damage is not null)
            _report.Add(SavedHeadWriter.FileName, -1, damage, "nothing is missing: the log is replayed in its place, which takes longer");
    }

    private static Checkpoint ParseCheckpoint(byte[] content)
    {
        var options = new StoreOptions { Folder = "" };
        var head = new HeadWriter(options, new HeadIndex());
        return CheckpointFile.Parse(content, new RecordApplier(options, head, new WalLedger()), head);
    }

    private void CheckFile(string folder, string name, CancellationToken cancellation)
    {
        string shown = Path.Combine("chunks", name);
        BlockFile file;
        try
        {
            file = BlockFile.Open(_disk, folder, name);
        }
        catch (Exception e) when (e is InvalidDataException or IOException)
        {
            _report.Add(shown, -1, e.Message, $"none of its samples can be read; by its name it holds those from {PartitionOf(name)} on; the store moves it to chunks/quarantine when it is opened");
            _bytesDone += LengthOf(Path.Combine(folder, name));
            return;
        }
        try
        {
            long found = CheckChunks(file, shown, cancellation, out long lost);
            if (found + lost != file.Footer.Samples)
                _report.Add(shown, -1, $"its footer speaks of {file.Footer.Samples} samples, its index of {found + lost}", "nothing more is known to be missing");
            _report.ChunkFiles++;
            _report.Range = (Math.Min(_report.Range.OldestMs, file.Footer.MinMs), Math.Max(_report.Range.NewestMs, file.Footer.MaxMs));
        }
        catch (Exception e) when (e is InvalidDataException or IOException)
        {
            _report.Add(shown, -1, e.Message, "it cannot be read to its end");
        }
        finally
        {
            _bytesDone += file.Bytes;
            file.Drop();
        }
    }

    private long CheckChunks(BlockFile file, string shown, CancellationToken cancellation, out long lost)
    {
        long samples = 0;
        lost = 0;
        using var scratch = new ChunkScratch();
        var gather = new SampleGather();
        var chunks = new List<BlockEntry>();
        BlockIndexReader index = file.ReadIndex();
        for (int i = 0; i < index.Series; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            chunks.Clear();
            index.Next(chunks);
            foreach (BlockEntry entry in chunks)
            {
                gather.Begin();
                if (file.Check(entry, scratch, gather) is not { } wrong)
                {
                    _report.Chunks++;
                    samples += entry.Count;
                    continue;
                }
                lost += entry.Count;
                _report.Add(shown, entry.Offset, wrong, $"{entry.Count} {(file.ResolutionMs > 0 ? "slots or samples" : "samples")} of {entry.Labels}, {Text(entry.MinMs)} to {Text(entry.MaxMs)}, are left out unless another file or the log holds them");
            }
            if (i % 256 == 0)
                _progress(_bytesDone + (file.Bytes * i / Math.Max(1, index.Series)), _bytesAll);
        }
        _report.Samples += samples;
        return samples;
    }

    private void CheckLog(Checkpoint checkpoint, CancellationToken cancellation)
    {
        string folder = Path.Combine(_folder, "wal");
        if (_real.List(folder).Count == 0)
            return;
        var batches = new BatchFrameReader();
        ulong next = 0;
        long unreadable = 0;
        // Nothing is appended: clock and randomness of a new log do not matter, since what they make stays in memory.
        using var log = new WriteAheadLog(_disk, folder, new StoreOptions { Folder = _folder }, TimeProvider.System, ProcessRandom.Create(), (kind, sequence, file, frame) =>
        {
            cancellation.ThrowIfCancellationRequested();
            if (sequence != next)
                batches.Break();
            next = sequence + 1;
            if (FrameError(batches, (FrameKind)kind, sequence, frame, sequence < checkpoint.Next) is { } wrong && unreadable++ < StoreReport.MaxListed)
                _report.Add(Path.Combine("wal", file.ToString("D16", CultureInfo.InvariantCulture)), -1, $"frame {sequence}: {wrong}", "what it brought is left out");
            _bytesDone += frame.Length;
            _progress(Math.Min(_bytesDone, _bytesAll), _bytesAll);
        });
        LogOpenReport report = log.Report;
        _report.LogFiles = report.Files;
        _report.LogFrames = report.Frames;
        _report.TornLogBytes = report.TornBytes;
        foreach (LostRange lost in report.Lost)
        {
            ulong frames = lost.NextSequence - lost.FirstSequence;
            string cost = frames == 0 ? "no frame is known to be missing"
                : lost.NextSequence <= checkpoint.Next ? $"{frames} frames are missing; of them only samples of the newest partition ({Text(checkpoint.BoundaryMs)} and later) were needed still"
                : $"{frames} frames (records and batches, {lost.FirstSequence} to {lost.NextSequence - 1}) are missing";
            _report.Add(Path.Combine("wal", lost.File.ToString("D16", CultureInfo.InvariantCulture)), lost.Offset, lost.Reason, cost);
        }
    }

    private static string? FrameError(BatchFrameReader batches, FrameKind kind, ulong sequence, ReadOnlySpan<byte> frame, bool isCovered)
    {
        try
        {
            var reader = new ByteReader(frame);
            switch (kind)
            {
                case FrameKind.Record:
                    RecordFrame.Read(ref reader, out _, out _);
                    return null;
                case FrameKind.Refusals:
                    RecordFrame.Read(ref reader, out _, out _);
                    new RecordRefusals().Read(ref reader);
                    return null;
                case FrameKind.Batch:
                    // One whose dictionary went with the log before it is not needed when the checkpoint covers it.
                    return batches.TryRead(ref reader, sequence, new SampleBatch()) || isCovered ? null : "the frame in which its dictionary begins is missing";
                default:
                    return $"its kind {(int)kind} is not known";
            }
        }
        catch (Exception e) when (e is InvalidDataException or ArgumentException)
        {
            batches.Break();
            return e.Message;
        }
    }

    private static string PartitionOf(string name) =>
        long.TryParse(name.AsSpan(0, Math.Max(0, name.LastIndexOf('-'))), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long seconds) && Math.Abs(seconds) < 1L << 36
            ? Text(seconds * 1000) : "an unknown time";

    private static string Text(long ms) => ms is > -62135596800000 and < 253402300800000 ? DateTimeOffset.FromUnixTimeMilliseconds(ms).ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture) : $"{ms} ms";
}
