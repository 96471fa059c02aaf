using Bellwether.Core.Configuration;
using Bellwether.Evaluate.Rules;
using Bellwether.Evaluate.Slo.Compiling;

namespace Bellwether.Evaluate.Slo;

/// <summary>The objectives of a running aggregator with their rules, as of a time: calendar objectives have rules for the period of that time and the next. Immutable.</summary>
public sealed record SloRuleSet
{
    /// <summary>No objectives.</summary>
    public static SloRuleSet Empty { get; } = new();

    /// <summary>What the files hold.</summary>
    public SloSet Set { get; private init; } = new();

    /// <summary>The objectives with their rules.</summary>
    public IReadOnlyList<CompiledSlo> Compiled { get; private init; } = [];

    /// <summary>The groups for the rule engine.</summary>
    public IReadOnlyList<RuleGroupDefinition> Groups { get; private init; } = [];

    /// <summary>When the first calendar period ends and <see cref="At"/> must be called, Unix ms; <see cref="long.MaxValue"/>: never.</summary>
    public long PeriodEndMs { get; private init; } = long.MaxValue;

    /// <summary>Remarks that refuse nothing.</summary>
    public IReadOnlyList<string> Warnings { get; private init; } = [];

    /// <summary>Makes the rules of objectives as of a time, or tells why one cannot be.</summary>
    public static ConfigResult<SloRuleSet> Make(SloSet set, long atMs)
    {
        IReadOnlyList<CompiledSlo> compiled = SloCompiler.Compile(set, new CountStyleOptions { AtMs = atMs });
        ConfigResult<RuleSet> rules = SloCompiler.ToRules(compiled, new RuleFileOptions());
        if (!rules.IsOk)
            return new ConfigResult<SloRuleSet>(rules.Errors);
        IEnumerable<CalendarPeriods> calendars = set.Slos.Select(s => s.Window?.Calendar).OfType<CalendarPeriods>();
        return new ConfigResult<SloRuleSet>(new SloRuleSet
        {
            Set = set,
            Compiled = compiled,
            Groups = rules.Value.Groups,
            PeriodEndMs = calendars.Select(c => c.At(atMs).EndMs).DefaultIfEmpty(long.MaxValue).Min(),
            Warnings = [.. set.Warnings.Select(w => w.ToString()), .. rules.Value.Warnings],
        });
    }

    /// <summary>The same objectives with the rules of a later time.</summary>
    public SloRuleSet At(long atMs) => Make(Set, atMs).Value ?? this;
}
