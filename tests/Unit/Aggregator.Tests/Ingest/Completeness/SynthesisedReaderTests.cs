using Bellwether.Core.Model;
using Bellwether.Ingest.Completeness;
using Bellwether.Kit;
using Microsoft.Extensions.Logging.Abstractions;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Aggregator.Tests.Ingest.Completeness;

/// <summary>What is made up for agents that are silent; the clock begins at second <see cref="Start"/>.</summary>
public sealed class SynthesisedReaderTests
{
    private const string Up = "up{bellwether_synthesised=\"silent\", instance=\"i\", job=\"shop\"}";
    private readonly VirtualTime _time = new();
    private readonly KnownLedger _ledger = new();
    private readonly FleetBook _book;
    private readonly SynthesisedReader _reader;

    public SynthesisedReaderTests()
    {
        _book = new FleetBook(new CompletenessOptions(), _ledger, NullLogger.Instance, [], []);
        _reader = new SynthesisedReader(new SeriesInMemory(), _book, _ledger, _time);
        Join("p1");
        _book.Targets("a", new Dictionary<string, IReadOnlyDictionary<string, string>> { ["shop"] = new Dictionary<string, string> { ["job"] = "shop", ["instance"] = "i" } });
        _ledger.Ticks("a", (Start - 9, Start));
    }

    private long Start => _startMs / 1000;

    private readonly long _startMs = new VirtualTime().NowMs;

    [Fact]
    public void Up_age_and_coverage_of_a_silent_agent_are_made_up_and_marked()
    {
        Assert.Empty(Select());
        Pass(60);
        Dictionary<string, List<(long, double)>> made = Select();
        Assert.Equal(3, made.Count);
        Assert.Equal(Enumerable.Range(1, 55).Select(s => (s + Start, 0.0)), made[Up]);
        Assert.Equal((Start + 55, 55.0), made["bellwether_source_age_seconds{agent=\"a\", bellwether_synthesised=\"silent\", source=\"shop\"}"][^1]);
        (long _, double coverage) = made["bellwether_source_coverage_ratio{agent=\"a\", bellwether_synthesised=\"silent\", source=\"shop\"}"][^1];
        Assert.Equal(10 / 300.0, coverage, 6);
        Assert.Empty(Select(new LabelMatcher(MatchType.Equal, "__name__", "node_load1")));
        Assert.Empty(Select(new LabelMatcher(MatchType.Equal, SynthesisedReader.Mark, "")));
    }

    [Fact]
    public void What_was_made_up_gives_way_to_the_real_data_of_an_agent_that_was_cut_off()
    {
        Pass(60);
        Assert.NotEmpty(Select());
        Join("p1");
        _ledger.Ticks("a", (Start - 9, Start + 60));
        Assert.Empty(Select());
    }

    [Fact]
    public void Of_an_agent_that_died_it_stays_for_the_time_in_which_it_was_dead_and_ends_with_it()
    {
        Pass(60);
        Join("p2");
        _ledger.Ticks("a", (Start - 9, Start), (Start + 61, Start + 70));
        Pass(10);
        List<(long Time, double Value)> up = Select()[Up];
        Assert.Equal(Enumerable.Range(1, 60).Select(s => s + Start), up.SkipLast(1).Select(s => s.Time));
        Assert.Equal(Start + 61, up[^1].Time);
        Assert.True(SpecialValues.IsStale(up[^1].Value));
    }

    [Fact]
    public void A_planned_stop_is_marked_as_such_and_a_retired_agent_is_not_made_up()
    {
        _book.Goodbye("a", _time.NowMs, "stop", drained: true);
        Pass(60);
        Assert.All(Select().Keys, k => Assert.Contains("bellwether_synthesised=\"planned_stop\"", k, StringComparison.Ordinal));
        _book.Goodbye("a", _time.NowMs, "retire", drained: true);
        Assert.Empty(Select());
    }

    [Fact]
    public void Names_and_values_of_labels_have_what_is_made_up()
    {
        Pass(60);
        Assert.Contains(SynthesisedReader.Mark, _reader.LabelNames(0, _time.NowMs, [], CancellationToken.None));
        Assert.Equal(["silent"], _reader.LabelValues(SynthesisedReader.Mark, 0, _time.NowMs, [], CancellationToken.None));
    }

    private void Join(string process) => _book.Joined(_time.NowMs, new Greeting("a", process, 1, []));

    private void Pass(int seconds)
    {
        _time.Advance(TimeSpan.FromSeconds(seconds));
        _book.Step(_time.NowMs);
    }

    private Dictionary<string, List<(long Time, double Value)>> Select(params LabelMatcher[] matchers)
    {
        var all = new Dictionary<string, List<(long, double)>>();
        using ISeriesSet set = _reader.Select(0, _time.NowMs, matchers, CancellationToken.None);
        var buffer = new SampleBuffer();
        for (int i = 0; i < set.Count; i++)
        {
            set.Read(i, buffer);
            var samples = new List<(long, double)>();
            for (int s = 0; s < buffer.Count; s++)
                samples.Add((buffer.Times[s] / 1000, buffer.Values[s]));
            all.Add(set.LabelsAt(i).ToString(), samples);
        }
        return all;
    }
}
