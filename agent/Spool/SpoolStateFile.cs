using Bellwether.Core.Durable;
using Bellwether.Core.Platform;

namespace Bellwether.Agent.Spool;

/// <summary>
/// The file of a spool's state (<c>state</c>), with room kept for it beside it (<c>reserve</c>): on a full disk what gives way can go only once its count is written down. Not thread-safe.
/// </summary>
internal sealed class SpoolStateFile(IDisk disk, string folder, Action<IOException> noteError)
{
    private const int BytesMax = 16 << 20;
    private const int ReserveBytesMin = 64 << 10;
    private const int Attempts = 3;
    private readonly string _path = Path.Combine(folder, "state");
    private readonly string _reserve = Path.Combine(folder, "reserve");
    private long _reserved = -1;

    /// <summary>What was written last; null when there is nothing, or nothing that can be read. Throws <see cref="IOException"/> when only this process may not read it: that is not lost.</summary>
    public SpoolState? Read()
    {
        for (int attempt = 1; attempt <= Attempts; attempt++)
        {
            try
            {
                if (AtomicFile.TryRead(disk, _path, BytesMax, out byte[] content) != AtomicFileOutcome.Read)
                    return null;
                if (SpoolState.TryParse(content) is { } state)
                    return state;
                noteError(new IOException($"{_path} is whole, but of another version: the spool begins a new epoch, and what the log holds is sent again"));
                return null;
            }
            catch (IOException error) when (!DiskErrors.IsOfTheProcess(error))
            {
                noteError(error);
            }
        }
        return null;
    }

    /// <summary>Replaces it durably. On a full disk the reserve gives its room, then <paramref name="makeRoom"/> may. Throws <see cref="IOException"/>; then what was there before still is.</summary>
    public void Write(ReadOnlySpan<byte> content, Action makeRoom)
    {
        try
        {
            AtomicFile.Write(disk, _path, content);
        }
        catch (IOException error) when (DiskErrors.IsDiskFull(error))
        {
            noteError(error);
            WriteWithoutRoom(content, makeRoom);
        }
        KeepRoom(content.Length);
    }

    private void WriteWithoutRoom(ReadOnlySpan<byte> content, Action makeRoom)
    {
        disk.Delete(_reserve);
        _reserved = 0;
        try
        {
            AtomicFile.Write(disk, _path, content);
        }
        catch (IOException error) when (DiskErrors.IsDiskFull(error))
        {
            makeRoom();
            AtomicFile.Write(disk, _path, content);
        }
    }

    /// <summary>Written, not only made long: what is kept must have its place on the disk. On a disk that is nearly full it takes what there is but for the next write: not half of too much at each write anew.</summary>
    private void KeepRoom(int needed)
    {
        long least = needed + (needed / 4);
        try
        {
            if (_reserved < 0)
                _reserved = disk.Exists(_reserve) ? LengthOf(_reserve) : 0;
            if (_reserved >= least)
                return;
            long bytes = Math.Min(Math.Max(ReserveBytesMin, 2L * needed), disk.FreeBytes(folder) + _reserved - least);
            if (bytes < least)
                return;
            disk.Delete(_reserve);
            _reserved = 0;
            using IDiskFile file = disk.Open(_reserve, DiskOpen.CreateNew);
            file.Write(0, new byte[bytes]);
            file.Sync();
            _reserved = bytes;
        }
        catch (IOException error)
        {
            noteError(error); // a later write tries again
            KeepPart(least);
        }
    }

    // A quota, say, stood against the rest: what was written keeps room, if it is enough.
    private void KeepPart(long least)
    {
        try
        {
            long bytes = disk.Exists(_reserve) ? LengthOf(_reserve) : 0;
            if (bytes < least)
                disk.Delete(_reserve);
            _reserved = bytes < least ? 0 : bytes;
        }
        catch (IOException error)
        {
            noteError(error);
        }
    }

    private long LengthOf(string path)
    {
        using IDiskFile file = disk.Open(path, DiskOpen.ReadOnly);
        return file.Length;
    }
}
