using System.Diagnostics.Metrics;
using System.Globalization;
using System.Net;
using System.Text.Json;
using Bellwether.Agent.Collect.Scrape;
using Bellwether.Core.Codec;
using Bellwether.Core.Configuration.Prometheus;
using Bellwether.Core.Model;
using Bellwether.Core.Relabel;
using Bellwether.Kit;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Logging;

namespace Bellwether.Conformance.Relabel;

/// <summary>relabel/scrape-cases.json: whole scrapes of a local target, with their limits and health, by the real collector.</summary>
internal static class ScrapeCases
{
    private const string File = "scrape-cases.json";

    public static void Run(string folder, string instance, TopicReport report)
    {
        byte[] body = System.IO.File.ReadAllBytes(Path.Combine(folder, "exposition.txt"));
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(k => k.Listen(IPAddress.Loopback, 0));
        using WebApplication app = builder.Build();
        app.Run(context =>
        {
            context.Response.ContentType = "text/plain; version=0.0.4";
            return context.Response.Body.WriteAsync(body).AsTask();
        });
        app.StartAsync().GetAwaiter().GetResult();
        using JsonDocument cases = JsonDocument.Parse(System.IO.File.ReadAllText(Path.Combine(folder, File)));
        foreach (JsonElement c in cases.RootElement.EnumerateArray())
        {
            string name = c.GetProperty("name").GetString()!;
            report.Case(File, 0, name, () => RunOne(c, name, instance, new Uri(app.Urls.First()), report));
        }
        app.StopAsync().GetAwaiter().GetResult();
    }

    private static void RunOne(JsonElement c, string name, string instance, Uri server, TopicReport report)
    {
        var job = new ScrapeConfig
        {
            JobName = name,
            HonorLabels = name == "honor",
            SampleLimit = name == "sample_limit" ? 3 : 0,
            LabelLimit = name == "label_limit" ? 3 : 0,
            ExtraScrapeMetrics = true,
        };
        string url = name == "refused" ? $"http://127.0.0.1:{Ports.Free()}/metrics" : new Uri(server, "/metrics").ToString();
        Labels labels = Labels.Of("job", name, "instance", name == "refused" ? "127.0.0.1:19999" : instance);
        using var http = new ScrapeHttp(job);
        using var meter = new Meter("conformance");
        var target = new ScrapeTarget(Labels.Empty, labels, url, TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(1));
        var collector = new ScrapeCollector(name, job, target, http, TimeProvider.System, new ScrapeMetrics(meter));
        var tick = new SourceTick();
        // The recording shows a later scrape: nothing is new any more.
        for (int round = 1; round < 4; round++)
            collector.CollectAsync(tick, round * 2000, CancellationToken.None).AsTask().GetAwaiter().GetResult();
        var lines = new List<string> { $"{collector.Status.Health}" };
        for (int slot = 0; slot < tick.Table.Count; slot++)
        {
            if (SourceTick.IsSet(tick.Present, slot))
                lines.Add($"{tick.Table[slot]} {(tick.Table[slot].MetricName == "scrape_duration_seconds" ? "(varies)" : tick.Values[slot].ToString(CultureInfo.InvariantCulture))}");
        }
        var expected = new List<string> { c.GetProperty("health").GetString()! };
        foreach (JsonElement series in c.GetProperty("series").EnumerateArray())
        {
            var builder = new LabelsBuilder();
            foreach (JsonProperty label in series.GetProperty("labels").EnumerateObject())
                builder.Set(label.Name, label.Value.GetString()!);
            expected.Add($"{builder.Build()} {series.GetProperty("value").GetString()}");
        }
        string wanted = string.Join('\n', expected.Order(StringComparer.Ordinal)), got = string.Join('\n', lines.Order(StringComparer.Ordinal));
        if (wanted == got)
            report.Pass();
        else
            report.Fail(File, 0, name, wanted, got + "\n" + collector.Status.LastError);
    }
}
