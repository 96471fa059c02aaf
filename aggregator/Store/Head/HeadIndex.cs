using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using Bellwether.Core.Model;

namespace Bellwether.Store.Head;

/// <summary>
/// All series in memory, by labels and by label values, and the lock that stands between the one writer and the readers: the writer holds it for one record or
/// batch, a reader for a selection or for the samples of one series, so each read sees whole records only.
/// </summary>
internal sealed class HeadIndex : IDisposable
{
    private readonly SeriesTable _series = new();
    private readonly Dictionary<string, string> _strings = [];
    private readonly List<Label> _scratch = [];

    /// <summary>See the class.</summary>
    public ReaderWriterLockSlim Gate { get; } = new(LockRecursionPolicy.NoRecursion);

    public Postings Postings { get; } = new();

    /// <summary>The agents that brought them.</summary>
    public SeriesSenders Senders { get; } = new();

    /// <summary>Series in memory.</summary>
    public int Count => _series.Count;

    /// <summary>The number that the next new series gets. The gate must be held.</summary>
    public int NextReference => _series.Next;

    /// <summary>How often series were removed. The gate must be held.</summary>
    public long Removals { get; private set; }

    /// <summary>All series in order of their numbers. The gate must be held.</summary>
    public IEnumerable<HeadSeries> All => _series.All();

    public bool TryGet(Labels labels, [NotNullWhen(true)] out HeadSeries? series)
    {
        // The set that a series has itself says which it is; of the same content, any other is looked up.
        if (labels.Owner is HeadSeries own && ReferenceEquals(At(own.Reference), own))
        {
            series = own;
            return true;
        }
        series = _series.Find(labels);
        return series is not null;
    }

    /// <summary>The series with a number, or null when it is gone.</summary>
    public HeadSeries? At(uint reference) => _series.At(reference);

    /// <summary>Adds a series that is not there yet.</summary>
    public HeadSeries Add(Labels labels)
    {
        Labels kept = Intern(labels);
        var series = new HeadSeries(kept, (uint)_series.Next);
        _series.Add(series);
        Postings.Add(kept, series.Reference);
        return series;
    }

    /// <summary>All series in order of their numbers. The gate must be held.</summary>
    public HeadSeries[] Live()
    {
        var live = new HeadSeries[_series.Count];
        int at = 0;
        foreach (HeadSeries series in _series.All())
            live[at++] = series;
        return live;
    }

    /// <summary>Adds series that were saved, whose texts are this index' own and whose numbers are 0 and so on; the index must be empty. <see cref="Postings"/> are the caller's.</summary>
    public void Restore(IReadOnlyList<HeadSeries> series)
    {
        foreach (HeadSeries one in series)
            _series.Add(one);
    }

    /// <summary>Forgets everything, during opening only.</summary>
    public void Clear()
    {
        _series.Clear();
        _strings.Clear();
        Postings.Clear();
        Senders.Clear();
    }

    /// <summary>Removes series that hold nothing any more.</summary>
    public void Remove(IReadOnlyCollection<HeadSeries> series)
    {
        if (series.Count == 0)
            return;
        Removals++;
        Postings.Remove(series);
        foreach (HeadSeries s in series)
        {
            _series.Remove(s);
            s.IsRemoved = true;
            Senders.Take(s);
            s.Labels.Owner = null;
        }
        _strings.Clear();
        foreach ((string name, Dictionary<string, PostingList> values) in Postings.Names)
        {
            _strings.TryAdd(name, name);
            foreach (string value in values.Keys)
                _strings.TryAdd(value, value);
        }
    }

    /// <summary>Series that match and may have samples in a range, in no order. The gate must be held for reading.</summary>
    public void SelectLocked(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, List<HeadSeries> into, CancellationToken cancellation)
    {
        uint[]? candidates = Postings.Candidates(matchers, cancellation);
        int seen = 0;
        if (candidates is null)
        {
            foreach (HeadSeries series in _series.All())
                Take(series);
            return;
        }
        foreach (uint reference in candidates)
            Take(_series.At(reference)!);

        void Take(HeadSeries series)
        {
            if (++seen % 1000 == 0)
                cancellation.ThrowIfCancellationRequested();
            if (series.Overlaps(fromMs, toMs) && MatchesRest(series.Labels, matchers))
                into.Add(series);
        }
    }

    /// <summary>Series from a number on that match, whatever samples they hold, in no order. The gate must be held for reading.</summary>
    public void MatchLocked(IReadOnlyList<LabelMatcher> matchers, int fromReference, List<HeadSeries> into, CancellationToken cancellation)
    {
        if (Postings.ShortestOf(matchers) is { } shortest)
        {
            Take(shortest.Items[shortest.FirstFrom((uint)fromReference)..], all: true);
        }
        else if (fromReference == 0 && Postings.Candidates(matchers, cancellation) is { } candidates)
        {
            Take(candidates, all: false);
        }
        else
        {
            for (int i = fromReference; i < _series.Next; i++)
            {
                if (i % 1000 == 999)
                    cancellation.ThrowIfCancellationRequested();
                if (_series.At((uint)i) is { } series && Matches(series.Labels, matchers))
                    into.Add(series);
            }
        }

        void Take(ReadOnlySpan<uint> references, bool all)
        {
            for (int i = 0; i < references.Length; i++)
            {
                if (i % 1000 == 999)
                    cancellation.ThrowIfCancellationRequested();
                HeadSeries series = _series.At(references[i])!;
                if (all ? Matches(series.Labels, matchers) : MatchesRest(series.Labels, matchers))
                    into.Add(series);
            }
        }
    }

    private static bool Matches(Labels labels, IReadOnlyList<LabelMatcher> matchers)
    {
        for (int i = 0; i < matchers.Count; i++)
        {
            if (!matchers[i].Matches(labels))
                return false;
        }
        return true;
    }

    /// <summary>Whether the matchers that postings cannot answer fit.</summary>
    public static bool MatchesRest(Labels labels, IReadOnlyList<LabelMatcher> matchers)
    {
        foreach (LabelMatcher matcher in matchers)
        {
            if (Postings.NeedsCheck(matcher) && !matcher.Matches(labels))
                return false;
        }
        return true;
    }

    public void Dispose() => Gate.Dispose();

    // Equal names and values of different series are one string in memory.
    private Labels Intern(Labels labels)
    {
        _scratch.Clear();
        foreach (ref readonly Label label in labels.AsSpan())
            _scratch.Add(new Label(Intern(label.Name), Intern(label.Value)));
        return Labels.FromSorted(CollectionsMarshal.AsSpan(_scratch));
    }

    /// <summary>The one string of a text.</summary>
    public string Intern(string text)
    {
        if (_strings.TryGetValue(text, out string? known))
            return known;
        _strings.Add(text, text);
        return text;
    }
}
