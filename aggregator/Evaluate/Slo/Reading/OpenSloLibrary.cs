using Bellwether.Core.Configuration;

namespace Bellwether.Evaluate.Slo.Reading;

/// <summary>A name of another document, and where it is used.</summary>
internal sealed record OpenSloRef(string Name, SloPlace Place);

/// <summary>An indicator, or the name of one.</summary>
internal sealed record OpenSloIndicator(OpenSloRef? Ref, OpenSloSli? Inline);

/// <summary>A metric source as written: its query is judged when the type of the source is known.</summary>
internal sealed record OpenSloSource(OpenSloRef? Source, string Type, ConfigSection Spec);

/// <summary>An SLI as written.</summary>
internal sealed record OpenSloSli(string Name, bool IsCounter, OpenSloSource? Good, OpenSloSource? Bad, OpenSloSource? Total, OpenSloSource? Raw, bool RawIsFailure, OpenSloSource? Threshold);

/// <summary>One objective of an SLO as written.</summary>
internal sealed record OpenSloObjective(string DisplayName, decimal Percent, string Operator, double? Value, double? SliceTarget, TimeSpan? Slice, double Weight, OpenSloIndicator? Indicator, SloPlace Place);

/// <summary>An SLO as written.</summary>
internal sealed record OpenSloSlo(SloDefinition Frame, bool HasWindow, OpenSloIndicator? Indicator, IReadOnlyList<OpenSloObjective> Objectives, IReadOnlyList<OpenSloPolicyUse> Policies);

/// <summary>A policy used by an SLO.</summary>
internal sealed record OpenSloPolicyUse(OpenSloRef? Ref, OpenSloPolicy? Inline);

/// <summary>A policy as written.</summary>
internal sealed record OpenSloPolicy(SloAlertPolicy Frame, OpenSloRef? Condition, SloAlertPolicy? InlineCondition, IReadOnlyList<OpenSloRef> Targets, SloPlace Place);

/// <summary>The documents of OpenSLO v1 by kind and name; puts them together to objectives.</summary>
internal sealed class OpenSloLibrary
{
    private static readonly HashSet<string> s_promQl = new(["prometheus", "bellwether", "victoriametrics", "thanos", "mimir", "cortex", "promql"], StringComparer.OrdinalIgnoreCase);

    private readonly Dictionary<string, OpenSloSli> _slis = new(StringComparer.Ordinal);
    private readonly Dictionary<string, OpenSloPolicy> _policies = new(StringComparer.Ordinal);
    private readonly Dictionary<string, SloAlertPolicy> _conditions = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _sources = new(StringComparer.Ordinal);
    private readonly Dictionary<string, SloPlace> _seen = new(StringComparer.Ordinal);
    private readonly HashSet<string> _targets = new(StringComparer.Ordinal);
    private readonly HashSet<string> _services = new(StringComparer.Ordinal);
    private readonly List<OpenSloSlo> _slos = [];

    /// <summary>Notes a document; false when one of this kind and name is there already.</summary>
    public bool Note(string kind, string name, SloPlace place, out SloPlace? first)
    {
        first = _seen.GetValueOrDefault($"{kind}/{name}");
        return first is null && _seen.TryAdd($"{kind}/{name}", place);
    }

    public void Add(OpenSloSli sli) => _slis[sli.Name] = sli;

    public void Add(OpenSloSlo slo) => _slos.Add(slo);

    public void Add(OpenSloPolicy policy) => _policies[policy.Frame.Name] = policy;

    public void AddCondition(SloAlertPolicy condition) => _conditions[condition.Name] = condition;

    public void AddSource(string name, string type) => _sources[name] = type;

    public void AddTarget(string name) => _targets.Add(name);

    public void AddService(string name) => _services.Add(name);

    /// <summary>Whether some document had no kind or no name to be known by.</summary>
    public bool HasNameless { get; set; }

    /// <summary>Looks up all names, where documents are wrong in themselves and nothing can be put together.</summary>
    public void CheckNames(List<ConfigError> errors)
    {
        if (HasNameless)
            return;
        foreach (OpenSloSlo slo in _slos)
        {
            foreach (OpenSloIndicator use in slo.Objectives.Select(o => o.Indicator).Append(slo.Indicator).OfType<OpenSloIndicator>())
            {
                CheckName("SLI", use.Ref, errors);
                CheckSources(use.Inline, errors);
            }
            foreach (OpenSloPolicyUse use in slo.Policies)
            {
                CheckName("AlertPolicy", use.Ref, errors);
                CheckName("AlertCondition", use.Inline?.Condition, errors);
            }
        }
        foreach (OpenSloSli sli in _slis.Values)
            CheckSources(sli, errors);
        foreach (OpenSloPolicy policy in _policies.Values)
            CheckName("AlertCondition", policy.Condition, errors);
    }

    private void CheckSources(OpenSloSli? sli, List<ConfigError> errors)
    {
        foreach (OpenSloSource? source in (OpenSloSource?[])[sli?.Good, sli?.Bad, sli?.Total, sli?.Raw, sli?.Threshold])
            CheckName("DataSource", source?.Source, errors);
    }

    private void CheckName(string kind, OpenSloRef? used, List<ConfigError> errors)
    {
        if (used is not null && used.Name.Length > 0 && !_seen.ContainsKey($"{kind}/{used.Name}"))
            errors.Add(At(used.Place, $"there is no {kind} '{used.Name}'{Near(used.Name, _seen.Keys.Where(k => k.StartsWith(kind + "/", StringComparison.Ordinal)).Select(k => k[(kind.Length + 1)..]))}"));
    }

    /// <summary>Looks up all names and adds the objectives.</summary>
    public void Resolve(List<SloDefinition> slos, List<ConfigError> warnings, List<ConfigError> errors)
    {
        foreach (OpenSloSlo slo in _slos)
        {
            if (_services.Count > 0 && !_services.Contains(slo.Frame.Service))
                warnings.Add(At(slo.Frame.Place, $"service '{slo.Frame.Service}' has no document of kind Service{Near(slo.Frame.Service, _services)}"));
            if (!slo.HasWindow)
                errors.Add(At(slo.Frame.Place with { Path = "spec.timeWindow" }, "is missing; write for example '- duration: 30d' with 'isRolling: true'"));
            List<SloAlertPolicy> policies = [.. slo.Policies.Select(p => Policy(p, warnings, errors)).OfType<SloAlertPolicy>()];
            SloDefinition frame = slo.Frame with { Policies = policies };
            if (slo.Objectives.Any(o => o.Indicator is not null))
                AddComposite(frame, slo, slos, errors);
            else
                AddEach(frame, slo, slos, errors);
        }
    }

    private void AddEach(SloDefinition frame, OpenSloSlo slo, List<SloDefinition> slos, List<ConfigError> errors)
    {
        for (int i = 0; i < slo.Objectives.Count; i++)
        {
            OpenSloObjective objective = slo.Objectives[i];
            SloIndicator? indicator = Indicator(slo.Indicator!, objective, slo.Objectives.Count, errors);
            if (indicator is null)
                continue;
            slos.Add(frame with
            {
                Name = slo.Objectives.Count == 1 ? frame.Name : $"{frame.Name}-{i}",
                DisplayName = slo.Objectives.Count > 1 && objective.DisplayName.Length > 0 ? $"{frame.DisplayName}: {objective.DisplayName}" : frame.DisplayName,
                Place = objective.Place,
                ObjectivePercent = objective.Percent,
                Indicator = indicator,
                Slice = objective.Slice ?? frame.Slice,
                SliceTarget = objective.SliceTarget ?? 1,
                SliceOperator = indicator.Threshold is null && objective.Operator.Length > 0 ? objective.Operator : ">=",
            });
        }
    }

    private void AddComposite(SloDefinition frame, OpenSloSlo slo, List<SloDefinition> slos, List<ConfigError> errors)
    {
        var members = new List<SloMember>();
        for (int i = 0; i < slo.Objectives.Count; i++)
        {
            OpenSloObjective objective = slo.Objectives[i];
            if (objective.Indicator is null)
                errors.Add(At(objective.Place, "has no indicator; in a composite each objective has its own 'indicator' or 'indicatorRef'"));
            else if (Indicator(objective.Indicator, objective, 1, errors) is { } indicator)
                members.Add(new SloMember($"{i}", indicator, objective.Percent, objective.Weight, objective.SliceTarget ?? 1, indicator.Threshold is null && objective.Operator.Length > 0 ? objective.Operator : ">="));
        }
        OpenSloObjective first = slo.Objectives[0];
        if (frame.Method != BudgetingMethod.Occurrences)
        {
            foreach (OpenSloObjective other in slo.Objectives.Where(o => o.Percent != first.Percent || o.Slice != first.Slice))
                errors.Add(At(other.Place, $"members of a composite with {frame.Method} share one target and one timeSliceWindow; the first has {first.Percent} % and {(first.Slice is { } s ? BurnWindows.Text(s) : "none")}"));
        }
        else
        {
            foreach (OpenSloObjective whole in slo.Objectives.Where(o => o.Percent == 100))
                errors.Add(At(whole.Place, "a member of a composite needs an error budget; write a target below 1"));
        }
        slos.Add(frame with { Members = members, ObjectivePercent = frame.Method == BudgetingMethod.Occurrences ? 0 : first.Percent, Slice = first.Slice ?? frame.Slice });
    }

    private SloIndicator? Indicator(OpenSloIndicator use, OpenSloObjective objective, int objectives, List<ConfigError> errors)
    {
        OpenSloSli? sli = use.Inline;
        if (use.Ref is { } name && !_slis.TryGetValue(name.Name, out sli))
        {
            errors.Add(At(name.Place, $"there is no SLI '{name.Name}'{Near(name.Name, _slis.Keys)}"));
            return null;
        }
        if (sli!.Threshold is not null)
        {
            if (objective.Value is null || objective.Operator.Length == 0)
                errors.Add(At(objective.Place, "an objective over a thresholdMetric needs 'op' (lt, lte, gt, gte) and 'value'"));
            return new SloIndicator { Threshold = Query(sli.Threshold, SloQueryKind.Gauge, errors), Operator = objective.Operator, Value = objective.Value ?? 0 };
        }
        if (objective.Value is not null)
            errors.Add(At(objective.Place, "'value' goes with a thresholdMetric only"));
        SloQueryKind kind = sli.IsCounter ? SloQueryKind.Counter : SloQueryKind.Gauge;
        return new SloIndicator
        {
            Good = Query(sli.Good, kind, errors),
            Bad = Query(sli.Bad, kind, errors),
            Total = Query(sli.Total, kind, errors),
            Raw = Query(sli.Raw, SloQueryKind.Gauge, errors),
            RawIsFailure = sli.RawIsFailure,
        };
    }

    private SloQuery? Query(OpenSloSource? source, SloQueryKind kind, List<ConfigError> errors)
    {
        if (source is null)
            return null;
        string type = source.Type;
        if (source.Source is { } name && !_sources.TryGetValue(name.Name, out string? known))
            errors.Add(At(name.Place, $"there is no DataSource '{name.Name}'{Near(name.Name, _sources.Keys)}"));
        else if (source.Source is not null && type.Length == 0)
            type = _sources[source.Source.Name];
        if (type.Length > 0 && !s_promQl.Contains(type))
        {
            SloPlace place = SloReading.PlaceOf(source.Spec);
            errors.Add(At(place, $"a metric source of type '{type}' cannot be asked; there are: Prometheus, Bellwether"));
            return null;
        }
        int before = source.Spec.Reading.Errors.Count;
        SloQuery? query = SloReading.AnyQuery(source.Spec, source.Spec.Has("promql") ? "promql" : "query", kind);
        errors.AddRange(source.Spec.Reading.Errors.Skip(before));
        return query;
    }

    private SloAlertPolicy? Policy(OpenSloPolicyUse use, List<ConfigError> warnings, List<ConfigError> errors)
    {
        OpenSloPolicy? policy = use.Inline;
        if (use.Ref is { } name && !_policies.TryGetValue(name.Name, out policy))
        {
            errors.Add(At(name.Place, $"there is no AlertPolicy '{name.Name}'{Near(name.Name, _policies.Keys)}"));
            return null;
        }
        SloAlertPolicy? condition = policy!.InlineCondition;
        if (policy.Condition is { } conditionName && !_conditions.TryGetValue(conditionName.Name, out condition))
        {
            errors.Add(At(conditionName.Place, $"there is no AlertCondition '{conditionName.Name}'{Near(conditionName.Name, _conditions.Keys)}"));
            return null;
        }
        foreach (OpenSloRef target in policy.Targets.Where(t => !_targets.Contains(t.Name)))
            warnings.Add(At(target.Place, $"there is no AlertNotificationTarget '{target.Name}'; the alerts carry the name in the label 'notify'"));
        if (condition!.Operator is "<" or "<=")
            warnings.Add(At(policy.Place, $"the policy fires while the burn rate is {condition.Operator} {condition.Threshold}, that is while all is well; for 'exceeds' write op: gt or gte"));
        return policy.Frame with
        {
            Severity = condition.Severity,
            Operator = condition.Operator,
            Threshold = condition.Threshold,
            Lookback = condition.Lookback,
            After = condition.After,
            Description = policy.Frame.Description.Length > 0 ? policy.Frame.Description : condition.Description,
            Targets = [.. policy.Targets.Select(t => t.Name)],
        };
    }

    private static ConfigError At(SloPlace place, string message) => new(place.File, place.Line, place.Column, place.Path, message);

    private static string Near(string word, IEnumerable<string> words) => NearestWord.Find(word, words) is { } near ? $"; did you mean '{near}'?" : "";
}
