using Bellwether.Core.Model;
using Bellwether.Store.Head;

namespace Bellwether.Aggregator.Tests.Store;

/// <summary>A series is found by its labels, and by its own label set without looking anything up.</summary>
public sealed class HeadIndexTests
{
    private readonly HeadIndex _index = new();

    [Fact]
    public void A_series_is_found_by_its_own_set_and_by_one_of_the_same_content()
    {
        HeadSeries series = _index.Add(Labels.Of("__name__", "up", "job", "shop"));
        Assert.True(_index.TryGet(series.Labels, out HeadSeries? byOwn));
        Assert.True(_index.TryGet(Labels.Of("__name__", "up", "job", "shop"), out HeadSeries? byContent));
        Assert.Same(series, byOwn);
        Assert.Same(series, byContent);
        Assert.Same(series, series.Labels.Owner);
    }

    [Fact]
    public void The_set_of_a_removed_series_finds_the_one_that_came_after_it()
    {
        HeadSeries old = _index.Add(Labels.Of("__name__", "up"));
        _index.Remove([old]);
        Assert.False(_index.TryGet(old.Labels, out _));
        Assert.Null(old.Labels.Owner);
        HeadSeries next = _index.Add(old.Labels);
        Assert.True(_index.TryGet(old.Labels, out HeadSeries? found));
        Assert.Same(next, found);
    }

    [Fact]
    public void The_set_of_another_index_is_looked_up()
    {
        var other = new HeadIndex();
        HeadSeries theirs = other.Add(Labels.Of("__name__", "up"));
        Assert.False(_index.TryGet(theirs.Labels, out _));
        HeadSeries ours = _index.Add(theirs.Labels);
        Assert.True(_index.TryGet(theirs.Labels, out HeadSeries? found));
        Assert.Same(ours, found);
    }
}
