using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.Rules;
using Bellwether.Evaluate.Rules.Healing;
using Bellwether.Kit;

namespace Bellwether.Aggregator.Tests.Evaluate.Rules.Healing;

public sealed class HealUnitTests
{
    private const long FirstMs = 1_800_000_000_000;
    private const long IntervalMs = 30_000;

    [Fact]
    public void All_times_at_once_give_what_they_give_one_by_one_with_the_same_stale_markers()
    {
        for (int seed = 0; seed < 200; seed++)
        {
            var random = new Random(seed);
            HealUnit atOnce = Make(), oneByOne = Make();
            Labels[] before = [.. Enumerable.Range(0, 4).Where(_ => random.Next(2) == 0).Select(i => Written(i))];
            atOnce.SeedOnce(() => before);
            oneByOne.SeedOnce(() => before);
            for (int slice = 0; slice < 3; slice++)
            {
                int steps = 1 + random.Next(8);
                long from = FirstMs + (slice * 8 * IntervalMs), to = from + ((steps - 1) * IntervalMs);
                ResultSeries[] matrix = [.. Enumerable.Range(0, 3).Select(i => new ResultSeries(Source(i),
                    [.. Enumerable.Range(0, steps).Where(_ => random.Next(3) > 0).Select(t => new Point(from + (t * IntervalMs), random.Next(5)))])).Where(s => s.Points.Count > 0)];
                atOnce.BeginSlice(from, to + 7);
                oneByOne.BeginSlice(from, to + 7);
                Assert.True(atOnce.TryTakeAll(matrix, to));
                for (long time = from; time <= to; time += IntervalMs)
                    oneByOne.Take(new QueryResult { Type = PromQlType, Series = [.. matrix.Select(s => new ResultSeries(s.Labels, [.. s.Points.Where(p => p.TimestampMs == time)])).Where(s => s.Points.Count > 0)] }, time);
                Assert.Equal(Text(oneByOne), Text(atOnce));
            }
        }
    }

    [Fact]
    public void Two_series_that_become_one_are_not_taken_at_once()
    {
        HealUnit unit = Make();
        unit.SeedOnce(() => []);
        unit.BeginSlice(FirstMs, FirstMs);
        ResultSeries[] matrix = [new(Source(1), [new Point(FirstMs, 1)]), new(Source(1).With("own", "other"), [new Point(FirstMs, 2)])];
        Assert.False(unit.TryTakeAll(matrix, FirstMs));
        Assert.Empty(unit.Computed);
    }

    private const Bellwether.Evaluate.PromQl.ValueType PromQlType = Bellwether.Evaluate.PromQl.ValueType.Vector;

    private static Labels Source(int i) => Labels.Of("__name__", "x", "i", i.ToString(System.Globalization.CultureInfo.InvariantCulture));

    private static Labels Written(int i) => Source(i).With("__name__", "r").With("own", "label");

    private static string Text(HealUnit unit) => string.Join("\n", unit.Computed.Select(c => $"{c.Key}: {string.Join(" ", c.Value.Times.ToArray().Zip(c.Value.Values.ToArray(), (t, v) => $"{t}={BitConverter.DoubleToUInt64Bits(v):x}"))}"));

    private static HealUnit Make()
    {
        RuleGroupDefinition group = RuleFiles.Parse("groups: [{name: g, interval: 30s, rules: [{record: r, expr: x, labels: {own: label}}]}]", "r.yaml", new RuleFileOptions()).Value!.Groups[0];
        PreparedQuery query = new PromQlEngine(new EngineOptions(), new VirtualTime()).Prepare("x");
        return new HealUnit(group, group.Rules[0], query, RuleReach.Of(query.Expression!, TimeSpan.FromMinutes(5)), new RuleEngineOptions()) { Index = 0 };
    }
}
