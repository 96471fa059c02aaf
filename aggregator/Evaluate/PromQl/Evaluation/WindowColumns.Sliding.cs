using System.Runtime.InteropServices;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <content>What goes on from window to window: extremes in a queue, quantiles in a sorted window.</content>
internal sealed partial class WindowColumns
{
    /// <summary>Candidates stand in a queue, the best first, each better than all after it: so the first of it is the window's, and the first of equals.</summary>
    private double SlideExtreme(in FloatColumns columns, bool max)
    {
        ReadOnlySpan<double> values = columns.Values;
        for (; _extremesTo < _to; _extremesTo++)
        {
            double value = values[_extremesTo];
            if (double.IsNaN(value))
                continue;
            while (_extremes.Count > _extremesFrom && (max ? value > values[_extremes[^1]] : value < values[_extremes[^1]]))
                _extremes.RemoveAt(_extremes.Count - 1);
            _extremes.Add(_extremesTo);
        }
        while (_extremesFrom < _extremes.Count && _extremes[_extremesFrom] < _from)
            _extremesFrom++;
        return _extremesFrom < _extremes.Count ? values[_extremes[_extremesFrom]] : values[_to - 1];
    }

    private double SlideQuantile(in FloatColumns columns, double q)
    {
        if (_sortedTo < _from)
        {
            _sorted.Clear();
            _sortedFrom = _sortedTo = _from;
        }
        for (; _sortedFrom < _from; _sortedFrom++)
            _sorted.RemoveAt(_sorted.BinarySearch(columns.Values[_sortedFrom]));
        if (_to - _sortedTo > SortAtOnce)
        {
            _sorted.AddRange(columns.Values[_sortedTo.._to]);
            _sorted.Sort();
            _sortedTo = _to;
        }
        for (; _sortedTo < _to; _sortedTo++)
        {
            int at = _sorted.BinarySearch(columns.Values[_sortedTo]);
            _sorted.Insert(at < 0 ? ~at : at, columns.Values[_sortedTo]);
        }
        if (double.IsNaN(q))
            return double.NaN;
        return q < 0 ? double.NegativeInfinity : q > 1 ? double.PositiveInfinity : Quantiles.OfSorted(q, CollectionsMarshal.AsSpan(_sorted));
    }
}
