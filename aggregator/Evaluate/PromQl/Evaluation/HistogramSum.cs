using Bellwether.Core.Model;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <summary>A running sum of histograms and what happened on the way. The sum of observations is compensated.</summary>
internal sealed class HistogramSum
{
    private NativeHistogram? _total;
    private CompensatedSum _sum;
    private bool _sawReset;
    private bool _sawNotReset;

    /// <summary>The sum; null when nothing was added or the histograms do not go together.</summary>
    public NativeHistogram? Total => _total?.Copy(sum: _sum.Total);

    public bool Reconciled { get; private set; }

    public bool HintsCollide => _sawReset && _sawNotReset;

    public bool Incompatible { get; private set; }

    public void Add(NativeHistogram h)
    {
        if (Incompatible)
            return;
        _sawReset |= h.ResetHint == CounterResetHint.Reset;
        _sawNotReset |= h.ResetHint == CounterResetHint.NotReset;
        _sum.Add(h.Sum);
        if (_total is null)
        {
            _total = h;
            return;
        }
        _total = _total.Add(h, out bool reconciled, out _);
        Reconciled |= reconciled;
        Incompatible = _total is null;
    }

    /// <summary>The mean of histograms whose sum is known; step by step where the sum overflows.</summary>
    public static NativeHistogram? Mean(NativeHistogram total, ReadOnlySpan<NativeHistogram> all)
    {
        NativeHistogram? mean = total.Divide(all.Length);
        if (double.IsInfinity(total.Sum) || double.IsInfinity(total.Count))
        {
            mean = all[0];
            for (int i = 1; i < all.Length && mean is not null; i++)
                mean = mean.Multiply((double)i / (i + 1)).Add(all[i].Divide(i + 1), out _, out _);
        }
        var sum = new CompensatedMean();
        foreach (NativeHistogram h in all)
            sum.Add(h.Sum);
        return mean?.Copy(sum: sum.Mean);
    }
}
