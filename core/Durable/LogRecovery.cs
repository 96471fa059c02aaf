using Bellwether.Core.Platform;

namespace Bellwether.Core.Durable;

/// <summary>
/// Reads a log's folder at opening (docs/formats/log.md, "Opening"). It never fails on content: what it cannot read it reports, and what it does not understand
/// it moves to quarantine/. It fails when the process may not look at a file or has no descriptor for it: the log would go on without it, and so give it up. It never cuts or repairs a file: the log goes on in a new one, whose header says where the one before ends.
/// </summary>
internal sealed class LogRecovery(IDisk disk, string folder, SegmentLogOptions options, LogFrameVisitor? visitor, ulong from = 0)
{
    private const int PieceBytesMax = 1 << 20;
    private const int RewriteBytes = 64 << 10;

    /// <summary>A disk that errs for a moment must not cost what it gives at the next attempt.</summary>
    private const int ReadAttempts = 3;

    private readonly List<LostRange> _lost = [];
    private readonly SortedDictionary<ulong, LogFileHeader?> _headers = [];
    private ulong _next;
    private bool _any;
    private long _frames;
    private long _torn;
    private int _pieces;
    private LogFile? _unsure;
    private long _unsureFrom;
    private long _unreadTo;

    public List<LogFile> Files { get; } = [];

    public List<ulong> Spares { get; } = [];

    public UInt128? Identity { get; private set; }

    /// <summary>What the identity file says.</summary>
    public UInt128? KeptIdentity { get; private set; }

    /// <summary>Above every number that a file here ever had.</summary>
    public ulong NextNumber { get; private set; } = 1;

    public ulong NextSequence => _next;

    public LogOpenReport Run()
    {
        ReadHeaders();
        KeptIdentity = ReadIdentityFile();
        Identity ??= KeptIdentity;
        bool isNew = _headers.Count == 0;
        var numbers = new List<ulong>(_headers.Keys);
        for (int i = 0; i < numbers.Count; i++)
            Recover(numbers[i], i == numbers.Count - 1 ? null : numbers[i + 1]);
        SyncFound();
        return new LogOpenReport(Files.Count, _frames, _torn, _lost, isNew);
    }

    private void ReadHeaders()
    {
        Span<byte> bytes = stackalloc byte[LogFormat.HeaderBytes];
        foreach (string name in disk.List(folder))
        {
            if (LogFile.TryNumber(name, LogFile.SpareExtension, out ulong spare))
            {
                NextNumber = Math.Max(NextNumber, spare + 1);
                Spares.Add(spare);
            }
            if (!LogFile.TryNumber(name, LogFile.Extension, out ulong number))
                continue;
            NextNumber = Math.Max(NextNumber, number + 1);
            LogFileHeader? header = null;
            if (TryReadHeader(number, bytes, out LogFileHeader read))
            {
                header = read;
                Identity ??= read.Identity;
            }
            _headers[number] = header;
        }
    }

    private bool TryReadHeader(ulong number, Span<byte> bytes, out LogFileHeader header)
    {
        header = default;
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                using IDiskFile file = disk.Open(Path.Combine(folder, LogFile.Name(number)), DiskOpen.ReadOnly);
                return file.Read(0, bytes) == bytes.Length && LogFormat.TryReadHeader(bytes, out header) && header.Number == number;
            }
            catch (IOException error) when (!DiskErrors.IsOfTheProcess(error))
            {
                if (attempt < ReadAttempts)
                    continue;
                _lost.Add(new LostRange(number, 0, 0, _next, _next, "header unreadable: " + error.Message));
                return false;
            }
        }
    }

    private void Recover(ulong number, ulong? following)
    {
        LogFileHeader? header = _headers[number];
        if (Identity is not { } identity || header is { } known && known.Identity != identity)
        {
            Quarantine(number, Identity is null ? "no file of the log has a readable header" : "it belongs to another log");
            return;
        }
        uint seed = LogFormat.Seed(identity, number);
        var file = new LogFile(number, header?.FirstSequence ?? _next, header?.CreatedMs ?? 0, seed);
        long? end = KnownEnd(number);
        if (end == 0)
        {
            MakeSpare(number); // void: its writes failed and were done again in the next file
            return;
        }
        if (TrySkip(file, end, header, following))
            return;
        if (header is null)
            _lost.Add(new LostRange(number, 0, LogFormat.HeaderBytes, _next, _next, "header damaged"));
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                bool whole = ReadFrames(file, end, header is not null);
                bool isEmpty = file.NextSequence == file.FirstSequence && file.End == LogFormat.HeaderBytes;
                // What the disk does not give now it may give at the next opening.
                if (isEmpty && _unreadTo > 0)
                    throw new IOException("none of its frames can be read now");
                if (isEmpty)
                    DropEmpty(number, header, following);
                else
                    Keep(file, whole, following);
                if (!isEmpty && end is null && _unreadTo > file.End)
                    _lost.Add(new LostRange(number, file.End, _unreadTo - file.End, _next, _next, "unreadable at its end"));
                return;
            }
            catch (IOException error) when (!DiskErrors.IsOfTheProcess(error))
            {
                if (attempt < ReadAttempts)
                    continue;
                ulong next = NextFirst(following) ?? file.NextSequence;
                _lost.Add(new LostRange(number, file.End, 0, _next, Math.Max(_next, next), "unreadable: " + error.Message));
                Files.Add(file);
                return;
            }
        }
    }

    /// <summary>Nobody asked for its frames, and the file that followed it says where they end and how many they are: it is not read.</summary>
    private bool TrySkip(LogFile file, long? end, LogFileHeader? header, ulong? following)
    {
        if (header is null || end is not { } known || following is not { } next || _headers[next] is not { } after)
            return false;
        if (after.FirstSequence > from || after.PreviousDelta != next - file.Number || after.FirstSequence <= file.FirstSequence)
            return false;
        (file.End, file.NextSequence) = (known, after.FirstSequence);
        (_any, _next) = (true, Math.Max(_next, after.FirstSequence));
        Files.Add(file);
        return true;
    }

    /// <summary>Where a file's durable frames end, when the file that followed it says so; 0: it is void.</summary>
    private long? KnownEnd(ulong number)
    {
        foreach ((ulong later, LogFileHeader? header) in _headers)
        {
            if (later <= number || header is not { PreviousDelta: > 0 } known)
                continue;
            ulong previous = later - known.PreviousDelta;
            if (previous == number)
                return known.PreviousEnd;
            if (previous < number)
                return 0;
        }
        return null;
    }

    private ulong? NextFirst(ulong? following) => following is { } number ? _headers[number]?.FirstSequence : null;

    private FrameScanner Scan(LogFile file, out long length, out SalvagedFile salvaged)
    {
        IDiskFile opened = disk.Open(Path.Combine(folder, LogFile.Name(file.Number)), DiskOpen.ReadOnly);
        length = opened.Length;
        return new FrameScanner(salvaged = new SalvagedFile(opened), file.Seed, options.PayloadBytesMax);
    }

    /// <summary>Visits the file's frames; false when durable ones are missing at its end.</summary>
    private bool ReadFrames(LogFile file, long? knownEnd, bool hasHeader)
    {
        long durable = knownEnd ?? DurableEnd(file);
        (_unsure, _unsureFrom) = (file, durable);
        using FrameScanner scanner = Scan(file, out long length, out SalvagedFile salvaged);
        long end = Math.Min(knownEnd ?? length, length);
        bool first = true;
        while (true)
        {
            ScanStep step = scanner.Next(end);
            _unreadTo = salvaged.LostTo;
            if (step == ScanStep.Gap && scanner.Offset < durable)
            {
                // Before the last frame that was visited: an attempt before this one told of it.
                if (scanner.Offset >= file.End)
                    NoteGap(file, scanner, scanner.GapBytes);
                continue;
            }
            if (step != ScanStep.Frame)
            {
                bool whole = scanner.Offset >= durable;
                if (!whole)
                    KeepPiece(file.Number, scanner.Offset, durable - scanner.Offset);
                else if (knownEnd is null)
                    _torn += Torn(file, scanner, step);
                return whole;
            }
            if (first && !hasHeader)
                file.FirstSequence = file.NextSequence = scanner.Header.Sequence;
            first = false;
            Visit(file, scanner);
        }
    }

    private static long Torn(LogFile file, FrameScanner scanner, ScanStep step) => step == ScanStep.Gap ? scanner.GapBytes : Math.Max(0, file.End - scanner.Offset);

    private void Visit(LogFile file, FrameScanner scanner)
    {
        ulong sequence = scanner.Header.Sequence;
        file.End = Math.Max(file.End, scanner.Offset);
        file.NextSequence = Math.Max(file.NextSequence, sequence + 1);
        if (_any && sequence < _next)
            return; // written again in a later file after a failed sync: the first one counts
        if (_pendingGap is { } gap)
        {
            _lost.Add(gap with { FirstSequence = Math.Max(gap.FirstSequence, _any ? _next : file.FirstSequence), NextSequence = sequence });
            _pendingGap = null;
        }
        _any = true;
        _next = sequence + 1;
        _frames++;
        visitor?.Invoke(scanner.Header.Kind, sequence, file.Number, scanner.Payload);
    }

    private LostRange? _pendingGap;

    private void NoteGap(LogFile file, FrameScanner scanner, long bytes)
    {
        _pendingGap = new LostRange(file.Number, scanner.Offset, bytes, file.NextSequence, file.NextSequence, "damaged");
        KeepPiece(file.Number, scanner.Offset, bytes);
    }

    /// <summary>
    /// In the newest file: everything below this was durable, as later frames say. What is broken at or above it was being written when the power went, and is no loss.
    /// </summary>
    private long DurableEnd(LogFile file)
    {
        long durable = LogFormat.HeaderBytes;
        using FrameScanner scanner = Scan(file, out long length, out _);
        try
        {
            for (ScanStep step = scanner.Next(length); step != ScanStep.End; step = scanner.Next(length))
            {
                if (step == ScanStep.Frame)
                    durable = Math.Max(durable, scanner.Header.Synced);
            }
        }
        catch (IOException error) when (DiskErrors.IsBadSector(error))
        {
            // More than can be passed over cannot be read. What is before it is visited all the same; who does that meets it, too, and tells of it.
        }
        return durable;
    }

    private void Keep(LogFile file, bool whole, ulong? following)
    {
        if (!whole)
        {
            ulong next = NextFirst(following) ?? file.NextSequence;
            _lost.Add(new LostRange(file.Number, file.End, 0, file.NextSequence, Math.Max(file.NextSequence, next), "damaged at its end"));
            file.NextSequence = Math.Max(file.NextSequence, next);
            _next = Math.Max(_next, file.NextSequence);
        }
        Files.Add(file);
    }

    private void DropEmpty(ulong number, LogFileHeader? header, ulong? following)
    {
        ulong first = header?.FirstSequence ?? _next;
        if (following is null && KnownEnd(number) is null)
        {
            MakeSpare(number); // it was just being begun: nothing in it was ever durable
            _next = Math.Max(_next, first);
            return;
        }
        ulong next = Math.Max(first, NextFirst(following) ?? first);
        Quarantine(number, "none of its frames can be read", first, next);
        _next = Math.Max(_next, next);
    }

    private void MakeSpare(ulong number)
    {
        try
        {
            disk.Rename(Path.Combine(folder, LogFile.Name(number)), Path.Combine(folder, LogFile.SpareName(number)));
            Spares.Add(number);
        }
        catch (IOException error)
        {
            _lost.Add(new LostRange(number, 0, 0, _next, _next, "an empty file could not be put aside: " + error.Message));
        }
    }

    private void Quarantine(ulong number, string reason, ulong first = 0, ulong next = 0)
    {
        string name = LogFile.Name(number);
        _lost.Add(new LostRange(number, 0, 0, first, next, reason + "; moved to " + SegmentLog.QuarantineFolder));
        try
        {
            string to = Path.Combine(folder, SegmentLog.QuarantineFolder);
            disk.CreateFolder(to);
            disk.Rename(Path.Combine(folder, name), Path.Combine(to, name));
            disk.SyncFolder(to);
            disk.SyncFolder(folder);
        }
        catch (IOException error)
        {
            _lost.Add(new LostRange(number, 0, 0, first, next, "could not be moved to quarantine: " + error.Message));
        }
    }

    /// <summary>Copies damaged bytes beside, for whoever wants to look; the file itself stays as it is until it is freed.</summary>
    private void KeepPiece(ulong number, long offset, long bytes)
    {
        if (_pieces >= options.QuarantinePiecesMax)
            return;
        _pieces++;
        string to = Path.Combine(folder, SegmentLog.QuarantineFolder);
        string path = Path.Combine(to, string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{number}-{offset}.piece"));
        try
        {
            disk.CreateFolder(to);
            if (disk.Exists(path))
                return;
            byte[] piece = new byte[Math.Min(bytes, PieceBytesMax)];
            using IDiskFile from = disk.Open(Path.Combine(folder, LogFile.Name(number)), DiskOpen.ReadOnly);
            int read = from.Read(offset, piece);
            using IDiskFile into = disk.Open(path, DiskOpen.CreateNew);
            into.Write(0, piece.AsSpan(0, read));
            into.Sync();
        }
        catch (IOException error)
        {
            _lost.Add(new LostRange(number, offset, bytes, _next, _next, "the damaged bytes could not be kept: " + error.Message));
        }
    }

    /// <summary>
    /// After a kill the newest frames, and names that were changed, may stand in the page cache only: what is replayed must not vanish later, and what was removed must not come back.
    /// A sync that failed before the kill marked its pages as clean, so that another sync says nothing of them: the last group, which nothing proves durable, is written again as it is read.
    /// </summary>
    private void SyncFound()
    {
        // What cannot be made durable ends the opening: it would be sent, and counted, and then the power takes it.
        if (Files.Count > 0)
        {
            using IDiskFile opened = disk.Open(Path.Combine(folder, LogFile.Name(Files[^1].Number)), DiskOpen.Existing);
            long end = Files[^1].End;
            long from = ReferenceEquals(_unsure, Files[^1]) ? Math.Min(_unsureFrom, end) : end;
            try
            {
                WriteAgain(opened, from, end);
            }
            catch (IOException error) when (DiskErrors.IsDiskFull(error))
            {
                // Some file systems need room for that. A full disk must not keep the program from starting: what makes room runs only then.
                _lost.Add(new LostRange(Files[^1].Number, from, end - from, _next, _next, "the last group may not be durable, there is no room to write it again: " + error.Message));
            }
            opened.Sync();
        }
        try
        {
            disk.SyncFolder(folder);
        }
        catch (IOException error)
        {
            _lost.Add(new LostRange(Files.Count > 0 ? Files[^1].Number : 0, 0, 0, _next, _next, "names of files may not be durable: " + error.Message));
        }
    }

    private static void WriteAgain(IDiskFile file, long from, long end)
    {
        byte[] piece = new byte[(int)Math.Min(RewriteBytes, end - from)];
        for (long at = from; at < end; at += piece.Length)
        {
            int bytes = Read(file, at, piece.AsSpan(0, (int)Math.Min(piece.Length, end - at)));
            file.Write(at, piece.AsSpan(0, bytes));
        }
    }

    private static int Read(IDiskFile file, long at, Span<byte> into)
    {
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                return file.Read(at, into);
            }
            catch (IOException) when (attempt < ReadAttempts)
            {
                continue;
            }
        }
    }

    /// <summary>The identity stands in every header, and for the case that the only header is damaged in a file of its own.</summary>
    private UInt128? ReadIdentityFile()
    {
        try
        {
            bool read = AtomicFile.TryRead(disk, Path.Combine(folder, SegmentLog.IdentityName), 16, out byte[] content) == AtomicFileOutcome.Read && content.Length == 16;
            return read ? System.Buffers.Binary.BinaryPrimitives.ReadUInt128LittleEndian(content) : null;
        }
        catch (IOException error)
        {
            _lost.Add(new LostRange(0, 0, 0, _next, _next, "the identity file is unreadable: " + error.Message));
            return null;
        }
    }
}
