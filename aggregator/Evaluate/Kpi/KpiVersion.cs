using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
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

    /// <summary>SHA-256 of everything here but number and time, hexadecimal.</summary>
    public string Hash { get; init; } = "";

    /// <summary>The first step that it made, Unix ms.</summary>
    public long FromMs { get; init; }

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
                .Select(r => new KpiRuleText(r.Name, r.Query, new SortedDictionary<string, string>(r.Labels.ToDictionary(l => l.Key, l => l.Value.Text), StringComparer.Ordinal)))],
        };
        return version with { Hash = Convert.ToHexStringLower(SHA256.HashData(JsonSerializer.SerializeToUtf8Bytes(version, KpiVersionJson.Default.KpiVersion))) };
    }
}

/// <summary>The JSON of versions in their journal.</summary>
[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault, NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals)]
[JsonSerializable(typeof(KpiVersion))]
internal sealed partial class KpiVersionJson : JsonSerializerContext;
