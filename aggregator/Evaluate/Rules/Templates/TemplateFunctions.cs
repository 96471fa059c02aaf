using System.Collections.Frozen;
using System.Globalization;
using System.Net;
using System.Text;
using System.Text.RegularExpressions;
using Bellwether.Core.Configuration;
using Bellwether.Core.Exposition;
using Bellwether.Core.Model;

namespace Bellwether.Evaluate.Rules.Templates;

/// <summary>The functions of Go's text/template and those that Prometheus adds (prometheus.io/docs/prometheus/latest/configuration/template_reference/).</summary>
internal sealed class TemplateFunctions(Func<string, IReadOnlyList<(Labels Labels, double Value)>> query, string externalUrl, TimeProvider time)
{
    private const int PatternLengthMax = 4096;

    private static readonly FrozenSet<string> s_names = new[]
    {
        "and", "or", "not", "len", "index", "slice", "print", "printf", "println", "html", "js", "urlquery", "call", "eq", "ne", "lt", "le", "gt", "ge",
        "query", "first", "label", "value", "strvalue", "args", "reReplaceAll", "safeHtml", "match", "title", "toUpper", "toLower", "graphLink", "tableLink", "sortByLabel",
        "stripPort", "stripDomain", "humanize", "humanize1024", "humanizeDuration", "humanizePercentage", "humanizeTimestamp", "toTime", "toDuration", "now", "pathPrefix",
        "externalURL", "parseDuration", "urlQueryEscape",
    }.ToFrozenSet();

    /// <summary>Whether there is such a function.</summary>
    public static bool IsKnown(string name) => s_names.Contains(name);

    /// <summary>Calls one; throws <see cref="TemplateException"/> when the arguments do not fit.</summary>
    public object? Call(string name, List<object?> a) => name switch
    {
        "query" => Query(Text(name, a, 0, 1)),
        "first" => List(name, a, 0, 1) is { Count: > 0 } list ? list[0] : throw Error(name, "first() called on vector with no elements"),
        "label" => Sample(name, a, 1, 2).Labels.Get(Text(name, a, 0, 2)),
        "value" => Sample(name, a, 0, 1).Value,
        "strvalue" => Sample(name, a, 0, 1).Labels.Get("__value__"),
        "args" => Args(a),
        "sortByLabel" => List(name, a, 1, 2).OrderBy(s => ((TemplateSample)s!).Labels.Get(Text(name, a, 0, 2)) as string, StringComparer.Ordinal).ToList(),
        "reReplaceAll" => ReplaceAll(Text(name, a, 0, 3), Text(name, a, 1, 3), Text(name, a, 2, 3)),
        "match" => Pattern(Text(name, a, 0, 2)).IsMatch(Text(name, a, 1, 2)),
        "safeHtml" => Text(name, a, 0, 1),
        "title" => Title(Text(name, a, 0, 1)),
        "toUpper" => Text(name, a, 0, 1).ToUpperInvariant(),
        "toLower" => Text(name, a, 0, 1).ToLowerInvariant(),
        "graphLink" => $"/graph?g0.expr={QueryEscape(Text(name, a, 0, 1))}&g0.tab=0",
        "tableLink" => $"/graph?g0.expr={QueryEscape(Text(name, a, 0, 1))}&g0.tab=1",
        "stripPort" => SplitHostPort(Text(name, a, 0, 1), out string host, out _) ? host : Text(name, a, 0, 1),
        "stripDomain" => StripDomain(Text(name, a, 0, 1)),
        "humanize" => Humanize.Decimal(Number(name, a, 0, 1)),
        "humanize1024" => Humanize.Binary(Number(name, a, 0, 1)),
        "humanizeDuration" => Humanize.Duration(Number(name, a, 0, 1)),
        "humanizePercentage" => GoFormat.FourDigits(Number(name, a, 0, 1) * 100) + "%",
        "humanizeTimestamp" => Humanize.Timestamp(Number(name, a, 0, 1)),
        "toTime" => Humanize.TryTime(Number(name, a, 0, 1), out DateTimeOffset at) ? at : throw Error(name, $"{Number(name, a, 0, 1)} is no time"),
        "toDuration" => Humanize.GoDuration(Number(name, a, 0, 1)),
        "now" => time.GetUtcNow().ToUnixTimeMilliseconds() / 1000.0,
        "pathPrefix" => Uri.TryCreate(externalUrl, UriKind.Absolute, out Uri? uri) ? uri.AbsolutePath.TrimEnd('/') : "",
        "externalURL" => externalUrl,
        "parseDuration" => ParseDuration(Text(name, a, 0, 1)),
        "urlQueryEscape" => QueryEscape(Text(name, a, 0, 1)),
        _ => GoBuiltins.Call(name, a),
    };

    /// <summary>Go's url.QueryEscape.</summary>
    public static string QueryEscape(string text) => WebUtility.UrlEncode(text).Replace("!", "%21", StringComparison.Ordinal).Replace("*", "%2A", StringComparison.Ordinal)
        .Replace("(", "%28", StringComparison.Ordinal).Replace(")", "%29", StringComparison.Ordinal).Replace("%7E", "~", StringComparison.Ordinal);

    private List<object?> Query(string text)
    {
        var samples = new List<object?>();
        foreach ((Labels labels, double value) in query(text))
            samples.Add(new TemplateSample(TemplateMap.Of(labels), value));
        return samples;
    }

    private static TemplateMap Args(List<object?> a)
    {
        var items = new SortedDictionary<string, object?>(StringComparer.Ordinal);
        for (int i = 0; i < a.Count; i++)
            items[string.Create(CultureInfo.InvariantCulture, $"arg{i}")] = a[i];
        return new TemplateMap(false, items);
    }

    private static string ReplaceAll(string pattern, string replacement, string text) =>
        Pattern(pattern).Replace(text, match => Expand(match, replacement));

    private static Regex Pattern(string pattern)
    {
        if (pattern.Length > PatternLengthMax)
            throw new TemplateException($"a regular expression is longer than {PatternLengthMax} characters");
        try
        {
            // RE2 also writes named groups as (?P<name>...).
            return new Regex(pattern.Replace("(?P<", "(?<", StringComparison.Ordinal), RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
        }
        catch (Exception e) when (e is ArgumentException or NotSupportedException)
        {
            throw new TemplateException($"error parsing regexp: {e.Message}");
        }
    }

    /// <summary>Go's expansion: $1, ${1}, $name (the longest name), $$.</summary>
    private static string Expand(Match match, string template)
    {
        var text = new StringBuilder();
        for (int i = 0; i < template.Length; i++)
        {
            if (template[i] != '$' || i + 1 == template.Length)
            {
                text.Append(template[i]);
                continue;
            }
            if (template[i + 1] == '$')
            {
                text.Append('$');
                i++;
                continue;
            }
            bool braces = template[i + 1] == '{';
            int start = i + (braces ? 2 : 1), end = start;
            while (end < template.Length && (char.IsLetterOrDigit(template[end]) || template[end] == '_'))
                end++;
            if (end == start || (braces && (end == template.Length || template[end] != '}')))
            {
                text.Append('$');
                continue;
            }
            text.Append(match.Groups[template[start..end]].Value);
            i = braces ? end : end - 1;
        }
        return text.ToString();
    }

    private static string Title(string text)
    {
        var title = new StringBuilder(text.Length);
        bool start = true;
        foreach (char c in text)
        {
            title.Append(start ? char.ToUpperInvariant(c) : c);
            start = !char.IsLetterOrDigit(c) && c is not '_' and not '\'';
        }
        return title.ToString();
    }

    private static bool SplitHostPort(string text, out string host, out string port)
    {
        host = port = "";
        int colon = text.LastIndexOf(':');
        if (colon < 0)
            return false;
        port = text[(colon + 1)..];
        if (text.StartsWith('['))
        {
            if (colon == 0 || text[colon - 1] != ']')
                return false;
            host = text[1..(colon - 1)];
            return true;
        }
        host = text[..colon];
        return !host.Contains(':', StringComparison.Ordinal);
    }

    private static string StripDomain(string text)
    {
        if (!SplitHostPort(text, out string host, out string port))
        {
            host = text;
            port = "";
        }
        if (IPAddress.TryParse(host, out _))
            return text;
        host = host.Split('.')[0];
        return port.Length > 0 ? $"{host}:{port}" : host;
    }

    private static double ParseDuration(string text) =>
        PrometheusDuration.TryParse(text, out TimeSpan span) ? span.TotalSeconds : throw Error("parseDuration", $"not a valid duration string: {GoFormat.Quote(text)}");

    private static object? At(string name, List<object?> a, int index, int count) =>
        a.Count == count ? a[index] : throw new TemplateException($"wrong number of args for {name}: want {count} got {a.Count}");

    private static string Text(string name, List<object?> a, int index, int count) =>
        At(name, a, index, count) as string ?? throw new TemplateException($"wrong type for value in {name}; expected string; got {TemplateValues.TypeName(a[index])}");

    private static List<object?> List(string name, List<object?> a, int index, int count) =>
        At(name, a, index, count) as List<object?> ?? throw new TemplateException($"wrong type for value in {name}; expected template.queryResult; got {TemplateValues.TypeName(a[index])}");

    private static TemplateSample Sample(string name, List<object?> a, int index, int count) =>
        At(name, a, index, count) as TemplateSample ?? throw new TemplateException($"wrong type for value in {name}; expected *template.sample; got {TemplateValues.TypeName(a[index])}");

    private static double Number(string name, List<object?> a, int index, int count) => At(name, a, index, count) switch
    {
        double d => d,
        long n => n,
        string s when FloatText.TryParse(Encoding.UTF8.GetBytes(s), out double parsed) => parsed,
        string s => throw Error(name, $"strconv.ParseFloat: parsing {GoFormat.Quote(s)}: invalid syntax"),
        { } other => throw Error(name, $"can't convert {TemplateValues.TypeName(other)} to float"),
        null => throw Error(name, "can't convert nil to float"),
    };

    private static TemplateException Error(string name, string what) => new($"error calling {name}: {what}");
}
