using Bellwether.Aggregator.Tests.Store;
using Bellwether.Evaluate.Rules;
using Bellwether.Evaluate.Rules.Healing;
using Bellwether.Evaluate.Rules.Templates;

namespace Bellwether.Aggregator.Tests.Evaluate.Rules.Healing;

/// <summary>Which rules are new, and which still owe a past.</summary>
public sealed class RuleVersionsTests
{
    private readonly MemoryDisk _disk = new();

    [Fact]
    public void New_rules_owe_a_past_over_restarts_until_they_have_it()
    {
        RuleVersions versions = Open();
        Assert.True(versions.Note([Group(Rule("a", "1"))], 1_000));
        Assert.True(versions.HasPast(versions.New!));
        Assert.Null(versions.New);
        Assert.True(versions.Note([Group(Rule("a", "1"), Rule("b", "1"))], 2_000));
        versions = Open();
        Assert.Null(versions.New);
        Assert.True(versions.Note([Group(Rule("a", "1"), Rule("b", "1"), Rule("c", "1"))], 3_000));
        NewRuleSet owed = versions.New!;
        Assert.Equal((2_000, false, true, true), (owed.FirstMs, owed.Has("g", Rule("a", "1")), owed.Has("g", Rule("b", "1")), owed.Has("g", Rule("c", "1"))));
        Assert.True(versions.HasPast(owed));
        versions = Open();
        Assert.True(versions.Note([Group(Rule("a", "1"), Rule("b", "1"), Rule("c", "1"))], 4_000));
        Assert.Null(versions.New);
    }

    [Fact]
    public void A_rule_that_is_changed_before_it_had_its_past_is_new_no_more()
    {
        RuleVersions versions = Open();
        Assert.True(versions.Note([Group(Rule("a", "1"))], 1_000));
        Assert.True(versions.Note([Group(Rule("a", "2"))], 2_000));
        Assert.Null(versions.New);
        Assert.Equal(2_000, versions.SinceMs("g", Rule("a", "2")));
    }

    [Fact]
    public void A_label_without_text_makes_no_new_rule()
    {
        RuleVersions versions = Open();
        Assert.True(versions.Note([Group(Rule("a", "1", ("sla", "x")))], 1_000));
        Assert.True(versions.HasPast(versions.New!));
        Assert.True(versions.Note([Group(Rule("a", "1", ("sla", "x"), ("tier", "")))], 2_000));
        Assert.Null(versions.New);
        Assert.True(versions.Note([Group(Rule("a", "1", ("sla", "x"), ("tier", "gold")))], 3_000));
        Assert.NotNull(versions.New);
    }

    [Fact]
    public void What_is_written_of_many_rules_is_read_again()
    {
        string text = new('x', 400);
        RuleDefinition[] rules = [.. Enumerable.Range(0, 60_000).Select(i => Rule($"{text}{i}", "1"))];
        RuleVersions versions = Open();
        Assert.True(versions.Note([Group(rules)], 1_000));
        Assert.True(versions.HasPast(versions.New!));
        versions = Open();
        Assert.True(versions.Note([Group(rules)], 2_000));
        Assert.Null(versions.New);
    }

    [Fact]
    public void Of_too_many_rules_those_in_force_are_kept()
    {
        RuleDefinition[] old = [Rule("a", "1"), Rule("b", "1"), Rule("c", "1")], now = [Rule("d", "1"), Rule("e", "1")];
        var versions = new RuleVersions(_disk, "/") { RulesMax = 3 };
        Assert.True(versions.Note([Group(old)], 1_000));
        Assert.True(versions.Note([Group([.. old.Select(r => Rule(r.Name, "2"))])], 2_000));
        Assert.True(versions.Note([Group(now)], 3_000));
        Assert.True(versions.HasPast(versions.New!));
        versions = Open();
        Assert.True(versions.Note([Group(now)], 4_000));
        Assert.Null(versions.New);
    }

    private RuleVersions Open() => new(_disk, "/");

    private static RuleGroupDefinition Group(params RuleDefinition[] rules) => new() { Name = "g", File = "f.yaml", Rules = rules };

    private static RuleDefinition Rule(string name, string query, params (string Name, string Value)[] labels) =>
        new() { Name = name, IsAlert = false, Expression = query, Query = query, Labels = [.. labels.Select(l => new KeyValuePair<string, AlertTemplate>(l.Name, AlertTemplate.Plain(l.Value)))] };
}
