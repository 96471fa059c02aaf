using Bellwether.Core.Configuration;
using Bellwether.Evaluate.Rules;
using Bellwether.Evaluate.Slo.Compiling;

namespace Bellwether.Evaluate.Slo;

/// <summary>Makes rule files and rules of the engine out of objectives.</summary>
public static class SloCompiler
{
    /// <summary>The rules of all objectives in the default style (<see cref="CountStyle"/>).</summary>
    public static IReadOnlyList<CompiledSlo> Compile(SloSet set, CountStyleOptions options)
    {
        CountStyleOptions own = options with { Windows = [.. options.Windows, .. set.Windows] };
        return [.. set.Slos.Select(s => CountStyle.Compile(s, own))];
    }

    /// <summary>The rules of all objectives as Sloth makes them, or why that cannot be.</summary>
    public static ConfigResult<IReadOnlyList<CompiledSlo>> CompileAsSloth(SloSet set, SlothStyleOptions options)
    {
        SlothStyleOptions own = options with { Windows = [.. options.Windows, .. set.Windows] };
        List<ConfigResult<CompiledSlo>> compiled = [.. set.Slos.Select(s => SlothStyle.Compile(s, own))];
        List<ConfigError> errors = [.. compiled.SelectMany(c => c.Errors)];
        return errors.Count > 0 ? new ConfigResult<IReadOnlyList<CompiledSlo>>(errors) : new ConfigResult<IReadOnlyList<CompiledSlo>>([.. compiled.Select(c => c.Value!)]);
    }

    /// <summary>One rule file with all groups.</summary>
    public static string ToRuleFile(IEnumerable<CompiledSlo> compiled) =>
        RuleYaml.Write(compiled.SelectMany(c => c.Groups), ["Made by bellwether-aggregator slo compile. Change the SLO files, not this.", "Burn-rate windows: Google, The Site Reliability Workbook, chapter 5, sre.google/workbook/alerting-on-slos/"]);

    /// <summary>Rule files as Sloth writes them: a document for each document that was read; a Kubernetes object becomes a PrometheusRule object.</summary>
    public static string ToSlothFiles(IEnumerable<CompiledSlo> compiled, string version)
    {
        var documents = new List<string>();
        foreach (IGrouping<int, CompiledSlo> document in compiled.GroupBy(c => c.Slo.Document))
        {
            SloObject? wrapper = document.First().Slo.Object;
            if (wrapper is not null)
                wrapper = wrapper with { Labels = SloLabels.Merge(wrapper.Labels, new Dictionary<string, string> { ["app.kubernetes.io/component"] = "SLO", ["app.kubernetes.io/managed-by"] = "sloth" }) };
            documents.Add("---\n" + RuleYaml.Write(document.SelectMany(c => c.Groups), [$"Made by bellwether-aggregator slo compile --style sloth ({version})."], wrapper));
        }
        return string.Join("\n", documents);
    }

    /// <summary>The rules as the engine takes them: read from the same text that a user can print. An error here is a query that is no PromQL once it is put together.</summary>
    public static ConfigResult<RuleSet> ToRules(IEnumerable<CompiledSlo> compiled, RuleFileOptions options)
    {
        var groups = new List<RuleGroupDefinition>();
        var errors = new List<ConfigError>();
        var warnings = new List<string>();
        foreach (CompiledSlo slo in compiled)
        {
            SloPlace place = slo.Slo.Place;
            ConfigResult<RuleSet> read = RuleFiles.Parse(RuleYaml.Write(slo.Groups, []), place.File, options);
            if (read.IsOk)
                groups.AddRange(read.Value.Groups);
            else
                errors.Add(new ConfigError(place.File, place.Line, place.Column, place.Path, $"the rules of objective '{slo.Slo.Name}' cannot be made: {read.Errors[0].Message}"));
            warnings.AddRange(slo.Warnings.Select(w => w.ToString()));
        }
        return errors.Count > 0 ? new ConfigResult<RuleSet>(errors) : new ConfigResult<RuleSet>(new RuleSet(groups, warnings));
    }
}
