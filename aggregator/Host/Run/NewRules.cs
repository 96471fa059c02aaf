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
    private Task _running = Task.CompletedTask;

    /// <summary>The backfill that was begun last.</summary>
    public Task Running => Volatile.Read(ref _running);

    /// <summary>Rules were taken: begins with those that are new.</summary>
    /// <param name="back">How far back; zero: not at all.</param>
    /// <param name="stopping">Ends it between two slices.</param>
    public void Backfill(TimeSpan back, CancellationToken stopping)
    {
        long nowMs = time.GetUtcNow().ToUnixTimeMilliseconds(), from = nowMs - (long)back.TotalMilliseconds;
        // In an empty store everything is new, and there is no past.
        if (back == TimeSpan.Zero || versions.New is not { } isNew || reader.LabelValues(LabelNames.MetricName, from, nowMs, [], stopping).Count == 0)
            return;
        int count = rules.Status.Sum(g => g.Definition.Rules.Count(r => !r.IsAlert && isNew(g.Definition.Name, r)));
        var request = new HealRequest(from, nowMs) { Kind = HealKind.Backfill, Reason = $"{count} new rules", By = "evaluation.backfill_new", Rules = isNew };
        if (desk.Begin(request, out Task running, stopping) is { } wrong)
            NotBackfilled(log, wrong);
        else
            Volatile.Write(ref _running, running);
    }

    [LoggerMessage(5017, LogLevel.Warning, "new rules get no results for the past now: {Reason}; ask with: bellwether-aggregator rules backfill")]
    private static partial void NotBackfilled(ILogger log, string reason);
}
