using Bellwether.Core.Platform;
using Bellwether.Store.Chunks;
using Bellwether.Store.Head;

namespace Bellwether.Store.Wal;

/// <summary>
/// The head on its way into a file, so that opening need not replay the log's frames before <see cref="Next"/>. It stands as of that frame or later, series by series: samples come
/// meanwhile, and replaying what a series holds already changes nothing.
/// </summary>
internal sealed class HeadSaver
{
    /// <summary>Series are looked at under the head's lock until so many bytes of them are collected.</summary>
    private const int StepBytes = 256 << 10;

    private const int PieceBytes = 1 << 20;

    /// <summary>Samples of frames before it are in it, or in chunk files.</summary>
    public required ulong Next { get; init; }

    /// <summary>The first frame that an open segment's decoder needs.</summary>
    public required ulong FirstNeeded { get; init; }

    /// <summary>The begin, but for its kind; as of <see cref="Next"/>, like the rest.</summary>
    public required byte[] Begin { get; init; }

    /// <summary>What a checkpoint would hold.</summary>
    public required byte[] State { get; init; }

    public required HeadSeries[] Series { get; init; }

    /// <summary>The dictionary of the log's batches.</summary>
    public required (HeadSeries[] Series, double[] Last) Dictionary { get; init; }

    /// <summary>Everything in it is of frames before this, which are durable. Set when all but the end is written.</summary>
    public ulong End { get; set; }

    /// <summary>Who forwards and holds everything up to this position lacks nothing of frames before <see cref="End"/>; null: nobody forwarded. Set with it.</summary>
    public ulong? Told { get; set; }

    /// <summary>Bytes of the file.</summary>
    public long Bytes { get; private set; }

    /// <summary>Why it could not be written: the one before stays.</summary>
    public Exception? Failed { get; set; }

    public SavedHeadWriter? Writer { get; private set; }

    /// <summary>Writes everything but the end. Beside the writer.</summary>
    /// <remarks>Throws <see cref="IOException"/> also when less than <paramref name="minFreeBytes"/> would stay free.</remarks>
    public void Write(IDisk disk, string folder, long minFreeBytes, HeadIndex index, CancellationToken cancellation)
    {
        SavedHeadWriter writer = Writer = new SavedHeadWriter(disk, folder, minFreeBytes);
        writer.Begin(SavedPiece.Begin);
        writer.Piece.Bytes(Begin);
        writer.Write();
        writer.Begin(SavedPiece.State);
        writer.Piece.Bytes(State);
        writer.Write();
        // Of series that were removed since a number came after Next; what is in no file has none.
        var places = new int[Series.Length > 0 ? Series[^1].Reference + 1 : 0];
        Array.Fill(places, -1);
        for (int i = 0; i < Series.Length; i++)
            places[Series[i].Reference] = i;
        WriteLabels(index, places, writer, cancellation);
        WriteDictionary(places, writer);
        WriteSenders(index, writer, cancellation);
        WriteSeries(index, writer, cancellation);
    }

    /// <summary>Puts the file in place.</summary>
    public void Finish()
    {
        Writer!.Begin(SavedPiece.End);
        Writer.Piece.Varint(End);
        if (Told is { } told)
            Writer.Piece.Varint(told);
        Writer.Write();
        Writer.Finish();
        Bytes = Writer.Bytes;
    }

    private static void WriteLabels(HeadIndex index, int[] places, SavedHeadWriter writer, CancellationToken cancellation)
    {
        string[] names = Under(index, () => index.Postings.Names.Keys.ToArray());
        Array.Sort(names, Core.Model.Utf8Order.Compare);
        foreach (string name in names)
        {
            cancellation.ThrowIfCancellationRequested();
            (string Value, ReadOnlyMemory<uint> Items)[] values = Under(index, () => index.Postings.Names[name].Select(v => (v.Key, v.Value.Taken)).ToArray());
            Begin(name);
            foreach ((string value, ReadOnlyMemory<uint> items) in values)
            {
                WriteValue(value, items.Span, places, writer.Piece);
                if (writer.Piece.Length < PieceBytes)
                    continue;
                writer.Write();
                Begin(name);
            }
            writer.Write();
        }

        void Begin(string name)
        {
            writer.Begin(SavedPiece.Labels);
            writer.Piece.Text(name);
        }
    }

    private static void WriteValue(string value, ReadOnlySpan<uint> items, int[] places, ByteWriter into)
    {
        // Those that came since have higher numbers.
        int count = items.Length;
        while (count > 0 && items[count - 1] >= places.Length)
            count--;
        if (count == 0)
            return;
        into.Text(value);
        into.Varint((ulong)count);
        int before = 0;
        foreach (uint item in items[..count])
        {
            int place = places[item];
            into.Varint((ulong)(place - before));
            before = place;
        }
    }

    private void WriteDictionary(int[] places, SavedHeadWriter writer)
    {
        const int PerPiece = 1 << 16;
        for (int from = 0; from < Dictionary.Series.Length; from += PerPiece)
        {
            int count = Math.Min(PerPiece, Dictionary.Series.Length - from);
            writer.Begin(SavedPiece.Dictionary);
            writer.Piece.Varint((ulong)count);
            for (int i = from; i < from + count; i++)
            {
                HeadSeries series = Dictionary.Series[i];
                writer.Piece.Varint(series.IsRemoved ? 0 : (ulong)places[series.Reference] + 1);
            }
            writer.Piece.Doubles(Dictionary.Last.AsSpan(from, count));
            writer.Write();
        }
    }

    // In steps: the lock is not held over all series. Where nothing came from agents there is no such piece.
    private void WriteSenders(HeadIndex index, SavedHeadWriter writer, CancellationToken cancellation)
    {
        const int PerPiece = 1 << 16;
        var runs = new List<(string Agent, int Length)>();
        for (int from = 0; from < Series.Length; from += PerPiece)
        {
            cancellation.ThrowIfCancellationRequested();
            int to = Math.Min(from + PerPiece, Series.Length);
            runs.Clear();
            index.Gate.EnterReadLock();
            try
            {
                for (int i = from; i < to; i++)
                {
                    string agent = index.Senders.Of(Series[i]);
                    if (runs.Count > 0 && runs[^1].Agent == agent)
                        runs[^1] = (agent, runs[^1].Length + 1);
                    else
                        runs.Add((agent, 1));
                }
            }
            finally
            {
                index.Gate.ExitReadLock();
            }
            if (runs.Count > 1 || runs[0].Agent.Length > 0)
                WriteRuns(runs, from, writer);
        }
    }

    private static void WriteRuns(List<(string Agent, int Length)> runs, int from, SavedHeadWriter writer)
    {
        var numbers = new Dictionary<string, int> { [""] = 0 };
        foreach ((string agent, _) in runs)
            numbers.TryAdd(agent, numbers.Count);
        writer.Begin(SavedPiece.Senders);
        writer.Piece.Varint((ulong)numbers.Count - 1);
        foreach (string agent in numbers.Keys.Skip(1))
            writer.Piece.Text(agent);
        writer.Piece.Varint((ulong)from);
        foreach ((string agent, int length) in runs)
        {
            writer.Piece.Varint((ulong)length);
            writer.Piece.Varint((ulong)numbers[agent]);
        }
        writer.Write();
    }

    private void WriteSeries(HeadIndex index, SavedHeadWriter writer, CancellationToken cancellation)
    {
        var times = new SavedTimesWriter();
        for (int from = 0; from < Series.Length;)
        {
            cancellation.ThrowIfCancellationRequested();
            writer.Begin(SavedPiece.Series);
            writer.Piece.UInt32(0);
            int begin = from;
            index.Gate.EnterReadLock();
            try
            {
                while (from < Series.Length && writer.Piece.Length < StepBytes)
                    Series[from++].Save(times, writer.Piece);
            }
            finally
            {
                index.Gate.ExitReadLock();
            }
            writer.Piece.PatchUInt32(SavedHeadFile.HeaderBytes + 1, (uint)(from - begin));
            writer.Write();
        }
    }

    private static T Under<T>(HeadIndex index, Func<T> read)
    {
        index.Gate.EnterReadLock();
        try
        {
            return read();
        }
        finally
        {
            index.Gate.ExitReadLock();
        }
    }
}
