using System.Diagnostics.Metrics;
using Bellwether.Core.Configuration;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.Rules;
using Bellwether.Evaluate.Rules.Healing;
using Bellwether.Evaluate.Slo;
using Bellwether.Evaluate.Slo.Compiling;
using Bellwether.Evaluate.Slo.Reading;
using Bellwether.Kit;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.Tests.Evaluate.Slo;

/// <summary>SLO files at work over made data: the rule engine evaluates what they compile to, minute by minute.</summary>
internal sealed class SloSite : IDisposable
{
    /// <summary>2027-01-15 08:00:00 UTC: a multiple of five minutes.</summary>
    public const long StartMs = 1_800_000_000_000;

    private readonly Meter _meter = new("test");

    public SloSite(string file, bool asSloth = false, long startMs = StartMs)
    {
        ConfigResult<SloSet> read = SloFiles.Parse([("slo.yaml", file)]);
        Assert.True(read.IsOk, string.Join('\n', read.Errors));
        Start = startMs;
        Time = new VirtualTime(DateTimeOffset.FromUnixTimeMilliseconds(startMs));
        Engine = new PromQlEngine(new EngineOptions(), Time);
        Reader = new RevisionReader(Store);
        Around = new RuleSurroundings(Engine, Reader, Store, new Done());
        Rules = new RuleEngine(Around, new RuleEngineOptions { StepsPerTurn = 100_000, CatchUpMax = TimeSpan.FromDays(365) }, Time, _meter, NullLogger.Instance);
        if (asSloth)
        {
            Rules.Apply(SloCompiler.ToRules(SloCompiler.CompileAsSloth(read.Value, new SlothStyleOptions()).Value!, new RuleFileOptions()).Value!.Groups);
            return;
        }
        ConfigResult<SloRuleSet> made = SloRuleSet.Make(read.Value, startMs);
        Assert.True(made.IsOk, string.Join('\n', made.Errors));
        Slos = made.Value;
        Rules.Apply(Slos.Groups);
    }

    public long Start { get; }

    public SloRuleSet Slos { get; } = SloRuleSet.Empty;

    public VirtualTime Time { get; }

    public SeriesInMemory Store { get; } = new();

    public PromQlEngine Engine { get; }

    public RuleEngine Rules { get; }

    /// <summary>The store with corrections laid over it.</summary>
    public RevisionReader Reader { get; }

    public RuleSurroundings Around { get; }

    /// <summary>A desk over the rules, with its record in a folder of its own.</summary>
    public (HealDesk Desk, HealBook Book) Desk()
    {
        var disk = new FaultyDisk(new Random(1));
        var book = new HealBook(disk, "/heals", Time, new Random(1), NullLogger.Instance);
        var healer = new RuleHealer(Around, Rules, new RuleVersions(null, ""), new RuleHealerOptions(), Time, _meter, NullLogger.Instance);
        return (new HealDesk(healer, book, Time, NullLogger.Instance), book);
    }

    /// <summary>Adds a counter with a sample per 15 s that grows in each minute by what <paramref name="perMinute"/> says of the minute (0 is the first). Negative: no samples there.</summary>
    public SloSite Counter(string name, string label, string value, int minutes, Func<int, double> perMinute)
    {
        Labels labels = Parse(name, $"{label}={value}");
        double sum = 0;
        for (int minute = 0; minute < minutes; minute++)
        {
            double grows = perMinute(minute);
            for (int quarter = 0; quarter < 4 && grows >= 0; quarter++)
            {
                Store.Add(labels, Start + (minute * 60_000L) + (quarter * 15_000L), sum);
                sum += grows / 4;
            }
        }
        return this;
    }

    /// <summary>Adds a gauge with a sample per minute; labels may stand in braces behind the name.</summary>
    public SloSite Gauge(string name, int minutes, Func<int, double> at)
    {
        string[] parts = name.TrimEnd('}').Split('{');
        Labels labels = Parse(parts[0], parts.Length > 1 ? parts[1] : "");
        for (int minute = 0; minute <= minutes; minute++)
            Store.Add(labels, Start + (minute * 60_000L), at(minute));
        return this;
    }

    private static Labels Parse(string name, string labels)
    {
        LabelsBuilder builder = new LabelsBuilder().Set("__name__", name);
        foreach (string label in labels.Split(',', StringSplitOptions.RemoveEmptyEntries))
            builder.Set(label.Split('=')[0], label.Split('=')[1]);
        return builder.Build();
    }

    /// <summary>Evaluates all rules up to a minute after the start.</summary>
    public async Task<SloSite> RunAsync(int minutes)
    {
        Time.Advance(TimeSpan.FromMilliseconds(Start + (minutes * 60_000L) - Time.NowMs));
        await Rules.StepAsync(default);
        Assert.Empty(Rules.Status.SelectMany(g => g.Rules).Where(r => r.LastError.Length > 0).Select(r => $"{r.Definition.Name}: {r.LastError}"));
        return this;
    }

    /// <summary>The one value of an expression now, rounded to 9 places; null: it has none.</summary>
    public double? Ask(string expression)
    {
        QueryResult result = Engine.Instant(Reader, expression, Time.NowMs);
        Assert.True(result.Error is null, result.Error?.Message);
        return result.Series.Count == 0 ? null : Math.Round(Assert.Single(result.Series).Points[^1].Value, 9);
    }

    /// <summary>The alerts that fire, as name/severity.</summary>
    public IEnumerable<string> Firing => Rules.Status.SelectMany(g => g.Rules).Where(r => r.State == AlertState.Firing)
        .Select(r => $"{r.Definition.Name}/{r.Definition.Labels.First(l => l.Key == "severity").Value.Text}");

    public void Dispose() => _meter.Dispose();

    private sealed class Done : IIngestProgress
    {
        public long PassedMs => long.MaxValue;
    }
}
