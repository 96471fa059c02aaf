using Bellwether.Core.Bundles;
using Bellwether.Ingest.Completeness;
using Bellwether.Store;
using Bellwether.V1;
using Google.Protobuf;

namespace Bellwether.Ingest.Bundles;

/// <summary>What became of an import.</summary>
/// <param name="Verdict">Good, or why nothing was taken.</param>
/// <param name="Manifest">What the bundle says of itself, once it was verified.</param>
public sealed record BundleImported(BundleVerdict Verdict, BundleManifest? Manifest)
{
    /// <summary>Records that were new here.</summary>
    public long Records { get; init; }

    /// <summary>Samples that were new here.</summary>
    public long Samples { get; init; }

    /// <summary>Segments that were here already, whole.</summary>
    public int AlreadyHeld { get; init; }

    /// <summary>Records that can never be applied, with the reason of the first.</summary>
    public (long Count, string? First) Refused { get; init; }

    /// <summary>Set when the store could not take all of it now: what was taken is durable, and the same bundle may be imported again.</summary>
    public string? Unfinished { get; init; }

    /// <summary>What is here of the bundle's segments.</summary>
    public IReadOnlyList<BundleSegment> Held { get; init; } = [];

    /// <summary>What the agent announced and is not here: gaps.</summary>
    public IReadOnlyList<BundleSegment> Missing { get; init; } = [];
}

/// <summary>
/// Applies a bundle by the way that the wire's records take: the key (agent, epoch, segment, record) decides, so that a bundle may come twice, or beside the wire, or half of it before.
/// First the whole bundle is verified; what is refused changes nothing.
/// </summary>
public sealed class BundleImport(IRecordStore store, LateRanges? late, TimeProvider time, FleetBook? book = null)
{
    private const int AttemptsMax = 3;
    private const long SegmentBytesMax = 64 << 20;
    private static readonly IngestOptions s_bounds = new();

    /// <summary>Verifies and applies. Throws <see cref="IOException"/> when the files cannot be read.</summary>
    public async Task<BundleImported> RunAsync(BundleReader reader, BundleTrust trust, Action<long, long>? progress, CancellationToken cancellation)
    {
        BundleVerdict verdict = reader.Verify(trust);
        return verdict.IsGood ? await ApplyAsync(reader, progress, cancellation) : new BundleImported(verdict, null);
    }

    /// <summary>Applies a bundle that was verified.</summary>
    public async Task<BundleImported> ApplyAsync(BundleReader reader, Action<long, long>? progress, CancellationToken cancellation)
    {
        BundleManifest manifest = reader.Manifest;
        var runs = new List<BundleRun>();
        var sum = new Sum();
        long done = 0, gathered = 0;
        while (sum.Unfinished is null && reader.NextRun() is { } run)
        {
            done += run.Records.Sum(r => (long)r.Length);
            progress?.Invoke(done, reader.Bytes);
            // A segment that the wire freed while it was written down has no end here: what follows is another one.
            if (runs.Count > 0 && runs[0].Segment != run.Segment)
                await TakeAsync(manifest.Agent, runs, sum, cancellation);
            gathered = runs.Count == 0 ? 0 : gathered;
            gathered += run.Records.Sum(r => (long)r.Length);
            if (gathered > SegmentBytesMax)
                return new BundleImported(new BundleVerdict(BundleOutcome.TooLarge, $"segment {run.Segment} has more than {SegmentBytesMax} bytes"), manifest);
            runs.Add(run);
            if (run.Last)
                await TakeAsync(manifest.Agent, runs, sum, cancellation);
        }
        if (runs.Count > 0 && sum.Unfinished is null)
            await TakeAsync(manifest.Agent, runs, sum, cancellation);
        progress?.Invoke(1, 1);
        late?.Save();
        BundleSegment[] missing = [.. manifest.Announced.Where(s => HeldOf(manifest.Agent, s) < s.Records)];
        long nowMs = time.GetUtcNow().ToUnixTimeMilliseconds();
        book?.Carried(manifest.Agent, nowMs, manifest.CreatedMs,
            $"bundle {manifest.Bundle}: {sum.Records} new records; {sum.AlreadyHeld} of its {manifest.Segments.Count} segments were here already, {missing.Length} that it announces are not here",
            [.. missing.Select(s => new LostSegments(s.Id.Epoch, s.Id.Number, s.Id.Number, s.FromMs, s.ToMs, MissingReasons.Announced, nowMs))]);
        // The report takes for granted that all the bundle carries is here.
        if (sum.Unfinished is null)
            TakeLedger(manifest);
        return new BundleImported(BundleVerdict.Good, manifest)
        {
            Records = sum.Records,
            Samples = sum.Samples,
            AlreadyHeld = sum.AlreadyHeld,
            Refused = (sum.Refused, sum.FirstRefused),
            Unfinished = sum.Unfinished,
            Held = [.. manifest.Segments.Select(s => s with { Records = HeldOf(manifest.Agent, s) }).Where(s => s.Records > 0)],
            Missing = missing,
        };
    }

    // It is signed by the agent, but bounded as what comes by wire is; one that cannot be read is of a later version.
    private void TakeLedger(BundleManifest manifest)
    {
        if (book is null || manifest.Report.IsEmpty)
            return;
        try
        {
            Report report = Report.Parser.ParseFrom(manifest.Report.Span);
            var ledger = new LedgerBook();
            ledger.Take(report, manifest.CreatedMs, s_bounds);
            book.ReportedByBundle(manifest.Agent, manifest.CreatedMs, ledger.Sources.Select(AgentFleet.ReportedOf), report.PreviousRun is { Known: true } run ? run.Planned : null);
        }
        catch (InvalidProtocolBufferException)
        {
            book.Carried(manifest.Agent, time.GetUtcNow().ToUnixTimeMilliseconds(), manifest.CreatedMs, $"bundle {manifest.Bundle}: the agent's own counts in it cannot be read by this version");
        }
    }

    /// <summary>The receipt of an import.</summary>
    public BundleReceipt ReceiptOf(BundleImported imported) => new()
    {
        Bundle = imported.Manifest!.Bundle,
        Agent = imported.Manifest.Agent,
        Store = store.StoreId,
        CreatedMs = time.GetUtcNow().ToUnixTimeMilliseconds(),
        Held = imported.Held,
        Missing = imported.Missing,
    };

    /// <summary>Of a complete segment the store may not remember more than that.</summary>
    private ulong HeldOf(string agent, BundleSegment segment)
    {
        SegmentProgress held = store.HeldOf(Key(agent, segment.Id));
        return held.Complete ? segment.Records : Math.Min(held.Records, segment.Records);
    }

    private static SegmentKey Key(string agent, BundleSegmentId id) => new(agent, id.Epoch, id.Number, id.Nonce);

    private async Task TakeAsync(string agent, List<BundleRun> runs, Sum sum, CancellationToken cancellation)
    {
        SegmentKey key = Key(agent, runs[0].Segment);
        var records = new List<ReadOnlyMemory<byte>>();
        bool joined = true;
        foreach (BundleRun run in runs)
        {
            joined &= run.First == (ulong)records.Count;
            records.AddRange(run.Records);
        }
        bool last = runs[^1].Last;
        runs.Clear();
        if (store.HeldOf(key) is { Complete: true })
        {
            sum.AlreadyHeld++;
            return;
        }
        if (!joined)
        {
            sum.Refuse(records.Count, $"the records of segment {key.Epoch}/{key.Number} are not in order");
            return;
        }
        for (int attempt = 1; ; attempt++)
        {
            RunResult result = await store.ApplyAsync(new RecordRun(key, 0, records, last), cancellation);
            // The wire may bring the same segment at the same time: then one of both starts it again.
            if (result.Outcome == RunOutcome.NeedsStart && attempt < AttemptsMax)
                continue;
            if (result.Outcome != RunOutcome.Applied)
                sum.Unfinished = result.Error ?? $"segment {key.Epoch}/{key.Number} comes by another way at the same time";
            // Of a run that is too far ahead of our clock the beginning may have been applied.
            if (result.Outcome is RunOutcome.Applied or RunOutcome.Ahead)
                Count(agent, result, sum);
            return;
        }
    }

    private void Count(string agent, RunResult result, Sum sum)
    {
        sum.Records += result.Ticks.Count;
        foreach (RefusedRecord refused in result.Refused)
            sum.Refuse(1, refused.Reason);
        foreach (AppliedTick tick in result.Ticks)
        {
            sum.Samples += tick.Samples;
            late?.Note(agent, tick.Source, tick.IntervalMs, tick.TimestampMs);
        }
    }

    private sealed class Sum
    {
        public long Records;
        public long Samples;
        public int AlreadyHeld;
        public long Refused;
        public string? FirstRefused;
        public string? Unfinished;

        public void Refuse(long count, string reason)
        {
            Refused += count;
            FirstRefused ??= reason;
        }
    }
}
