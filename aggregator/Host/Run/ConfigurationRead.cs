using Bellwether.Aggregator.Configuration;
using Bellwether.Core.Configuration;
using Bellwether.Evaluate.Kpi;
using Bellwether.Evaluate.Rules;
using Bellwether.Evaluate.Slo;
using Bellwether.Evaluate.Slo.Reading;

namespace Bellwether.Aggregator.Run;

/// <summary>A configuration with the definition files that it names, read in one run. Immutable.</summary>
/// <param name="Config">The configuration; null: something was wrong.</param>
/// <param name="Definitions">What its files define; null together with it.</param>
/// <param name="Errors">All that was wrong, in all files.</param>
/// <param name="Warnings">What is good and yet probably not meant, in the configuration itself.</param>
internal sealed record ConfigurationRead(AggregatorConfig? Config, Definitions? Definitions, IReadOnlyList<ConfigError> Errors, IReadOnlyList<ConfigError> Warnings)
{
    private static Definitions Together(AggregatorConfig config, Definitions definitions)
    {
        var kept = new KeptFor(config.Retention.Raw, config.Retention.FiveMinutes, config.Retention.OneHour);
        var options = new RuleEngineOptions { DefaultInterval = config.Global.EvaluationInterval };
        return definitions with { BeyondRetention = RetentionCheck.Warnings(definitions.Groups, options, kept) };
    }

    /// <summary>Reads everything.</summary>
    public static ConfigurationRead Of(string file, bool checkFiles, TimeProvider time)
    {
        ConfigResult<AggregatorConfig> read = AggregatorConfigFile.Load(file, checkFiles);
        (ValueList<string> Rules, ValueList<string> Kpis, ValueList<string> Slos) named = read.IsOk ? (read.Value.RuleFiles, read.Value.KpiFiles, read.Value.SloFiles) : AggregatorConfigFile.NamedFiles(file);
        string folder = Path.GetDirectoryName(Path.GetFullPath(file))!;
        // Where the configuration itself is wrong nobody knows whether experimental functions are on: what they would be told for may be right.
        ConfigResult<RuleSet> rules = RuleFiles.Load(named.Rules, folder, new RuleFileOptions { Experimental = !read.IsOk || read.Value.Evaluation.Experimental });
        ConfigResult<KpiSet> kpis = KpiFiles.Load(named.Kpis, folder);
        ConfigResult<SloSet> slos = SloFiles.Load(named.Slos, folder);
        ConfigResult<SloRuleSet> sloRules = slos.IsOk ? SloRuleSet.Make(slos.Value, time.GetUtcNow().ToUnixTimeMilliseconds()) : new ConfigResult<SloRuleSet>(slos.Errors);
        return read.IsOk && rules.IsOk && kpis.IsOk && sloRules.IsOk
            ? new ConfigurationRead(read.Value, Together(read.Value, new Definitions(rules.Value, kpis.Value, sloRules.Value)), [], read.Warnings)
            : new ConfigurationRead(null, null, [.. read.Errors, .. rules.Errors, .. kpis.Errors, .. sloRules.Errors], read.Warnings);
    }
}
