using System.Buffers.Binary;
using Bellwether.Core.Durable;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;

namespace Bellwether.Serve.RemoteWrite;

/// <summary>Limits of the queue. Immutable.</summary>
public sealed record ForwardQueueOptions
{
    /// <summary>Where the queue lies.</summary>
    public required string Folder { get; init; }

    /// <summary>Bytes kept for upstreams that cannot be reached; the oldest samples are dropped beyond it. Default 1 GiB.</summary>
    public long BytesMax { get; init; } = 1L << 30;

    /// <summary>Samples queued longer than this are dropped. Default 24 h.</summary>
    public TimeSpan AgeMax { get; init; } = TimeSpan.FromHours(24);

    /// <summary>Bytes of one file of the queue. Default 16 MiB.</summary>
    public long FileBytes { get; init; } = 16 << 20;
}

/// <summary>
/// The samples that wait for upstreams, on disk: frames of [position of the last commit that is whole with it u64][samples u32][WriteRequest with samples and exemplars], little-endian, in the one durable log. Each upstream
/// has a cursor (the next frame to send) in a small file beside it. Thread-safe.
/// </summary>
internal sealed class ForwardQueue : IDisposable
{
    public const int HeaderBytes = 12;
    private const ushort SamplesKind = 1;
    // Of samples and of exemplars.
    private const int PerFrame = 10_000;
    private const int CursorBytesMax = 64;

    private readonly IDisk _disk;
    private readonly ForwardQueueOptions _options;
    private readonly AgeClock _age;
    private readonly SegmentLog _log;
    private readonly Lock _gate = new();
    private readonly WriteRequestWriter _writer = new(withStart: true);
    private byte[] _frame = new byte[64 * 1024];
    private ulong _position;
    private ulong _lowestCursor;

    public ForwardQueue(ForwardQueueOptions options, IDisk disk, TimeProvider time, Random random)
    {
        _options = options;
        _disk = disk;
        var log = new SegmentLogOptions { BytesMax = options.BytesMax, FileBytes = options.FileBytes, PayloadBytesMax = 32 << 20, PendingBytesMax = 64 << 20 };
        _log = SegmentLog.Open(disk, options.Folder, log, time, random, (_, _, _, payload) =>
        {
            if (payload.Length >= HeaderBytes)
                _position = Math.Max(_position, BinaryPrimitives.ReadUInt64LittleEndian(payload));
        });
        HeldTo = _position;
        _age = new AgeClock(time, _log.Files.Count == 0 ? long.MaxValue : _log.Files.Max(f => f.CreatedMs));
    }

    /// <summary>The commit position up to which the queue was durable when it was opened.</summary>
    public ulong HeldTo { get; }

    /// <summary>The first frame that is not durable yet.</summary>
    public ulong DurableSequence
    {
        get
        {
            lock (_gate)
                return _log.DurableSequence;
        }
    }

    /// <summary>Samples and exemplars dropped, since the queue was opened, because it was full when more came. Read it by the thread that appends.</summary>
    public (long Samples, long Exemplars) Overflowed { get; private set; }

    /// <summary>Bytes on disk.</summary>
    public long Bytes
    {
        get
        {
            lock (_gate)
                return _log.Bytes;
        }
    }

    /// <summary>Takes what one commit brought. Gives how many samples and exemplars could not be taken (the disk is full).</summary>
    public (int Samples, int Exemplars) Append(ulong position, ReadOnlySpan<SeriesSample> samples, ReadOnlySpan<(Labels Labels, Exemplar Exemplar)> exemplars = default)
    {
        (int Samples, int Exemplars) dropped = default;
        lock (_gate)
        {
            if (position <= HeldTo)
                return default;
            while (samples.Length + exemplars.Length > 0)
            {
                ReadOnlySpan<SeriesSample> part = samples[..Math.Min(samples.Length, PerFrame)];
                ReadOnlySpan<(Labels, Exemplar)> beside = exemplars[..Math.Min(exemplars.Length, PerFrame)];
                samples = samples[part.Length..];
                exemplars = exemplars[beside.Length..];
                _writer.Clear();
                _writer.Add(part);
                _writer.AddExemplars(beside);
                // Only the last part says that the commit is held: a crash may leave the parts before it alone, and the store tells all of it again then.
                if (!TryAppend(samples.Length + exemplars.Length == 0 ? position : _position, part.Length))
                    dropped = (dropped.Samples + part.Length, dropped.Exemplars + beside.Length);
            }
            _position = position;
        }
        return dropped;
    }

    /// <summary>Makes what was appended durable; false while the disk does not take it.</summary>
    public bool Sync()
    {
        lock (_gate)
            return _log.PendingBytes == 0 || _log.Sync() == LogSync.Durable;
    }

    /// <summary>Reads durable frames from a sequence on.</summary>
    public LogReader Read(ulong from) => _log.Read(from);

    /// <summary>Where an upstream stopped; a new one begins with what comes now, one of which that is not known any more with the oldest there is.</summary>
    public ulong Cursor(string upstream)
    {
        AtomicFileOutcome outcome = AtomicFile.TryRead(_disk, CursorPath(upstream), CursorBytesMax, out byte[] content);
        if (outcome == AtomicFileOutcome.Read && content.Length == sizeof(ulong))
            return BinaryPrimitives.ReadUInt64LittleEndian(content);
        lock (_gate)
            return outcome == AtomicFileOutcome.Missing || _log.Files.Count == 0 ? _log.NextSequence : _log.Files[0].FirstSequence;
    }

    /// <summary>Remembers durably where an upstream is.</summary>
    public void SaveCursor(string upstream, ulong next)
    {
        byte[] content = new byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(content, next);
        AtomicFile.Write(_disk, CursorPath(upstream), content);
    }

    /// <summary>Frees what every upstream has, and what is too old or too much for those that lag. Returns how many samples and exemplars were dropped so.</summary>
    public (long Samples, long Exemplars) Free(ulong lowestCursor)
    {
        lock (_gate)
        {
            _lowestCursor = lowestCursor;
            ulong below = lowestCursor;
            long oldestMs = _age.NowMs - (long)_options.AgeMax.TotalMilliseconds;
            IReadOnlyList<LogFileInfo> files = _log.Files;
            for (int i = 0; i + 1 < files.Count; i++)
            {
                // The next file was begun when this one ended.
                if (files[i + 1].CreatedMs < oldestMs || _log.Bytes > _options.BytesMax - (2 * _options.FileBytes) && i == 0)
                    below = Math.Max(below, files[i].NextSequence);
            }
            (long Samples, long Exemplars) dropped = Count(lowestCursor, below);
            _log.FreeBelow(below);
            return dropped;
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _log.Sync();
            _log.Dispose();
        }
    }

    /// <summary>Appends what the writer holds.</summary>
    private bool TryAppend(ulong position, int samples)
    {
        int length = HeaderBytes + _writer.Bytes.Length;
        if (_frame.Length < length)
            _frame = new byte[length * 2];
        BinaryPrimitives.WriteUInt64LittleEndian(_frame, position);
        BinaryPrimitives.WriteUInt32LittleEndian(_frame.AsSpan(8), (uint)samples);
        _writer.Bytes.CopyTo(_frame.AsSpan(HeaderBytes));
        for (int attempt = 0; attempt < 2; attempt++)
        {
            switch (_log.Append(SamplesKind, _frame.AsSpan(0, length), out _))
            {
                case LogAppend.Appended:
                    return true;
                case LogAppend.PendingFull:
                    if (_log.Sync() != LogSync.Durable)
                        return false;
                    break;
                case LogAppend.LogFull:
                    if (_log.Files.Count < 2)
                        return false;
                    ulong below = _log.Files[0].NextSequence;
                    (long samplesLost, long exemplarsLost) = Count(_lowestCursor, below);
                    Overflowed = (Overflowed.Samples + samplesLost, Overflowed.Exemplars + exemplarsLost);
                    if (_log.FreeBelow(below) == 0)
                        return false;
                    break;
                default:
                    return false;
            }
        }
        return false;
    }

    /// <summary>What is in the frames from a sequence on and below another: what no upstream will get when they are freed.</summary>
    private (long Samples, long Exemplars) Count(ulong from, ulong below)
    {
        (long Samples, long Exemplars) count = default;
        if (from >= below)
            return count;
        using LogReader reader = _log.Read(from);
        while (reader.MoveNext() is var step && step != LogRead.End)
        {
            if (step == LogRead.Lost)
                continue;
            if (reader.Sequence >= below)
                break;
            if (reader.Payload.Length >= HeaderBytes)
                count = (count.Samples + BinaryPrimitives.ReadUInt32LittleEndian(reader.Payload[8..]), count.Exemplars + ExemplarsIn(reader.Payload[HeaderBytes..]));
        }
        return count;
    }

    // The header counts samples only.
    private static long ExemplarsIn(ReadOnlySpan<byte> request)
    {
        const int Series = 1, Exemplar = 3;
        long count = 0;
        var reader = new WireReader(request);
        while (!reader.AtEnd && reader.TryField(out int field, out int type))
        {
            if (field != Series || type != 2)
            {
                if (!reader.TrySkip(type))
                    break;
                continue;
            }
            if (!reader.TryBytes(out ReadOnlySpan<byte> series))
                break;
            var parts = new WireReader(series);
            while (!parts.AtEnd && parts.TryField(out int part, out int partType) && parts.TrySkip(partType))
                count += part == Exemplar ? 1 : 0;
        }
        return count;
    }

    private string CursorPath(string upstream) => Path.Combine(_options.Folder, $"{upstream}.cursor");
}
