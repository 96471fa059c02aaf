using Bellwether.Core.Platform;

namespace Bellwether.Core.Durable;

/// <summary>What <see cref="FrameScanner.Next"/> came to.</summary>
internal enum ScanStep
{
    /// <summary>A whole frame.</summary>
    Frame,
    /// <summary>Bytes that are no frame, with a whole frame behind them.</summary>
    Gap,
    /// <summary>No whole frame from <see cref="FrameScanner.Offset"/> on.</summary>
    End,
}

/// <summary>Walks through the frames of one file in bounded memory and finds its way again behind damage. Not thread-safe.</summary>
internal sealed class FrameScanner(IDiskFile file, uint seed, int payloadMax) : IDisposable
{
    private const int ChunkBytes = 64 << 10;

    private byte[] _buffer = new byte[ChunkBytes];
    private long _bufferAt;
    private int _buffered;
    private bool _found;

    /// <summary>Where the next frame is looked for, or where the gap or the end begins.</summary>
    public long Offset { get; private set; } = LogFormat.HeaderBytes;

    /// <summary>Where the current frame stands.</summary>
    public long FrameOffset { get; private set; }

    /// <summary>Bytes of the gap just found.</summary>
    public long GapBytes { get; private set; }

    public LogFrameHeader Header { get; private set; }

    /// <summary>The current frame's payload; valid until the next call.</summary>
    public ReadOnlySpan<byte> Payload => _buffer.AsSpan((int)(FrameOffset - _bufferAt) + LogFormat.FrameHeaderBytes, Header.Length);

    /// <summary>Goes on; nothing at or behind <paramref name="end"/> is looked at. After a gap the frame behind it comes with the next call.</summary>
    public ScanStep Next(long end)
    {
        if (_found)
        {
            _found = false;
            return Take();
        }
        if (TryFrame(Offset, end))
            return Take();
        if (end - Offset < LogFormat.FrameHeaderBytes)
            return ScanStep.End;
        for (long at = Offset + LogFormat.Alignment; at + LogFormat.FrameHeaderBytes <= end; at += LogFormat.Alignment)
        {
            if (!TryFrame(at, end))
                continue;
            GapBytes = at - Offset;
            _found = true;
            return ScanStep.Gap;
        }
        return ScanStep.End;
    }

    /// <summary>Lets the next call give the current frame again.</summary>
    public void Again() => _found = true;

    public void Dispose() => file.Dispose();

    private ScanStep Take()
    {
        Offset = FrameOffset + LogFormat.FrameBytes(Header.Length);
        return ScanStep.Frame;
    }

    private bool TryFrame(long at, long end)
    {
        if (at + LogFormat.FrameHeaderBytes > end || !TryFill(at, LogFormat.FrameHeaderBytes, end))
            return false;
        ReadOnlySpan<byte> head = _buffer.AsSpan((int)(at - _bufferAt), LogFormat.FrameHeaderBytes);
        if (!LogFormat.TryReadFrameHeader(head, seed, at, payloadMax, out LogFrameHeader header))
            return false;
        int bytes = LogFormat.FrameHeaderBytes + header.Length;
        if (at + bytes > end || !TryFill(at, bytes, end) || !LogFormat.IsWhole(_buffer.AsSpan((int)(at - _bufferAt), bytes), seed, at, header.Length))
            return false;
        Header = header;
        FrameOffset = at;
        return true;
    }

    /// <summary>Brings <paramref name="bytes"/> bytes from <paramref name="at"/> into the buffer; false when the file is shorter.</summary>
    private bool TryFill(long at, int bytes, long end)
    {
        if (at >= _bufferAt && at + bytes <= _bufferAt + _buffered)
            return true;
        if (_buffer.Length < bytes)
            _buffer = new byte[Math.Max(bytes, ChunkBytes)];
        _bufferAt = at;
        // What lies behind the end may still be written: it must not stay in the buffer.
        _buffered = file.Read(at, _buffer.AsSpan(0, (int)Math.Min(_buffer.Length, end - at)));
        return _buffered >= bytes;
    }
}
