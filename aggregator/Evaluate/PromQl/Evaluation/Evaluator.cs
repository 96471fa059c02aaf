using System.Runtime.CompilerServices;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <summary>
/// Evaluates one query: every expression once over the whole grid, columns per series (the plain reference evaluator; the value at t depends on t and the
/// samples visible at t only). Not thread-safe; made per query. A failure is kept in <see cref="Error"/> and null is returned all the way up.
/// </summary>
internal sealed partial class Evaluator
{
    private readonly ISeriesReader _reader;
    private readonly EngineOptions _options;
    private readonly Annotations _notes;
    private readonly Grid _query;
    private readonly long _rangeMs;
    private readonly bool _isRange;
    private readonly QueryDeadline _deadline;
    private readonly Scratch _scratch;
    private readonly SampleBuffer _buffer;
    private readonly SampleBudget _budget;
    private readonly bool _mayExceed;
    private readonly bool _isExact;
    private long _taken;
    private long _samples;
    private bool _detectsResets;
    private readonly SharedEvaluation? _shared;

    public Evaluator(ISeriesReader reader, EngineOptions options, Annotations notes, Grid query, bool isRange, QueryDeadline deadline, Scratch scratch, SampleBudget budget, SharedEvaluation? shared = null, PreparedQuery? prepared = null)
    {
        _budget = budget;
        _mayExceed = prepared is not null;
        _isExact = prepared is { IsExact: true };
        _scratch = scratch;
        (_buffer, _windows, _summaries, _columnFold) = (scratch.Buffer, scratch.Windows, scratch.Summaries, scratch.Fold);
        _shared = shared;
        _reader = reader;
        _options = options;
        _notes = notes;
        _query = query;
        _isRange = isRange;
        _rangeMs = query.EndMs - query.StartMs;
        _deadline = deadline;
    }

    public QueryError? Error { get; private set; }

    /// <summary>Evaluates over the query's grid and drops the names that are to go.</summary>
    public EvalValue? Run(Expr expr)
    {
        EvalValue? value = Eval(expr, _query);
        if (value is null || value.Type != ValueType.Vector)
            return value;
        return _options.DelayedNameRemoval ? Finish(value, expr) : value;
    }

    private EvalValue? Finish(EvalValue value, Expr expr)
    {
        bool any = false;
        foreach (EvalSeries series in value.Series)
        {
            if (!series.DropName)
                continue;
            any = true;
            series.Labels = WithoutName(series.Labels);
            series.DropName = false;
        }
        return any ? Unique(value.Series, expr, false) : value;
    }

    private EvalValue? Eval(Expr expr, Grid grid)
    {
        if (Stopped(expr))
            return null;
        // The parser bounds the tree's height; what is left of the stack depends on the caller.
        if (!RuntimeHelpers.TryEnsureSufficientExecutionStack())
            return Fail<EvalValue>("expression is nested too deep to be evaluated", expr.Span);
        if (expr is ParenExpr paren)
            return Eval(paren.Inner, grid);
        // Warnings name their place in one query: what gives any is not shared.
        int number = _detectsResets || _shared is null ? -1 : _shared.NumberOf(expr);
        if (number >= 0 && _shared!.Known(number, grid) is { } known)
            return known;
        if (MayShareNow(expr))
            return EvalTogether(expr, grid);
        long notes = _notes.Given;
        EvalValue? value = EvalCounted(expr, grid);
        if (number >= 0 && value is not null && notes == _notes.Given && !IsPartial)
            _shared!.Keep(number, grid, value);
        return value;
    }

    private EvalValue? EvalCounted(Expr expr, Grid grid)
    {
        long held = _samples;
        // Scalars are not asked for one by one.
        if (expr.Type == ValueType.Scalar && !MayHold(held + grid.Count, expr))
            return null;
        EvalValue? value = EvalOnce(expr, grid);
        // What the operands held goes with them; a selector has counted its own series as it read them.
        if (value is null || Error is not null)
            return null;
        long samples = value.Samples;
        if (expr is VectorSelector)
            _samples = held;
        if (!Account(samples, expr))
            return null;
        _samples = held + samples;
        return value;
    }

    private EvalValue? EvalOnce(Expr expr, Grid grid)
    {
        if (grid.Count > 1 && expr is not (NumberLiteral or StringLiteral) && IsInvariant(expr))
        {
            EvalValue? once = EvalApart(expr, grid with { Count = 1 }, forEachStep: true);
            return once is null || !MayHold(_samples + ((long)once.Series.Count * grid.Count), expr) ? null : Broadcast(once, grid.Count);
        }
        return expr switch
        {
            NumberLiteral n => EvalValue.OfScalars(Filled(n.Value, grid.Count)),
            StringLiteral s => new EvalValue { Type = ValueType.String, Text = s.Value },
            UnaryExpr u => Unary(u, grid),
            VectorSelector v => Select(v, grid),
            AggregateExpr a => Aggregate(a, grid),
            BinaryExpr b => Binary(b, grid),
            CallExpr c => CallDetecting(c, grid),
            _ => Fail<EvalValue>($"a {PromQlParser.TypeName(expr.Type)} cannot be evaluated over a range", expr.Span),
        };
    }

    /// <summary>Whether one that makes a long window of each step should look at this one if its time is over.</summary>
    private static bool IsTimeToLook(int step) => (step & 15) == 15;

    private bool Stopped(Expr expr) => Stopped(expr.Span);

    private bool Stopped(TextSpan span)
    {
        QueryErrorKind? why = _deadline.Check();
        if (why is not null)
        {
            string message = why == QueryErrorKind.Timeout ? "query timed out in expression evaluation" : "query was canceled in expression evaluation";
            Error ??= new QueryError(why.Value, message, span.Start);
        }
        return Error is not null;
    }

    /// <summary>Counts points that are held from now on, until the expression that asked for them is evaluated.</summary>
    private bool Account(long points, Expr expr)
    {
        _samples += points;
        return MayHold(_samples, expr);
    }

    // A sample is 16 bytes, a character 2.
    private const int CharactersPerSample = 8;
    private long _textMade;

    private long MaxText => _options.MaxSamples * CharactersPerSample;

    /// <summary>Whether the query may hold so many samples, by itself and beside what others hold.</summary>
    private bool MayHold(long samples, Expr expr)
    {
        _most = Math.Max(_most, samples);
        return samples > _options.MaxSamples
            ? FailBool($"query processing would load too many samples into memory (limit {_options.MaxSamples})", expr.Span)
            : _budget.TryHold(samples, ref _taken, _mayExceed) || FailBool($"queries would hold too many samples in memory together (limit {_budget.Limit}): ask for less, or again when others are done", expr.Span);
    }

    /// <summary>The query is over: what it took goes to others.</summary>
    public void GiveBack() => _budget.GiveBack(ref _taken);

    private bool FailBool(string message, TextSpan span)
    {
        Error ??= new QueryError(QueryErrorKind.Execution, message, span.Start);
        return false;
    }

    private T? Fail<T>(string message, TextSpan span) where T : class
    {
        FailBool(message, span);
        return null;
    }

    private static double[] Filled(double value, int count)
    {
        var values = new double[count];
        Array.Fill(values, value);
        return values;
    }

    private static EvalValue Broadcast(EvalValue once, int count)
    {
        if (once.Type == ValueType.Scalar)
            return EvalValue.OfScalars(Filled(once.Scalars[0], count));
        var series = new List<EvalSeries>(once.Series.Count);
        foreach (EvalSeries one in once.Series)
        {
            NativeHistogram?[]? histograms = null;
            if (one.HistogramAt(0) is { } h)
            {
                histograms = new NativeHistogram?[count];
                Array.Fill(histograms, h);
            }
            series.Add(new EvalSeries(one.Labels, one.DropName, Filled(one.Values[0], count), histograms));
        }
        return new EvalValue { Type = once.Type, Series = series, Text = once.Text };
    }

    /// <summary>Whether the value is the same at every step: all selectors are pinned by <c>@</c> and nothing asks for the time.</summary>
    private static bool IsInvariant(Expr expr) => expr switch
    {
        NumberLiteral or StringLiteral => true,
        ParenExpr p => IsInvariant(p.Inner),
        UnaryExpr u => IsInvariant(u.Operand),
        VectorSelector v => v.At.Kind != AtKind.None,
        MatrixSelector m => m.Selector.At.Kind != AtKind.None,
        SubqueryExpr q => q.At.Kind != AtKind.None,
        AggregateExpr a => IsInvariant(a.Inner) && (a.Parameter is null || IsInvariant(a.Parameter)),
        BinaryExpr b => IsInvariant(b.Left) && IsInvariant(b.Right),
        CallExpr c => !DependsOnTime(c) && c.Arguments.All(IsInvariant),
        _ => false,
    };

    private static bool DependsOnTime(CallExpr c) => c.Function.Name switch
    {
        "time" => true,
        "timestamp" or "start_timestamp" => Unwrapped(c.Arguments[0]) is not VectorSelector,
        "predict_linear" => true,
        "day_of_month" or "day_of_week" or "day_of_year" or "days_in_month" or "hour" or "minute" or "month" or "year" => c.Arguments.Count == 0,
        _ => false,
    };

    private static Expr Unwrapped(Expr expr) => expr is ParenExpr p ? Unwrapped(p.Inner) : expr;

    private EvalValue? Unary(UnaryExpr u, Grid grid)
    {
        EvalValue? value = Eval(u.Operand, grid);
        if (value is null || !u.IsMinus)
            return value;
        if (value.Type == ValueType.Scalar)
            return EvalValue.OfScalars(Array.ConvertAll(value.Scalars, v => -v));
        var result = new List<EvalSeries>(value.Series.Count);
        foreach (EvalSeries series in value.Series)
        {
            EvalSeries negated = Renamed(series, grid.Count);
            for (int i = 0; i < grid.Count; i++)
            {
                if (series.Has(i))
                    negated.Set(i, -series.Values[i], series.HistogramAt(i)?.Multiply(-1));
            }
            result.Add(negated);
        }
        return Unique(result, u, false);
    }

    /// <summary>An empty column for the result of an operation that drops the name of <paramref name="source"/>.</summary>
    private EvalSeries Renamed(EvalSeries source, int count) => _options.DelayedNameRemoval
        ? new EvalSeries(source.Labels, count) { DropName = true }
        : new EvalSeries(WithoutName(source.Labels), count);

    private static readonly string[] _reserved = [LabelNames.MetricName, "__type__", "__unit__"];

    /// <summary>The labels without the metric's name, type and unit.</summary>
    private static Labels WithoutName(Labels labels)
    {
        foreach (string name in _reserved)
            labels = labels.Without(name);
        return labels;
    }

    /// <summary>Merges series with the same labels; at one step only one of them may have a point (strict: nowhere may there be two).</summary>
    private EvalValue? Unique(List<EvalSeries> series, Expr expr, bool strict)
    {
        var byLabels = new Dictionary<Labels, EvalSeries>(series.Count);
        var result = new List<EvalSeries>(series.Count);
        foreach (EvalSeries one in series)
        {
            if (byLabels.TryAdd(one.Labels, one))
            {
                result.Add(one);
                continue;
            }
            if (_options.DelayedNameRemoval && one.DropName && one.Labels.MetricName.Length > 0)
            {
                result.Add(one);
                continue;
            }
            EvalSeries first = byLabels[one.Labels];
            for (int i = 0; i < one.Values.Length; i++)
            {
                if (!one.Has(i))
                    continue;
                if (strict || first.Has(i))
                    return Fail<EvalValue>("vector cannot contain metrics with the same labelset", expr.Span);
                first.Set(i, one.Values[i], one.HistogramAt(i));
            }
        }
        return EvalValue.OfSeries(result);
    }

    private double[]? Scalars(Expr expr, Grid grid) => Eval(expr, grid)?.Scalars;

    private bool Resolve(DurationNode? node, out long ms, Expr owner)
    {
        ms = 0;
        if (node is null)
            return true;
        long? value = node.ResolveMs(_query.StepMs, _rangeMs, out string error);
        if (value is null)
            return FailBool(error, owner.Span);
        ms = value.Value;
        return true;
    }

    private long? AtTime(AtModifier at) => at.Kind switch
    {
        AtKind.Time => at.TimestampMs,
        AtKind.Start => _query.StartMs,
        AtKind.End => _query.EndMs,
        _ => null,
    };
}

/// <summary>When a query has to end: out of time, or nobody waits for it any more.</summary>
internal sealed class QueryDeadline
{
    private readonly TimeProvider _time;
    private readonly long _started;
    private readonly TimeSpan _timeout;
    private readonly CancellationToken _cancellation;

    public QueryDeadline(TimeProvider time, TimeSpan timeout, CancellationToken cancellation)
    {
        _time = time;
        _started = time.GetTimestamp();
        _timeout = timeout;
        _cancellation = cancellation;
    }

    public CancellationToken Cancellation => _cancellation;

    /// <summary>Why the query has to end now, or null.</summary>
    public QueryErrorKind? Check()
    {
        if (_cancellation.IsCancellationRequested)
            return QueryErrorKind.Canceled;
        return _time.GetElapsedTime(_started) > _timeout ? QueryErrorKind.Timeout : null;
    }
}
