using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <summary>Folds one group at one step into one point.</summary>
internal sealed class AggregateFold
{
    private readonly AggregateExpr _expr;
    private readonly Annotations _notes;
    private readonly List<double> _floats = [];
    private readonly List<NativeHistogram> _histograms = [];

    public AggregateFold(AggregateExpr expr, Annotations notes)
    {
        _expr = expr;
        _notes = notes;
    }

    public void Step(List<EvalSeries> members, int i, double parameter, EvalSeries into)
    {
        _floats.Clear();
        _histograms.Clear();
        foreach (EvalSeries member in members)
        {
            if (!member.Has(i))
                continue;
            if (member.HistogramAt(i) is { } histogram)
                _histograms.Add(histogram);
            else
                _floats.Add(member.Values[i]);
        }
        if (_floats.Count + _histograms.Count == 0)
            return;
        switch (_expr.Op)
        {
            case "count":
                into.Set(i, _floats.Count + _histograms.Count);
                break;
            case "group":
                into.Set(i, 1);
                break;
            case "sum" or "avg":
                Total(i, into, members);
                break;
            default:
                if (_histograms.Count > 0)
                    _notes.Info($"ignored histogram in {_expr.Op} aggregation", _expr.Inner.Span);
                if (_floats.Count > 0)
                    into.Set(i, OfFloats(parameter));
                break;
        }
    }

    private double OfFloats(double parameter) => _expr.Op switch
    {
        "max" => Extreme(true),
        "min" => Extreme(false),
        "stdvar" => VarianceOf(),
        "stddev" => Math.Sqrt(VarianceOf()),
        _ => Quantiles.Of(parameter, _floats),
    };

    private double Extreme(bool max)
    {
        double best = _floats[0];
        foreach (double value in _floats)
        {
            if (double.IsNaN(best) || (max ? value > best : value < best))
                best = value;
        }
        return best;
    }

    private double VarianceOf()
    {
        var variance = new Variance();
        foreach (double value in _floats)
            variance.Add(value);
        return variance.Population;
    }

    private void Total(int i, EvalSeries into, List<EvalSeries> members)
    {
        if (_floats.Count > 0 && _histograms.Count > 0)
        {
            _notes.Warn("encountered a mix of histograms and floats for aggregation", _expr.Inner.Span);
            return;
        }
        if (_histograms.Count > 0)
        {
            TotalHistograms(i, into, members);
            return;
        }
        if (_expr.Op == "sum")
        {
            var sum = new CompensatedSum();
            foreach (double value in _floats)
                sum.Add(value);
            into.Set(i, sum.Total);
            return;
        }
        var mean = new CompensatedMean();
        foreach (double value in _floats)
            mean.Add(value);
        into.Set(i, mean.Mean);
    }

    private void TotalHistograms(int i, EvalSeries into, List<EvalSeries> members)
    {
        var sum = new HistogramSum();
        foreach (NativeHistogram histogram in _histograms)
            sum.Add(histogram);
        if (sum.Reconciled)
            _notes.Reconciled("aggregation", _expr.Inner.Span);
        if (sum.HintsCollide)
            _notes.HintsCollide("aggregation", _expr.Inner.Span);
        if (sum.Total is null)
        {
            _notes.MixedSchemas(members[0].Labels.MetricName, _expr.Inner.Span);
            return;
        }
        into.Set(i, 0, (_expr.Op == "avg" ? HistogramSum.Mean(sum.Total, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_histograms)) ?? sum.Total : sum.Total).Compact());
    }
}
