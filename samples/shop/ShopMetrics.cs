using System.Collections.Concurrent;
using System.Globalization;
using System.Text;

namespace Bellwether.Samples.Shop;

/// <summary>The shop's instruments and their Prometheus text form. Thread-safe.</summary>
internal sealed class ShopMetrics
{
    private static readonly double[] s_requestBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
    private static readonly double[] s_paymentBuckets = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2, 5];
    private static readonly double[] s_orderBuckets = [10, 25, 50, 100, 250, 500, 1000, 2500, 5000];

    public Family Requests { get; } = new("http_requests_total", "counter", "Total number of HTTP requests", ["method", "route", "status"]);

    public Family RequestDuration { get; } = new("http_request_duration_seconds", "histogram", "Duration of HTTP requests in seconds", ["method", "route", "status"], s_requestBuckets);

    public Family Payments { get; } = new("payment_processing_total", "counter", "Total number of payment processing attempts", ["payment_method", "status"]);

    public Family PaymentDuration { get; } = new("payment_processing_duration_seconds", "histogram", "Duration of payment processing in seconds", ["payment_method", "status"], s_paymentBuckets);

    public Family Revenue { get; } = new("revenue_total_euros", "counter", "Total revenue processed in euros", ["currency"], scale: 100);

    public Family Orders { get; } = new("orders_created_total", "counter", "Orders created", ["payment_method", "product_category"]);

    public Family OrderValue { get; } = new("order_value_euros", "histogram", "Distribution of order values in euros", [], s_orderBuckets, scale: 100);

    public Family ActiveUsers { get; } = new("active_users_current", "gauge", "Users active in the last five minutes", []);

    public Family Logins { get; } = new("user_logins_total", "counter", "User logins", []);

    public Family Registrations { get; } = new("user_registrations_total", "counter", "User registrations", []);

    public Family DatabaseConnections { get; } = new("database_connections_active", "gauge", "Number of active database connections", []);

    /// <summary>When the shop began, and with it its counters: from zero, whatever its database holds.</summary>
    public Family ProcessStart { get; } = new("process_start_time_seconds", "gauge", "When the process began, in seconds since 1970", []);

    public string Render()
    {
        var text = new StringBuilder(16 * 1024);
        foreach (Family family in new[] { Requests, RequestDuration, Payments, PaymentDuration, Revenue, Orders, OrderValue, ActiveUsers, Logins, Registrations, DatabaseConnections, ProcessStart })
            family.Render(text);
        return text.ToString();
    }
}

/// <summary>One metric family. Values are kept as integers of 1/<c>scale</c>, so that sums of money are exact.</summary>
internal sealed class Family(string name, string type, string help, string[] labelNames, double[]? bounds = null, int scale = 1)
{
    private readonly ConcurrentDictionary<string, Series> _series = new();

    public void Add(long units, params ReadOnlySpan<string> labelValues)
    {
        Series series = Get(labelValues);
        lock (series)
            series.Units += units;
    }

    public void Set(long units, params ReadOnlySpan<string> labelValues)
    {
        Series series = Get(labelValues);
        lock (series)
            series.Units = units;
    }

    /// <summary>Observes a value; <paramref name="units"/> is the same in 1/scale for exact sums (histograms of seconds pass 0 and sum doubles).</summary>
    public void Observe(double value, long units, params ReadOnlySpan<string> labelValues)
    {
        Series series = Get(labelValues);
        lock (series)
        {
            series.Count++;
            series.Units += units;
            series.Sum += value;
            for (int i = 0; i < bounds!.Length; i++)
            {
                if (value <= bounds[i])
                    series.Buckets[i]++;
            }
        }
    }

    public void Render(StringBuilder text)
    {
        text.Append(CultureInfo.InvariantCulture, $"# HELP {name} {help}\n# TYPE {name} {type}\n");
        foreach ((string labels, Series series) in _series.OrderBy(s => s.Key, StringComparer.Ordinal))
        {
            lock (series)
            {
                if (bounds is null)
                    text.Append(name).Append(Braces(labels)).Append(' ').Append(Number(series.Units)).Append('\n');
                else
                    RenderHistogram(text, labels, series);
            }
        }
    }

    private void RenderHistogram(StringBuilder text, string labels, Series series)
    {
        string comma = labels.Length > 0 ? "," : "";
        for (int i = 0; i < bounds!.Length; i++)
            text.Append(CultureInfo.InvariantCulture, $"{name}_bucket{{{labels}{comma}le=\"{bounds[i]}\"}} {series.Buckets[i]}\n");
        text.Append(CultureInfo.InvariantCulture, $"{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {series.Count}\n");
        string sum = scale == 1 ? series.Sum.ToString("R", CultureInfo.InvariantCulture) : Number(series.Units);
        text.Append(CultureInfo.InvariantCulture, $"{name}_sum{Braces(labels)} {sum}\n{name}_count{Braces(labels)} {series.Count}\n");
    }

    private static string Braces(string labels) => labels.Length > 0 ? "{" + labels + "}" : "";

    private string Number(long units) => scale == 1
        ? units.ToString(CultureInfo.InvariantCulture)
        : ((decimal)units / scale).ToString(CultureInfo.InvariantCulture);

    private Series Get(ReadOnlySpan<string> labelValues)
    {
        var key = new StringBuilder();
        for (int i = 0; i < labelNames.Length; i++)
            key.Append(i > 0 ? "," : "").Append(labelNames[i]).Append("=\"").Append(labelValues[i]).Append('"');
        return _series.GetOrAdd(key.ToString(), _ => new Series(bounds?.Length ?? 0));
    }

    private sealed class Series(int buckets)
    {
        public long Units;
        public double Sum;
        public long Count;
        public readonly long[] Buckets = new long[buckets];
    }
}
