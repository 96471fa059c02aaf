using System.Buffers.Binary;
using Bellwether.Core.Durable;
using Bellwether.Core.Platform;
using Bellwether.Store.Blocks;
using Bellwether.Store.Chunks;

namespace Bellwether.Store.Wal;

/// <summary>What a piece of a saved head holds (docs/formats/head.md). The numbers stand in files.</summary>
internal enum SavedPiece : byte
{
    /// <summary>As of which frame, and what the log's frames before it keep.</summary>
    Begin = 1,
    /// <summary>What a checkpoint would hold.</summary>
    State = 2,
    /// <summary>Series by values of one label.</summary>
    Labels = 3,
    /// <summary>The dictionary of the log's batches.</summary>
    Dictionary = 4,
    /// <summary>Samples of some series.</summary>
    Series = 5,
    /// <summary>That it is whole.</summary>
    End = 6,
    /// <summary>Which agents brought some series.</summary>
    Senders = 7,
}

/// <summary>
/// Writes a saved head piece by piece, each with its checksum, beside the one before; <see cref="Finish"/> puts it in its place. One that is not finished stands for nothing.
/// Every method that reaches the disk throws <see cref="IOException"/>.
/// </summary>
internal sealed class SavedHeadWriter : IDisposable
{
    public const string FileName = "head";
    private const int SyncBytes = 8 << 20;
    private readonly IDisk _disk;
    private readonly string _folder;
    private readonly string _path;
    private readonly long _minFreeBytes;
    private readonly IDiskFile _file;
    private uint _pieces;
    private long _unsynced;

    /// <param name="minFreeBytes">What has to stay free: a head that needs more is given up by an <see cref="IOException"/>.</param>
    public SavedHeadWriter(IDisk disk, string folder, long minFreeBytes)
    {
        _disk = disk;
        _folder = folder;
        _minFreeBytes = minFreeBytes;
        _path = Path.Combine(folder, FileName);
        RemoveUnfinished(disk, folder);
        _file = disk.Open(_path + ".new", DiskOpen.CreateNew);
    }

    /// <summary>The piece in making.</summary>
    public ByteWriter Piece { get; } = new(1 << 16);

    /// <summary>Bytes written so far.</summary>
    public long Bytes { get; private set; }

    public void Begin(SavedPiece kind)
    {
        Piece.Clear();
        Piece.Take(SavedHeadFile.HeaderBytes);
        Piece.Byte((byte)kind);
    }

    /// <summary>Writes the piece. Synced now and then, so that the log's syncs do not wait for all of it at once.</summary>
    public void Write()
    {
        int length = Piece.Length - SavedHeadFile.HeaderBytes;
        Piece.PatchUInt32(0, (uint)length);
        Piece.PatchUInt32(4, SavedHeadFile.Check(_pieces++, Piece.Written[SavedHeadFile.HeaderBytes..]));
        _file.Write(Bytes, Piece.Written);
        Bytes += Piece.Length;
        _unsynced += Piece.Length;
        if (_unsynced < SyncBytes)
            return;
        Sync();
        _unsynced = 0;
    }

    /// <summary>Deletes a file that was not finished, if there is one.</summary>
    public static void RemoveUnfinished(IDisk disk, string folder) => disk.Delete(Path.Combine(folder, FileName + ".new"));

    /// <summary>All pieces are written: it takes the place of the one before, durably.</summary>
    public void Finish()
    {
        Sync();
        _file.Dispose();
        _disk.Rename(_path + ".new", _path);
        _disk.SyncFolder(_folder);
    }

    public void Dispose() => _file.Dispose();

    private void Sync()
    {
        _file.Sync();
        if (_disk.FreeBytes(_folder) < _minFreeBytes)
            throw new NoRoomException($"less than {_minFreeBytes} bytes would stay free");
    }
}

/// <summary>Reads a saved head's pieces in order. Not thread-safe.</summary>
internal sealed class SavedHeadFile : IDisposable
{
    public const int HeaderBytes = 8;
    private readonly IDiskFile _file;
    private byte[] _buffer = new byte[1 << 16];
    private long _at;
    private uint _pieces;
    private int _length;

    private SavedHeadFile(IDiskFile file) => _file = file;

    /// <summary>What the current piece holds.</summary>
    public SavedPiece Kind => (SavedPiece)_buffer[0];

    /// <summary>The content of the current piece; valid until the next call.</summary>
    public ReadOnlySpan<byte> Content => _buffer.AsSpan(1, _length - 1);

    /// <summary>Bytes of the file.</summary>
    public long Bytes => _file.Length;

    /// <summary>Opens the file; null: there is none.</summary>
    public static SavedHeadFile? TryOpen(IDisk disk, string folder)
    {
        string path = Path.Combine(folder, SavedHeadWriter.FileName);
        return disk.Exists(path) ? new SavedHeadFile(disk.Open(path, DiskOpen.ReadOnly)) : null;
    }

    /// <summary>Removes the file durably, and one that was not finished.</summary>
    public static void Remove(IDisk disk, string folder)
    {
        string path = Path.Combine(folder, SavedHeadWriter.FileName);
        disk.Delete(path);
        SavedHeadWriter.RemoveUnfinished(disk, folder);
        disk.SyncFolder(folder);
    }

    /// <summary>A piece's checksum: with its place, so that none may be missing.</summary>
    public static uint Check(uint place, ReadOnlySpan<byte> piece) => ~Crc32C.Append(~place, piece);

    /// <summary>Goes to the next piece. Throws <see cref="InvalidDataException"/> when there is none or it is not whole: the end is a piece, too.</summary>
    public void Next()
    {
        Span<byte> header = stackalloc byte[HeaderBytes];
        if (_file.Read(_at, header) < HeaderBytes)
            throw new InvalidDataException($"it ends at byte {_at} without its last piece");
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(header);
        if (length == 0 || length > _file.Length - _at - HeaderBytes || length > int.MaxValue)
            throw new InvalidDataException($"the piece at byte {_at} is longer than the file");
        _length = (int)length;
        if (_buffer.Length < _length)
            _buffer = new byte[Math.Max(_length, 1 << 20)];
        Span<byte> piece = _buffer.AsSpan(0, _length);
        if (_file.Read(_at + HeaderBytes, piece) < _length || Check(_pieces, piece) != BinaryPrimitives.ReadUInt32LittleEndian(header[4..]))
            throw new InvalidDataException($"the check of the piece at byte {_at} is wrong");
        _at += HeaderBytes + _length;
        _pieces++;
    }

    /// <summary>Goes back to the beginning.</summary>
    public void Rewind() => (_at, _pieces) = (0, 0);

    public void Dispose() => _file.Dispose();
}
