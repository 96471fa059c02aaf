using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using Bellwether.Evaluate.Kpi.Sla;
using Bellwether.Evaluate.PromQl.Syntax;
using Bellwether.Evaluate.Rules;

namespace Bellwether.Evaluate.Kpi;

/// <summary>One rule of a version, as any Prometheus reads it.</summary>
/// <param name="Record">The metric.</param>
/// <param name="Expr">Its expression.</param>
/// <param name="Labels">Labels that it adds.</param>
public sealed record KpiRuleText(string Record, string Expr, IReadOnlyDictionary<string, string> Labels);

/// <summary>
/// All that makes a KPI's numbers, from a time on until the next version. Kept on disk (docs/formats/kpi-versions.md), so that history stays explained by the rules that made it. Immutable.
/// </summary>
public sealed record KpiVersion
{
    /// <summary>The KPI.</summary>
    public required string Name { get; init; }

    /// <summary>1 for the first.</summary>
    public int Number { get; init; }

    /// <summary>SHA-256 of everything that makes numbers, hexadecimal.</summary>
    public string Hash { get; init; } = "";

    /// <summary>The first step that it made, Unix ms.</summary>
    public long FromMs { get; init; }

    /// <summary>Why the definition was changed, as its file says it; empty: it does not. Not part of the hash.</summary>
    public string Reason { get; init; } = "";

    /// <summary>What is other than in the version before, in words. Not part of the hash.</summary>
    public IReadOnlyList<string> Changes { get; init; } = [];

    /// <summary>Whether the KPI was taken out of the files here.</summary>
    public bool IsEnd { get; init; }

    /// <summary>The metric of its value.</summary>
    public string Record { get; init; } = "";

    /// <summary>Its unit.</summary>
    public string Unit { get; init; } = "";

    /// <summary>Which values are good: <c>higher</c> or <c>lower</c>.</summary>
    public string Direction { get; init; } = "";

    /// <summary>The target.</summary>
    public double? Target { get; init; }

    /// <summary>The threshold of WARNING.</summary>
    public double? Warning { get; init; }

    /// <summary>The threshold of CRITICAL.</summary>
    public double? Critical { get; init; }

    /// <summary>The expression; empty for an index.</summary>
    public string Expression { get; init; } = "";

    /// <summary>Ids of an index's inputs.</summary>
    public IReadOnlyList<string> Inputs { get; init; } = [];

    /// <summary>PromQL of the inputs, in the same order.</summary>
    public IReadOnlyList<string> InputExpressions { get; init; } = [];

    /// <summary>Their weights.</summary>
    public IReadOnlyList<double> InputWeights { get; init; } = [];

    /// <summary>How often it is evaluated, ms.</summary>
    public long IntervalMs { get; init; }

    /// <summary>Its rules, in order; those of KPIs that it reads are theirs.</summary>
    public IReadOnlyList<KpiRuleText> Rules { get; init; } = [];

    /// <summary>What a definition and its rules mean, as a version without number and time.</summary>
    public static KpiVersion Of(KpiDefinition kpi, RuleGroupDefinition group, TimeSpan defaultInterval)
    {
        HashSet<string> own = [.. KpiCompiler.Records(kpi)];
        var version = new KpiVersion
        {
            Name = kpi.Name,
            Record = kpi.Record,
            Unit = kpi.Unit,
            Direction = kpi.Direction == KpiDirection.Higher ? "higher" : "lower",
            Target = kpi.Target,
            Warning = kpi.Warning,
            Critical = kpi.Critical,
            Expression = kpi.Expression.Length == 0 ? "" : PromQlParser.Parse(kpi.Expression).Expr?.ToString() ?? kpi.Expression,
            Inputs = [.. kpi.Index?.Inputs.Select(i => i.Id) ?? []],
            InputExpressions = [.. kpi.Index?.Inputs.Select(i => i.Expression) ?? []],
            InputWeights = [.. kpi.Index?.Inputs.Select(i => i.Weight) ?? []],
            IntervalMs = (long)(group.Interval ?? defaultInterval).TotalMilliseconds,
            Rules = [.. group.Rules.Where(r => own.Contains(r.Name) || r.Labels.Any(l => l.Key == "kpi" && l.Value.Text == kpi.Name))
                .Select(TextOf)],
        };
        return version.Hashed() with { Reason = kpi.Reason };
    }

    /// <summary>The name of a service level among versions.</summary>
    public static string NameOf(SlaCheck check) => check.Tier.Length == 0 ? $"sla:{check.Id}" : $"sla:{check.Id}:{check.Tier}";

    /// <summary>What a service level and its rules mean, as a version without number and time.</summary>
    public static KpiVersion Of(SlaCheck check, RuleGroupDefinition group, TimeSpan defaultInterval) => new KpiVersion
    {
        Name = NameOf(check),
        Record = SlaCompiler.ActualMetric,
        Unit = check.Unit,
        Direction = check.Direction == KpiDirection.Higher ? "higher" : "lower",
        Target = check.Target,
        Expression = SlaCompiler.ValueOver(check, check.EvaluationWindow),
        IntervalMs = (long)(group.Interval ?? defaultInterval).TotalMilliseconds,
        Rules = [.. SlaCompiler.Groups(new SlaSet { Checks = [check] }, "").SelectMany(g => g.Rules).Select(TextOf)],
    }.Hashed();

    internal static KpiRuleText TextOf(RuleDefinition rule) =>
        new(rule.Name, rule.Query, new SortedDictionary<string, string>(rule.Labels.ToDictionary(l => l.Key, l => l.Value.Text), StringComparer.Ordinal));

    private KpiVersion Hashed() => this with { Hash = Convert.ToHexStringLower(SHA256.HashData(JsonSerializer.SerializeToUtf8Bytes(this, KpiVersionJson.Default.KpiVersion))) };

    /// <summary>What is other than in the version before, in words.</summary>
    public IReadOnlyList<string> ChangesSince(KpiVersion before)
    {
        if (IsEnd || before.IsEnd)
            return [IsEnd ? "taken out of the files" : "back in the files"];
        var changes = new List<string>();
        void Compare(string what, object? then, object? now)
        {
            if (!Equals(then, now))
                changes.Add(string.Create(CultureInfo.InvariantCulture, $"{what}: {Word(then)} → {Word(now)}"));
        }
        Compare("expression", before.Expression, Expression);
        Compare("inputs", string.Join(", ", before.InputExpressions), string.Join(", ", InputExpressions));
        Compare("weights", Weights(before), Weights(this));
        Compare("target", before.Target, Target);
        Compare("warning", before.Warning, Warning);
        Compare("critical", before.Critical, Critical);
        Compare("direction", before.Direction, Direction);
        Compare("unit", before.Unit, Unit);
        Compare("record", before.Record, Record);
        Compare("interval", TimeSpan.FromMilliseconds(before.IntervalMs), TimeSpan.FromMilliseconds(IntervalMs));
        return changes.Count > 0 ? changes : ["rules that it compiles to"];
    }

    private static string Word(object? value) => value is null or "" ? "none" : Convert.ToString(value, CultureInfo.InvariantCulture)!;

    private static string Weights(KpiVersion version) => string.Join(", ", version.Inputs.Zip(version.InputWeights, (id, weight) => string.Create(CultureInfo.InvariantCulture, $"{id} {weight}")));
}

/// <summary>The JSON of versions in their journal.</summary>
[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault, NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals)]
[JsonSerializable(typeof(KpiVersion))]
internal sealed partial class KpiVersionJson : JsonSerializerContext;
