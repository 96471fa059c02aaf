using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text.Json;
using Bellwether.Core.Model;

namespace Bellwether.Serve.QueryApi;

/// <summary>targets and status/*.</summary>
internal sealed class StatusEndpoints(QueryApiSources sources, QueryApiOptions options, TimeProvider time)
{
    private const int TopMax = 10_000;
    private const int TopDefault = 10;
    private readonly DateTimeOffset _started = time.GetUtcNow();

    public ApiAnswer Targets(ApiParameters parameters)
    {
        string state = parameters.One("state").ToLowerInvariant();
        string pool = parameters.One("scrapePool");
        // As in Prometheus, a state that there is not shows neither kind.
        bool active = state is "" or "any" or "active", dropped = state is "" or "any" or "dropped";
        IReadOnlyList<TargetStatus> known = sources.Targets?.Targets() ?? [];
        IReadOnlyList<TargetStatus> targets = active ? known : [];
        DroppedPool[] pools = dropped && sources.Targets is not null ? [.. sources.Targets.Dropped().Where(d => pool.Length == 0 || d.Job == pool)] : [];
        return ApiAnswer.Ok(api =>
        {
            api.Json.WriteStartObject();
            api.Json.WriteStartArray("activeTargets");
            foreach (TargetStatus target in targets.Where(t => pool.Length == 0 || t.Job == pool).OrderBy(t => t.Job, StringComparer.Ordinal).ThenBy(t => t.Labels))
                Target(api, target);
            api.Json.WriteEndArray();
            api.Json.WriteStartArray("droppedTargets");
            foreach (DroppedPool one in pools)
                Dropped(api, one);
            api.Json.WriteEndArray();
            if (dropped)
                Counts(api.Json, pools, known.Select(t => t.Job).Where(j => pool.Length == 0 || j == pool));
            api.Json.WriteEndObject();
        });
    }

    /// <summary>The names of the pools that <see cref="Targets"/> has.</summary>
    public ApiAnswer Pools() => ApiAnswer.Ok(api =>
    {
        api.Json.WriteStartObject();
        api.Json.WriteStartArray("scrapePools");
        IEnumerable<string> active = sources.Targets?.Targets().Select(t => t.Job) ?? [], dropped = sources.Targets?.Dropped().Select(d => d.Job) ?? [];
        foreach (string pool in active.Concat(dropped).Distinct().Order(StringComparer.Ordinal))
            api.Json.WriteStringValue(pool);
        api.Json.WriteEndArray();
        api.Json.WriteEndObject();
    });

    public static ApiAnswer Alertmanagers() => ApiAnswer.Ok(api =>
    {
        api.Json.WriteStartObject();
        api.Json.WriteStartArray("activeAlertmanagers");
        api.Json.WriteEndArray();
        api.Json.WriteStartArray("droppedAlertmanagers");
        api.Json.WriteEndArray();
        api.Json.WriteEndObject();
    });

    /// <summary>The log is replayed before the doors open.</summary>
    public static ApiAnswer WalReplay() => ApiAnswer.Ok(api =>
    {
        api.Json.WriteStartObject();
        api.Json.WriteNumber("min", 0);
        api.Json.WriteNumber("max", 0);
        api.Json.WriteNumber("current", 0);
        api.Json.WriteString("state", "done");
        api.Json.WriteEndObject();
    });

    /// <summary>There is nothing that would be told this way.</summary>
    public static ApiAnswer Notifications() => ApiAnswer.Ok(api =>
    {
        api.Json.WriteStartArray();
        api.Json.WriteEndArray();
    });

    public ApiAnswer Build() => Texts(
        ("version", options.Version), ("revision", options.Revision), ("branch", ""), ("buildUser", ""), ("buildDate", ""), ("goVersion", RuntimeInformation.FrameworkDescription));

    public ApiAnswer Config() => Texts(("yaml", sources.Configuration?.Invoke() ?? ""));

    public ApiAnswer Flags() => Texts([.. options.Flags.OrderBy(f => f.Key, StringComparer.Ordinal).Select(f => (f.Key, f.Value))]);

    public ApiAnswer Runtime() => ApiAnswer.Ok(api =>
    {
        Utf8JsonWriter json = api.Json;
        json.WriteStartObject();
        json.WriteString("startTime", RuleEndpoints.Time(_started.ToUnixTimeMilliseconds()));
        json.WriteString("CWD", options.WorkingFolder);
        json.WriteString("hostname", Environment.MachineName);
        json.WriteString("serverTime", RuleEndpoints.Time(time.GetUtcNow().ToUnixTimeMilliseconds()));
        ConfigState config = sources.Config?.Invoke() ?? new ConfigState(true, _started.ToUnixTimeMilliseconds());
        json.WriteBoolean("reloadConfigSuccess", config.Ok);
        json.WriteString("lastConfigTime", RuleEndpoints.Time(config.TakenMs));
        json.WriteNumber("corruptionCount", 0);
        json.WriteNumber("goroutineCount", Process.GetCurrentProcess().Threads.Count);
        json.WriteNumber("GOMAXPROCS", Environment.ProcessorCount);
        json.WriteNumber("GOMEMLIMIT", GC.GetGCMemoryInfo().TotalAvailableMemoryBytes);
        json.WriteString("GOGC", "");
        json.WriteString("GODEBUG", "");
        json.WriteString("storageRetention", options.Retention);
        json.WriteEndObject();
    });

    /// <summary>Cardinality figures, counted over the last hour of series.</summary>
    public ApiAnswer Store(ApiParameters parameters, CancellationToken cancellation)
    {
        if (!parameters.TryLimit("limit", out int limit) || limit > TopMax)
            return ApiAnswer.BadData($"limit must be a positive number, at most {TopMax}");
        if (limit == 0)
            limit = TopDefault;
        var byMetric = new Dictionary<string, long>();
        var values = new Dictionary<string, HashSet<string>>();
        var bytes = new Dictionary<string, long>();
        var byPair = new Dictionary<Label, long>();
        long nowMs = time.GetUtcNow().ToUnixTimeMilliseconds();
        using ISeriesSet set = sources.Reader.Select(nowMs - 3_600_000, nowMs, [], cancellation);
        for (int i = 0; i < set.Count; i++)
        {
            foreach (Label label in set.LabelsAt(i).AsSpan())
            {
                if (label.Name == LabelNames.MetricName)
                    byMetric[label.Value] = byMetric.GetValueOrDefault(label.Value) + 1;
                byPair[label] = byPair.GetValueOrDefault(label) + 1;
                if (!values.TryGetValue(label.Name, out HashSet<string>? known))
                    values[label.Name] = known = [];
                if (known.Add(label.Value))
                    bytes[label.Name] = bytes.GetValueOrDefault(label.Name) + label.Value.Length;
            }
        }
        StoreFacts facts = sources.Store?.Invoke(limit) ?? new StoreFacts(set.Count, 0, byPair.Count, 0, 0);
        return ApiAnswer.Ok(api =>
        {
            Utf8JsonWriter json = api.Json;
            json.WriteStartObject();
            json.WriteStartObject("headStats");
            json.WriteNumber("numSeries", facts.Series);
            json.WriteNumber("numLabelPairs", facts.LabelPairs);
            json.WriteNumber("chunkCount", facts.Chunks);
            json.WriteNumber("minTime", facts.MinTimeMs);
            json.WriteNumber("maxTime", facts.MaxTimeMs);
            json.WriteEndObject();
            Top(json, "seriesCountByMetricName", byMetric, limit);
            Top(json, "labelValueCountByLabelName", values.Select(v => KeyValuePair.Create(v.Key, (long)v.Value.Count)), limit);
            Top(json, "memoryInBytesByLabelName", bytes, limit);
            Top(json, "seriesCountByLabelValuePair", byPair.Select(p => KeyValuePair.Create($"{p.Key.Name}={p.Key.Value}", p.Value)), limit);
            // Beside Prometheus' own: who brings the series that are in memory, and what bounds them.
            Top(json, "seriesCountByJob", facts.ByJob, limit);
            Top(json, "seriesCountByAgent", facts.ByAgent, limit);
            Limits(json, facts);
            json.WriteEndObject();
        });
    }

    private static void Top(Utf8JsonWriter json, string name, IEnumerable<KeyValuePair<string, long>> counts, int limit)
    {
        json.WriteStartArray(name);
        foreach ((string key, long count) in counts.OrderByDescending(c => c.Value).ThenBy(c => c.Key, StringComparer.Ordinal).Take(limit))
        {
            json.WriteStartObject();
            json.WriteString("name", key);
            json.WriteNumber("value", count);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private static void Limits(Utf8JsonWriter json, StoreFacts facts)
    {
        json.WriteStartArray("seriesLimits");
        foreach ((string name, long value, long refused) in facts.Limits)
        {
            json.WriteStartObject();
            json.WriteString("name", name);
            json.WriteNumber("value", value);
            json.WriteNumber("refused", refused);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private static void Dropped(ApiJson api, DroppedPool pool)
    {
        foreach (Labels labels in pool.Discovered)
        {
            api.Json.WriteStartObject();
            api.Json.WritePropertyName("discoveredLabels");
            api.Labels(labels);
            api.Json.WriteString("scrapePool", pool.Job);
            api.Json.WriteString("agent", pool.Agent);
            api.Json.WriteEndObject();
        }
    }

    /// <summary>Per pool, 0 where nothing was dropped; left out where there is no pool at all, as Prometheus 2 does.</summary>
    private static void Counts(Utf8JsonWriter json, DroppedPool[] pools, IEnumerable<string> jobs)
    {
        var counts = new SortedDictionary<string, long>(StringComparer.Ordinal);
        foreach (string job in jobs)
            counts[job] = 0;
        foreach (DroppedPool pool in pools)
            counts[pool.Job] = counts.GetValueOrDefault(pool.Job) + pool.Count;
        if (counts.Count == 0)
            return;
        json.WriteStartObject("droppedTargetCounts");
        foreach ((string job, long count) in counts)
            json.WriteNumber(job, count);
        json.WriteEndObject();
    }

    private static void Target(ApiJson api, TargetStatus target)
    {
        Utf8JsonWriter json = api.Json;
        json.WriteStartObject();
        json.WritePropertyName("discoveredLabels");
        api.Labels(target.Discovered);
        json.WritePropertyName("labels");
        api.Labels(target.Labels);
        json.WriteString("scrapePool", target.Job);
        json.WriteString("scrapeUrl", target.ScrapeUrl);
        json.WriteString("globalUrl", target.ScrapeUrl);
        json.WriteString("lastError", target.LastError);
        json.WriteString("lastScrape", RuleEndpoints.Time(target.LastScrapeMs));
        json.WriteNumber("lastScrapeDuration", target.LastScrapeDuration.TotalSeconds);
        json.WriteString("health", target.Up switch { true => "up", false => "down", _ => "unknown" });
        json.WriteString("scrapeInterval", Seconds(target.Interval));
        json.WriteString("scrapeTimeout", Seconds(target.Timeout));
        if (target.Agent.Length > 0)
            json.WriteString("agent", target.Agent);
        json.WriteEndObject();
    }

    private static string Seconds(TimeSpan span) => Core.Configuration.PrometheusDuration.Format(span);

    private static ApiAnswer Texts(params (string Name, string Value)[] texts) => ApiAnswer.Ok(api =>
    {
        api.Json.WriteStartObject();
        foreach ((string name, string value) in texts)
            api.Json.WriteString(name, value);
        api.Json.WriteEndObject();
    });
}
