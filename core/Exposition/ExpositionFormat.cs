namespace Bellwether.Core.Exposition;

/// <summary>How a body is written.</summary>
public enum ExpositionFormat
{
    /// <summary>Prometheus text 0.0.4 or 1.0.0 (the latter only adds quoted UTF-8 names, which both readers take).</summary>
    PrometheusText,
    /// <summary>OpenMetrics text 1.0.0 or 0.0.1.</summary>
    OpenMetricsText,
    /// <summary>Varint-delimited io.prometheus.client.MetricFamily messages.</summary>
    PrometheusProtobuf,
}

/// <summary>Content types and their negotiation (prometheus.io/docs/instrumenting/content_negotiation/). Stateless.</summary>
public static class ExpositionContent
{
    /// <summary>What a scrape asks for: OpenMetrics before text, as Prometheus 3 does without native histograms.</summary>
    public const string Accept =
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
        + "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";

    /// <summary>The content type that we write text with.</summary>
    public const string TextType = "text/plain; version=0.0.4; charset=utf-8";

    /// <summary>The content type that we write OpenMetrics with.</summary>
    public const string OpenMetricsType = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// <summary>The format that a Content-Type header names; null when it is missing or none of ours.</summary>
    public static ExpositionFormat? FromContentType(string? contentType)
    {
        if (contentType is null)
            return null;
        ReadOnlySpan<char> media = MediaType(contentType);
        if (media.Equals("text/plain", StringComparison.OrdinalIgnoreCase))
            return ExpositionFormat.PrometheusText;
        if (media.Equals("application/openmetrics-text", StringComparison.OrdinalIgnoreCase))
            return ExpositionFormat.OpenMetricsText;
        bool protobuf = media.Equals("application/vnd.google.protobuf", StringComparison.OrdinalIgnoreCase)
            && contentType.Contains("io.prometheus.client.MetricFamily", StringComparison.Ordinal)
            && contentType.Contains("delimited", StringComparison.Ordinal);
        return protobuf ? ExpositionFormat.PrometheusProtobuf : null;
    }

    /// <summary>The format for a fallback_scrape_protocol (PrometheusText0.0.4, OpenMetricsText1.0.0, PrometheusProto ...); null when unknown or empty.</summary>
    public static ExpositionFormat? FromProtocol(string? protocol) => protocol switch
    {
        "PrometheusText0.0.4" or "PrometheusText1.0.0" => ExpositionFormat.PrometheusText,
        "OpenMetricsText1.0.0" or "OpenMetricsText0.0.1" => ExpositionFormat.OpenMetricsText,
        "PrometheusProto" => ExpositionFormat.PrometheusProtobuf,
        _ => null,
    };

    /// <summary>The value of Accept for a list of scrape_protocols, in their order of preference; the default offer when the list is empty.</summary>
    public static string AcceptFor(IReadOnlyList<string> protocols)
    {
        if (protocols.Count == 0)
            return Accept;
        var parts = new List<string>();
        int weight = protocols.Count + 1;
        foreach (string protocol in protocols)
        {
            string? type = protocol switch
            {
                "PrometheusProto" => "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
                "OpenMetricsText1.0.0" => "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8",
                "OpenMetricsText0.0.1" => "application/openmetrics-text;version=0.0.1",
                "PrometheusText1.0.0" => "text/plain;version=1.0.0;escaping=allow-utf-8",
                "PrometheusText0.0.4" => "text/plain;version=0.0.4",
                _ => null,
            };
            if (type is not null)
                parts.Add($"{type};q=0.{weight}");
            weight--;
        }
        parts.Add($"*/*;q=0.{weight}");
        return string.Join(',', parts);
    }

    /// <summary>The format to answer an Accept header with: OpenMetrics when it is offered at least as high as plain text, else text.</summary>
    public static ExpositionFormat Negotiate(string? accept)
    {
        double text = 0, openMetrics = 0;
        foreach (string offer in (accept ?? "").Split(','))
        {
            ReadOnlySpan<char> media = MediaType(offer);
            double weight = Weight(offer);
            if (media.Equals("application/openmetrics-text", StringComparison.OrdinalIgnoreCase))
                openMetrics = Math.Max(openMetrics, weight);
            else if (media.Equals("text/plain", StringComparison.OrdinalIgnoreCase) || media is "text/*" or "*/*")
                text = Math.Max(text, weight);
        }
        return openMetrics > 0 && openMetrics >= text ? ExpositionFormat.OpenMetricsText : ExpositionFormat.PrometheusText;
    }

    private static ReadOnlySpan<char> MediaType(string value)
    {
        int semicolon = value.IndexOf(';', StringComparison.Ordinal);
        return (semicolon < 0 ? value : value.AsSpan(0, semicolon)).Trim();
    }

    private static double Weight(string offer)
    {
        foreach (string part in offer.Split(';'))
        {
            ReadOnlySpan<char> p = part.AsSpan().Trim();
            if (p.StartsWith("q=", StringComparison.OrdinalIgnoreCase))
                return double.TryParse(p[2..], System.Globalization.NumberStyles.AllowDecimalPoint, System.Globalization.CultureInfo.InvariantCulture, out double q) ? q : 0;
        }
        return 1;
    }
}
