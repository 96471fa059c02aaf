using System.Globalization;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Bellwether.Samples.Demo;

/// <summary>The KPIs in the terminal, renewed every second.</summary>
internal sealed class LiveView(DemoSite site, TimeProvider time)
{
    private const string Steps = "▁▂▃▄▅▆▇█";
    private static readonly (string Record, string Title, Func<double, string> Show)[] s_kpis =
    [
        ("kpi:revenue_per_hour:euros", "Revenue per hour", v => $"€{v:N2}"),
        ("kpi:orders:per_minute", "Orders per minute", v => $"{v:N1}"),
        ("kpi:availability:ratio", "Availability (5 min)", v => $"{v * 100:F3} %"),
        ("kpi:response_time_p95:seconds", "Response time p95", v => $"{v * 1000:F1} ms"),
        ("kpi:error_budget_left:ratio", "Error budget left (99 %, 30 d)", v => $"{v * 100:F1} %"),
        ("kpi:database_cache_hit:ratio", "Database cache hits", v => $"{v * 100:F2} %"),
        ("kpi:cost_per_order:euros", "Cost per order", v => $"€{v:N4}"),
    ];

    public async Task RunAsync(CancellationToken cancellation)
    {
        await AnsiConsole.Live(new Markup("")).StartAsync(async live =>
        {
            while (!cancellation.IsCancellationRequested)
            {
                try
                {
                    live.UpdateTarget(await DrawAsync(cancellation));
                    await Task.Delay(TimeSpan.FromSeconds(1), time, cancellation);
                }
                catch (OperationCanceledException)
                {
                    return;
                }
                catch (HttpRequestException e)
                {
                    live.UpdateTarget(new Markup($"[red]{Markup.Escape(e.Message)}[/]"));
                    await Task.Delay(TimeSpan.FromSeconds(1), time, CancellationToken.None);
                }
            }
        });
    }

    private async Task<IRenderable> DrawAsync(CancellationToken cancellation)
    {
        double now = Math.Floor(time.GetUtcNow().ToUnixTimeMilliseconds() / 1000.0);
        Table table = new Table().Border(TableBorder.Rounded).AddColumns("KPI", "now", "the last 5 minutes");
        foreach ((string record, string title, Func<double, string> show) in s_kpis)
        {
            IReadOnlyList<(double Time, double Value)> points = await site.Api.RangeAsync(record, now - 300, now, 10, cancellation);
            string value = points.Count == 0 ? "–" : show(points[^1].Value);
            table.AddRow(Markup.Escape(title), $"[bold]{Markup.Escape(value)}[/]", Spark(points));
        }
        var alerts = (await site.Api.GetAsync("/api/v1/alerts", cancellation)).GetProperty("data").GetProperty("alerts").EnumerateArray()
            .Select(a => $"{a.GetProperty("labels").GetProperty("alertname").GetString()} ({a.GetProperty("state").GetString()})").ToArray();
        string below = $"console  [link]{site.ConsoleAddress}[/]    alerts  {Markup.Escape(alerts.Length == 0 ? "none" : string.Join(", ", alerts))}    Ctrl-C ends and cleans up";
        return new Rows(table, new Markup(below));
    }

    private static string Spark(IReadOnlyList<(double Time, double Value)> points)
    {
        double[] values = [.. points.Select(p => p.Value).Where(double.IsFinite)];
        if (values.Length == 0)
            return "";
        double low = values.Min(), span = Math.Max(values.Max() - low, 1e-12);
        return string.Create(CultureInfo.InvariantCulture, $"[blue]{string.Concat(values.Select(v => Steps[(int)Math.Min(7, (v - low) / span * 8)]))}[/]");
    }
}
