using System.Runtime.InteropServices;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Store.Chunks;
using Bellwether.Store.Head;
using Bellwether.Store.Records;

namespace Bellwether.Store.Wal;

/// <summary>What opening does not want of a saved head.</summary>
/// <param name="CutMs">Samples before it stand in chunk files. A border of partitions.</param>
/// <param name="GoneMs">Samples before it are too old, or became slots.</param>
internal readonly record struct SavedBounds(long CutMs, long GoneMs);

/// <summary>A saved head (docs/formats/head.md) on its way back into memory. <see cref="TryOpen"/> has read and checked all of it.</summary>
internal sealed class HeadLoader : IDisposable
{
    private const byte Version = 1;
    private const int MaxSeries = 1 << 28;
    private readonly SavedHeadFile _file;
    private byte[] _ledger = [];
    private ulong _context;

    private HeadLoader(SavedHeadFile file) => _file = file;

    /// <summary>Samples of frames before it are in it, or in chunk files.</summary>
    public ulong Next { get; private set; }

    /// <summary>Everything in it is of frames before this.</summary>
    public ulong End { get; private set; }

    /// <summary>A tap that holds everything up to this position lacks nothing of it; at most <see cref="End"/>.</summary>
    public ulong Told { get; private set; }

    /// <summary>The first frame that an open segment's decoder needs; at most <see cref="Next"/>.</summary>
    public ulong FirstNeeded { get; private set; }

    public long NewestMs { get; private set; }

    /// <summary>Oldest sample of what was loaded.</summary>
    public long OldestMs { get; private set; } = long.MaxValue;

    /// <summary>See <see cref="HeadWriter.BehindBoundary"/>.</summary>
    public long BehindBoundary { get; private set; }

    public int Series { get; private set; }

    /// <summary>Bytes of the file.</summary>
    public long Bytes => _file.Bytes;

    /// <summary>The number of the newest checkpoint when it was begun.</summary>
    public ulong CheckpointNumber { get; private set; }

    /// <summary>The content of a checkpoint as of <see cref="Next"/>.</summary>
    public byte[] State { get; private set; } = [];

    /// <summary>Opens and checks it from end to end; null: there is none, or it is damaged (<paramref name="damage"/> says how).</summary>
    public static HeadLoader? TryOpen(IDisk disk, string folder, out string? damage)
    {
        damage = null;
        SavedHeadFile? file = null;
        try
        {
            file = SavedHeadFile.TryOpen(disk, folder);
            if (file is null)
                return null;
            var loader = new HeadLoader(file);
            loader.Check();
            return loader;
        }
        catch (Exception e) when (e is IOException or InvalidDataException or ArgumentException)
        {
            damage = e.Message;
            file?.Dispose();
            return null;
        }
    }

    /// <summary>Puts it into an empty head, and what the log's frames need into ledger and dictionary. Throws <see cref="InvalidDataException"/> or <see cref="ArgumentException"/>: the head is then to be cleared.</summary>
    public void Load(HeadWriter head, SavedBounds bounds, long slotMs, WalLedger ledger, BatchFrameReader batches)
    {
        _file.Rewind();
        var lists = new List<(string Name, string Value, uint[] Places)>();
        Step();
        while (_file.Kind == SavedPiece.Labels)
        {
            ReadLabels(head.Index, lists);
            _file.Next();
        }
        Labels[] labels = BuildLabels(lists);
        var numbers = new List<int>();
        var last = new List<double>();
        while (_file.Kind == SavedPiece.Dictionary)
        {
            ReadDictionary(numbers, last);
            _file.Next();
        }
        var senders = new List<(int First, int Length, string Agent)>();
        while (_file.Kind == SavedPiece.Senders)
        {
            ReadSenders(senders);
            _file.Next();
        }
        var kept = new List<HeadSeries>(Series);
        var byPlace = new HeadSeries?[Series];
        ReadSeries(labels, byPlace, kept, head.Pools, bounds, slotMs);
        head.Index.Restore(kept);
        foreach ((int first, int length, string agent) in senders)
        {
            for (int i = first; i < first + length; i++)
            {
                if (byPlace[i] is { Sender: 0 } series)
                    head.Index.Senders.Give(series, agent);
            }
        }
        RestorePostings(head.Index.Postings, lists, byPlace, kept.Count);
        var reader = new ByteReader(_ledger);
        ledger.Read(ref reader);
        batches.Restore(_context, [.. numbers.Select((n, i) => n < 0 ? (null, null, last[i]) : (labels[n], byPlace[n], last[i]))]);
    }

    public void Dispose() => _file.Dispose();

    // To the first piece behind begin and state.
    private void Step()
    {
        for (int i = 0; i < 3; i++)
            _file.Next();
    }

    private void Check()
    {
        _file.Next();
        ReadBegin();
        _file.Next();
        if (_file.Kind != SavedPiece.State)
            throw new InvalidDataException("it has no state");
        State = _file.Content.ToArray();
        CheckState();
        do
        {
            _file.Next();
        }
        while (_file.Kind is SavedPiece.Labels or SavedPiece.Dictionary or SavedPiece.Senders or SavedPiece.Series);
        if (_file.Kind != SavedPiece.End)
            throw new InvalidDataException($"a piece of kind {(int)_file.Kind} is not known");
        var reader = new ByteReader(_file.Content);
        End = reader.Varint();
        Told = reader.Left > 0 ? reader.Varint() : End;
    }

    // Into nothing: what does not read to its end must not be half in the store's state.
    private void CheckState()
    {
        var options = new StoreOptions { Folder = "" };
        var head = new HeadWriter(options, new HeadIndex());
        CheckpointNumber = CheckpointFile.Parse(State, new RecordApplier(options, head, new WalLedger()), head).Number;
    }

    private void ReadBegin()
    {
        if (_file.Kind != SavedPiece.Begin)
            throw new InvalidDataException("it does not begin with its begin");
        var reader = new ByteReader(_file.Content);
        byte version = reader.Byte();
        if (version != Version)
            throw new InvalidDataException($"its version {version} is not known; {Version} would be");
        Next = reader.Varint();
        FirstNeeded = reader.Varint();
        NewestMs = reader.Zigzag();
        BehindBoundary = reader.Zigzag();
        Series = reader.Count(MaxSeries);
        _context = reader.Varint();
        _ledger = reader.Rest.ToArray();
    }

    /// <summary>The content of <see cref="HeadSaver.Begin"/>.</summary>
    public static byte[] WriteBegin(ulong next, ulong firstNeeded, HeadWriter head, int series, ulong context, WalLedger ledger)
    {
        var into = new ByteWriter();
        into.Byte(Version);
        into.Varint(next);
        into.Varint(firstNeeded);
        into.Zigzag(head.NewestMs);
        into.Zigzag(head.BehindBoundary);
        into.Varint((ulong)series);
        into.Varint(context);
        ledger.Write(into);
        return into.Written.ToArray();
    }

    private void ReadLabels(HeadIndex index, List<(string Name, string Value, uint[] Places)> into)
    {
        var reader = new ByteReader(_file.Content);
        string name = index.Intern(reader.Text(reader.Left));
        while (reader.Left > 0)
        {
            string value = index.Intern(reader.Text(reader.Left));
            var places = new uint[reader.Count(Math.Min(reader.Left, Series))];
            uint place = 0;
            for (int i = 0; i < places.Length; i++)
            {
                place += (uint)reader.Count(Series);
                if (place >= Series)
                    throw new InvalidDataException($"series {place} of {Series}");
                places[i] = place;
            }
            into.Add((name, value, places));
        }
    }

    // The lists come in order of names, so that each series' labels do.
    private Labels[] BuildLabels(List<(string Name, string Value, uint[] Places)> lists)
    {
        // Where the labels of each series begin, then their lists' numbers behind each other.
        var begins = new int[Series + 1];
        foreach ((_, _, uint[] places) in lists)
        {
            foreach (uint place in places)
                begins[place + 1]++;
        }
        for (int i = 0; i < Series; i++)
            begins[i + 1] += begins[i];
        var numbers = new int[begins[Series]];
        var filled = new int[Series];
        for (int list = 0; list < lists.Count; list++)
        {
            foreach (uint place in lists[list].Places)
                numbers[begins[place] + filled[place]++] = list;
        }
        var labels = new Labels[Series];
        var items = new List<Label>();
        for (int i = 0; i < labels.Length; i++)
        {
            items.Clear();
            foreach (int list in numbers.AsSpan(begins[i]..begins[i + 1]))
                items.Add(new Label(lists[list].Name, lists[list].Value));
            labels[i] = Labels.FromSorted(CollectionsMarshal.AsSpan(items));
        }
        return labels;
    }

    private void ReadDictionary(List<int> numbers, List<double> last)
    {
        var reader = new ByteReader(_file.Content);
        int count = reader.Count(reader.Left);
        for (int i = 0; i < count; i++)
            numbers.Add(reader.Count(Series) - 1);
        for (int i = 0; i < count; i++)
            last.Add(reader.Double());
    }

    private void ReadSenders(List<(int First, int Length, string Agent)> into)
    {
        var reader = new ByteReader(_file.Content);
        var agents = new string[reader.Count(reader.Left)];
        for (int i = 0; i < agents.Length; i++)
            agents[i] = reader.Text(reader.Left);
        int place = reader.Count(Series);
        while (reader.Left > 0)
        {
            int length = reader.Count(Series - place), number = reader.Count(agents.Length);
            if (number > 0)
                into.Add((place, length, agents[number - 1]));
            place += length;
        }
    }

    private void ReadSeries(Labels[] labels, HeadSeries?[] byPlace, List<HeadSeries> kept, HeadPools pools, SavedBounds bounds, long slotMs)
    {
        var times = new SavedTimesReader();
        var gather = new SampleGather();
        int place = 0;
        for (; _file.Kind == SavedPiece.Series; _file.Next())
        {
            var reader = new ByteReader(_file.Content);
            uint count = reader.UInt32();
            if (count > Series - place)
                throw new InvalidDataException("it holds more series than it says");
            for (uint i = 0; i < count; i++, place++)
            {
                var series = new HeadSeries(labels[place], (uint)kept.Count);
                series.Restore(ref reader, times, pools);
                if (series.OldestMs < bounds.CutMs)
                    series.DropBefore(bounds.CutMs, pools);
                if (series.OldestMs < bounds.GoneMs)
                    series = series.Without(bounds.GoneMs, slotMs, pools, gather);
                if (series.IsEmpty)
                    continue;
                OldestMs = Math.Min(OldestMs, series.OldestMs);
                byPlace[place] = series;
                kept.Add(series);
            }
        }
        if (place != Series)
            throw new InvalidDataException($"it holds {place} of {Series} series");
    }

    private static void RestorePostings(Postings postings, List<(string Name, string Value, uint[] Places)> lists, HeadSeries?[] byPlace, int kept)
    {
        foreach ((string name, string value, uint[] places) in lists)
        {
            uint[] numbers = kept == byPlace.Length ? places : [.. places.Where(p => byPlace[p] is not null).Select(p => byPlace[p]!.Reference)];
            if (numbers.Length > 0)
                postings.Restore(name, value, numbers);
        }
    }
}
