using Bellwether.Core.Durable;
using Bellwether.Core.Platform;
using Bellwether.Store;

namespace Bellwether.Aggregator.Tests.Store;

/// <summary>When a saved head is not used: somebody lacks what stands in the log only, or an opening went past it.</summary>
public sealed class SavedHeadChoiceTests : SavedHeadSite
{
    [Fact]
    public void A_tap_that_lacks_some_of_it_is_told_from_the_log()
    {
        var disk = new MemoryDisk();
        ulong next;
        using (StoreEngine store = Open(disk))
        {
            Fill(store, 2);
            store.SaveHead();
            next = store.NextFrame;
        }
        var behind = new CountingTap(next - 1);
        using (StoreEngine store = Open(disk.Crash(new Random(1)), behind))
            Assert.False(store.Opened.SavedHead);
        Assert.True(behind.Samples > 0);
        var level = new CountingTap(next);
        using (StoreEngine store = Open(disk.Crash(new Random(1)), level))
            Assert.True(store.Opened.SavedHead);
        Assert.Equal(0, level.Samples);
    }

    [Fact]
    public void A_tap_is_not_behind_for_frames_that_have_nothing_to_forward()
    {
        var disk = new MemoryDisk();
        var agent = new Sender();
        var tap = new CountingTap(0);
        using (StoreEngine store = Open(disk, tap))
        {
            Fill(store, 1);
            agent.Send(store, Time.NowMs);
            ulong told = tap.Position;
            agent.Close(store);
            Assert.True(tap.Position == told && store.NextFrame > told);
            store.SaveHead();
        }
        var level = new CountingTap(tap.Position);
        using (StoreEngine store = Open(disk.Crash(new Random(1)), level))
            Assert.True(store.Opened.SavedHead);
        Assert.Equal(0, level.Samples);
        using (StoreEngine store = Open(disk.Crash(new Random(1)), new CountingTap(tap.Position - 1)))
            Assert.False(store.Opened.SavedHead);
        // Nobody forwarded when it was saved: what is new to a tap is in the log only.
        using (StoreEngine store = Open(disk))
            store.SaveHead();
        using (StoreEngine store = Open(disk, new CountingTap(tap.Position)))
            Assert.False(store.Opened.SavedHead);
    }

    [Fact]
    public void One_that_an_older_version_went_past_is_not_read_beside_its_checkpoint()
    {
        (MemoryDisk disk, Sender agent) = SavedADayAhead();
        byte[] head = disk.Content(HeadPath);
        disk.Delete(HeadPath);
        // An older version knows no saved head: it reads the log, puts into memory what was held, and leaves the file where it is.
        Time.Step(TimeSpan.FromDays(1));
        using (StoreEngine store = Open(disk))
        {
            Assert.Equal((false, 0), (store.Opened.SavedHead, store.HeldSamples));
            agent.Send(store, Time.NowMs + 5);
            store.Maintain();
            Assert.True(store.CheckpointedMs > 0);
        }
        Assert.True(MakeOlder(disk) > 0);
        using (IDiskFile file = disk.Open(HeadPath, DiskOpen.CreateNew))
        {
            file.Write(0, head);
            file.Sync();
        }
        using StoreEngine again = Open(disk);
        Assert.False(again.Opened.SavedHead);
        again.Maintain();
        Assert.Equal(6, Samples(again, "shop0").Count);
    }

    [Fact]
    public void One_that_an_opening_went_past_is_not_read_beside_a_later_checkpoint()
    {
        (MemoryDisk disk, Sender agent) = SavedADayAhead();
        // Their time has come: read from the log they go into memory at once.
        Time.Step(TimeSpan.FromDays(1));
        using (StoreEngine store = Open(disk, new CountingTap(0)))
        {
            Assert.Equal((false, 0), (store.Opened.SavedHead, store.HeldSamples));
            agent.Send(store, Time.NowMs + 5);
            store.Maintain();
            Assert.True(store.CheckpointedMs > 0);
        }
        using StoreEngine again = Open(disk.Crash(new Random(1)));
        again.Maintain();
        Assert.Equal(6, Samples(again, "shop0").Count);
    }

    [Fact]
    public void What_is_ahead_of_a_clock_that_went_back_since_the_checkpoint_is_held_by_a_head_of_the_same_frame()
    {
        var disk = new MemoryDisk();
        var agent = new Sender();
        using (StoreEngine store = Open(disk))
        {
            for (int i = 0; i < 5; i++)
                agent.Send(store, Time.NowMs + i);
            store.Maintain();
            Assert.True(store.CheckpointedMs > 0);
        }
        // The checkpoint took them for stored; opened with this clock they are held.
        Time.Step(TimeSpan.FromDays(-1));
        using (StoreEngine store = Open(disk))
        {
            Assert.Equal(20, store.HeldSamples);
            store.SaveHead();
        }
        using StoreEngine again = Open(disk);
        Assert.True(again.Opened.SavedHead);
        Assert.Equal(20, again.HeldSamples);
        Time.Step(TimeSpan.FromDays(1));
        again.Maintain();
        Assert.Equal(5, Samples(again, "shop0").Count);
    }

    // A saved head with samples that wait until a day has passed.
    private (MemoryDisk Disk, Sender Agent) SavedADayAhead()
    {
        var disk = new MemoryDisk();
        var agent = new Sender();
        using (StoreEngine store = Open(disk))
        {
            for (int i = 0; i < 5; i++)
                agent.Send(store, Time.NowMs + (24 * 3600 * 1000) + i);
            Assert.Equal(20, store.HeldSamples);
            store.SaveHead();
        }
        return (disk, agent);
    }

    // Checkpoints as older versions write them end before the mark.
    private static int MakeOlder(MemoryDisk disk)
    {
        int made = 0;
        foreach (string path in disk.Paths.Where(p => p.Contains("checkpoint", StringComparison.Ordinal)).ToList())
        {
            Assert.Equal(AtomicFileOutcome.Read, AtomicFile.TryRead(disk, path, int.MaxValue, out byte[] content));
            Assert.Equal(1, content[^1]);
            AtomicFile.Write(disk, path, content.AsSpan(0, content.Length - 1));
            made++;
        }
        return made;
    }
}
