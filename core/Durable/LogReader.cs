namespace Bellwether.Core.Durable;

/// <summary>
/// Reads durable frames forward, file by file, in memory bounded by the largest frame. It may run beside the writer on another thread; one reader is for one
/// thread. Files that are freed under it are passed over.
/// </summary>
public sealed class LogReader : IDisposable
{
    private readonly SegmentLog _log;
    private FrameScanner? _scanner;
    private LogFile? _file;
    private ulong _afterFile;
    private ulong _expected;

    internal LogReader(SegmentLog log, ulong fromSequence)
    {
        _log = log;
        _expected = fromSequence;
    }

    /// <summary>The current frame's kind.</summary>
    public ushort Kind => _scanner!.Header.Kind;

    /// <summary>The current frame's sequence.</summary>
    public ulong Sequence => _scanner!.Header.Sequence;

    /// <summary>The current frame's payload; valid until the next <see cref="MoveNext"/>, copy to keep.</summary>
    public ReadOnlySpan<byte> Payload => _scanner!.Payload;

    /// <summary>What is missing, after <see cref="LogRead.Lost"/>.</summary>
    public LostRange Lost { get; private set; }

    /// <summary>Goes on to the next frame. Throws <see cref="IOException"/> when the disk cannot be read.</summary>
    public LogRead MoveNext()
    {
        while (true)
        {
            if (_scanner is null && !TryOpenNext())
                return LogRead.End;
            long end = _log.EndOf(_file!, out bool active);
            switch (_scanner!.Next(end))
            {
                case ScanStep.Frame when _scanner.Header.Sequence >= _expected:
                    _expected = _scanner.Header.Sequence + 1;
                    return LogRead.Frame;
                case ScanStep.Frame:
                    continue;
                case ScanStep.Gap:
                    // The frames around it say what is missing: report when the next one is there.
                    Lost = new LostRange(_file!.Number, _scanner.Offset, _scanner.GapBytes, _expected, _expected, "damaged");
                    _scanner.Next(end);
                    _scanner.Again();
                    if (!_log.Holds(_file))
                        Leave();
                    else if (_scanner.Header.Sequence > _expected)
                        return ReportBefore(_scanner.Header.Sequence);
                    continue;
                default:
                    if (active)
                        return LogRead.End;
                    if (!_log.Holds(_file!))
                        Leave();
                    else if (LeaveFile(end))
                        return LogRead.Lost;
                    continue;
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _scanner?.Dispose();
        _scanner = null;
    }

    private LogRead ReportBefore(ulong sequence)
    {
        Lost = Lost with { NextSequence = sequence };
        _expected = sequence;
        return LogRead.Lost;
    }

    /// <summary>Closes the file; true when durable frames at its end are missing.</summary>
    private bool LeaveFile(long end)
    {
        LogFile file = _file!;
        bool missing = _scanner!.Offset < end && _expected < file.NextSequence;
        if (missing)
        {
            ulong first = Math.Max(_expected, file.FirstSequence);
            Lost = new LostRange(file.Number, _scanner.Offset, end - _scanner.Offset, first, file.NextSequence, "damaged");
            _expected = file.NextSequence;
        }
        Leave();
        return missing;
    }

    private void Leave()
    {
        _afterFile = _file!.Number;
        Dispose();
    }

    private bool TryOpenNext()
    {
        while (_log.NextFile(_afterFile, _expected) is { } file)
        {
            try
            {
                _scanner = new FrameScanner(_log.OpenForReading(file.Number), file.Seed, _log.Options.PayloadBytesMax);
                _file = file;
                // Files between may have been freed on purpose.
                _expected = Math.Max(_expected, file.FirstSequence);
                return true;
            }
            catch (FileNotFoundException)
            {
                _afterFile = file.Number; // freed meanwhile
            }
        }
        return false;
    }
}
