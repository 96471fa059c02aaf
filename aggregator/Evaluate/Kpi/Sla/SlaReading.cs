using System.Globalization;
using System.Text.RegularExpressions;
using Bellwether.Core.Configuration;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Evaluate.Kpi.Sla;

/// <summary>Reads <c>sla_definitions</c>, <c>service_tiers</c>, <c>sla_inputs</c>, <c>sla_contracts</c> and <c>maintenance</c> of all KPI files together.</summary>
internal sealed partial class SlaReading
{
    private static readonly (string, KpiDirection)[] s_directions = [("higher", KpiDirection.Higher), ("lower", KpiDirection.Lower)];
    private readonly List<(SlaCheck Check, ConfigSection Section)> _defined = [];
    private readonly Dictionary<string, ConfigSection> _inputs = new(StringComparer.Ordinal);
    private readonly List<(string Tier, ConfigSection Section)> _tiers = [];
    private readonly List<(SlaContract Contract, ConfigSection Section)> _contracts = [];
    private readonly List<Maintenance> _maintenances = [];
    private string _tierLabel = "tier";

    /// <summary>Takes what one file says.</summary>
    public void Read(ConfigSection root)
    {
        _tierLabel = root.Text("sla_tier_label", _tierLabel);
        foreach ((string name, ConfigSection section) in Named(root, "sla_definitions"))
            ReadDefinition(name, section);
        foreach ((string name, ConfigSection section) in Named(root, "service_tiers"))
            _tiers.Add((name, section));
        foreach ((string name, ConfigSection section) in Named(root, "sla_inputs"))
        {
            if (!_inputs.TryAdd(name, section))
                section.Error($"the input '{name}' is there already");
        }
        foreach (ConfigSection section in root.Sections("sla_contracts"))
            ReadContract(section);
        foreach (ConfigSection section in root.Sections("maintenance"))
            ReadMaintenance(section);
    }

    /// <summary>All checks with their inputs and tiers.</summary>
    public SlaSet Finish()
    {
        var checks = new List<SlaCheck>();
        foreach ((SlaCheck check, ConfigSection section) in _defined)
            checks.Add(WithInput(check, section));
        var inputsUsed = _defined.SelectMany(d => new[] { d.Check.Id, d.Check.Definition }).ToHashSet(StringComparer.Ordinal);
        foreach ((string name, ConfigSection section) in _inputs)
        {
            if (!inputsUsed.Contains(name))
                section.Error($"there is no promise '{name}' that would be measured by it{Near(name, inputsUsed)}");
            else
                section.Close();
        }
        foreach ((string tier, ConfigSection section) in _tiers)
            checks.AddRange(ReadTier(tier, section, checks));
        foreach ((SlaContract contract, ConfigSection section) in _contracts)
        {
            if (!checks.Any(c => c.Id == contract.Sla && c.Tier == contract.Tier))
                section.Error("sla", $"nothing is promised as '{contract.Sla}'{(contract.Tier.Length > 0 ? $" in the tier '{contract.Tier}'" : "")}{Near(contract.Sla, checks.Select(c => c.Id))}");
        }
        return new SlaSet { Checks = checks, Contracts = [.. _contracts.Select(c => c.Contract)], Maintenances = _maintenances };
    }

    private void ReadDefinition(string name, ConfigSection section)
    {
        var shape = new SlaCheck
        {
            Id = name,
            Definition = name,
            MeasurementWindow = section.Duration("measurement_window", TimeSpan.FromMinutes(5), TimeSpan.FromSeconds(1)),
            EvaluationWindow = section.Duration("evaluation_window", TimeSpan.FromHours(1), TimeSpan.FromSeconds(1)),
            GracePeriod = section.Duration("grace_period", TimeSpan.Zero),
        };
        if (shape.EvaluationWindow < shape.MeasurementWindow)
            section.Error("evaluation_window", "is shorter than measurement_window");
        int before = _defined.Count;
        foreach ((ConfigNode key, ConfigNode _) in section.Node!.Entries)
        {
            if (key.Text == "target")
                Add(shape with { Unit = "percent", Target = section.Number("target", 0, 0, 100), Direction = KpiDirection.Higher });
            else if (PercentileTarget().Match(key.Text) is { Success: true } percentile)
                Add(shape with { Id = $"{name}_p{percentile.Groups[1].Value}", Unit = "ms", Target = section.Number(key.Text, 0, 0), Direction = KpiDirection.Lower });
            else if (Threshold().Match(key.Text) is { Success: true } threshold)
                Add(shape with { Id = $"{name}_{threshold.Groups[1].Value}", Target = section.Number(key.Text, 0), Direction = DirectionOf(threshold.Groups[1].Value) });
        }
        if (_defined.Count == before)
            section.Error("promises nothing; give 'target' (percent), 'p95_target_ms' or '..._threshold'");
        section.Close();

        void Add(SlaCheck check)
        {
            if (_defined.Any(d => d.Check.Id == check.Id))
                section.Error($"'{check.Id}' is promised already");
            else
                _defined.Add((check, section));
        }
    }

    private static KpiDirection DirectionOf(string name) => name.Contains("error", StringComparison.Ordinal) || name.Contains("lag", StringComparison.Ordinal) || name.Contains("latency", StringComparison.Ordinal) || name.Contains("time", StringComparison.Ordinal)
        ? KpiDirection.Lower
        : KpiDirection.Higher;

    private SlaCheck WithInput(SlaCheck check, ConfigSection section)
    {
        string name = _inputs.ContainsKey(check.Id) ? check.Id : check.Definition;
        if (!_inputs.TryGetValue(name, out ConfigSection? input))
        {
            section.Error($"nothing is measured for '{check.Id}'; add sla_inputs.{check.Id} with good (or bad) and total, or with expr");
            return check;
        }
        check = check with { Direction = input.Word("direction", check.Direction, s_directions) };
        string quantile = PercentileEnd().Match(check.Id) is { Success: true } p ? "0." + p.Groups[1].Value : "";
        if (input.Has("expr"))
            return check with { Value = Template(input, "expr", quantile) };
        string part = input.Has("bad") ? "bad" : "good";
        return check with { Part = Template(input, part, quantile), Total = Template(input, "total", quantile), IsBad = part == "bad", Unit = "percent" };
    }

    /// <summary>PromQL with <c>$window</c> left in; <c>$quantile</c> is put in.</summary>
    private static string Template(ConfigSection input, string key, string quantile)
    {
        string text = input.RequiredText(key);
        if (text.Length == 0)
            return text;
        if (text.Contains("$quantile", StringComparison.Ordinal) && quantile.Length == 0)
            input.Error(key, "$quantile is only known for promises such as p95_target_ms");
        text = text.Replace("$quantile", quantile, StringComparison.Ordinal).Trim();
        if (!text.Contains("$window", StringComparison.Ordinal))
            input.Error(key, "has no $window; write for example sum(increase(requests_total[$window]))");
        ParseResult parsed = PromQlParser.Parse(SlaCompiler.At(text, TimeSpan.FromMinutes(5)));
        if (parsed.Expr is null)
            input.Error(key, $"could not parse expression: {parsed.Errors[0]}");
        return text;
    }

    private List<SlaCheck> ReadTier(string tier, ConfigSection section, List<SlaCheck> all)
    {
        var checks = new List<SlaCheck>();
        foreach ((ConfigNode key, ConfigNode _) in section.Node!.Entries)
        {
            string id = TierEnding().Replace(key.Text, "");
            if (all.FirstOrDefault(c => c.Id == id && c.Tier.Length == 0) is not { } check)
            {
                section.Reading.Error(key, section.PathOf(key.Text), $"nothing is promised as '{id}' in sla_definitions{Near(id, all.Select(c => c.Id))}");
                continue;
            }
            checks.Add(check with
            {
                Tier = tier,
                Target = section.Number(key.Text, 0),
                Part = OfTier(section, key.Text, check.Part, tier),
                Total = OfTier(section, key.Text, check.Total, tier),
                Value = OfTier(section, key.Text, check.Value, tier),
            });
        }
        return checks;
    }

    /// <summary>An input of one tier: every selector is narrowed to it.</summary>
    private string OfTier(ConfigSection section, string key, string template, string tier)
    {
        if (template.Length == 0)
            return "";
        // A window that nobody writes stands in for $window while the expression is taken apart.
        var stand = TimeSpan.FromSeconds(86_399);
        if (PromQlParser.Parse(SlaCompiler.At(template, stand)).Expr is not { } expr)
            return template;
        string narrowed = SelectorRewrite.Map(expr, s => s with { Matchers = [.. s.Matchers, new LabelMatcher(Core.Model.MatchType.Equal, _tierLabel, tier)] }).ToString();
        string text = narrowed.Replace($"[{PrometheusDuration.Format(stand)}]", "[$window]", StringComparison.Ordinal);
        if (!text.Contains("$window", StringComparison.Ordinal))
            section.Error(key, "the input cannot be narrowed to a tier");
        return text;
    }

    private void ReadContract(ConfigSection section)
    {
        var credits = new List<SlaCredit>();
        foreach (ConfigSection credit in section.Sections("credits"))
        {
            credit.RequiredText("below");
            credit.RequiredText("credit");
            credits.Add(new SlaCredit(credit.Number("below", 0), credit.Number("credit", 0, 0, 100)));
            credit.Close();
        }
        var contract = new SlaContract
        {
            Name = section.RequiredText("name"),
            Customer = section.Text("customer"),
            Sla = section.RequiredText("sla"),
            Tier = section.Text("tier"),
            TimeZone = Zone(section),
            Credits = [.. credits.OrderBy(c => c.Credit)],
        };
        section.Close();
        if (_contracts.Any(c => c.Contract.Name == contract.Name))
            section.Error("name", $"the contract '{contract.Name}' is there already");
        _contracts.Add((contract, section));
    }

    private void ReadMaintenance(ConfigSection section)
    {
        bool recurs = section.Has("days");
        var maintenance = new Maintenance
        {
            Name = section.RequiredText("name"),
            Reason = section.RequiredText("reason"),
            ApprovedBy = section.RequiredText("approved_by"),
            Slas = section.Texts("slas"),
            Tiers = section.Texts("tiers"),
            Slos = section.Texts("slos"),
            Services = section.Texts("services"),
            TimeZone = Zone(section),
            Days = ReadDays(section),
        };
        maintenance = maintenance with
        {
            FromMs = section.Has("from") || !recurs ? Time(section, "from", maintenance.TimeZone) : 0,
            ToMs = section.Has("to") || !recurs ? Time(section, "to", maintenance.TimeZone) : long.MaxValue,
        };
        if (recurs)
        {
            string at = section.RequiredText("at");
            if (!TimeOnly.TryParseExact(at, "HH:mm", CultureInfo.InvariantCulture, DateTimeStyles.None, out TimeOnly time) && at.Length > 0)
                section.Error("at", $"'{at}' is no time of day; write for example 02:30");
            maintenance = maintenance with { At = time, Duration = section.Duration("duration", TimeSpan.FromHours(1), TimeSpan.FromMinutes(1), TimeSpan.FromDays(6)) };
            if (!section.Has("duration"))
                section.Error("duration", "is missing");
        }
        if (maintenance.ToMs <= maintenance.FromMs && maintenance.ToMs != 0)
            section.Error("to", "is not after 'from'");
        if (_maintenances.Any(m => m.Name == maintenance.Name))
            section.Error("name", $"the maintenance '{maintenance.Name}' is there already");
        section.Close();
        _maintenances.Add(maintenance);
    }

    private static ValueList<DayOfWeek> ReadDays(ConfigSection section)
    {
        var days = new List<DayOfWeek>();
        foreach ((ConfigNode node, string path) in section.List("days"))
            days.Add(section.WordOf(node, path, [("monday", DayOfWeek.Monday), ("tuesday", DayOfWeek.Tuesday), ("wednesday", DayOfWeek.Wednesday), ("thursday", DayOfWeek.Thursday), ("friday", DayOfWeek.Friday), ("saturday", DayOfWeek.Saturday), ("sunday", DayOfWeek.Sunday)], DayOfWeek.Monday));
        return [.. days];
    }

    private static long Time(ConfigSection section, string key, TimeZoneInfo zone)
    {
        string text = section.RequiredText(key);
        if (text.Length == 0)
            return 0;
        if (text.EndsWith('Z') || Offset().IsMatch(text))
        {
            if (DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.None, out DateTimeOffset exact))
                return exact.ToUnixTimeMilliseconds();
        }
        else if (DateTime.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.None, out DateTime local))
        {
            return Maintenance.Utc(DateTime.SpecifyKind(local, DateTimeKind.Unspecified), zone);
        }
        section.Error(key, $"'{text}' is no time; write for example 2026-10-03T22:00:00Z, or 2026-10-03 22:00 with time_zone");
        return 0;
    }

    private static TimeZoneInfo Zone(ConfigSection section)
    {
        string name = section.Text("time_zone", "UTC");
        if (TimeZoneInfo.TryFindSystemTimeZoneById(name, out TimeZoneInfo? zone))
            return zone;
        section.Error("time_zone", $"'{name}' is no time zone; write an IANA name such as Europe/Zagreb");
        return TimeZoneInfo.Utc;
    }

    private static IEnumerable<(string Name, ConfigSection Section)> Named(ConfigSection root, string key)
    {
        ConfigSection holder = root.Section(key);
        foreach ((ConfigNode name, ConfigNode value) in holder.Node?.Entries ?? [])
        {
            if (value.Kind == ConfigNodeKind.Mapping)
                yield return (name.Text, holder.Section(name.Text));
            else
                holder.Error(name.Text, "must be a section of keys");
        }
    }

    private static string Near(string word, IEnumerable<string> words) => NearestWord.Find(word, words) is { } near ? $"; did you mean '{near}'?" : "";

    [GeneratedRegex("^p(\\d{2,4})_target_ms$")]
    private static partial Regex PercentileTarget();

    [GeneratedRegex("_p(\\d{2,4})$")]
    private static partial Regex PercentileEnd();

    [GeneratedRegex("^(.+)_threshold$")]
    private static partial Regex Threshold();

    [GeneratedRegex("(_target_ms|_target|_threshold|_ms)$")]
    private static partial Regex TierEnding();

    [GeneratedRegex("[+-]\\d\\d:\\d\\d$")]
    private static partial Regex Offset();
}
