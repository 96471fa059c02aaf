using Bellwether.Store;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.Tests.Store;

/// <summary>Agents' segments behind an opening with a saved head: they go on, begin anew, or are replayed.</summary>
public sealed class SavedHeadSegmentTests : SavedHeadSite
{
    [Fact]
    public void A_segment_whose_beginning_is_not_needed_has_to_begin_anew_also_where_that_lies_in_a_file_that_is_read()
    {
        var disk = new MemoryDisk();
        Sender first = new(), second = new() { Agent = "web-2" };
        // One decoder: the second segment takes that of the first, whose beginning the saved head does not ask for then.
        using (StoreEngine store = StoreEngine.Open(Options with { MaxOpenSegments = 1 }, disk, Time, new Random(1), Meter, NullLogger.Instance))
        {
            long now = Time.GetUtcNow().ToUnixTimeMilliseconds();
            first.Send(store, now);
            second.Send(store, now + 1);
            store.SaveHead();
        }
        using StoreEngine again = Open(disk);
        Assert.True(again.Opened.SavedHead);
        Assert.False(again.HeldOf(Sender.Key).Resumable);
        Assert.True(again.HeldOf(Sender.Key with { Agent = "web-2" }).Resumable);
    }

    [Fact]
    public void A_segment_that_was_open_when_the_head_was_saved_and_complete_at_the_checkpoint_behind_it_is_replayed()
    {
        var disk = new MemoryDisk();
        var agent = new Sender();
        using (StoreEngine store = Open(disk))
        {
            Fill(store, 8);
            for (int i = 0; i < 5; i++)
                agent.Send(store, Time.NowMs + i);
            store.SaveHead();
            Time.Advance(TimeSpan.FromMinutes(31));
            agent.Send(store, Time.NowMs);
            agent.Close(store);
            store.Maintain();
            Assert.True(store.Blocks.Count > 0);
        }
        (string plain, _) = Opened(disk, Options, withHead: false);
        (string saved, OpenReport report) = Opened(disk, Options, withHead: true);
        Assert.True(report.SavedHead);
        Assert.Equal(plain, saved);
    }

    [Fact]
    public void An_agents_segment_goes_on_where_it_was_after_its_samples_came_back_with_it()
    {
        var disk = new MemoryDisk();
        var agent = new Sender();
        using (StoreEngine store = Open(disk))
        {
            Fill(store, 1);
            for (int i = 0; i < 5; i++)
                agent.Send(store, Time.NowMs + i);
            store.SaveHead();
            agent.Send(store, Time.NowMs + 5);
        }
        using StoreEngine again = Open(disk);
        Assert.True(again.Opened.SavedHead);
        Assert.Equal((6UL, true), (again.HeldOf(Sender.Key).Records, again.HeldOf(Sender.Key).Resumable));
        agent.Send(again, Time.NowMs + 6);
        Assert.Equal(7, Assert.Single(again.Ledgers("web-1")).Records);
        Assert.Equal(7, Samples(again, "shop0").Count);
    }
}
