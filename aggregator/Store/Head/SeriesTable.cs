using Bellwether.Core.Model;

namespace Bellwether.Store.Head;

/// <summary>
/// The series of the head by number and by labels: numbers in pieces that grow without being copied, labels in a table of eight bytes per place (32 bits of the hash, and the number), which a
/// dictionary needs five times as much for. Same locking as the head.
/// </summary>
internal sealed class SeriesTable
{
    private const int PieceBits = 12;
    private const int PieceSize = 1 << PieceBits;
    private const int FirstPlaces = 1 << 10;
    private HeadSeries?[]?[] _pieces = [];
    private int[] _left = [];

    // High half: 32 bits of the hash; low half: number plus 1. 0: free.
    private ulong[] _places = new ulong[FirstPlaces];

    /// <summary>Series that are there.</summary>
    public int Count { get; private set; }

    /// <summary>The number that the next series gets.</summary>
    public int Next { get; private set; }

    /// <summary>The series with a number, or null when it is gone.</summary>
    public HeadSeries? At(uint number) => number < (uint)Next && _pieces[number >> PieceBits] is { } piece ? piece[number & (PieceSize - 1)] : null;

    /// <summary>The series of a label set, or null.</summary>
    public HeadSeries? Find(Labels labels)
    {
        uint tag = TagOf(labels);
        int mask = _places.Length - 1;
        for (int at = (int)(tag & (uint)mask); _places[at] is not 0 and ulong place; at = (at + 1) & mask)
        {
            if ((uint)(place >> 32) == tag && At((uint)place - 1) is { } series && series.Labels.Equals(labels))
                return series;
        }
        return null;
    }

    /// <summary>Adds a series that is not there and has the number <see cref="Next"/>.</summary>
    public void Add(HeadSeries series)
    {
        if (series.Reference != Next)
            throw new ArgumentException($"the next series has the number {Next}, not {series.Reference}", nameof(series));
        int piece = Next >> PieceBits;
        if (piece == _pieces.Length)
        {
            Array.Resize(ref _pieces, Math.Max(4, piece * 2));
            Array.Resize(ref _left, _pieces.Length);
        }
        (_pieces[piece] ??= new HeadSeries?[PieceSize])[Next & (PieceSize - 1)] = series;
        _left[piece]++;
        if (Count >= _places.Length / 16 * 13)
            Grow();
        Put(((ulong)TagOf(series.Labels) << 32) | (series.Reference + 1));
        Next++;
        Count++;
    }

    /// <summary>Removes a series that is there. Its number is not used again.</summary>
    public void Remove(HeadSeries series)
    {
        int piece = (int)(series.Reference >> PieceBits);
        _pieces[piece]![series.Reference & (PieceSize - 1)] = null;
        // The last piece is still being filled.
        if (--_left[piece] == 0 && piece < Next >> PieceBits)
            _pieces[piece] = null;
        Count--;
        ulong wanted = ((ulong)TagOf(series.Labels) << 32) | (series.Reference + 1);
        int mask = _places.Length - 1;
        int at = (int)((uint)(wanted >> 32) & (uint)mask);
        while (_places[at] != wanted)
            at = (at + 1) & mask;
        CloseUp(at, mask);
    }

    /// <summary>All series in order of their numbers.</summary>
    public IEnumerable<HeadSeries> All()
    {
        foreach (HeadSeries?[]? piece in _pieces)
        {
            foreach (HeadSeries? series in piece ?? [])
            {
                if (series is not null)
                    yield return series;
            }
        }
    }

    /// <summary>Forgets all; numbers begin anew.</summary>
    public void Clear()
    {
        (_pieces, _left, _places) = ([], [], new ulong[FirstPlaces]);
        (Count, Next) = (0, 0);
    }

    private static uint TagOf(Labels labels) => (uint)(labels.Hash >> 32);

    private void Put(ulong place)
    {
        int mask = _places.Length - 1;
        int at = (int)((uint)(place >> 32) & (uint)mask);
        while (_places[at] != 0)
            at = (at + 1) & mask;
        _places[at] = place;
    }

    private void Grow()
    {
        ulong[] before = _places;
        _places = new ulong[before.Length * 2];
        foreach (ulong place in before)
        {
            if (place != 0)
                Put(place);
        }
    }

    // Those behind a hole move into it when they may stand there, so that a search never ends too early.
    private void CloseUp(int hole, int mask)
    {
        for (int at = (hole + 1) & mask; _places[at] is not 0 and ulong place; at = (at + 1) & mask)
        {
            int home = (int)((uint)(place >> 32) & (uint)mask);
            if (((at - home) & mask) < ((at - hole) & mask))
                continue;
            _places[hole] = place;
            hole = at;
        }
        _places[hole] = 0;
    }
}
