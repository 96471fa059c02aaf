using Bellwether.Core.Durable;
using Bellwether.Core.Platform;

namespace Bellwether.Core.Tests.Platform;

public sealed class OsDiskTests : IDisposable
{
    private readonly OsDisk _disk = new();
    private readonly string _folder = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName(), "deep", "er");

    public OsDiskTests() => _disk.CreateFolder(_folder);

    public void Dispose() => Directory.Delete(Path.GetDirectoryName(Path.GetDirectoryName(_folder)!)!, recursive: true);

    [Fact]
    public void What_is_written_is_read_and_files_are_private()
    {
        string path = Path.Combine(_folder, "a");
        using (IDiskFile file = _disk.Open(path, DiskOpen.CreateNew))
        {
            file.Write(10, "hello"u8);
            file.Sync();
            byte[] read = new byte[20];
            Assert.Equal(15, file.Read(0, read));
            Assert.True(read.AsSpan(10, 5).SequenceEqual("hello"u8));
            file.SetLength(12);
            Assert.Equal(12, file.Length);
        }
        _disk.Rename(path, Path.Combine(_folder, "b"));
        _disk.SyncFolder(_folder);
        Assert.Equal(["b"], _disk.List(_folder));
        Assert.True(_disk.FreeBytes(_folder) > 0);
        if (!OperatingSystem.IsWindows())
        {
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(_folder, "b")));
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(_folder));
        }
        _disk.Delete(Path.Combine(_folder, "b"));
        Assert.Empty(_disk.List(_folder));
        Assert.Empty(_disk.List(Path.Combine(_folder, "not there")));
    }

    [Fact]
    public void Errors_carry_the_path_and_the_systems_words()
    {
        string path = Path.Combine(_folder, "missing");
        FileNotFoundException missing = Assert.Throws<FileNotFoundException>(() => _disk.Open(path, DiskOpen.Existing));
        Assert.Contains(path, missing.Message, StringComparison.Ordinal);
        _disk.Open(path, DiskOpen.CreateNew).Dispose();
        IOException exists = Assert.ThrowsAny<IOException>(() => _disk.Open(path, DiskOpen.CreateNew));
        Assert.Contains(path, exists.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_may_not_grow_is_an_error_of_the_disk()
    {
        // EFBIG, which .NET takes for a wrong argument.
        string path = Path.Combine(_folder, "large");
        using IDiskFile file = _disk.Open(path, DiskOpen.CreateNew);
        IOException write = Assert.ThrowsAny<IOException>(() => file.Write(long.MaxValue - 10, "hello"u8));
        Assert.Contains(path, write.Message, StringComparison.Ordinal);
        Assert.ThrowsAny<IOException>(() => file.SetLength(long.MaxValue));
        file.Write(0, "hello"u8);
        Assert.Equal(5, file.Length);
    }

    [Fact]
    public void A_sync_that_the_system_refuses_is_an_error()
    {
        // A pipe cannot be synced: the kernel answers EINVAL, which .NET's own flush would swallow.
        if (!OperatingSystem.IsLinux() || !File.Exists("/proc/self/fd/0"))
            return;
        using IDiskFile file = _disk.Open("/proc/self/comm", DiskOpen.ReadOnly);
        IOException error = Assert.Throws<IOException>(file.Sync);
        Assert.Contains("/proc/self/comm", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_is_locked_once()
    {
        using (_disk.Lock(_folder))
        {
            IOException error = Assert.ThrowsAny<IOException>(() => _disk.Lock(_folder));
            Assert.Contains(_folder, error.Message, StringComparison.Ordinal);
        }
        _disk.Lock(_folder).Dispose();
    }

    [Fact]
    public void The_log_runs_on_the_real_disk_through_rotation_freeing_and_reopening()
    {
        var options = new SegmentLogOptions { FileBytes = 4096 };
        int count = 0;
        using (var log = SegmentLog.Open(_disk, Path.Combine(_folder, "log"), options, TimeProvider.System, new Random(1)))
        {
            for (int i = 0; i < 200; i++)
            {
                log.Append(1, BitConverter.GetBytes(i), out _);
                if (i % 10 == 9)
                    Assert.Equal(LogSync.Durable, log.Sync());
                if (i % 50 == 49)
                    log.FreeBelow((ulong)i - 20);
            }
        }
        ulong last = 0;
        using var again = SegmentLog.Open(_disk, Path.Combine(_folder, "log"), options, TimeProvider.System, new Random(1), (_, sequence, _, payload) =>
        {
            Assert.Equal((int)sequence, BitConverter.ToInt32(payload));
            last = sequence;
            count++;
        });
        Assert.Equal(199UL, last);
        Assert.True(count >= 20);
        Assert.Empty(again.Report.Lost);
    }
}
