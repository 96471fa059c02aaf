using System.Globalization;
using Bellwether.Core.Configuration;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Evaluate.Kpi;

/// <summary>Reads one element of <c>kpis</c>.</summary>
internal static partial class KpiReading
{
    private static readonly (string, KpiDirection)[] s_directions = [("higher", KpiDirection.Higher), ("lower", KpiDirection.Lower)];
    private static readonly string[] s_forms = ["expr", "ratio", "exact", "index"];
    private static readonly string[] s_parts = ["part", "good", "bad"];

    public static KpiDraft Read(ConfigSection section, string file, TimeSpan? fileInterval)
    {
        string name = section.RequiredText("name");
        string unit = section.Text("unit");
        string record = section.Text("record", DefaultRecord(name, unit));
        if (name.Length > 0 && !Labels.IsLegacyMetricName(record))
            section.Error(section.Has("record") ? "record" : "name", $"'{(section.Has("record") ? record : name)}' makes no metric name; use letters, digits, '_' and ':'");
        KpiDirection direction = section.Word("direction", KpiDirection.Higher, s_directions);
        ConfigSection thresholds = section.Section("thresholds");
        var draft = new KpiDraft(
            new KpiDefinition
            {
                Name = name,
                Record = record,
                Title = section.Text("title", name),
                Unit = unit,
                Owner = section.Text("owner"),
                Audience = ReadAudience(section),
                Description = section.Text("description"),
                Note = section.Text("note"),
                Reason = section.Text("reason"),
                Target = OptionalNumber(section, "target"),
                Direction = direction,
                Warning = OptionalNumber(thresholds, "warning"),
                Critical = OptionalNumber(thresholds, "critical"),
                By = ReadBy(section),
                BreakDowns = ReadBreakDowns(section),
                Interval = section.Has("interval") ? section.Duration("interval", TimeSpan.Zero, TimeSpan.FromSeconds(1)) : fileInterval,
                SeriesMax = section.Count("series_max", KpiLimits.SeriesMax, 1),
                IsSla = section.Flag("sla", false),
                File = file,
                Line = section.Node?.Line ?? 0,
                Column = section.Node?.Column ?? 0,
            },
            section);
        thresholds.Close();
        CheckThresholds(section, draft.Definition);
        draft = ReadForm(draft);
        section.Close();
        return draft;
    }

    /// <summary>The recorded name of a KPI that gives none itself.</summary>
    public static string DefaultRecord(string name, string unit) =>
        name.Contains(':', StringComparison.Ordinal) ? name : Unit.NamePart(unit) is { Length: > 0 } part ? $"kpi:{name}:{part}" : $"kpi:{name}";

    private static KpiDraft ReadForm(KpiDraft draft)
    {
        ConfigSection section = draft.Section;
        string[] forms = [.. s_forms.Where(section.Has)];
        if (section.Has("reconcile") && forms is not ["exact"])
            section.Error("reconcile", "goes with 'exact' only: an extrapolated number equals no ledger");
        if (forms.Length != 1)
        {
            section.Error(forms.Length == 0 ? "has no value; give one of 'expr', 'ratio', 'exact' and 'index'" : "has several values; keep one of 'expr', 'ratio', 'exact' and 'index'");
            return draft;
        }
        return forms[0] switch
        {
            "expr" => draft with { Definition = draft.Definition with { Expression = ReadExpression(section, "expr") } },
            "ratio" => ReadRatio(draft),
            "exact" => ReadExact(draft),
            _ => ReadIndex(draft),
        };
    }

    /// <summary>PromQL that must be there, parse and be a number or a vector.</summary>
    private static string ReadExpression(ConfigSection section, string key)
    {
        string text = section.RequiredText(key);
        if (text.Length > 0)
            CheckExpression(section, key, text);
        return text;
    }

    private static Expr? CheckExpression(ConfigSection section, string key, string text)
    {
        ParseResult parsed = PromQlParser.Parse(text);
        if (parsed.Expr is null)
            section.Error(key, $"could not parse expression: {parsed.Errors[0]}");
        else if (parsed.Expr.Type is PromQl.ValueType.Matrix or PromQl.ValueType.String)
            section.Error(key, $"is a {(parsed.Expr.Type == PromQl.ValueType.Matrix ? "range vector" : "text")}; a KPI is a number now: take for example increase(...), avg_over_time(...) or rate(...)");
        return parsed.Expr;
    }

    private static KpiDraft ReadRatio(KpiDraft draft)
    {
        ConfigSection ratio = draft.Section.Section("ratio");
        string[] parts = [.. s_parts.Where(ratio.Has)];
        if (parts.Length != 1)
            ratio.Error("needs one of 'good', 'bad' and 'part', beside 'total'");
        string part = parts.Length == 1 ? ReadExpression(ratio, parts[0]) : "", total = ReadExpression(ratio, "total");
        ratio.Close();
        if (part.Length > 0 && total.Length > 0 && !SameShape(part, total))
        {
            ratio.Error(parts[0], "part and total must be aggregated to the same labels, for example sum(...) and sum(...): otherwise each series of the part is divided by itself, and a total without a part gives nothing");
        }
        double scale = 1;
        switch (Unit.Parse(draft.Definition.Unit).Canonical)
        {
            case "percent":
                scale = 100;
                break;
            case "ratio" or "":
                break;
            default:
                draft.Section.Error("unit", $"'{draft.Definition.Unit}' cannot be a ratio's; use ratio or percent");
                break;
        }
        var form = new RatioForm(part, total, parts is ["bad"]);
        return draft with { Ratio = form, Definition = draft.Definition with { Expression = Text(form, scale) } };
    }

    /// <summary>The ratio in PromQL: a part without a series counts as zero while there is a total.</summary>
    public static string Text(RatioForm form, double scale)
    {
        string share = $"((({form.Part.Trim()}) or 0 * ({form.Total.Trim()})) / ({form.Total.Trim()}))";
        string rest = form.IsBad ? $"(1 - {share})" : share;
        string text = Numbers.Is(scale, 1) ? rest : $"{Numbers.Text(scale)} * {rest}";
        return PromQlParser.Parse(text).Expr?.ToString() ?? text;
    }

    private static bool SameShape(string part, string total)
    {
        if (PromQlParser.Parse(part).Expr is not { } a || PromQlParser.Parse(total).Expr is not { } b)
            return true;
        return ShapeOf(a) is { } left && ShapeOf(b) is { } right && left == right;
    }

    /// <summary>The labels that an expression is aggregated to; null: it is not.</summary>
    private static string? ShapeOf(Expr expr) => expr switch
    {
        ParenExpr paren => ShapeOf(paren.Inner),
        UnaryExpr unary => ShapeOf(unary.Operand),
        AggregateExpr aggregate when aggregate.Op is not ("topk" or "bottomk" or "limitk" or "limit_ratio") => (aggregate.Without ? "without " : "by ") + string.Join(',', aggregate.Grouping.Order(StringComparer.Ordinal)),
        BinaryExpr { Left.Type: PromQl.ValueType.Scalar } scaled => ShapeOf(scaled.Right),
        BinaryExpr binary => ShapeOf(binary.Left),
        CallExpr { Function.Name: "vector" or "absent" or "absent_over_time" } => "by ",
        CallExpr call => call.Arguments.LastOrDefault(a => a.Type == PromQl.ValueType.Vector) is { } inner ? ShapeOf(inner) : null,
        _ => null,
    };

    private static KpiDraft ReadIndex(KpiDraft draft)
    {
        ConfigSection index = draft.Section.Section("index");
        bool isSum = index.Word("method", false, [("weighted_mean", false), ("sum", true)]);
        double scale = index.Number("scale", 100);
        MissingInput missing = index.Word("missing", MissingInput.Absent, [("absent", MissingInput.Absent), ("skip", MissingInput.Skip)]);
        if (isSum && index.Has("scale"))
            index.Error("scale", "a sum has no scale; use weights, or method: weighted_mean");
        if (isSum && missing == MissingInput.Skip)
            index.Error("missing", "a sum without one of its inputs is another number; leave it out, or use method: weighted_mean");
        var inputs = new List<KpiInput>();
        var sections = new List<ConfigSection>();
        foreach (ConfigSection section in index.Sections("inputs"))
        {
            inputs.Add(ReadInput(section, isSum));
            sections.Add(section);
        }
        if (inputs.Count == 0)
            index.Error("inputs", "is missing; an index has at least one input");
        if (inputs.Count > KpiLimits.InputsMax)
            index.Error("inputs", $"has {inputs.Count} inputs; at most {KpiLimits.InputsMax} are taken");
        foreach (IGrouping<string, KpiInput> twice in inputs.GroupBy(i => i.Id, StringComparer.Ordinal).Where(g => g.Count() > 1))
            index.Error("inputs", $"'{twice.Key}' is there twice; give each input a name of its own");
        index.Close();
        return draft with { Inputs = sections, Definition = draft.Definition with { Index = new KpiIndex { Inputs = [.. inputs], IsSum = isSum, Scale = scale, Missing = missing } } };
    }

    private static KpiInput ReadInput(ConfigSection section, bool isSum)
    {
        string kpi = section.Text("kpi");
        string expression = kpi.Length == 0 ? ReadInputExpression(section) : "";
        if (kpi.Length > 0 && section.Has("expr"))
            section.Error("expr", "stands beside kpi; keep one");
        if (kpi.Length > 0 && section.Has("unit"))
            section.Error("unit", "is the KPI's own; leave it out");
        string id = section.Text("name", kpi);
        if (id.Length == 0)
            section.Error("name", "is missing; an input that is no KPI needs a name");
        var input = new KpiInput { Id = id, Kpi = kpi, Expression = expression, Unit = section.Text("unit"), Weight = section.Number("weight", 1) };
        if (!isSum && !(input.Weight > 0))
            section.Error("weight", "must be above 0");
        input = ReadNormalise(section, input, isSum);
        section.Close();
        return input;
    }

    private static string ReadInputExpression(ConfigSection section)
    {
        if (section.Has("expr"))
            return ReadExpression(section, "expr");
        section.Error("has no value; give 'kpi' (the name of another KPI) or 'expr'");
        return "";
    }

    private static KpiInput ReadNormalise(ConfigSection input, KpiInput read, bool isSum)
    {
        ConfigSection normalise = input.Section("normalise");
        if (!normalise.IsPresent)
            return read with { Normalisation = Normalisation.None };
        if (isSum)
            input.Error("normalise", "a sum adds its inputs in their own unit; leave it out, or use method: weighted_mean");
        bool hasTarget = normalise.Has("target"), hasRange = normalise.Has("from") || normalise.Has("to");
        bool clamp = normalise.Flag("clamp", true);
        KpiDirection direction = normalise.Word("direction", KpiDirection.Higher, s_directions);
        double from = normalise.Number("from", 0), to = normalise.Number("to", 0), target = normalise.Number("target", 0);
        normalise.Close();
        if (hasTarget == hasRange)
        {
            normalise.Error("needs either 'target', or 'from' (the value that counts as 0) and 'to' (the value that counts as 1)");
            return read;
        }
        if (hasRange && normalise.Has("direction"))
            normalise.Error("direction", "goes without saying between 'from' and 'to': where low values are good, 'from' is the higher one");
        if (hasRange && Numbers.Is(from, to))
            normalise.Error("to", "must differ from 'from'");
        if (hasTarget && Numbers.Is(target, 0))
            normalise.Error("target", "must not be 0; use 'from' and 'to'");
        return read with { Normalisation = hasTarget ? Normalisation.Target : Normalisation.Range, From = from, To = hasTarget ? target : to, Direction = direction, Clamp = clamp };
    }

    private static double? OptionalNumber(ConfigSection section, string key) => section.Has(key) ? section.Number(key, 0) : null;

    private static ValueList<string> ReadAudience(ConfigSection section) =>
        section.Find("audience") is { Kind: ConfigNodeKind.Scalar, IsNull: false } ? [section.Text("audience")] : section.Texts("audience");

    private static ValueList<ValueList<string>> ReadBy(ConfigSection section)
    {
        var sets = new List<ValueList<string>>();
        foreach ((ConfigNode node, string path) in section.List("by"))
        {
            ConfigNode[] names = node.Kind == ConfigNodeKind.Sequence ? [.. node.Items] : [node];
            var labels = new List<string>();
            foreach (ConfigNode name in names)
            {
                if (!section.CheckScalar(name, path))
                    continue;
                if (!Labels.IsLegacyLabelName(name.Text) || name.Text == LabelNames.MetricName)
                    section.Reading.Error(name, path, $"'{name.Text}' is not a label name");
                else
                    labels.Add(name.Text);
            }
            sets.Add([.. labels]);
        }
        if (sets.Count > KpiLimits.BreakDownsMax)
            section.Error("by", $"has {sets.Count} break-downs; at most {KpiLimits.BreakDownsMax} are taken");
        foreach (IGrouping<string, ValueList<string>> twice in sets.GroupBy(s => string.Join('_', s), StringComparer.Ordinal).Where(g => g.Count() > 1))
            section.Error("by", $"'{twice.Key}' is there twice");
        return [.. sets];
    }

    private static ValueList<KeyValuePair<string, string>> ReadBreakDowns(ConfigSection section)
    {
        var own = new List<KeyValuePair<string, string>>();
        ConfigSection breakdowns = section.Section("breakdowns");
        foreach ((ConfigNode name, ConfigNode value, string path) in section.Pairs("breakdowns"))
        {
            if (!section.CheckScalar(value, path))
                continue;
            if (!Labels.IsLegacyLabelName(name.Text))
                section.Reading.Error(name, path, $"'{name.Text}' is not a label name");
            CheckExpression(breakdowns, name.Text, value.Text);
            own.Add(new KeyValuePair<string, string>(name.Text, value.Text));
        }
        return [.. own];
    }

    private static void CheckThresholds(ConfigSection section, KpiDefinition kpi)
    {
        if (kpi.Warning is { } warning && kpi.Critical is { } critical && (kpi.Direction == KpiDirection.Higher ? critical > warning : critical < warning))
        {
            section.Error("thresholds", string.Create(CultureInfo.InvariantCulture,
                $"critical {critical} would be reached before warning {warning}, since {(kpi.Direction == KpiDirection.Higher ? "higher" : "lower")} values are good; swap them, or set direction"));
        }
        if (kpi.Target is { } target && kpi.Critical is { } first && (kpi.Direction == KpiDirection.Higher ? target < first : target > first))
        {
            section.Error("target", string.Create(CultureInfo.InvariantCulture,
                $"the target {target} is beyond critical {first}, since {(kpi.Direction == KpiDirection.Higher ? "higher" : "lower")} values are good; is the direction right?"));
        }
    }
}
