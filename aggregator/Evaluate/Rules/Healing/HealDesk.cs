using Bellwether.Core.Model;
using Microsoft.Extensions.Logging;

namespace Bellwether.Evaluate.Rules.Healing;

/// <summary>A backfill as it stands. Immutable.</summary>
/// <param name="Request">What was asked for.</param>
/// <param name="State"><c>running</c>, <c>done</c> or <c>failed</c>.</param>
/// <param name="Steps">Rule steps done.</param>
/// <param name="StepsDue">Rule steps in all; 0: not known yet.</param>
/// <param name="Report">What it did; null while it runs.</param>
/// <param name="Error">Why it failed, or empty.</param>
/// <param name="SinceMs">The first time of which results are made, Unix ms: the store takes none before.</param>
public sealed record BackfillStatus(HealRequest Request, string State, long Steps, long StepsDue, HealReport? Report, string Error, long SinceMs);

/// <summary>
/// Where re-evaluation is asked for: one at a time, each written down with its reason (<see cref="HealBook"/>). Late data is healed as it comes; a backfill runs beside, and can be looked at.
/// Thread-safe.
/// </summary>
public sealed partial class HealDesk(RuleHealer healer, HealBook book, TimeProvider time, ILogger log) : IDisposable
{
    /// <summary>Longest range of a backfill.</summary>
    public static readonly TimeSpan BackfillMax = TimeSpan.FromDays(400);

    private readonly SemaphoreSlim _turn = new(1, 1);
    private readonly Lock _gate = new();
    private BackfillStatus? _backfill;

    /// <summary>The record.</summary>
    public HealBook Book => book;

    /// <summary>Results before this time are sealed, Unix ms.</summary>
    public long SealedBeforeMs => healer.SealedBeforeMs;

    /// <summary>The backfill that runs, or the last one; null: there was none.</summary>
    public BackfillStatus? Backfill
    {
        get
        {
            lock (_gate)
                return _backfill;
        }
    }

    /// <summary>Evaluates again and writes down what changed. Throws <see cref="StoreUnavailableException"/> when results cannot be stored now.</summary>
    public async Task<HealReport> HealAsync(HealRequest request, CancellationToken cancellation)
    {
        await _turn.WaitAsync(cancellation);
        try
        {
            HealReport report = await healer.HealAsync(request, cancellation);
            if (report.Changes > 0 || request.Kind != HealKind.Late)
                book.Note(Entry(request) with { Rules = report.Rules, Steps = report.Steps, Failures = report.Failures, TookMs = (long)report.Took.TotalMilliseconds, Changed = report.Changed });
            return report;
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>Begins a backfill; it goes on until it is done or <paramref name="stopping"/>. What stands against it, or null.</summary>
    /// <param name="request">What, with who asked and why.</param>
    /// <param name="running">The work, so that the host can wait for it.</param>
    /// <param name="stopping">Ends it between two slices.</param>
    public string? Begin(HealRequest request, out Task running, CancellationToken stopping)
    {
        running = Task.CompletedTask;
        if (request.ToMs < request.FromMs)
            return "'to' is before 'from'";
        if (request.ToMs - request.FromMs > (long)BackfillMax.TotalMilliseconds)
            return $"the range is longer than {BackfillMax.TotalDays:0} days";
        long oldest = healer.OldestMs;
        if (request.ToMs < oldest)
            return $"the store takes no results before {Text(oldest)}: retention.raw, and what became slots of a coarser resolution, stand against it";
        if (request.Kind == HealKind.Reopen && (request.Reason.Length == 0 || request.By.Length == 0))
            return "a sealed period is opened again only with 'reason' and 'by', which are written down";
        lock (_gate)
        {
            if (_backfill?.State == "running")
                return "a backfill is running already";
            // The audit entry comes first: without it on disk nothing sealed is touched.
            if (request.Kind == HealKind.Reopen && !book.Note(Entry(request) with { IsAsked = true }))
                return "the audit entry cannot be written now; nothing was opened";
            _backfill = new BackfillStatus(request, "running", 0, 0, null, "", Math.Max(request.FromMs, oldest));
        }
        running = Task.Run(() => RunAsync(request with { Progress = Tell }, stopping), CancellationToken.None);
        return null;
    }

    /// <inheritdoc/>
    public void Dispose() => _turn.Dispose();

    private async Task RunAsync(HealRequest request, CancellationToken stopping)
    {
        try
        {
            HealReport report = await HealAsync(request, stopping);
            string error = report.Refused == 0 ? "" : $"the store refused {report.Refused} of {report.Refused + report.Changes} results; the first: {report.WhyRefused}; ask again when that is mended: what was done is not done twice";
            Set(s => s with { State = error.Length == 0 ? "done" : "failed", Report = report, Steps = report.Steps, StepsDue = report.Steps, Error = error });
        }
        catch (OperationCanceledException)
        {
            Set(s => s with { State = "failed", Error = "the aggregator stopped; ask again: what was done is not done twice" });
        }
        catch (StoreUnavailableException e)
        {
            Set(s => s with { State = "failed", Error = e.Message });
        }
        catch (Exception e)
        {
            Failed(log, e);
            Set(s => s with { State = "failed", Error = $"BUG: {e.Message}" });
        }
    }

    private static string Text(long ms) => DateTimeOffset.FromUnixTimeMilliseconds(ms).ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", System.Globalization.CultureInfo.InvariantCulture);

    private void Tell(long steps, long due) => Set(s => s with { Steps = steps, StepsDue = due });

    private void Set(Func<BackfillStatus, BackfillStatus> change)
    {
        lock (_gate)
            _backfill = _backfill is { } status ? change(status) : null;
    }

    private HealEntry Entry(HealRequest request) => new()
    {
        AtMs = time.GetUtcNow().ToUnixTimeMilliseconds(),
        Kind = request.Kind.ToString().ToLowerInvariant(),
        Reason = request.Reason,
        By = request.By,
        FromMs = request.FromMs,
        ToMs = request.ToMs,
    };

    [LoggerMessage(EventId = 3257, Level = LogLevel.Error, Message = "BUG: a backfill failed")]
    private static partial void Failed(ILogger log, Exception failure);
}
