using Bellwether.Agent.Collect.Postgres;
using Bellwether.Core.Codec;
using Bellwether.Core.Model;
using Bellwether.Kit;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit.Abstractions;

namespace Bellwether.Agent.Tests.Collect.Postgres;

/// <summary>Our series beside those of a real postgres_exporter on the same server.</summary>
public sealed class PostgresExporterPeerTests(PostgresFixture fixture, ITestOutputHelper output) : IClassFixture<PostgresFixture>
{
    // Debian's 0.11 writes every column of pg_stat_database; later versions have a list of their own, and one of these under another name.
    private static readonly string[] DroppedLater =
    [
        "pg_stat_database_active_time", "pg_stat_database_checksum_failures", "pg_stat_database_checksum_last_failure", "pg_stat_database_idle_in_transaction_time",
        "pg_stat_database_session_time", "pg_stat_database_sessions", "pg_stat_database_sessions_abandoned", "pg_stat_database_sessions_fatal", "pg_stat_database_sessions_killed",
    ];

    // Types that 0.11 did not state as later versions do.
    private static readonly string[] OtherTypeLater = ["pg_stat_database_stats_reset"];

    private static readonly string[] ActivityLabels = ["datname", "state", "server"];

    private static readonly string[] Constants = ["pg_up", "pg_static", "pg_exporter_last_scrape_error"];

    [Fact]
    public async Task Names_labels_types_and_settings_are_those_of_postgres_exporter()
    {
        if (fixture.Server is not { } server)
            return;
        using PeerExporter? peer = await PeerExporter.TryStartAsync(["prometheus-postgres-exporter", "postgres_exporter"], [], new Dictionary<string, string> { ["DATA_SOURCE_NAME"] = server.Uri("shop") });
        if (peer is null)
            return;
        // The two look one after the other: what came or went in between is not there the next time.
        string different = "";
        for (int attempt = 0; attempt < 5 && (attempt == 0 || different.Length > 0); attempt++)
            different = await DifferencesAsync(server, peer);
        Assert.True(different.Length == 0, different);
    }

    private async Task<string> DifferencesAsync(PostgresServer server, PeerExporter peer)
    {
        (Dictionary<Labels, double> theirs, Dictionary<string, string> types) = await peer.ScrapeAsync();
        await using var collector = new PostgresCollector(new PostgresCollectorOptions { ConnectionString = server.ConnectionString("shop"), Job = "", Instance = "" }, TimeProvider.System, NullLogger.Instance);
        var tick = new SourceTick();
        await collector.CollectAsync(tick, 0, CancellationToken.None);
        var ours = new Dictionary<Labels, double>();
        for (int slot = 0; slot < tick.Table.Count; slot++)
        {
            if (SourceTick.IsSet(tick.Present, slot))
                ours[Comparable(tick.Table[slot])] = tick.Values[slot];
        }

        List<Labels> wanted = [.. theirs.Where(s => IsCompared(s.Key) && !double.IsNaN(s.Value)).Select(s => s.Key)];
        output.WriteLine($"{wanted.Count} series of postgres_exporter compared, {tick.PresentCount} of ours");
        return string.Join('\n',
        [
            .. wanted.Where(k => !ours.ContainsKey(Comparable(k))).Select(k => $"missing: {k}"),
            .. wanted.Where(k => IsConstant(k) && ours.TryGetValue(Comparable(k), out double own) && theirs[k] != own).Select(k => $"{k}: {theirs[k]}, ours {ours[Comparable(k)]}"),
            .. wanted.Select(k => k.MetricName).Distinct().Except(OtherTypeLater).Where(name => types[name] != TypeText(tick.Table.MetadataOf(name))).Select(name => $"{name} is {types[name]}"),
        ]);
    }

    private static bool IsCompared(Labels labels) =>
        labels.MetricName.StartsWith("pg_", StringComparison.Ordinal) && !DroppedLater.Contains(labels.MetricName)
        // Names of collectors are the programs' own; the row without a name is for shared objects, which later versions leave out.
        && !labels.TryGet("collector", out _) && !(labels.TryGet("datid", out string? id) && id == "0");

    private static bool IsConstant(Labels labels) =>
        Constants.Contains(labels.MetricName) || (labels.MetricName.StartsWith("pg_settings_", StringComparison.Ordinal) && !labels.MetricName.Contains("statement_timeout", StringComparison.Ordinal)
            && !labels.MetricName.Contains("read_only", StringComparison.Ordinal) && !labels.MetricName.Contains("extra_float_digits", StringComparison.Ordinal));

    /// <summary>0.11 has fewer labels on pg_stat_activity, and no server on what it says about itself.</summary>
    private static Labels Comparable(Labels labels)
    {
        if (labels.MetricName is "pg_up" || labels.MetricName.StartsWith("pg_exporter_", StringComparison.Ordinal))
            return labels.Without("server");
        if (!labels.MetricName.StartsWith("pg_stat_activity_", StringComparison.Ordinal))
            return labels;
        var builder = new LabelsBuilder();
        builder.Set(LabelNames.MetricName, labels.MetricName);
        foreach (string name in ActivityLabels)
            builder.Set(name, labels.Get(name));
        return builder.Build();
    }

    private static string TypeText(MetricMetadata? metadata) => metadata?.Type switch
    {
        MetricType.Counter => "counter",
        MetricType.Gauge => "gauge",
        _ => "untyped",
    };
}
