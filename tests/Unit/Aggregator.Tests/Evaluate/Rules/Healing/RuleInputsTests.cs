using Bellwether.Evaluate.Rules;
using Bellwether.Evaluate.Rules.Healing;

namespace Bellwether.Aggregator.Tests.Evaluate.Rules.Healing;

/// <summary>What recorded results stand on in the end.</summary>
public sealed class RuleInputsTests
{
    [Theory]
    [InlineData("sum(rate(hits[5m]))", 300_000)]
    [InlineData("mad_over_time(hits[10m])", 600_000)]
    public void A_result_stands_on_what_its_rules_read_also_where_they_are_experimental(string expression, long backMs)
    {
        RuleDefinition[] rules =
        [
            new() { Name = "inner", IsAlert = false, Expression = expression, Query = expression },
            new() { Name = "outer", IsAlert = false, Expression = "inner offset 1h", Query = "inner offset 1h" },
        ];
        var inputs = new RuleInputs([new RuleGroupDefinition { Name = "g", File = "f", Rules = rules }], TimeSpan.FromMinutes(5));
        RuleInput input = Assert.Single(inputs.Of("outer"));
        Assert.Equal("hits", Assert.Single(input.Matchers).Value);
        Assert.Equal(3_600_000 + 300_000 + backMs, input.BackMs);
    }
}
