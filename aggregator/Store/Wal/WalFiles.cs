using System.Buffers.Binary;
using System.Globalization;
using System.Numerics;
using Bellwether.Core.Platform;
using Bellwether.Store.Chunks;

namespace Bellwether.Store.Wal;

/// <summary>The log over numbered files: per frame its length, CRC32C (which covers the file's number) and bytes.</summary>
internal sealed class WalFiles
{
    private const int HeadBytes = 8;
    private const int MaxFrameBytes = 64 << 20;
    private readonly IDisk _disk;
    private readonly string _folder;
    private readonly long _fileBytes;
    private readonly SortedDictionary<long, long> _sizes = [];
    private readonly ByteWriter _pending = new(1 << 16);
    private IDiskFile? _open;
    private long _number;
    private long _written;
    private long _base;

    public WalFiles(IDisk disk, string folder, long fileBytes)
    {
        _disk = disk;
        _folder = folder;
        _fileBytes = fileBytes;
    }

    public long Position => _base + _written + _pending.Length;

    public long Pending => _pending.Length;

    public long Bytes => _sizes.Values.Sum();

    public bool IsFailed { get; private set; }

    public int DamagedPlaces { get; private set; }

    public void Replay(ReplayFrame take)
    {
        _disk.CreateFolder(_folder);
        long position = 0;
        foreach (string name in _disk.List(_folder))
        {
            if (!name.EndsWith(".wal", StringComparison.Ordinal) || !long.TryParse(name.AsSpan(0, name.Length - 4), NumberStyles.None, CultureInfo.InvariantCulture, out long number))
                continue;
            _number = number;
            position = number << 32;
            using IDiskFile file = _disk.Open(Path.Combine(_folder, name), DiskOpen.ReadOnly);
            _sizes[number] = file.Length;
            ReplayFile(file, number, position, take);
        }
        _number++;
        _base = _number << 32;
    }

    public long Append(ReadOnlySpan<byte> frame)
    {
        Span<byte> head = _pending.Take(HeadBytes);
        BinaryPrimitives.WriteInt32LittleEndian(head, frame.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(head[4..], Check(_number, frame));
        _pending.Bytes(frame);
        return _number;
    }

    public void Sync()
    {
        if (IsFailed)
            throw new IOException("the write-ahead log failed before");
        if (_pending.Length == 0)
            return;
        if (_open is null)
            Start();
        _open!.Write(_written, _pending.Written);
        try
        {
            _open.Sync();
        }
        catch (IOException)
        {
            IsFailed = true;
            throw;
        }
        _written += _pending.Length;
        _sizes[_number] = _written;
        _pending.Clear();
        if (_written < _fileBytes)
            return;
        _open.Dispose();
        _open = null;
        _number++;
        _base = _number << 32;
        _written = 0;
    }

    public void DropBefore(long file)
    {
        bool any = false;
        foreach (long number in _sizes.Keys.Where(n => n < file && n < _number).ToList())
        {
            _disk.Delete(Name(number));
            _sizes.Remove(number);
            any = true;
        }
        if (any)
            _disk.SyncFolder(_folder);
    }

    public void Dispose() => _open?.Dispose();

    private void Start()
    {
        string name = Name(_number);
        _open = _disk.Open(name, _disk.Exists(name) ? DiskOpen.Existing : DiskOpen.CreateNew);
        _disk.SyncFolder(_folder);
    }

    private string Name(long number) => Path.Combine(_folder, number.ToString("D12", CultureInfo.InvariantCulture) + ".wal");

    private void ReplayFile(IDiskFile file, long number, long position, ReplayFrame take)
    {
        Span<byte> head = stackalloc byte[HeadBytes];
        byte[] bytes = [];
        long at = 0, length = file.Length;
        while (length - at >= HeadBytes)
        {
            file.Read(at, head);
            int size = BinaryPrimitives.ReadInt32LittleEndian(head);
            if (size < 0 || size > MaxFrameBytes || size > length - at - HeadBytes)
                break;
            if (bytes.Length < size)
                bytes = new byte[size];
            file.Read(at + HeadBytes, bytes.AsSpan(0, size));
            if (Check(number, bytes.AsSpan(0, size)) != BinaryPrimitives.ReadUInt32LittleEndian(head[4..]))
                break;
            take(number, position + at, bytes.AsSpan(0, size));
            at += HeadBytes + size;
        }
        if (at < length)
            DamagedPlaces++;
    }

    private static uint Check(long number, ReadOnlySpan<byte> frame) => Crc.Of(frame, BitOperations.Crc32C(uint.MaxValue, (ulong)number));
}
