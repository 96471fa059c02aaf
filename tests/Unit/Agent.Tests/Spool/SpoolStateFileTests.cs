using Bellwether.Agent.Spool;
using Bellwether.Kit;

namespace Bellwether.Agent.Tests.Spool;

public sealed class SpoolStateFileTests
{
    private readonly FaultyDisk _disk = new(new Random(1));
    private readonly List<IOException> _errors = [];

    [Fact]
    public void Room_is_kept_beside_the_state_and_given_on_a_full_disk()
    {
        _disk.CreateFolder("/spool");
        var file = new SpoolStateFile(_disk, "/spool", _errors.Add);
        file.Write(new byte[1000], () => { });
        Assert.True(_disk.Exists("/spool/reserve"));
        long used = _disk.UsedBytes;
        // Full: what is written is written all the same, and the reserve takes no more than there was, once.
        _disk.Capacity = used + 100;
        file.Write(new byte[1100], () => Assert.Fail("the log was asked for room"));
        Assert.InRange(_disk.Content("/spool/reserve").Length, 1100 * 5 / 4, used);
        _errors.Clear();
        for (int i = 0; i < 10; i++)
            file.Write(new byte[1100], () => Assert.Fail("the log was asked for room"));
        Assert.True(_disk.UsedBytes <= _disk.Capacity);
    }

    [Fact]
    public void On_a_disk_that_is_nearly_full_the_reserve_takes_what_there_is_and_none_is_begun_without_room()
    {
        _disk.CreateFolder("/spool");
        var file = new SpoolStateFile(_disk, "/spool", _errors.Add);
        foreach ((int capacity, bool isKept) in ((int, bool)[])[(2100, false), (4000, true)])
        {
            _disk.Capacity = capacity;
            for (int i = 0; i < 5; i++)
                file.Write(new byte[1000], () => Assert.Fail("the log was asked for room"));
            Assert.Equal(isKept, _disk.Exists("/spool/reserve"));
        }
        // What is too much is never begun.
        Assert.Empty(_errors);
    }

    [Fact]
    public void Of_a_reserve_that_could_not_be_made_whole_only_what_is_enough_stays()
    {
        _disk.CreateFolder("/spool");
        // A quota: there is room on the disk, but not for this one.
        _disk.FaultError = 122;
        _disk.Fault = (call, path) => call == DiskCall.Write && path.EndsWith("reserve", StringComparison.Ordinal);
        var file = new SpoolStateFile(_disk, "/spool", _errors.Add);
        foreach ((int bytes, int attempts) in ((int, int)[])[(1000, 1), (1000, 1), (60_000, 2), (60_000, 3)])
        {
            file.Write(new byte[bytes], () => Assert.Fail("the log was asked for room"));
            int kept = _disk.Exists("/spool/reserve") ? _disk.Content("/spool/reserve").Length : 0;
            Assert.True(kept == 0 || kept >= bytes * 5 / 4, $"{kept}");
            Assert.True(kept > 0 || bytes > 1000);
            Assert.Equal(attempts, _errors.Count);
        }
    }
}
