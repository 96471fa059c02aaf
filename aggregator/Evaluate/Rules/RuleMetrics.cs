using System.Diagnostics.Metrics;
using Bellwether.Core.Model;
using Bellwether.Core.Telemetry;

namespace Bellwether.Evaluate.Rules;

/// <summary>What the rule engine counts about itself.</summary>
internal sealed class RuleMetrics(Meter meter)
{
    private readonly Counter<long> _steps = meter.CreateCounter<long>(MetricNames.EvaluateSteps, description: "Group steps evaluated.");
    private readonly Counter<long> _rules = meter.CreateCounter<long>(MetricNames.EvaluateRules, description: "Rule evaluations.");
    private readonly Counter<long> _failures = meter.CreateCounter<long>(MetricNames.EvaluateRuleFailures, description: "Rule evaluations that failed.");
    private readonly Counter<long> _missed = meter.CreateCounter<long>(MetricNames.EvaluateStepsMissed, description: "Group steps given up because they were too old to catch up.");
    private readonly Counter<long> _samples = meter.CreateCounter<long>(MetricNames.EvaluateSamples, description: "Samples that rules wrote, stale markers included.");
    private readonly Counter<double> _seconds = meter.CreateCounter<double>(MetricNames.EvaluateSeconds, description: "Seconds spent evaluating groups.");

    public void Step(TimeSpan took)
    {
        _steps.Add(1);
        _seconds.Add(took.TotalSeconds);
    }

    public void Rule(bool ok)
    {
        _rules.Add(1);
        if (!ok)
            _failures.Add(1);
    }

    public void Missed(long steps) => _missed.Add(steps);

    public void Appended(AppendResult result)
    {
        foreach (AppendOutcome outcome in Enum.GetValues<AppendOutcome>())
        {
            if (result[outcome] > 0)
                _samples.Add(result[outcome], new KeyValuePair<string, object?>("outcome", outcome.ToString()));
        }
    }
}
