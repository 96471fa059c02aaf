using System.Buffers;
using System.Diagnostics.Metrics;
using System.Text.Json;
using Bellwether.Core.Durable;
using Bellwether.Core.Platform;
using Bellwether.Core.Telemetry;

namespace Bellwether.Ingest.Bundles;

/// <summary>
/// A range of one source that changed after rules had passed it. Unix ms, both inclusive. Without an agent (remote write, series of the aggregator's own) the source is the metric's name;
/// empty: any.
/// </summary>
public readonly record struct LateRange(string Agent, string Source, long FromMs, long ToMs);

/// <summary>Limits of <see cref="LateRanges"/>.</summary>
public sealed record LateRangesOptions
{
    /// <summary>Ranges kept; beyond it those of one source become one. Default 10,000.</summary>
    public int RangesMax { get; init; } = 10_000;

    /// <summary>A tick this much older than the clock is late (and than two of its source's intervals). Default 10 s.</summary>
    public TimeSpan LateAfter { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Metrics that are told apart where there is no agent; beyond it they count as any metric. Default 1,000.</summary>
    public int MetricsMax { get; init; } = 1_000;

    /// <summary>Late samples of a metric closer together than this are one range. Default 1 min.</summary>
    public TimeSpan MetricJoin { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Late ticks closer together than this many of their source's intervals are one range. Default 2.</summary>
    public int JoinIntervals { get; init; } = 2;
}

/// <summary>
/// Which ranges late data made dirty (a bundle, a backlog after an outage): what is to be evaluated again over them (docs/ARCHITECTURE.md, idea 5). Kept in a small file; marks of the last seconds
/// before a kill come again with the data only if that is applied again, so <see cref="Save"/> is called after every import and every few seconds. Thread-safe.
/// </summary>
public sealed class LateRanges
{
    private const string FileName = "late-ranges";
    private const int FileBytesMax = 16 << 20;
    private readonly LateRangesOptions _options;
    private readonly IDisk _disk;
    private readonly string _path;
    private readonly TimeProvider _time;
    private readonly Lock _gate = new();
    private readonly Dictionary<(string Agent, string Source), List<(long FromMs, long ToMs)>> _ranges = [];
    private int _count;
    private int _metrics;
    private bool _changed;

    /// <summary>Reads what is there; a damaged file counts as empty.</summary>
    public LateRanges(LateRangesOptions options, IDisk disk, string folder, TimeProvider time, Meter meter)
    {
        _options = options;
        _disk = disk;
        _path = Path.Combine(folder, FileName);
        _time = time;
        Load();
        meter.CreateObservableGauge(MetricNames.DirtyRanges, () => Count, description: "Ranges that late data changed and that wait for re-evaluation.");
    }

    /// <summary>How far rules have evaluated, Unix ms: what comes with a time up to it is late. Null: what is older than <see cref="LateRangesOptions.LateAfter"/> is.</summary>
    public Func<long>? EvaluatedMs { get; set; }

    /// <summary>Ranges now.</summary>
    public int Count
    {
        get
        {
            lock (_gate)
                return _count;
        }
    }

    /// <summary>A tick was applied; a late one marks its time.</summary>
    public void Note(string agent, string source, long intervalMs, long timestampMs)
    {
        long lateBefore = _time.GetUtcNow().ToUnixTimeMilliseconds() - Math.Max((long)_options.LateAfter.TotalMilliseconds, 2 * intervalMs);
        if (EvaluatedMs is { } evaluated ? timestampMs > evaluated() : timestampMs >= lateBefore)
            return;
        lock (_gate)
        {
            if (!_ranges.TryGetValue((agent, source), out List<(long FromMs, long ToMs)>? list))
                _ranges.Add((agent, source), list = []);
            Add(list, timestampMs, timestampMs, Math.Max(1, _options.JoinIntervals * intervalMs));
            if (_count > _options.RangesMax)
                Coarsen();
            _changed = true;
        }
    }

    /// <summary>Samples of a metric that no agent brought were stored; what of their range rules have passed is marked.</summary>
    /// <param name="metric">The metric's name.</param>
    /// <param name="fromMs">The first sample, Unix ms.</param>
    /// <param name="toMs">The last one.</param>
    public void NoteMetric(string metric, long fromMs, long toMs)
    {
        toMs = Math.Min(toMs, EvaluatedMs is { } evaluated ? evaluated() : _time.GetUtcNow().ToUnixTimeMilliseconds() - (long)_options.LateAfter.TotalMilliseconds);
        if (fromMs > toMs)
            return;
        lock (_gate)
        {
            if (!_ranges.ContainsKey(("", metric)) && _metrics >= _options.MetricsMax)
                metric = "";
            if (!_ranges.TryGetValue(("", metric), out List<(long FromMs, long ToMs)>? list))
            {
                _ranges.Add(("", metric), list = []);
                _metrics++;
            }
            Add(list, fromMs, toMs, (long)_options.MetricJoin.TotalMilliseconds);
            if (_count > _options.RangesMax)
                Coarsen();
            _changed = true;
        }
    }

    /// <summary>All ranges, by agent and source in ordinal order, then by time.</summary>
    public IReadOnlyList<LateRange> List()
    {
        lock (_gate)
        {
            return [.. _ranges.OrderBy(r => r.Key.Agent, StringComparer.Ordinal).ThenBy(r => r.Key.Source, StringComparer.Ordinal)
                .SelectMany(r => r.Value.Select(v => new LateRange(r.Key.Agent, r.Key.Source, v.FromMs, v.ToMs)))];
        }
    }

    /// <summary>These were evaluated again, and have not grown since they were listed.</summary>
    public void Done(IEnumerable<LateRange> ranges)
    {
        lock (_gate)
        {
            foreach (LateRange range in ranges)
            {
                if (!_ranges.TryGetValue((range.Agent, range.Source), out List<(long FromMs, long ToMs)>? list) || !list.Remove((range.FromMs, range.ToMs)))
                    continue;
                _count--;
                _changed = true;
                if (list.Count > 0)
                    continue;
                _ranges.Remove((range.Agent, range.Source));
                _metrics -= range.Agent.Length == 0 ? 1 : 0;
            }
        }
    }

    /// <summary>Writes it down if it changed. A disk that fails is tried again at the next call; false then.</summary>
    public bool Save()
    {
        var buffer = new ArrayBufferWriter<byte>();
        lock (_gate)
        {
            if (!_changed)
                return true;
            using var json = new Utf8JsonWriter(buffer);
            json.WriteStartArray();
            foreach (LateRange range in List())
            {
                json.WriteStartArray();
                json.WriteStringValue(range.Agent);
                json.WriteStringValue(range.Source);
                json.WriteNumberValue(range.FromMs);
                json.WriteNumberValue(range.ToMs);
                json.WriteEndArray();
            }
            json.WriteEndArray();
            _changed = false;
        }
        try
        {
            AtomicFile.Write(_disk, _path, buffer.WrittenSpan);
            return true;
        }
        catch (IOException)
        {
            lock (_gate)
                _changed = true;
            return false;
        }
    }

    private void Load()
    {
        try
        {
            if (AtomicFile.TryRead(_disk, _path, FileBytesMax, out byte[] content) != AtomicFileOutcome.Read)
                return;
            using JsonDocument document = JsonDocument.Parse(content);
            foreach (JsonElement range in document.RootElement.EnumerateArray())
            {
                (string, string) key = (range[0].GetString() ?? "", range[1].GetString() ?? "");
                if (!_ranges.TryGetValue(key, out List<(long FromMs, long ToMs)>? list))
                {
                    _ranges.Add(key, list = []);
                    _metrics += key.Item1.Length == 0 ? 1 : 0;
                }
                list.Add((range[2].GetInt64(), range[3].GetInt64()));
                _count++;
            }
        }
        catch (Exception e) when (e is IOException or JsonException or InvalidOperationException or FormatException)
        {
            _ranges.Clear();
            _count = _metrics = 0;
        }
    }

    private void Add(List<(long FromMs, long ToMs)> list, long from, long to, long join)
    {
        int at = 0;
        while (at < list.Count && list[at].ToMs + join < from)
            at++;
        int end = at;
        while (end < list.Count && list[end].FromMs - join <= to)
        {
            from = Math.Min(from, list[end].FromMs);
            to = Math.Max(to, list[end].ToMs);
            end++;
        }
        list.RemoveRange(at, end - at);
        list.Insert(at, (from, to));
        _count += 1 - (end - at);
    }

    private void Coarsen()
    {
        foreach (List<(long FromMs, long ToMs)> list in _ranges.Values)
        {
            if (list.Count < 2)
                continue;
            (long, long) whole = (list[0].FromMs, list[^1].ToMs);
            _count -= list.Count - 1;
            list.Clear();
            list.Add(whole);
        }
    }
}
