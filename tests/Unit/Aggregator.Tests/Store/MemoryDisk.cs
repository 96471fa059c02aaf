using Bellwether.Core.Platform;

namespace Bellwether.Aggregator.Tests.Store;

/// <summary>The power went in the midst of something.</summary>
internal sealed class PowerCutException : Exception
{
}

/// <summary>A disk in memory that knows what is durable: <see cref="Crash"/> keeps of unsynced writes and names an arbitrary part.</summary>
internal sealed class MemoryDisk : IDisk
{
    private readonly Dictionary<string, Node> _names = [];
    private readonly Dictionary<string, Node> _durableNames = [];

    public long Free { get; set; } = 1L << 40;

    /// <summary>Writes fail as on a full disk.</summary>
    public bool IsFull { get; set; }

    /// <summary>The power goes after so many changes.</summary>
    public long CutAfter { get; set; } = long.MaxValue;

    public IEnumerable<string> Paths => _names.Keys;

    public IDiskFile Open(string path, DiskOpen mode)
    {
        if (mode == DiskOpen.CreateNew)
        {
            if (_names.ContainsKey(path))
                throw new IOException($"{path} is there already");
            ThrowIfFull();
            _names[path] = new Node();
        }
        return _names.TryGetValue(path, out Node? node) ? new Handle(this, node) : throw new FileNotFoundException(path);
    }

    public bool Exists(string path) => _names.ContainsKey(path);

    public IReadOnlyList<string> List(string folder) =>
        [.. _names.Keys.Where(p => Path.GetDirectoryName(p) == folder).Select(p => Path.GetFileName(p)).Order(StringComparer.Ordinal)];

    public void CreateFolder(string folder)
    {
    }

    public void Delete(string path)
    {
        Change();
        _names.Remove(path);
    }

    public void Rename(string from, string to)
    {
        Change();
        _names[to] = _names[from];
        _names.Remove(from);
    }

    public void SyncFolder(string folder)
    {
        Change();
        foreach (string path in _durableNames.Keys.Where(p => Path.GetDirectoryName(p) == folder).ToList())
            _durableNames.Remove(path);
        foreach ((string path, Node node) in _names)
        {
            if (Path.GetDirectoryName(path) == folder)
                _durableNames[path] = node;
        }
    }

    public long FreeBytes(string folder) => Free;

    public IDisposable Lock(string folder) => new Nothing();

    /// <summary>The disk after a power cut: names and bytes that were synced, and of the rest what chance leaves.</summary>
    public MemoryDisk Crash(Random random)
    {
        var after = new MemoryDisk();
        Dictionary<string, Node> names = random.Next(2) == 0 ? _durableNames : _names;
        foreach ((string path, Node node) in names)
        {
            var copy = new Node();
            int keep = node.Durable.Length;
            byte[] bytes = node.Durable;
            if (node.Bytes.Length > keep && random.Next(2) == 0)
                bytes = node.Bytes[..random.Next(keep, node.Bytes.Length + 1)];
            copy.Bytes = copy.Durable = [.. bytes];
            after._names[path] = after._durableNames[path] = copy;
        }
        return after;
    }

    public void FlipBit(string path, long bit)
    {
        Node node = _names[path];
        node.Bytes[bit / 8] ^= (byte)(1 << (int)(bit % 8));
        node.Durable = [.. node.Bytes];
    }

    public byte[] Content(string path) => [.. _names[path].Bytes];

    public long LengthOf(string path) => _names[path].Bytes.Length;

    private void Change()
    {
        if (CutAfter-- <= 0)
            throw new PowerCutException();
    }

    private void ThrowIfFull()
    {
        Change();
        if (IsFull)
            throw new IOException("No space left on device", 28);
    }

    private sealed class Node
    {
        public byte[] Bytes = [];
        public byte[] Durable = [];
    }

    private sealed class Nothing : IDisposable
    {
        public void Dispose()
        {
        }
    }

    private sealed class Handle(MemoryDisk disk, Node node) : IDiskFile
    {
        public long Length => node.Bytes.Length;

        public int Read(long offset, Span<byte> into)
        {
            int count = (int)Math.Clamp(node.Bytes.Length - offset, 0, into.Length);
            node.Bytes.AsSpan((int)Math.Min(offset, node.Bytes.Length), count).CopyTo(into);
            return count;
        }

        public void Write(long offset, ReadOnlySpan<byte> bytes)
        {
            disk.ThrowIfFull();
            if (offset + bytes.Length > node.Bytes.Length)
                Array.Resize(ref node.Bytes, (int)offset + bytes.Length);
            bytes.CopyTo(node.Bytes.AsSpan((int)offset));
        }

        public void SetLength(long length) => Array.Resize(ref node.Bytes, (int)length);

        public void Sync()
        {
            disk.ThrowIfFull();
            node.Durable = [.. node.Bytes];
        }

        public void Dispose()
        {
        }
    }
}
