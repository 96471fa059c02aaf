using Bellwether.Agent.Spool;
using Bellwether.Agent.Stream;
using Bellwether.Core.Durable;
using Bellwether.Kit;

namespace Bellwether.Agent.Tests.Spool;

/// <summary>What is there when a spool is opened again, whatever became of its folder.</summary>
public sealed class LogSpoolOpeningTests : LogSpoolSite
{
    [Fact]
    public void A_restart_makes_old_segments_a_closed_backlog_and_opens_a_new_one()
    {
        using (LogSpool spool = Open())
        {
            spool.Append(Ticks.Next());
            Assert.Empty(List(spool));
            Assert.Equal(LogSync.Durable, spool.Sync());
            Assert.False(Assert.Single(List(spool)).Closed);
        }
        using LogSpool again = Open();
        SpooledSegment old = Assert.Single(List(again));
        Assert.True(old.Closed);
        again.Append(Ticks.Next());
        again.Sync();
        Assert.Equal(2, List(again).Count);
        Assert.Equal(old.Id.Epoch, List(again)[1].Id.Epoch);
        Assert.True(List(again)[1].Id.Number > old.Id.Number);
    }

    [Fact]
    public void Numbers_that_are_skipped_stay_skipped_after_a_restart()
    {
        using (LogSpool spool = Open())
        {
            spool.Append(Ticks.Next());
            spool.SkipTo(500);
            spool.SkipTo(400);
            Assert.Equal(500UL, spool.StartSegment());
        }
        using LogSpool again = Open();
        Assert.Equal(500UL, again.NextNumber);
    }

    [Fact]
    public void A_lost_folder_grows_the_epoch()
    {
        ulong epoch;
        using (LogSpool spool = Open())
        {
            epoch = spool.Epoch;
            spool.Append(Ticks.Next());
            spool.Sync();
        }
        using (LogSpool spool = Open())
            Assert.Equal(epoch, spool.Epoch);
        Disk.Lose("/spool/state");
        Ticks.Advance(TimeSpan.FromSeconds(5));
        ulong next;
        using (LogSpool spool = Open())
            next = spool.Epoch;
        Assert.True(next > epoch);
        foreach (string name in Disk.List("/spool/log"))
            Disk.Lose("/spool/log/" + name);
        using (LogSpool spool = Open())
            Assert.True(spool.Epoch > next);
    }

    [Fact]
    public void A_lost_state_makes_nothing_damaged_of_what_was_acknowledged()
    {
        using (LogSpool spool = Open())
        {
            AppendSegments(spool, 4);
            spool.Acknowledge(List(spool)[0].Id, 4, complete: true);
        }
        Disk.Lose("/spool/state");
        using LogSpool again = Open();
        Assert.Equal((160, 120, 0), Ledger(again));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void What_cannot_be_read_when_the_spool_is_opened_is_counted_once(bool isRot)
    {
        using (LogSpool spool = Open())
        {
            AppendSegments(spool, 4);
        }
        const string Second = "/spool/log/0000000000000002.seg";
        if (isRot)
            Disk.FlipBit(Second, (Disk.Content(Second).Length - 40) * 8L); // the last frame of a closed file
        else
            Disk.Fault = (call, path) => call == DiskCall.Read && path == Second;
        for (int opening = 0; opening < 3; opening++)
        {
            using LogSpool again = Open();
            var ledger = new List<SourceLedger>();
            again.ListLedger(ledger);
            Assert.Equal(160, ledger.Sum(l => l.Produced));
            long damaged = ledger.Sum(l => l.Dropped.Sum(d => d.Value.Samples));
            Assert.Equal(isRot ? 10 : 40, damaged);
            Assert.Equal(160 - damaged, ledger.Sum(l => l.Buffered.Samples));
            foreach (SpooledSegment segment in List(again))
                Decode(ReadAll(again, segment, 0));
        }
    }

    [Fact]
    public void What_cannot_be_read_at_one_opening_and_can_at_the_next_is_not_lost()
    {
        using (LogSpool spool = Open())
        {
            AppendSegments(spool, 4);
            spool.Acknowledge(List(spool)[0].Id, 4, complete: true);
            spool.Acknowledge(List(spool)[1].Id, 1, complete: false);
        }
        Disk.Fault = (call, path) => call == DiskCall.Read && path == "/spool/log/0000000000000003.seg";
        using (LogSpool spool = Open())
        {
            Assert.Equal(30, spool.Statistics.Dropped.Where(d => d.Reason == SpoolDropReasons.Damaged).Sum(d => d.Samples));
            Assert.Equal((160, 80, 30), Ledger(spool));
        }
        Disk.Fault = null;
        using LogSpool again = Open();
        Assert.Equal((160, 110, 0), Ledger(again));
        Assert.Equal(0, again.DroppedSamples);
    }

    [Fact]
    public void A_second_process_is_refused()
    {
        using LogSpool spool = Open();
        Assert.Contains("/spool/log", Assert.Throws<IOException>(() => Open()).Message, StringComparison.Ordinal);
    }
}
