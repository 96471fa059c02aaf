using Bellwether.Ingest;
using FsCheck;
using FsCheck.Fluent;

namespace Bellwether.Aggregator.Tests.Ingest;

/// <summary>Ticks received against ticks due.</summary>
public sealed class SourceCoverageTests
{
    private const long WindowMs = 300_000;

    [Fact]
    public void Every_tick_in_time_is_full_coverage_whatever_the_phase_and_jitter() => Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
    {
        var random = new Random(seed);
        int interval = random.Next(1, 40) * 500;
        long start = 1_700_000_000_000 + random.Next(interval);
        var coverage = new SourceCoverage("s", WindowMs);
        for (int i = 0; i < 200; i++)
        {
            int jitter = interval / 4;
            coverage.Tick(interval, start + ((long)i * interval) + random.Next(-jitter, jitter));
        }
        SourceState state = coverage.At(start + (199L * interval) + (interval / 2));
        return state.Due > 0 && state.Received == state.Due && state.Due <= (WindowMs / interval) + 1;
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void Missing_ticks_are_due_and_not_received()
    {
        var coverage = new SourceCoverage("s", WindowMs);
        for (int i = 0; i < 60; i++)
        {
            if (i % 3 != 1)
                coverage.Tick(5000, 1_700_000_000_000 + (i * 5000L));
        }
        SourceState state = coverage.At(1_700_000_000_000 + (59 * 5000L) + 2500);
        Assert.Equal((59, 39), (state.Due, state.Received));
    }

    [Fact]
    public void A_silent_source_loses_its_coverage_within_the_window()
    {
        var coverage = new SourceCoverage("s", WindowMs);
        for (int i = 0; i < 60; i++)
            coverage.Tick(5000, 1_700_000_000_000 + (i * 5000L));
        long endMs = 1_700_000_000_000 + (59 * 5000L);
        Assert.InRange(coverage.At(endMs + (WindowMs / 2)).Received, 29, 31);
        SourceState gone = coverage.At(endMs + (2 * WindowMs));
        Assert.Equal((60, 0), (gone.Due, gone.Received));
    }

    [Fact]
    public void A_source_that_was_taken_out_owes_nothing_after_its_last_tick()
    {
        var coverage = new SourceCoverage("s", WindowMs);
        for (int i = 0; i < 20; i++)
            coverage.Tick(5000, 1_700_000_000_000 + (i * 5000L));
        long endMs = 1_700_000_000_000 + (19 * 5000L);
        coverage.Tick(5000, endMs + 1700);
        Assert.True(coverage.At(endMs + 60_000) is { Due: > 25, Received: 20 });
        coverage.HasEnded = true;
        Assert.True(coverage.At(endMs + 60_000) is { Due: 20, Received: 20 });
        coverage.HasEnded = false;
        coverage.Tick(5000, endMs + 60_000);
        Assert.True(coverage.At(endMs + 67_600) is { Due: > 25, Received: 21 });
    }

    [Fact]
    public void Late_ticks_fill_their_place_and_doubled_ones_count_once()
    {
        var coverage = new SourceCoverage("s", WindowMs);
        foreach (int i in new[] { 0, 1, 4, 5, 2, 3, 3, 3, 6, 7, 8 })
            coverage.Tick(1000, 1_700_000_000_000 + (i * 1000L));
        SourceState state = coverage.At(1_700_000_000_000 + 8500);
        Assert.Equal((8, 8), (state.Due, state.Received));
    }

    [Fact]
    public void An_irregular_source_has_nothing_due()
    {
        var coverage = new SourceCoverage("s", WindowMs);
        coverage.Tick(0, 1_700_000_000_000);
        Assert.Equal((0, 0, 1_700_000_000_000), (coverage.At(1_800_000_000_000).Due, coverage.At(1_800_000_000_000).Received, coverage.At(1_800_000_000_000).NewestMs));
    }
}
