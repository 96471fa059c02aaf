using System.Globalization;
using System.Text;
using Bellwether.Core.Configuration;
using Bellwether.Core.Configuration.Prometheus;
using Bellwether.Core.Model;

namespace Bellwether.Core.Relabel;

/// <summary>A target that is to be scraped.</summary>
/// <param name="Discovered">The labels before relabelling, those with <c>__</c> included.</param>
/// <param name="Labels">The labels that its series get.</param>
/// <param name="Url">What is fetched.</param>
/// <param name="Interval">How often.</param>
/// <param name="Timeout">How long one scrape may take.</param>
public sealed record ScrapeTarget(Labels Discovered, Labels Labels, string Url, TimeSpan Interval, TimeSpan Timeout);

/// <summary>What became of one discovered target: to be scraped, dropped by a rule, or wrong.</summary>
/// <param name="Target">Null when dropped or wrong.</param>
/// <param name="Error">What is wrong, or null.</param>
public readonly record struct TargetOutcome(ScrapeTarget? Target, string? Error);

/// <summary>
/// Makes a target's final labels as Prometheus does: the job's defaults, relabelling, the instance default, then everything that starts with <c>__</c> goes.
/// Source: Prometheus' configuration page (relabel_config), conformance recorded from 2.42 and the rules of 3.x.
/// </summary>
public static class TargetLabels
{
    /// <summary>The label that holds a target's host and port.</summary>
    public const string Address = "__address__";
    private const string Scheme = "__scheme__";
    private const string MetricsPath = "__metrics_path__";
    private const string Interval = "__scrape_interval__";
    private const string Timeout = "__scrape_timeout__";
    private const string ParameterPrefix = "__param_";

    /// <summary>Builds one target from what discovery found.</summary>
    public static TargetOutcome Build(ScrapeConfig job, Labels target, Labels group)
    {
        Labels discovered = WithDefaults(job, target, group);
        var labels = new LabelsBuilder(discovered);
        if (!RelabelRules.Apply(job.RelabelConfigs, labels) || labels.Get(Address).Length == 0)
            return default;
        string address = labels.Get(Address);
        if (AddressError(address) is { } addressError)
            return new TargetOutcome(null, addressError);
        if (!PrometheusDuration.TryParse(labels.Get(Interval), out TimeSpan interval) || interval <= TimeSpan.Zero)
            return new TargetOutcome(null, $"target {address}: {Interval} '{labels.Get(Interval)}' is not a duration above 0, e.g. 30s");
        if (!PrometheusDuration.TryParse(labels.Get(Timeout), out TimeSpan timeout) || timeout <= TimeSpan.Zero)
            return new TargetOutcome(null, $"target {address}: {Timeout} '{labels.Get(Timeout)}' is not a duration above 0, e.g. 10s");
        if (timeout > interval)
            return new TargetOutcome(null, $"target {address}: {Timeout} {labels.Get(Timeout)} is longer than {Interval} {labels.Get(Interval)}");
        string url = Url(job, labels);
        if (!Uri.TryCreate(url, UriKind.Absolute, out Uri? parsed) || parsed.Scheme is not ("http" or "https"))
            return new TargetOutcome(null, $"target {address}: '{url}' is not an http or https URL");
        if (labels.Get(LabelNames.Instance).Length == 0)
            labels.Set(LabelNames.Instance, address);
        return new TargetOutcome(new ScrapeTarget(discovered, WithoutInternal(labels), url, interval, timeout), null);
    }

    /// <summary>What is wrong with a target's address, or null: it must be <c>host:port</c>, without scheme or path.</summary>
    public static string? AddressError(string address) =>
        address.Contains('/') ? $"'{address}' is not a target: write host:port, without scheme and path" : null;

    /// <summary>A target's labels before relabelling, with the job's defaults.</summary>
    public static Labels Discovered(ScrapeConfig job, Labels target, Labels group) => WithDefaults(job, target, group);

    private static Labels WithDefaults(ScrapeConfig job, Labels target, Labels group)
    {
        var labels = new LabelsBuilder(group);
        foreach (ref readonly Label label in target.AsSpan())
            labels.Set(label.Name, label.Value);
        SetDefault(labels, LabelNames.Job, job.JobName);
        SetDefault(labels, Interval, PrometheusDuration.Format(job.ScrapeInterval));
        SetDefault(labels, Timeout, PrometheusDuration.Format(job.ScrapeTimeout));
        SetDefault(labels, MetricsPath, job.MetricsPath);
        SetDefault(labels, Scheme, job.Scheme);
        foreach (UrlParameter parameter in job.Params)
        {
            if (parameter.Values.Count > 0)
                labels.Set(ParameterPrefix + parameter.Name, parameter.Values[0]);
        }
        return labels.Build();
    }

    private static void SetDefault(LabelsBuilder labels, string name, string value)
    {
        if (labels.Get(name).Length == 0)
            labels.Set(name, value);
    }

    private static Labels WithoutInternal(LabelsBuilder labels)
    {
        for (int i = labels.Count - 1; i >= 0; i--)
        {
            if (labels[i].Name.StartsWith("__", StringComparison.Ordinal))
                labels.Remove(labels[i].Name);
        }
        return labels.Build();
    }

    private static string Url(ScrapeConfig job, LabelsBuilder labels)
    {
        var parameters = new SortedDictionary<string, List<string>>(StringComparer.Ordinal);
        foreach (UrlParameter parameter in job.Params)
            parameters[parameter.Name] = [.. parameter.Values];
        for (int i = 0; i < labels.Count; i++)
        {
            if (!labels[i].Name.StartsWith(ParameterPrefix, StringComparison.Ordinal))
                continue;
            string name = labels[i].Name[ParameterPrefix.Length..];
            // The label stands for the parameter's first value; the others stay as configured.
            if (parameters.TryGetValue(name, out List<string>? values) && values.Count > 0)
                values[0] = labels[i].Value;
            else
                parameters[name] = [labels[i].Value];
        }
        string path = labels.Get(MetricsPath);
        var url = new StringBuilder();
        url.Append(CultureInfo.InvariantCulture, $"{labels.Get(Scheme)}://{labels.Get(Address)}");
        if (!path.StartsWith('/'))
            url.Append('/');
        url.Append(path);
        char separator = path.Contains('?') ? '&' : '?';
        foreach ((string name, List<string> values) in parameters)
        {
            foreach (string value in values)
            {
                url.Append(separator).Append(QueryEscape(name)).Append('=').Append(QueryEscape(value));
                separator = '&';
            }
        }
        return url.ToString();
    }

    /// <summary>Go's form encoding: a blank becomes <c>+</c>.</summary>
    private static string QueryEscape(string text) => Uri.EscapeDataString(text).Replace("%20", "+", StringComparison.Ordinal);
}
