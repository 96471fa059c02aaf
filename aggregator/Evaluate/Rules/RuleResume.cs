using Bellwether.Core.Model;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Evaluate.Rules;

/// <summary>Finds at start which step each group did last, from the results that stand in the store.</summary>
internal sealed class RuleResume(ISeriesReader reader, RuleEngineOptions options)
{
    /// <summary>Sets <see cref="RuleGroup.LastStepMs"/> of every group. Groups without any result go on where the others stopped: they were down together.</summary>
    public void Resume(IReadOnlyList<RuleGroup> groups, long nowMs)
    {
        long fromMs = nowMs - (long)options.CatchUpMax.TotalMilliseconds;
        long newest = 0;
        var last = new Dictionary<RuleGroup, long>();
        foreach (RuleGroup group in groups)
        {
            long found = group.Definition.Rules.Max(r => (long?)NewestResult(r, fromMs, nowMs)) ?? 0;
            if (found == 0)
                continue;
            last[group] = found + group.OffsetMs;
            newest = Math.Max(newest, last[group]);
        }
        if (newest == 0)
            return;
        foreach (RuleGroup group in groups)
        {
            long step = last.GetValueOrDefault(group, newest);
            step -= step % group.IntervalMs;
            if (step < group.LastStepMs)
                group.LastStepMs = step;
        }
    }

    private long NewestResult(RuleDefinition rule, long fromMs, long toMs)
    {
        List<LabelMatcher> matchers = rule.IsAlert
            ? [new(MatchType.Equal, LabelNames.MetricName, AlertingRule.ForStateMetric), new(MatchType.Equal, LabelNames.AlertName, rule.Name)]
            : [new(MatchType.Equal, LabelNames.MetricName, rule.Name)];
        using ISeriesSet set = reader.Select(fromMs, toMs, matchers, CancellationToken.None);
        var samples = new SampleBuffer();
        long newest = 0;
        for (int i = 0; i < set.Count; i++)
        {
            set.Read(i, samples);
            if (samples.Count > 0)
                newest = Math.Max(newest, samples.Times[^1]);
        }
        return newest;
    }
}
