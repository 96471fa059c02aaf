using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Syntax;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Evaluate.Rules.Healing;

/// <summary>A selection of series that no rule records, on which a rule's results stand.</summary>
/// <param name="Matchers">Select them.</param>
/// <param name="BackMs">How far back from a result they are read, ms.</param>
public sealed record RuleInput(IReadOnlyList<LabelMatcher> Matchers, long BackMs);

/// <summary>What the results of rules stand on in the end, through the rules that they read. Immutable, thread-safe.</summary>
public sealed class RuleInputs
{
    private const int DepthMax = 20;
    private const int InputsMax = 1_000;
    private readonly ILookup<string, Known> _byName;

    /// <summary>Looks through recording rules.</summary>
    /// <param name="groups">The groups that are in force.</param>
    /// <param name="lookback">How far an instant selector looks back.</param>
    public RuleInputs(IEnumerable<RuleGroupDefinition> groups, TimeSpan lookback)
    {
        _byName = groups.SelectMany(g => g.Rules).Where(r => !r.IsAlert).Select(r => new Known(r, lookback)).ToLookup(k => k.Rule.Name, StringComparer.Ordinal);
    }

    /// <summary>The inputs of recorded series.</summary>
    /// <param name="metric">Their name.</param>
    /// <param name="labels">Labels that they have.</param>
    public IReadOnlyList<RuleInput> Of(string metric, params ReadOnlySpan<(string Name, string Value)> labels)
    {
        var found = new Dictionary<string, RuleInput>(StringComparer.Ordinal);
        var matchers = new List<LabelMatcher> { new(MatchType.Equal, LabelNames.MetricName, metric) };
        foreach ((string name, string value) in labels)
            matchers.Add(new LabelMatcher(MatchType.Equal, name, value));
        Follow(new Reading(matchers, 0, 0), 0, 0, [], found);
        return [.. found.Values];
    }

    private void Follow(Reading reading, long back, int depth, HashSet<RuleDefinition> passed, Dictionary<string, RuleInput> found)
    {
        back = Math.Min(RuleReach.Unbounded, back + reading.BackMs);
        List<Known> rules = reading.Name is { } name ? [.. _byName[name].Where(k => reading.MaySelect(k.Rule.Name, k.Fixed))] : [];
        if (rules.Count == 0)
        {
            string key = string.Join('\n', reading.Matchers.Select(m => $"{m.Name}\n{m.Type}\n{m.Value}"));
            if (found.Count < InputsMax && (!found.TryGetValue(key, out RuleInput? known) || known.BackMs < back))
                found[key] = new RuleInput(reading.Matchers, back);
            return;
        }
        foreach (Known rule in rules)
        {
            // A rule that reads its own past stands on what it stands on.
            if (depth >= DepthMax || !passed.Add(rule.Rule))
                continue;
            foreach (Reading inner in rule.Readings)
                Follow(inner, back, depth + 1, passed, found);
            passed.Remove(rule.Rule);
        }
    }

    private sealed class Known(RuleDefinition rule, TimeSpan lookback)
    {
        private IReadOnlyList<Reading>? _readings;

        public RuleDefinition Rule => rule;

        public IReadOnlyList<KeyValuePair<string, string>> Fixed { get; } = [.. rule.Labels.Where(l => l.Value.Text.Length > 0).Select(l => KeyValuePair.Create(l.Key, l.Value.Text))];

        public IReadOnlyList<Reading> Readings => _readings ??= PromQlParser.Parse(rule.Expression, new ParserOptions { Experimental = true }).Expr is { } expr ? RuleReach.Of(expr, lookback).Readings : [];
    }
}
