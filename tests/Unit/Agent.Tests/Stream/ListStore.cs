using Bellwether.Store;

namespace Bellwether.Agent.Tests.Stream;

/// <summary>A store as a list in memory: every record that was ever applied, in order, and whether its segment's decoder stands. Thread-safe.</summary>
internal sealed class ListStore : IRecordStore
{
    private readonly Lock _gate = new();
    private readonly Dictionary<SegmentKey, Segment> _segments = [];

    private sealed class Segment
    {
        public readonly List<byte[]> Applied = [];
        public ulong Held;
        public ulong DecoderAt;
        public bool Complete;
    }

    public string StoreId { get; set; } = "store-1";

    /// <summary>Whether the disk is full.</summary>
    public bool Full { get; set; }

    /// <summary>Records that are poison: refused for good.</summary>
    public Predicate<ReadOnlyMemory<byte>> IsPoison { get; set; } = static _ => false;

    /// <summary>What a tick of a record is, for the fleet.</summary>
    public Func<ReadOnlyMemory<byte>, AppliedTick>? Tick { get; set; }

    public int Applications { get; private set; }

    /// <summary>What was applied of a segment, each record as often as it was.</summary>
    public IReadOnlyList<byte[]> AppliedOf(SegmentKey key)
    {
        lock (_gate)
            return _segments.TryGetValue(key, out Segment? segment) ? [.. segment.Applied] : [];
    }

    /// <summary>The process restarts without its decoders: what is durable stays.</summary>
    public void LoseDecoders()
    {
        lock (_gate)
        {
            foreach (Segment segment in _segments.Values)
                segment.DecoderAt = 0;
        }
    }

    public SegmentProgress HeldOf(SegmentKey segment)
    {
        lock (_gate)
            return Progress(segment, _segments.GetValueOrDefault(segment) ?? new Segment());
    }

    public ValueTask<RunResult> ApplyAsync(RecordRun run, CancellationToken cancellation) => ValueTask.FromResult(Apply(run));

    public RunResult Apply(RecordRun run)
    {
        lock (_gate)
        {
            if (!_segments.TryGetValue(run.Segment, out Segment? segment))
                _segments.Add(run.Segment, segment = new Segment());
            if (Full)
                return new RunResult(RunOutcome.Unavailable, Progress(run.Segment, segment), [], [], "the disk is full");
            // A replay from the start rebuilds the decoder.
            if (run.FirstRecord == 0)
                segment.DecoderAt = 0;
            if (run.FirstRecord != segment.DecoderAt)
                return new RunResult(RunOutcome.NeedsStart, Progress(run.Segment, segment), [], []);
            var refused = new List<RefusedRecord>();
            var ticks = new List<AppliedTick>();
            foreach (ReadOnlyMemory<byte> record in run.Records)
            {
                ulong index = segment.DecoderAt++;
                if (index < segment.Held)
                    continue;
                segment.Held = index + 1;
                Applications++;
                if (IsPoison(record))
                    refused.Add(new RefusedRecord(index, "poison"));
                else
                    segment.Applied.Add(record.ToArray());
                if (Tick is not null)
                    ticks.Add(Tick(record));
            }
            segment.Complete |= run.Last && segment.DecoderAt == segment.Held;
            return new RunResult(RunOutcome.Applied, Progress(run.Segment, segment), refused, ticks);
        }
    }

    private static SegmentProgress Progress(SegmentKey key, Segment segment) => new(key, segment.Held, segment.Complete, segment.DecoderAt == segment.Held);
}
