using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.Rules;
using Bellwether.Kit;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.Tests.Evaluate.Rules;

/// <summary>Rules in stages give what they would give if each one's results were stored before the next is evaluated.</summary>
public sealed class RuleScheduleTests : IDisposable
{
    private const long FirstMs = 1_800_000_000_000;
    private const int Steps = 6;
    private static readonly string[] s_names = ["a", "b", "c"];
    private static readonly string[] s_values = ["1", "2"];
    private readonly Meter _meter = new("test");

    public void Dispose() => _meter.Dispose();

    [Fact]
    public async Task Stages_give_what_rule_after_rule_gives_to_the_last_bit()
    {
        for (int seed = 0; seed < 60; seed++)
        {
            var random = new Random(seed);
            string text = Groups(random);
            RuleGroupDefinition[] groups = Parse(text);
            var plain = new SeriesInMemory();
            var store = new Counting();
            for (int i = 0; i < 4; i++)
            {
                plain.Add(Labels.Of("__name__", "x", "l", s_values[i % 2], "m", i.ToString(CultureInfo.InvariantCulture)), FirstMs - 5_000, i + 0.1);
                store.Series.Add(Labels.Of("__name__", "x", "l", s_values[i % 2], "m", i.ToString(CultureInfo.InvariantCulture)), FirstMs - 5_000, i + 0.1);
            }
            OneAfterTheOther(groups, plain);
            await InStagesAsync(groups, store);
            foreach (string name in s_names)
            {
                Assert.Equal(plain.Named(name), store.Series.Named(name));
                foreach (Labels labels in plain.Named(name))
                    Assert.True(plain.Of(labels).Select(Bits).SequenceEqual(store.Series.Of(labels).Select(Bits)), $"seed {seed}: {labels} differs with\n{text}");
            }
        }
    }

    [Fact]
    public async Task Fifty_objectives_are_stored_in_three_appends()
    {
        var text = new StringBuilder("groups:\n");
        for (int i = 0; i < 50; i++)
        {
            text.Append(CultureInfo.InvariantCulture, $"""
                - name: meta-{i}
                  interval: 10s
                  rules:
                  - {"{"}record: budget, expr: vector(0.1), labels: {"{"}id: "{i}"{"}"}{"}"}
                  - {"{"}record: burn, expr: 'ratio{"{"}id="{i}"{"}"} / on(id) budget{"{"}id="{i}"{"}"}', labels: {"{"}id: "{i}"{"}"}{"}"}
                  - {"{"}record: left, expr: '1 - burn{"{"}id="{i}"{"}"}', labels: {"{"}id: "{i}"{"}"}{"}"}
                - name: sli-{i}
                  interval: 10s
                  rules:
                  - {"{"}record: ratio, expr: vector(0.5), labels: {"{"}id: "{i}"{"}"}{"}"}

                """);
        }
        RuleGroupDefinition[] groups = Parse(text.ToString());
        var store = new Counting();
        await InStagesAsync(groups, store, 1);
        // No ratio yet at the first step: budgets, burns without a result and what is left of them, ratios.
        Assert.InRange(store.Appends, 1, 3);
        Assert.Equal(50, store.Series.Named("budget").Count);
    }

    [Fact]
    public async Task What_rules_of_different_groups_have_in_common_is_evaluated_once()
    {
        var text = new StringBuilder("groups:\n");
        for (int i = 0; i < 20; i++)
            text.Append(CultureInfo.InvariantCulture, $"- {{name: g{i}, interval: 10s, rules: [{{record: share, expr: 'sum(rate(x_total[1m])) > -{i}', labels: {{id: \"{i}\"}}}}]}}\n");
        var store = new Counting();
        for (int i = 0; i < 20; i++)
            store.Series.Add(Labels.Of("__name__", "x_total"), FirstMs - 60_000 + (i * 5_000), i);
        await InStagesAsync(Parse(text.ToString()), store, 1);
        Assert.Equal(20, store.Series.Named("share").Count);
        Assert.Equal(1, store.Selects("x_total"));
    }

    [Fact]
    public void A_rule_is_staged_after_what_it_reads_and_not_before_what_reads_it()
    {
        int[][] stages = Stages("""
            groups:
            - {name: a, rules: [{record: one, expr: x, labels: {l: "1"}}, {record: two, expr: 'one{l="2"}'}, {record: three, expr: 'one{l=~"1|3"}'}]}
            - {name: b, rules: [{record: one, expr: x, labels: {l: "3"}}]}
            - {name: c, rules: [{alert: A, expr: 'ALERTS{alertname="B"} > 0'}, {alert: B, expr: x, annotations: {t: '{{ query "two" }}'}}]}
            - {name: d, rules: [{record: four, expr: '{l="1"}'}]}
            """);
        Assert.Equal([[0, 0, 1], [1], [0, 2], [3]], stages);
    }

    private int[][] Stages(string text)
    {
        RuleGroupDefinition[] definitions = Parse(text);
        var time = new VirtualTime(DateTimeOffset.FromUnixTimeMilliseconds(FirstMs));
        var store = new SeriesInMemory();
        var around = new RuleSurroundings(new PromQlEngine(new EngineOptions(), time), store, store, new Passed());
        RuleGroup[] groups = [.. definitions.Select(d => new RuleGroup(d, around, new RuleEngineOptions(), time, new RuleMetrics(_meter)))];
        RuleSchedule schedule = RuleSchedule.Of(groups);
        return [.. groups.Select(g => g.Definition.Rules.Select((_, r) => schedule.Stages.ToList().FindIndex(s => s.Contains((g, r)))).ToArray())];
    }

    private async Task InStagesAsync(RuleGroupDefinition[] groups, Counting store, int steps = Steps)
    {
        var time = new VirtualTime(DateTimeOffset.FromUnixTimeMilliseconds(FirstMs));
        using var engine = new RuleEngine(new RuleSurroundings(new PromQlEngine(new EngineOptions(), time), store, store, new Passed()), new RuleEngineOptions(), time, _meter, NullLogger.Instance);
        engine.Apply(groups);
        for (int i = 0; i < steps; i++)
        {
            await engine.StepAsync(default);
            time.Advance(TimeSpan.FromSeconds(10));
        }
    }

    private static void OneAfterTheOther(RuleGroupDefinition[] groups, SeriesInMemory store)
    {
        var engine = new PromQlEngine(new EngineOptions { Plain = true }, TimeProvider.System);
        var before = new Dictionary<RuleDefinition, HashSet<Labels>>(ReferenceEqualityComparer.Instance);
        for (int i = 0; i < Steps; i++)
        {
            long stepMs = FirstMs + (i * 10_000);
            foreach (RuleDefinition rule in groups.SelectMany(g => g.Rules))
            {
                QueryResult result = engine.Instant(store, rule.Expression, stepMs);
                var labels = result.Series.Select(s => Named(s.Labels, rule)).ToList();
                if (result.Error is not null || labels.Distinct().Count() < labels.Count)
                    continue;
                for (int s = 0; s < labels.Count; s++)
                    store.Add(labels[s], stepMs, result.Series[s].Points[0].Value);
                foreach (Labels gone in before.GetValueOrDefault(rule) ?? [])
                {
                    if (!labels.Contains(gone))
                        store.Add(gone, stepMs, SpecialValues.StaleMarker);
                }
                before[rule] = [.. labels];
            }
        }
    }

    private static Labels Named(Labels labels, RuleDefinition rule)
    {
        LabelsBuilder builder = new LabelsBuilder(labels).Set(LabelNames.MetricName, rule.Name);
        foreach ((string name, var value) in rule.Labels)
            builder.Set(name, value.Text);
        return builder.Build();
    }

    // Each (name, l) has one writer: what two rules write of one series at one time is not a matter of order alone.
    private static string Groups(Random random)
    {
        var text = new StringBuilder("groups:\n");
        var targets = s_names.SelectMany(n => s_values.Select(v => (Name: n, Value: v))).OrderBy(_ => random.Next()).ToList();
        int at = 0;
        for (int g = 0; at < targets.Count; g++)
        {
            text.Append(CultureInfo.InvariantCulture, $"- name: g{g}\n  interval: 10s\n  rules:\n");
            for (int r = 0; r < 1 + random.Next(3) && at < targets.Count; r++, at++)
                text.Append(CultureInfo.InvariantCulture, $"  - {{record: {targets[at].Name}, expr: '{Expression(random)}', labels: {{l: \"{targets[at].Value}\"}}}}\n");
        }
        return text.ToString();
    }

    private static string Expression(Random random) => random.Next(6) switch
    {
        0 => $"sum by (m) ({Selector(random)})",
        1 => $"{Selector(random)} > {random.Next(3)}",
        2 => $"sum by (m) (sum_over_time({Selector(random)}[30s]))",
        3 => $"sum by (m) ({Selector(random)}) + sum by (m) ({Selector(random)})",
        4 => $"count by (m) (last_over_time({Selector(random)}[25s]))",
        _ => $"max by (m) ({Selector(random)} offset 10s) or sum by (m) (x)",
    };

    private static string Selector(Random random) => random.Next(5) switch
    {
        0 => "x",
        1 => s_names[random.Next(3)],
        2 => $"{s_names[random.Next(3)]}{{l=\"{s_values[random.Next(2)]}\"}}",
        3 => $"{{__name__=~\"{s_names[random.Next(3)]}|x\", l!=\"{s_values[random.Next(2)]}\"}}",
        _ => $"{{l=\"{s_values[random.Next(2)]}\", __name__!=\"{s_names[random.Next(3)]}\"}}",
    };

    private static RuleGroupDefinition[] Parse(string text) => [.. RuleFiles.Parse(text, "r.yaml", new RuleFileOptions()).Value!.Groups];

    private static (long, long) Bits(SeriesSample sample) => (sample.TimestampMs, BitConverter.DoubleToInt64Bits(sample.Value));

    private sealed class Passed : IIngestProgress
    {
        public long PassedMs => long.MaxValue;
    }

    private sealed class Counting : ISampleAppender, ISeriesReader
    {
        private readonly Dictionary<string, int> _selects = [];

        public SeriesInMemory Series { get; } = new();

        public int Appends { get; private set; }

        public int Selects(string name) => _selects.GetValueOrDefault(name);

        public ValueTask<AppendResult> AppendAsync(SampleBatch batch, CancellationToken cancellation)
        {
            Appends++;
            return Series.AppendAsync(batch, cancellation);
        }

        public ISeriesSet Select(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation)
        {
            string name = matchers.FirstOrDefault(m => m.Name == LabelNames.MetricName)?.Value ?? "";
            _selects[name] = _selects.GetValueOrDefault(name) + 1;
            return Series.Select(fromMs, toMs, matchers, cancellation);
        }

        IReadOnlyList<string> ISeriesReader.LabelNames(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) =>
            Series.LabelNames(fromMs, toMs, matchers, cancellation);

        public IReadOnlyList<string> LabelValues(string name, long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) =>
            Series.LabelValues(name, fromMs, toMs, matchers, cancellation);

        public MetricMetadata? Metadata(string family) => Series.Metadata(family);

        public IReadOnlyDictionary<string, MetricMetadata> AllMetadata() => Series.AllMetadata();
    }
}
