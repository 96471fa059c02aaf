using Bellwether.Core.Model;
using Bellwether.Core.Relabel;
using Bellwether.Core.Text;

namespace Bellwether.Core.Configuration.Prometheus;

/// <summary>How a Prometheus file is read.</summary>
public sealed record PrometheusReadOptions
{
    /// <summary>Whether it is for Prometheus' agent mode, which has no rules, alerting and remote read.</summary>
    public bool AgentMode { get; init; }

    /// <summary>What happens with discovery that we do not have.</summary>
    public ForeignDiscovery ForeignDiscovery { get; init; }

    /// <summary>Whether what Prometheus can and our programs cannot do is refused.</summary>
    public bool SupportedOnly { get; init; }

    /// <summary>Gives an environment variable's value or null; null = the process environment.</summary>
    public Func<string, string?>? Environment { get; init; }

    /// <summary>Whether the files that it names must be there and static targets must come out right: what a check before deployment wants.</summary>
    public bool FullCheck { get; init; }
}

/// <summary>Reads a Prometheus configuration file (version 3's keys) with the files that it includes.</summary>
public static class PrometheusConfigFile
{
    /// <summary>The most files that <c>scrape_config_files</c> may name, globs expanded.</summary>
    public const int MaxIncludedFiles = 10_000;

    private static readonly Re2Pattern s_glob = Re2Pattern.CompileAnchored(@"[^*]*(\*[^/]*)?");

    /// <summary>Reads and checks a file. All errors are found in one run.</summary>
    public static ConfigResult<PrometheusConfig> Load(string path, PrometheusReadOptions? options = null) =>
        ConfigReading.TryReadFile(path, out string text, out ConfigError? error) ? Parse(text, path, options) : new ConfigResult<PrometheusConfig>([error!]);

    /// <summary>Reads and checks a text as if it stood in a file.</summary>
    public static ConfigResult<PrometheusConfig> Parse(string text, string path, PrometheusReadOptions? options = null)
    {
        options ??= new PrometheusReadOptions();
        var reading = new ConfigReading(path, options.Environment) { CheckFiles = options.FullCheck };
        ConfigSection root = reading.Root(text);
        GlobalConfig global = ScrapeReading.ReadGlobal(root);
        bool legacy = global.MetricNameValidationScheme == NameValidation.Legacy;
        if (options.AgentMode)
            RefuseServerSections(root);
        var config = new PrometheusConfig
        {
            Global = global,
            ScrapeConfigs = ReadScrapes(root, global, options.ForeignDiscovery, options.SupportedOnly),
            RuleFiles = ReadGlobs(root, "rule_files"),
            RemoteWrite = RemoteReading.ReadWrite(root, global, options.SupportedOnly),
            RemoteRead = RemoteReading.ReadRead(root),
            Alerting = ServerReading.ReadAlerting(root, legacy, options.ForeignDiscovery),
        };
        ServerReading.CheckStorage(root);
        ServerReading.CheckTracing(root);
        ServerReading.CheckOtlp(root, global);
        root.Section("runtime").Close("gogc");
        root.Close();
        // Rules with errors cannot be applied to targets.
        if (options.FullCheck && reading.Errors.Count == 0)
            CheckTargets(root, config);
        return reading.Result(config);
    }

    /// <summary>Reads <c>scrape_configs</c> and the files of <c>scrape_config_files</c>.</summary>
    public static ValueList<ScrapeConfig> ReadScrapes(ConfigSection root, GlobalConfig global, ForeignDiscovery foreign, bool supportedOnly)
    {
        var names = new Dictionary<string, string>(StringComparer.Ordinal);
        List<ScrapeConfig> jobs = [.. ScrapeReading.ReadJobs(root, global, foreign, supportedOnly, names)];
        foreach ((string glob, ConfigNode node, string path) in ReadGlobNodes(root, "scrape_config_files"))
        {
            foreach (string file in ExpandGlob(glob))
            {
                if (!ConfigReading.TryReadFile(file, out string text, out ConfigError? error))
                {
                    root.Reading.Error(node, path, $"{file} {error!.Message}");
                    continue;
                }
                ConfigSection section = root.Reading.Include(file).Root(text);
                jobs.AddRange(ScrapeReading.ReadJobs(section, global, foreign, supportedOnly, names));
                section.Close();
            }
        }
        return [.. jobs];
    }

    /// <summary>Reads a list of globs, made absolute; <c>*</c> may stand in the last part of the path only.</summary>
    public static ValueList<string> ReadGlobs(ConfigSection root, string key) => [.. ReadGlobNodes(root, key).Select(g => g.Glob)];

    /// <summary>The files that a glob names, in order; one without <c>*</c> names itself, whether it is there or not.</summary>
    public static IReadOnlyList<string> ExpandGlob(string glob)
    {
        string name = Path.GetFileName(glob);
        if (name.AsSpan().IndexOfAny("*?[") < 0)
            return [glob];
        string? folder = Path.GetDirectoryName(glob);
        if (!Directory.Exists(folder))
            return [];
        Re2Pattern pattern = Re2Pattern.CompileAnchored(string.Concat(name.Select(c => c switch { '*' => ".*", '?' => ".", _ => System.Text.RegularExpressions.Regex.Escape(c.ToString()) })));
        return [.. Directory.EnumerateFiles(folder).Where(f => pattern.IsMatch(Path.GetFileName(f))).Order(StringComparer.Ordinal).Take(MaxIncludedFiles)];
    }

    private static List<(string Glob, ConfigNode Node, string Path)> ReadGlobNodes(ConfigSection root, string key)
    {
        var globs = new List<(string, ConfigNode, string)>();
        foreach ((ConfigNode node, string path) in root.List(key))
        {
            if (!root.CheckScalar(node, path))
                continue;
            if (node.Text.Length == 0)
                root.Reading.Error(node, path, "is empty; name a file or a glob");
            else if (!s_glob.IsMatch(node.Text))
                root.Reading.Error(node, path, $"'{node.Text}' has '*' before the last part of the path");
            else
                globs.Add((root.Reading.Resolve(node.Text), node, path));
            if (root.Reading.CheckFiles && !node.Text.Contains('*') && !File.Exists(root.Reading.Resolve(node.Text)))
                root.Reading.Error(node, path, $"{root.Reading.Resolve(node.Text)}: no such file");
        }
        return globs;
    }

    /// <summary>Takes every static target through its rules; a wrong one is an error here, not only a failed scrape later.</summary>
    public static void CheckTargets(ConfigSection root, PrometheusConfig config)
    {
        foreach (ScrapeConfig job in config.ScrapeConfigs)
        {
            foreach (TargetGroup group in job.StaticConfigs)
            {
                foreach (Labels target in group.Targets)
                {
                    if (TargetLabels.Build(job, target, group.Labels).Error is { } error)
                        root.Reading.Error(root.Find("scrape_configs"), $"scrape_configs, job '{job.JobName}'", error);
                }
            }
        }
        foreach (AlertmanagerConfig alertmanager in config.Alerting.Alertmanagers)
        {
            foreach (Labels target in alertmanager.StaticConfigs.SelectMany(g => g.Targets))
            {
                if (RelabelRules.Apply(alertmanager.RelabelConfigs, target) is { } labels && TargetLabels.AddressError(labels.Get(TargetLabels.Address)) is { } error)
                    root.Reading.Error(root.Find("alerting"), "alerting.alertmanagers", error);
            }
        }
    }

    private static void RefuseServerSections(ConfigSection root)
    {
        foreach (string key in (ReadOnlySpan<string>)["alerting", "rule_files", "remote_read"])
        {
            if (root.Find(key) is { IsNull: false })
                root.Error(key, "is not for an agent; it belongs to the server");
        }
    }
}
