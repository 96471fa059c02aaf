using System.Diagnostics.Metrics;
using Bellwether.Agent.Stream;
using Bellwether.Core.Codec;
using Bellwether.Core.Durable;
using Bellwether.Core.Platform;

namespace Bellwether.Agent.Spool;

/// <summary>How long a source's samples are kept when the spool is full, in words of the configuration.</summary>
public enum SpoolPriority
{
    /// <summary>Given up first.</summary>
    Low,
    /// <summary>What is not named otherwise.</summary>
    Normal,
    /// <summary>Given up last.</summary>
    High,
}

/// <summary>
/// The agent's spool: one log per priority class. Normal stands in the spool's folder itself, the others in <c>low</c> and <c>high</c> below it; they are there only where priorities count,
/// or while something is left in them. All share one bound, one epoch and one row of segment numbers, so that the session sees one spool. Thread-safe.
/// </summary>
internal sealed class PrioritySpool : ISpool, ISpoolLedger
{
    private readonly SpoolShare _share;
    private readonly LogSpool?[] _classes = new LogSpool?[3];
    private readonly LogSpool[] _open;
    private readonly Func<string, SpoolPriority> _priorityOf;

    private PrioritySpool(IDisk disk, string folder, SpoolOptions options, TimeProvider clock, Random random, Func<string, SpoolPriority> priorityOf)
    {
        _share = new SpoolShare(options);
        _priorityOf = priorityOf;
        var open = new List<LogSpool>();
        try
        {
            foreach (SpoolPriority each in Enum.GetValues<SpoolPriority>())
            {
                string path = each == SpoolPriority.Normal ? folder : Path.Combine(folder, each.ToString().ToLowerInvariant());
                if (each != SpoolPriority.Normal && options.WhenFull != SpoolPolicy.ByPriority && !disk.Exists(Path.Combine(path, "state")))
                    continue;
                LogSpool log = LogSpool.OpenShared(disk, path, options, clock, random, _share, each.ToString().ToLowerInvariant());
                _classes[(int)each] = log;
                open.Add(log);
            }
        }
        catch
        {
            open.ForEach(o => o.Dispose());
            throw;
        }
        _open = [.. open];
    }

    /// <summary>Opens or makes the spool; as <see cref="LogSpool.Open"/>. <paramref name="priorityOf"/>: a source's class, asked for each tick.</summary>
    public static PrioritySpool Open(IDisk disk, string folder, SpoolOptions options, TimeProvider clock, Random random, Meter meter, Func<string, SpoolPriority> priorityOf)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(options.BytesMax, 4L * options.SegmentBytes);
        disk.CreateFolder(folder);
        var spool = new PrioritySpool(disk, folder, options, clock, random, priorityOf);
        SpoolMetrics.Observe(meter, spool, spool, () => spool._open.Sum(o => o.Appended), () => spool._open.Sum(o => o.Damaged));
        return spool;
    }

    /// <inheritdoc/>
    public ulong Epoch => _share.Epoch;

    /// <inheritdoc/>
    public ulong NextNumber => _open[0].NextNumber;

    /// <inheritdoc/>
    public long Bytes => _open.Sum(o => o.Bytes);

    /// <inheritdoc/>
    public long Records => _open.Sum(o => o.Records);

    /// <inheritdoc/>
    public long OldestMs => _open.Select(o => o.OldestMs).Where(o => o > 0).DefaultIfEmpty(0).Min();

    /// <summary>Records that an aggregator said it holds, since it was opened.</summary>
    public long AcknowledgedRecords => _open.Sum(o => o.AcknowledgedRecords);

    /// <inheritdoc/>
    public PreviousEnd Previous => _classes[(int)SpoolPriority.Normal]!.Previous;

    /// <inheritdoc/>
    public long DroppedSamples => _open.Sum(o => o.DroppedSamples);

    /// <summary>What opening the logs found missing.</summary>
    public IEnumerable<LostRange> Lost => _open.SelectMany(o => o.Report.Lost);

    /// <inheritdoc/>
    public SpoolStatistics Statistics
    {
        get
        {
            lock (_share.Gate)
            {
                SpoolStatistics[] all = [.. _open.Select(o => o.Statistics)];
                return new SpoolStatistics(
                    all.Sum(a => a.Bytes), all.Sum(a => a.Records), all.Sum(a => a.Segments), OldestMs, all.Sum(a => a.DiskBytes), all.Sum(a => a.PendingBytes), all.Sum(a => a.Errors),
                    all.Select(a => a.LastError).FirstOrDefault(e => e is not null), [.. all.SelectMany(a => a.Dropped).GroupBy(d => (d.Source, d.Reason)).Select(g => new SpoolDrop(g.Key.Source, g.Key.Reason, g.Sum(d => d.Samples)))],
                    all.Sum(a => a.LockedSegments), all.Select(a => a.LockedReason).FirstOrDefault(r => r is not null));
            }
        }
    }

    /// <inheritdoc/>
    public SpoolAppend Append(SourceTick tick) => (_classes[(int)_priorityOf(tick.Table.Name)] ?? _classes[(int)SpoolPriority.Normal]!).Append(tick);

    /// <inheritdoc/>
    public LogSync Sync()
    {
        LogSync worst = LogSync.Durable;
        for (int i = _open.Length - 1; i >= 0; i--)
        {
            LogSync outcome = _open[i].Sync();
            if (outcome != LogSync.Durable)
                worst = outcome;
        }
        return worst;
    }

    /// <inheritdoc/>
    public void ListSegments(List<SpooledSegment> into)
    {
        into.Clear();
        lock (_share.Gate)
        {
            // What is worth most goes first, also on the wire.
            for (int i = _open.Length - 1; i >= 0; i--)
                _open[i].AddSegments(into);
        }
    }

    /// <inheritdoc/>
    public void ListHeld(List<HeldSegment> into)
    {
        into.Clear();
        lock (_share.Gate)
        {
            foreach (LogSpool each in _open)
                each.AddHeld(into);
        }
        into.Sort(static (a, b) => a.OldestMs.CompareTo(b.OldestMs));
    }

    /// <inheritdoc/>
    public void ListDropped(List<SegmentRef> into)
    {
        into.Clear();
        foreach (LogSpool each in _open)
            each.AddDropped(into);
    }

    /// <inheritdoc/>
    public bool TryRead(SegmentRef segment, ulong firstRecord, int maxBytes, List<ReadOnlyMemory<byte>> into) => OwnerOf(segment)?.TryRead(segment, firstRecord, maxBytes, into) ?? false;

    /// <inheritdoc/>
    public void Acknowledge(SegmentRef segment, ulong records, bool complete) => OwnerOf(segment)?.Acknowledge(segment, records, complete);

    /// <inheritdoc/>
    public ulong StartSegment()
    {
        lock (_share.Gate)
        {
            foreach (LogSpool each in _open)
                each.StartSegment();
            return _share.NextNumber;
        }
    }

    /// <inheritdoc/>
    public void SkipTo(ulong number) => _open[0].SkipTo(number);

    /// <summary>Leaves the end marker; see <see cref="LogSpool.MarkStop"/>.</summary>
    public void MarkStop()
    {
        foreach (LogSpool each in _open)
            each.MarkStop();
    }

    /// <inheritdoc/>
    public void ListLedger(List<SourceLedger> into, IReadOnlySet<SegmentRef>? carried = null)
    {
        if (_open.Length == 1)
        {
            _open[0].ListLedger(into, carried);
            return;
        }
        var all = new Dictionary<string, SourceLedger>(StringComparer.Ordinal);
        lock (_share.Gate)
        {
            foreach (LogSpool each in _open)
            {
                each.ListLedger(into, carried);
                foreach (SourceLedger source in into)
                    all[source.Name] = all.TryGetValue(source.Name, out SourceLedger? known) ? Together(known, source) : source;
            }
        }
        into.Clear();
        into.AddRange(all.Values);
    }

    /// <inheritdoc/>
    public void ListBuffered(ulong liveFrom, List<SpooledClass> into, IReadOnlySet<SegmentRef>? carried = null)
    {
        if (_open.Length == 1)
        {
            _open[0].ListBuffered(liveFrom, into, carried);
            return;
        }
        into.Clear();
        var some = new List<SpooledClass>();
        foreach (LogSpool each in _open)
        {
            each.ListBuffered(liveFrom, some, carried);
            into.AddRange(some.Select(s => s with { Name = $"{s.Name}/{each.ClassName}" }));
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (LogSpool each in _open)
            each.Dispose();
    }

    /// <summary>A source that was moved from one class to another has numbers in both.</summary>
    private static SourceLedger Together(SourceLedger a, SourceLedger b)
    {
        SourceSpan held = a.Buffered.Samples == 0 ? b.Buffered : b.Buffered.Samples == 0 ? a.Buffered
            : new SourceSpan(a.Buffered.Samples + b.Buffered.Samples, Math.Min(a.Buffered.FromMs, b.Buffered.FromMs), Math.Max(a.Buffered.ToMs, b.Buffered.ToMs));
        KeyValuePair<string, DropCount>[] dropped = [.. a.Dropped.Concat(b.Dropped).GroupBy(d => d.Key)
            .Select(g => new KeyValuePair<string, DropCount>(g.Key, g.Aggregate(default(DropCount), (sum, d) => sum.Plus(d.Value.Samples, d.Value.FromMs, d.Value.ToMs))))];
        return new SourceLedger(a.Name, a.Produced + b.Produced, a.Spooled + b.Spooled, held, dropped);
    }

    private LogSpool? OwnerOf(SegmentRef segment)
    {
        foreach (LogSpool each in _open)
        {
            if (_open.Length == 1 || each.Has(segment))
                return each;
        }
        return null;
    }
}
