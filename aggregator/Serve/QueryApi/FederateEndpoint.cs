using System.Buffers;
using System.Text;
using Bellwether.Core.Exposition;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Syntax;
using Microsoft.AspNetCore.Http;

namespace Bellwether.Serve.QueryApi;

/// <summary>
/// <c>/federate</c>: the newest sample of each selected series, in the text format or OpenMetrics. Stale series are left out; native histograms are too, which neither format
/// has. Names that are not classic stand as they are for who asks for them (<c>escaping=allow-utf-8</c>), else with underscores, since a reader that does not know them refuses the
/// whole answer. Source: prometheus.io/docs/prometheus/latest/federation/.
/// </summary>
internal sealed class FederateEndpoint(QueryApiSources sources, QueryApiOptions options, TimeProvider time)
{
    private const int FlushSeries = 1_000;

    public async Task AnswerAsync(HttpContext context)
    {
        CancellationToken cancellation = context.RequestAborted;
        var selectors = new List<IReadOnlyList<LabelMatcher>>();
        foreach (string? text in context.Request.Query["match[]"])
        {
            SelectorResult parsed = PromQlParser.ParseSeriesSelector(text ?? "", emptyAllowed: true);
            if (parsed.Matchers is null)
            {
                await RefuseAsync(context, StatusCodes.Status400BadRequest, parsed.Errors[0].ToString());
                return;
            }
            selectors.Add(parsed.Matchers);
        }
        List<(Labels Labels, long TimeMs, double Value)>? found = Newest(selectors, cancellation);
        if (found is null)
        {
            await RefuseAsync(context, StatusCodes.Status422UnprocessableEntity, $"more than {options.EntriesMax} series match; narrow match[]");
            return;
        }
        string accept = context.Request.Headers.Accept.ToString();
        ExpositionFormat format = ExpositionContent.Negotiate(accept);
        context.Response.ContentType = ExpositionWriter.ContentType(format);
        if (!HttpMethods.IsHead(context.Request.Method))
            await WriteAsync(context.Response.BodyWriter, found, format, accept.Contains("escaping=allow-utf-8", StringComparison.OrdinalIgnoreCase), cancellation);
    }

    /// <summary>The newest samples in the lookback, each series once; null: too many.</summary>
    private List<(Labels Labels, long TimeMs, double Value)>? Newest(List<IReadOnlyList<LabelMatcher>> selectors, CancellationToken cancellation)
    {
        long nowMs = time.GetUtcNow().ToUnixTimeMilliseconds();
        var found = new List<(Labels Labels, long TimeMs, double Value)>();
        var seen = new HashSet<Labels>();
        var samples = new SampleBuffer();
        foreach (IReadOnlyList<LabelMatcher> matchers in selectors)
        {
            using ISeriesSet set = sources.Reader.Select(nowMs - (long)options.Lookback.TotalMilliseconds + 1, nowMs, matchers, cancellation);
            for (int i = 0; i < set.Count; i++)
            {
                cancellation.ThrowIfCancellationRequested();
                Labels labels = set.LabelsAt(i);
                if (labels.Get(LabelNames.MetricName).Length == 0 || !seen.Add(labels))
                    continue;
                if (seen.Count > options.EntriesMax)
                    return null;
                set.Read(i, samples);
                if (samples.Count > 0 && samples.HistogramAt(samples.Count - 1) is null && !SpecialValues.IsStale(samples.Values[^1]))
                    found.Add((labels, samples.Times[^1], samples.Values[^1]));
            }
        }
        found.Sort(static (a, b) => Utf8Order.Compare(a.Labels.Get(LabelNames.MetricName), b.Labels.Get(LabelNames.MetricName)) is var order and not 0 ? order : a.Labels.CompareTo(b.Labels));
        return found;
    }

    private async Task WriteAsync(System.IO.Pipelines.PipeWriter output, List<(Labels Labels, long TimeMs, double Value)> found, ExpositionFormat format, bool anyName, CancellationToken cancellation)
    {
        for (int i = 0; i < found.Count;)
        {
            string name = found[i].Labels.Get(LabelNames.MetricName);
            string shown = anyName ? name : Classic(name, Labels.IsLegacyMetricName(name));
            var samples = new List<ExposedSample>();
            for (; i < found.Count && found[i].Labels.Get(LabelNames.MetricName) == name; i++)
                samples.Add(new ExposedSample(shown, LabelsOf(found[i].Labels, anyName), found[i].Value) { TimestampSeconds = found[i].TimeMs / 1000m });
            ExpositionWriter.WriteFamily(output, new ExposedFamily(shown, MetricType.Unknown, "", "", samples), format);
            if (i % FlushSeries == 0 || samples.Count > FlushSeries)
                await output.FlushAsync(cancellation);
        }
        if (format == ExpositionFormat.OpenMetricsText)
            output.Write("# EOF\n"u8);
        await output.FlushAsync(cancellation);
    }

    /// <summary>The series' labels and the external ones that it lacks; an instance label always, so that the scraper's own does not take its place.</summary>
    private List<Label> LabelsOf(Labels labels, bool anyName)
    {
        var written = new List<Label>(labels.Count + 1);
        foreach (ref readonly Label label in labels.AsSpan())
        {
            if (label.Name != LabelNames.MetricName)
                written.Add(label);
        }
        foreach (ref readonly Label label in options.ExternalLabels.AsSpan())
        {
            if (labels.Get(label.Name).Length == 0)
                written.Add(label);
        }
        if (labels.Get(LabelNames.Instance).Length == 0 && options.ExternalLabels.Get(LabelNames.Instance).Length == 0)
            written.Add(new Label(LabelNames.Instance, ""));
        for (int i = 0; i < written.Count && !anyName; i++)
            written[i] = written[i] with { Name = Classic(written[i].Name, Labels.IsLegacyLabelName(written[i].Name)) };
        return written;
    }

    /// <summary>The name with an underscore for each character that classic names do not have.</summary>
    private static string Classic(string name, bool isClassic)
    {
        if (isClassic)
            return name;
        var text = new StringBuilder(name.Length);
        foreach (Rune rune in name.EnumerateRunes())
            text.Append(rune.Value == '_' || (Rune.IsLetterOrDigit(rune) && rune.IsAscii && (text.Length > 0 || !Rune.IsDigit(rune))) ? (char)rune.Value : '_');
        return text.ToString();
    }

    private static Task RefuseAsync(HttpContext context, int status, string reason)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "text/plain; charset=utf-8";
        return context.Response.WriteAsync(reason + "\n", context.RequestAborted);
    }
}
