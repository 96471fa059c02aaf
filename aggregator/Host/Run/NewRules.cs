using Bellwether.Core.Model;
using Bellwether.Evaluate.Rules;
using Bellwether.Evaluate.Rules.Healing;
using Microsoft.Extensions.Logging;

namespace Bellwether.Aggregator.Run;

/// <summary>Gives rules that were never there before a past, where the configuration asks for it (<c>evaluation.backfill_new</c>). Thread-safe.</summary>
/// <param name="rules">The rules in force.</param>
/// <param name="versions">Knows which of them are new.</param>
/// <param name="desk">Evaluates them over what is stored.</param>
/// <param name="reader">What is stored.</param>
/// <param name="time">The clock.</param>
/// <param name="log">Where remarks go.</param>
internal sealed partial class NewRules(RuleEngine rules, RuleVersions versions, HealDesk desk, ISeriesReader reader, TimeProvider time, ILogger log)
{
    private readonly Lock _gate = new();
    private Task _running = Task.CompletedTask;
    private bool _isRunning;
    private TimeSpan _back;

    /// <summary>The backfill that was begun last.</summary>
    public Task Running => Volatile.Read(ref _running);

    /// <summary>Rules were taken: begins with those that are new, or goes on with them when those before are done.</summary>
    /// <param name="back">How far back; zero: not at all.</param>
    /// <param name="stopping">Ends it between two slices.</param>
    public void Backfill(TimeSpan back, CancellationToken stopping)
    {
        lock (_gate)
        {
            _back = back;
            if (!_isRunning)
                Next(stopping);
        }
    }

    private void Next(CancellationToken stopping)
    {
        _isRunning = false;
        long nowMs = time.GetUtcNow().ToUnixTimeMilliseconds();
        if (versions.New is not { } isNew)
            return;
        long from = Math.Max(isNew.FirstMs - (long)_back.TotalMilliseconds, nowMs - (long)HealDesk.BackfillMax.TotalMilliseconds);
        // In an empty store everything is new, and there is no past.
        if (_back == TimeSpan.Zero || reader.LabelValues(LabelNames.MetricName, from, nowMs, [], stopping).Count == 0)
        {
            Done(isNew);
            return;
        }
        int count = rules.Status.Sum(g => g.Definition.Rules.Count(r => !r.IsAlert && isNew.Has(g.Definition.Name, r)));
        var request = new HealRequest(from, nowMs) { Kind = HealKind.Backfill, Reason = $"{count} new rules", By = "evaluation.backfill_new", Rules = isNew.Has };
        if (desk.Begin(request, out Task running, stopping) is { } wrong)
        {
            NotBackfilled(log, count, wrong, DateTimeOffset.FromUnixTimeMilliseconds(from));
            return;
        }
        _isRunning = true;
        Volatile.Write(ref _running, EndAsync(running, request, isNew, count, stopping));
    }

    private async Task EndAsync(Task running, HealRequest request, NewRuleSet isNew, int count, CancellationToken stopping)
    {
        await running;
        bool isDone = desk.Backfill is { State: "done" } status && ReferenceEquals(status.Request, request);
        if (isDone)
            Done(isNew);
        else
            NotBackfilled(log, count, desk.Backfill?.Error ?? "", DateTimeOffset.FromUnixTimeMilliseconds(request.FromMs));
        lock (_gate)
        {
            // What failed is tried again when rules are loaded, not at once.
            if (isDone && !stopping.IsCancellationRequested)
                Next(stopping);
            else
                _isRunning = false;
        }
    }

    private void Done(NewRuleSet isNew)
    {
        if (!versions.HasPast(isNew))
            NotNoted(log);
    }

    [LoggerMessage(5017, LogLevel.Warning, "{Count} new rules get no results for the past now: {Reason}; it is tried again at the next reload or start; ask before with: bellwether-aggregator rules backfill --from {From:yyyy-MM-ddTHH:mm:ssZ} RULE...")]
    private static partial void NotBackfilled(ILogger log, int count, string reason, DateTimeOffset from);

    [LoggerMessage(5018, LogLevel.Warning, "that new rules have their past cannot be noted in rule-versions now; it may be made once more after a restart, with the same results")]
    private static partial void NotNoted(ILogger log);
}
