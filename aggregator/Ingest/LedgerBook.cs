using Bellwether.V1;

namespace Bellwether.Ingest;

/// <summary>What one agent reported of its deliveries: a snapshot of its last reports together. Immutable.</summary>
/// <param name="Agent">The agent's id.</param>
/// <param name="ReceivedMs">When the last report came, Unix ms by our clock.</param>
/// <param name="ReportedMs">The agent's clock at it, Unix ms.</param>
/// <param name="Epoch">The spool's epoch.</param>
/// <param name="Sources">Its sources by name.</param>
/// <param name="Buffered">What its spool holds, by class.</param>
/// <param name="PreviousRun">How the run before the current one ended; null: not told.</param>
public sealed record AgentLedger(
    string Agent, long ReceivedMs, long ReportedMs, ulong Epoch, IReadOnlyDictionary<string, SourceReport> Sources, IReadOnlyList<BufferedRange> Buffered, PreviousRun? PreviousRun);

/// <summary>The ledger of one agent as it told it, within bounds. Not thread-safe: the fleet's lock covers it.</summary>
internal sealed class LedgerBook
{
    private const int MaxClasses = 16;
    private const int MaxReasons = 16;
    private const int MaxReasonLength = 64;
    private readonly Dictionary<string, SourceReport> _sources = new(StringComparer.Ordinal);
    private BufferedRange[] _buffered = [];
    private PreviousRun? _previousRun;
    private long _reportedMs;
    private ulong _epoch;

    /// <summary>When a report came last, Unix ms; 0: never.</summary>
    public long ReceivedMs { get; private set; }

    /// <summary>The sources as they were reported last, each once.</summary>
    public IReadOnlyCollection<SourceReport> Sources => _sources.Values;

    /// <summary>Takes a report; what is beyond the bounds is left out.</summary>
    public void Take(Report report, long nowMs, IngestOptions options)
    {
        if (report.Restart)
        {
            _sources.Clear();
            _previousRun = report.PreviousRun;
        }
        ReceivedMs = nowMs;
        _reportedMs = report.UnixMs;
        _epoch = report.Epoch;
        _buffered = [.. report.Buffered.Take(MaxClasses)];
        foreach (SourceReport source in report.Sources)
        {
            if (source.Name.Length <= options.MaxTextLength * 16 && (_sources.Count < options.MaxSourcesPerAgent || _sources.ContainsKey(source.Name)))
                _sources[source.Name] = Bounded(source);
        }
    }

    // The bound on a message allows for hundreds of thousands in one source.
    private static SourceReport Bounded(SourceReport source)
    {
        DroppedSamples[] kept = [.. source.Dropped.Where(d => d.Reason.Length <= MaxReasonLength).Take(MaxReasons)];
        if (kept.Length == source.Dropped.Count)
            return source;
        source.Dropped.Clear();
        source.Dropped.AddRange(kept);
        return source;
    }

    public AgentLedger Snapshot(string agent) => new(agent, ReceivedMs, _reportedMs, _epoch, new Dictionary<string, SourceReport>(_sources, StringComparer.Ordinal), _buffered, _previousRun);
}
