using Bellwether.Evaluate.Rules;

namespace Bellwether.Aggregator.Tests.Evaluate.Rules;

public sealed class RetentionCheckTests
{
    private static readonly KeptFor s_week = new(TimeSpan.FromDays(7), TimeSpan.FromDays(90), TimeSpan.FromDays(365));

    [Theory]
    [InlineData("rate(x[7d])", "")]
    [InlineData("sum(rate(x[6d] offset 1d)) + x", "")]
    [InlineData("rate(x[30d])", "rate(x[30d])|rate is known where windows begin and end at multiples of 5m, and it is evaluated every 30s: other steps will have no result. Keep samples for 30d, or make interval, range and offset multiples of 5m")]
    [InlineData("1 - sum(rate(x{a=\"b\"}[5m] offset 8d)) > 0.1", "rate(x{a=\"b\"}[5m] offset 8d)|evaluated every 30s")]
    [InlineData("rate(x[100d])", "rate(x[100d])|slots of 1h")]
    [InlineData("quantile_over_time(0.9, x[30d])", "|quantile_over_time needs samples: there will be no result. Keep samples for 30d, or record shorter windows")]
    [InlineData("increase(x[30d] smoothed)", "|increase is known where windows begin and end at multiples of 5m, and it is evaluated every 30s")]
    [InlineData("x offset 30d smoothed", "|of which smoothed values are known at multiples of 5m, and it is evaluated every 30s: other steps will have no result")]
    [InlineData("x offset 30d", "x offset 30d|values between multiples of 5m will be older ones")]
    [InlineData("max_over_time(rate(x[5m])[30d:5m])", "")]
    [InlineData("max_over_time(rate(x[5m])[30d:1m])", "rate(x[5m])|evaluated every 1m")]
    [InlineData("sum_over_time(x[400d])", "x[400d]|, and nothing is kept for longer than 1y (retention)")]
    [InlineData("rate(x[30d] @ 1700000000)", "")]
    public void Rules_that_read_further_back_than_samples_are_kept_are_named(string expression, string expected)
    {
        IReadOnlyList<string> warnings = Warnings(expression, "30s", s_week);
        if (expected.Length == 0)
        {
            Assert.Empty(warnings);
            return;
        }
        string warning = Assert.Single(warnings), inner = expected[..expected.IndexOf('|')];
        Assert.StartsWith("slow.yml:6: rule slow: ", warning, StringComparison.Ordinal);
        Assert.Contains(inner.Length > 0 ? inner[(inner.StartsWith("rate(", StringComparison.Ordinal) ? 5 : 0)..^(inner.StartsWith("rate(", StringComparison.Ordinal) ? 1 : 0)] : "30d", warning, StringComparison.Ordinal);
        Assert.Contains(expected[(expected.IndexOf('|') + 1)..], warning, StringComparison.Ordinal);
    }

    [Fact]
    public void What_slots_answer_at_each_step_is_not_named()
    {
        Assert.Empty(Warnings("sum(rate(x[30d]))", "5m", s_week));
        Assert.Single(Warnings("sum(rate(x[30d]))", "5m", s_week with { FiveMinutes = TimeSpan.Zero }));
        Assert.Empty(Warnings("sum(rate(x[30d]))", "1h", s_week with { FiveMinutes = TimeSpan.Zero }));
        Assert.Single(Warnings("sum(rate(x[30d]))", "1h", s_week with { FiveMinutes = TimeSpan.Zero, OneHour = TimeSpan.Zero }));
        Assert.Empty(Warnings("sum(rate(x[30d]))", "30s", new KeptFor(TimeSpan.FromDays(37), TimeSpan.FromDays(90), TimeSpan.FromDays(365))));
    }

    private static IReadOnlyList<string> Warnings(string expression, string interval, KeptFor kept)
    {
        var read = RuleFiles.Parse($"""
            groups:
              - name: g
                interval: {interval}
                rules:
                  - {"{"}record: fast, expr: 'x'{"}"}
                  - record: slow
                    expr: '{expression}'
            """, "slow.yml", new RuleFileOptions { Experimental = true });
        Assert.True(read.IsOk, string.Join("\n", read.Errors));
        return RetentionCheck.Warnings(read.Value!.Groups, new RuleEngineOptions(), kept);
    }
}
