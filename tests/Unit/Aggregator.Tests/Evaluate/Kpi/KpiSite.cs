using System.Diagnostics.Metrics;
using System.Globalization;
using Bellwether.Aggregator.Tests.Store;
using Bellwether.Core.Configuration;
using Bellwether.Core.Model;
using Bellwether.Evaluate.Kpi;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.Rules;
using Bellwether.Evaluate.Rules.Healing;
using Bellwether.Kit;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.Tests.Evaluate.Kpi;

/// <summary>KPI files at work over made data: the rule engine evaluates what they compile to, step by step.</summary>
internal sealed class KpiSite : IDisposable
{
    /// <summary>Where made data begins.</summary>
    public const long StartMs = 1_800_000_000_000;

    private readonly Meter _meter = new("test");
    private readonly Done _done = new();

    public KpiSite(string files)
        : this(KpiFiles.Parse(files, "kpi.yaml"))
    {
    }

    public KpiSite(ConfigResult<KpiSet> read)
    {
        Assert.True(read.IsOk, string.Join('\n', read.Errors));
        Set = read.Value;
        Engine = new PromQlEngine(new EngineOptions(), Time);
        Rules = new RuleEngine(new RuleSurroundings(Engine, Store, Store, _done), new RuleEngineOptions { StepsPerTurn = 100_000, CatchUpMax = TimeSpan.FromDays(365) }, Time, _meter, NullLogger.Instance);
        Book = new KpiBook(new MemoryDisk(), "/kpis", TimeSpan.FromMinutes(1), Time, new Random(1), NullLogger.Instance);
    }

    public KpiSet Set { get; private set; }

    public VirtualTime Time { get; } = new(DateTimeOffset.FromUnixTimeMilliseconds(StartMs));

    public SeriesInMemory Store { get; } = new();

    public PromQlEngine Engine { get; }

    public RuleEngine Rules { get; }

    public KpiBook Book { get; }

    /// <summary>Adds a series with one sample per minute from the start: the k-th is <paramref name="at"/>(k).</summary>
    public KpiSite Series(string selector, int minutes, Func<int, double> at)
    {
        Labels labels = Parse(selector);
        for (int k = 0; k <= minutes; k++)
            Store.Add(labels, StartMs + (k * 60_000L), at(k));
        return this;
    }

    /// <summary>Adds a series over days before the start: one sample every 15 minutes, every two minutes in the last 25 hours; <paramref name="at"/> is given the minute, 0 at the oldest.</summary>
    public KpiSite Long(string selector, int days, Func<int, double> at)
    {
        Labels labels = Parse(selector);
        int last = days * 1440;
        for (int minute = 0; minute <= last; minute += minute < last - 1500 ? 15 : 2)
            Store.Add(labels, StartMs - ((last - minute) * 60_000L), at(minute));
        return this;
    }

    /// <summary>A counter over 31 days before the start that grows evenly.</summary>
    public KpiSite LongCounter(string selector, double perMinute) => Long(selector, 31, minute => minute * perMinute);

    /// <summary>A gauge over 31 days before the start.</summary>
    public KpiSite LongGauge(string selector, double value) => Long(selector, 31, _ => value);

    /// <summary>A histogram with all observations of a minute in the bucket between two bounds, over 31 days before the start.</summary>
    public KpiSite LongHistogram(string metric, string labels, double perMinute, double above, double upTo, double sumPerMinute)
    {
        string and = labels.Length > 0 ? "," + labels : "";
        LongCounter($"{metric}_bucket{{le={Text(above)}{and}}}", 0).LongCounter($"{metric}_bucket{{le={Text(upTo)}{and}}}", perMinute).LongCounter($"{metric}_bucket{{le=+Inf{and}}}", perMinute);
        return LongCounter($"{metric}_count{{{labels}}}", perMinute).LongCounter($"{metric}_sum{{{labels}}}", sumPerMinute);

        static string Text(double value) => value.ToString(CultureInfo.InvariantCulture);
    }

    /// <summary>A gauge.</summary>
    public KpiSite Gauge(string selector, double value, int minutes = 60) => Series(selector, minutes, _ => value);

    /// <summary>A counter that grows evenly.</summary>
    public KpiSite Counter(string selector, double perMinute, int minutes = 60) => Series(selector, minutes, k => k * perMinute);

    /// <summary>Evaluates all rules up to a minute after the start.</summary>
    public async Task<KpiSite> RunAsync(int minutes = 60)
    {
        if (Book.Kpis.Count == 0)
        {
            Rules.Apply(Set.Groups);
            Book.Apply(Set, _ => StartMs);
        }
        Time.Advance(TimeSpan.FromMilliseconds(StartMs + (minutes * 60_000L) - Time.NowMs));
        await Rules.StepAsync(default);
        IEnumerable<string> failed = Rules.Status.SelectMany(g => g.Rules).Where(r => r.LastError.Length > 0).Select(r => $"{r.Definition.Name}: {r.LastError}");
        Assert.Empty(failed);
        return this;
    }

    /// <summary>A desk over the rules that corrects results after late data, with its record in a folder of its own.</summary>
    public (HealDesk Desk, HealBook Book) Desk()
    {
        var book = new HealBook(new MemoryDisk(), "/heals", Time, new Random(1), NullLogger.Instance);
        var around = new RuleSurroundings(Engine, new RevisionReader(Store), Store, _done);
        return (new HealDesk(new RuleHealer(around, Rules, new RuleVersions(null, ""), new RuleHealerOptions(), Time, _meter, NullLogger.Instance), book, Time, NullLogger.Instance), book);
    }

    /// <summary>Takes other files while it runs.</summary>
    public void Change(string files)
    {
        ConfigResult<KpiSet> read = KpiFiles.Parse(files, "kpi.yaml");
        Assert.True(read.IsOk, string.Join('\n', read.Errors));
        Set = read.Value;
        Rules.Apply(Set.Groups);
        Book.Apply(Set, _ => Time.NowMs - (Time.NowMs % 60_000));
    }

    /// <summary>The values of an expression now, by labels as text.</summary>
    public IReadOnlyDictionary<string, double> Ask(string expression, long? atMs = null) => Ask(Store, expression, atMs);

    /// <summary>The same with corrections laid over what is stored.</summary>
    public IReadOnlyDictionary<string, double> Healed(string expression) => Ask(new RevisionReader(Store), expression, null);

    private Dictionary<string, double> Ask(ISeriesReader reader, string expression, long? atMs)
    {
        QueryResult result = Engine.Instant(reader, expression, atMs ?? Time.NowMs);
        Assert.True(result.Error is null, result.Error?.Message);
        return result.Type == Bellwether.Evaluate.PromQl.ValueType.Scalar
            ? new Dictionary<string, double> { [""] = result.Scalar.Value }
            : result.Series.ToDictionary(s => string.Join(',', s.Labels.AsSpan().ToArray().Where(l => l.Name != "__name__").Select(l => $"{l.Name}={l.Value}")), s => s.Points[^1].Value);
    }

    /// <summary>The one value of a KPI now; null: it has none.</summary>
    public double? Value(string kpi)
    {
        IReadOnlyDictionary<string, double> all = Ask(Book.Find(kpi)!.Record);
        return all.Count == 0 ? null : Assert.Single(all).Value;
    }

    public void Dispose()
    {
        Book.Dispose();
        _meter.Dispose();
    }

    private static Labels Parse(string selector)
    {
        int brace = selector.IndexOf('{', StringComparison.Ordinal);
        var builder = new LabelsBuilder().Set("__name__", brace < 0 ? selector : selector[..brace]);
        if (brace >= 0)
        {
            foreach (string pair in selector[(brace + 1)..^1].Split(',', StringSplitOptions.RemoveEmptyEntries))
                builder.Set(pair[..pair.IndexOf('=', StringComparison.Ordinal)].Trim(), pair[(pair.IndexOf('=', StringComparison.Ordinal) + 1)..].Trim('"', ' '));
        }
        return builder.Build();
    }

    private sealed class Done : IIngestProgress
    {
        public long PassedMs => long.MaxValue;
    }
}
