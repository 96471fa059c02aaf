using Bellwether.Agent.Spool;
using Bellwether.V1;

namespace Bellwether.Agent.Stream;

/// <summary>Makes the reports of one session: the whole ledger at first, then the sources whose numbers changed. Not thread-safe.</summary>
/// <param name="ledger">Of what.</param>
/// <param name="carried">Segments that come with the report: they do not count as buffered.</param>
internal sealed class ReportTeller(ISpoolLedger ledger, IReadOnlySet<SegmentRef>? carried = null)
{
    /// <summary>How often changes are told.</summary>
    public const long IntervalMs = 15_000;

    /// <summary>How soon after a drop the next report goes.</summary>
    public const long DropIntervalMs = 1_000;

    /// <summary>The most sources of one message.</summary>
    public const int SourcesPerMessage = 1_000;

    private readonly Dictionary<string, SourceLedger> _told = new(StringComparer.Ordinal);
    private readonly List<SourceLedger> _now = [];
    private readonly List<SpooledClass> _classes = [];
    private bool _started;
    private long _nextMs = long.MinValue;
    private long _lastMs;
    private long _droppedTold;

    /// <summary>The whole ledger in one report: what a bundle brings, beside the segments of <paramref name="carried"/>.</summary>
    /// <remarks>The ledger is listed once: a source that counts on meanwhile is in it once.</remarks>
    public static Report Whole(ISpoolLedger ledger, long nowMs, IReadOnlySet<SegmentRef> carried) =>
        new ReportTeller(ledger, carried).Next(nowMs, ulong.MaxValue, last: true, int.MaxValue)!.Report;

    /// <summary>The next report; null when it is too early or nothing changed. <paramref name="last"/>: this session ends, tell what there is.</summary>
    public AgentMessage? Next(long nowMs, ulong liveFrom, bool last, int mostSources = SourcesPerMessage)
    {
        long dropped = ledger.DroppedSamples;
        // A clock that went back must not silence it.
        bool due = nowMs >= _nextMs || _nextMs - nowMs > IntervalMs || last;
        if (!due && (dropped == _droppedTold || nowMs - _lastMs < DropIntervalMs))
            return null;
        ledger.ListLedger(_now, carried);
        ledger.ListBuffered(liveFrom, _classes, carried);
        var report = new Report { Restart = !_started, UnixMs = nowMs, Epoch = ledger.Epoch };
        bool more = Changes(report, mostSources);
        foreach (SpooledClass each in _classes)
            report.Buffered.Add(new BufferedRange { Class = each.Name, Segments = (ulong)each.Segments, Records = (ulong)each.Records, Bytes = (ulong)each.Bytes, FromUnixMs = each.FromMs, ToUnixMs = each.ToMs });
        if (!_started)
            report.PreviousRun = new PreviousRun { Known = ledger.Previous.Known, Planned = ledger.Previous.Planned, EndedUnixMs = ledger.Previous.EndedMs };
        _lastMs = nowMs;
        _nextMs = more ? nowMs : nowMs + IntervalMs;
        if (!more)
            _droppedTold = dropped;
        if (_started && report.Sources.Count == 0)
            return null;
        _started = true;
        return new AgentMessage { Report = report };
    }

    private bool Changes(Report report, int most)
    {
        foreach (SourceLedger source in _now)
        {
            if (_told.TryGetValue(source.Name, out SourceLedger? told) && Same(told, source))
                continue;
            if (report.Sources.Count == most)
                return true;
            _told[source.Name] = source;
            var wire = new SourceReport
            {
                Name = source.Name,
                Produced = (ulong)source.Produced,
                Spooled = (ulong)source.Spooled,
                Buffered = (ulong)source.Buffered.Samples,
                BufferedFromUnixMs = source.Buffered.FromMs,
                BufferedToUnixMs = source.Buffered.ToMs,
            };
            foreach ((string reason, DropCount drop) in source.Dropped)
                wire.Dropped.Add(new DroppedSamples { Reason = reason, Samples = (ulong)drop.Samples, FromUnixMs = drop.FromMs, ToUnixMs = drop.ToMs });
            report.Sources.Add(wire);
        }
        return false;
    }

    private static bool Same(SourceLedger a, SourceLedger b) =>
        a.Produced == b.Produced && a.Spooled == b.Spooled && a.Buffered == b.Buffered && a.Dropped.SequenceEqual(b.Dropped);
}
