using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.Rules.Healing;
using MatchType = Bellwether.Core.Model.MatchType;

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
        Shared = PromQlEngine.Share(groups.SelectMany(g => g.Queries));
    }

    public static RuleSchedule Empty { get; } = new([], []);

    /// <summary>The groups in order.</summary>
    public RuleGroup[] Groups { get; }

    /// <summary>What the rules of all groups have in common. Used by who evaluates, one thread at a time.</summary>
    public SharedEvaluation Shared { get; }

    /// <summary>The rules of each stage, in order.</summary>
    public IReadOnlyList<IReadOnlyList<(RuleGroup Group, int Rule)>> Stages => _stages;

    public static RuleSchedule Of(RuleGroup[] groups)
    {
        var before = new Earlier();
        var stages = new List<List<(RuleGroup Group, int Rule)>>();
        foreach (RuleGroup group in groups)
        {
            int stage = 0;
            for (int r = 0; r < group.Definition.Rules.Count; r++)
            {
                // In a group a rule never comes before the one before it.
                stage = before.Place(new Use(group.Definition.Rules[r], group.ReachOf(r)), stage);
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

        public Use(RuleDefinition rule, RuleReach? reach)
        {
            Writes = rule.IsAlert ? [AlertingRule.AlertsMetric, AlertingRule.ForStateMetric] : [rule.Name];
            var labels = rule.Labels.Where(l => IsFixed(l.Key, l.Value.Text, rule.IsAlert)).Select(l => KeyValuePair.Create(l.Key, l.Value.Text));
            Labels = [.. rule.IsAlert ? labels.Append(KeyValuePair.Create(LabelNames.AlertName, rule.Name)) : labels];
            bool asks = rule.IsAlert && rule.Annotations.Concat(rule.Labels).Any(p => p.Value.Text.Contains("query", StringComparison.Ordinal));
            Reads = asks || reach is null ? [s_anything] : reach.Readings;
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
        private readonly Dictionary<string, Placed<Use>> _writers = [];
        private readonly Dictionary<string, Placed<Reading>> _readers = [];
        private readonly List<(Reading Reading, int Stage)> _readersOfAny = [];

        public int Place(Use use, int least)
        {
            int stage = least;
            foreach (Reading reading in use.Reads)
            {
                foreach (string name in reading.Name is { } only ? [only] : (IEnumerable<string>)_writers.Keys)
                {
                    foreach ((Use writer, int at) in _writers.TryGetValue(name, out Placed<Use>? writers) ? writers.Find(EqualTo(reading)) : [])
                        stage = at < stage || !reading.MaySelect(name, writer.Labels) ? stage : at + 1;
                }
            }
            foreach (string name in use.Writes)
            {
                foreach ((Reading reading, int at) in _readers.TryGetValue(name, out Placed<Reading>? readers) ? readers.Find(use.Labels) : [])
                    stage = at <= stage || !reading.MaySelect(name, use.Labels) ? stage : at;
                foreach ((Reading reading, int at) in _readersOfAny)
                    stage = at <= stage || !reading.MaySelect(name, use.Labels) ? stage : at;
            }
            foreach (string name in use.Writes)
                Of(_writers, name).Add(use, stage, use.Labels);
            foreach (Reading reading in use.Reads)
            {
                if (reading.Name is { } name)
                    Of(_readers, name).Add(reading, stage, EqualTo(reading));
                else
                    _readersOfAny.Add((reading, stage));
            }
            return stage;
        }

        private static IEnumerable<KeyValuePair<string, string>> EqualTo(Reading reading) => reading.Matchers
            .Where(m => m.Type == MatchType.Equal && m.Name != LabelNames.MetricName).Select(m => KeyValuePair.Create(m.Name, m.Value)).DistinctBy(l => l.Key);

        private static Placed<T> Of<T>(Dictionary<string, Placed<T>> lists, string name)
        {
            if (!lists.TryGetValue(name, out Placed<T>? list))
                lists.Add(name, list = new Placed<T>());
            return list;
        }
    }

    /// <summary>What was placed of one name, by the labels that are bound to one value: thousands of objectives record under the same names.</summary>
    private sealed class Placed<T>
    {
        private readonly List<(T Item, int Stage)> _all = [];
        private readonly Dictionary<string, (int Count, Dictionary<string, List<(T Item, int Stage)>> ByValue)> _byLabel = [];

        public void Add(T item, int stage, IEnumerable<KeyValuePair<string, string>> labels)
        {
            _all.Add((item, stage));
            foreach ((string label, string value) in labels)
            {
                (int count, Dictionary<string, List<(T Item, int Stage)>>? byValue) = _byLabel.GetValueOrDefault(label);
                byValue ??= [];
                if (!byValue.TryGetValue(value, out List<(T Item, int Stage)>? list))
                    byValue.Add(value, list = []);
                list.Add((item, stage));
                _byLabel[label] = (count + 1, byValue);
            }
        }

        /// <summary>Those that may go together with some labels: a superset.</summary>
        public List<(T Item, int Stage)> Find(IEnumerable<KeyValuePair<string, string>> labels)
        {
            List<(T Item, int Stage)> found = _all;
            foreach ((string label, string value) in labels)
            {
                // Only a label that all of them bind tells them apart.
                if (!_byLabel.TryGetValue(label, out (int Count, Dictionary<string, List<(T Item, int Stage)>> ByValue) of) || of.Count != _all.Count)
                    continue;
                if (!of.ByValue.TryGetValue(value, out List<(T Item, int Stage)>? list))
                    return [];
                found = list.Count < found.Count ? list : found;
            }
            return found;
        }
    }
}
