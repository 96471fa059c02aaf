using Bellwether.Store;

namespace Bellwether.Aggregator.Tests.Ingest.Completeness;

/// <summary>A ledger that says what a test lets it say.</summary>
internal sealed class KnownLedger : ILedgerSource
{
    public Dictionary<string, List<EpochSegments>> Segments { get; } = [];

    public Dictionary<string, StoredLedger> Stored { get; } = [];

    public IReadOnlyList<StoredLedger> Ledgers(string? agent = null) => [.. Stored.Values.Where(s => agent is null || s.Agent == agent)];

    public IReadOnlyList<EpochSegments> SegmentsOf(string agent) => Segments.GetValueOrDefault(agent) ?? [];

    public void Hold(string agent, ulong epoch, params (ulong First, ulong Last)[] held) => Segments[agent] = [new EpochSegments(epoch, held)];

    public void Open(string agent, ulong number) => Segments[agent] = [Segments[agent][0] with { Open = [number] }];

    /// <summary>Ticks of one source every second, as ranges of seconds.</summary>
    public void Ticks(string agent, params (long FirstS, long LastS)[] ranges)
    {
        List<TickRange> ticks = [.. ranges.Select(r => new TickRange(r.FirstS * 1000, r.LastS * 1000, r.LastS - r.FirstS + 1, 1000))];
        long records = ticks.Sum(t => t.Ticks);
        Stored[agent] = new StoredLedger(agent, records, records * 10, 0, 0, [new StoredSource("shop", 1000, records, records * 10, 0, ticks)]);
    }
}
