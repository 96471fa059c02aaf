using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Syntax;
using Bellwether.Evaluate.Rules.Healing;

namespace Bellwether.Evaluate.Rules;

/// <summary>
/// In how many stages the rules of all groups can be evaluated at one step, so that each sees exactly what it would see if every rule's results were stored before the next rule in order
/// (group by group, rule by rule) is evaluated. What a stage gave is stored in one append; a rule is in a later stage than every rule before it that may write what it reads, and no rule is in an earlier
/// stage than one before it that reads what it may write. Immutable.
/// </summary>
internal sealed class RuleSchedule
{
    private readonly List<(RuleGroup Group, int Rule)>[] _stages;

    private RuleSchedule(RuleGroup[] groups, List<(RuleGroup Group, int Rule)>[] stages)
    {
        Groups = groups;
        _stages = stages;
    }

    public static RuleSchedule Empty { get; } = new([], []);

    /// <summary>The groups in order.</summary>
    public RuleGroup[] Groups { get; }

    /// <summary>The rules of each stage, in order.</summary>
    public IReadOnlyList<IReadOnlyList<(RuleGroup Group, int Rule)>> Stages => _stages;

    public static RuleSchedule Of(RuleGroup[] groups, TimeSpan lookback, ParserOptions syntax)
    {
        var before = new Earlier();
        var stages = new List<List<(RuleGroup Group, int Rule)>>();
        foreach (RuleGroup group in groups)
        {
            int stage = 0;
            for (int r = 0; r < group.Definition.Rules.Count; r++)
            {
                // In a group a rule never comes before the one before it.
                stage = before.Place(new Use(group.Definition.Rules[r], lookback, syntax), stage);
                while (stages.Count <= stage)
                    stages.Add([]);
                stages[stage].Add((group, r));
            }
        }
        return new RuleSchedule(groups, [.. stages]);
    }

    /// <summary>What one rule reads and writes.</summary>
    private sealed class Use
    {
        private static readonly Reading s_anything = new([], 0, 0);

        public Use(RuleDefinition rule, TimeSpan lookback, ParserOptions syntax)
        {
            Writes = rule.IsAlert ? [AlertingRule.AlertsMetric, AlertingRule.ForStateMetric] : [rule.Name];
            var labels = rule.Labels.Where(l => IsFixed(l.Key, l.Value.Text, rule.IsAlert)).Select(l => KeyValuePair.Create(l.Key, l.Value.Text));
            Labels = [.. rule.IsAlert ? labels.Append(KeyValuePair.Create(LabelNames.AlertName, rule.Name)) : labels];
            bool asks = rule.IsAlert && rule.Annotations.Concat(rule.Labels).Any(p => p.Value.Text.Contains("query", StringComparison.Ordinal));
            Reads = asks || PromQlParser.Parse(rule.Expression, syntax).Expr is not { } expr ? [s_anything] : RuleReach.Of(expr, lookback).Readings;
        }

        public IReadOnlyList<string> Writes { get; }

        /// <summary>Labels that all series it writes have.</summary>
        public IReadOnlyList<KeyValuePair<string, string>> Labels { get; }

        public IReadOnlyList<Reading> Reads { get; }

        // An empty value removes the label, and what the alert itself sets wins.
        private static bool IsFixed(string name, string value, bool isAlert) =>
            value.Length > 0 && name != LabelNames.MetricName && (!isAlert || (name is not ("alertstate" or LabelNames.AlertName) && !value.Contains("{{", StringComparison.Ordinal)));
    }

    /// <summary>The rules that were placed, by the names that they read and write.</summary>
    private sealed class Earlier
    {
        private readonly Dictionary<string, List<(Use Use, int Stage)>> _writers = [];
        private readonly Dictionary<string, List<(Reading Reading, int Stage)>> _readers = [];
        private readonly List<(Reading Reading, int Stage)> _readersOfAny = [];

        public int Place(Use use, int least)
        {
            int stage = least;
            foreach (Reading reading in use.Reads)
            {
                foreach (string name in reading.Name is { } only ? [only] : (IEnumerable<string>)_writers.Keys)
                {
                    foreach ((Use writer, int at) in _writers.GetValueOrDefault(name) ?? [])
                        stage = at < stage || !reading.MaySelect(name, writer.Labels) ? stage : at + 1;
                }
            }
            foreach (string name in use.Writes)
            {
                foreach ((Reading reading, int at) in (_readers.GetValueOrDefault(name) ?? []).Concat(_readersOfAny))
                    stage = at <= stage || !reading.MaySelect(name, use.Labels) ? stage : at;
            }
            foreach (string name in use.Writes)
                Add(_writers, name, (use, stage));
            foreach (Reading reading in use.Reads)
            {
                if (reading.Name is { } name)
                    Add(_readers, name, (reading, stage));
                else
                    _readersOfAny.Add((reading, stage));
            }
            return stage;
        }

        private static void Add<T>(Dictionary<string, List<T>> lists, string name, T one)
        {
            if (!lists.TryGetValue(name, out List<T>? list))
                lists.Add(name, list = []);
            list.Add(one);
        }
    }
}
