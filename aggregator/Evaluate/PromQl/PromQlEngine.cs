using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Evaluation;
using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Evaluate.PromQl;

/// <summary>
/// Evaluates PromQL over any <see cref="ISeriesReader"/>. Thread-safe. Failures are values (<see cref="QueryResult.Error"/>), never exceptions.
/// </summary>
public sealed class PromQlEngine
{
    /// <summary>Most steps of a range query, as Prometheus' API has it.</summary>
    public const int MaxSteps = 11_000;

    private readonly EngineOptions _options;
    private readonly TimeProvider _time;
    private readonly ParsedQueries _parsed;
    private readonly RangeCache? _ranges;
    private readonly ScratchKeeper _scratches = new();
    private readonly SampleBudget _budget;
    private readonly ConcurrentParts? _parts;

    /// <summary>An engine with its limits; time-outs are measured on <paramref name="time"/>.</summary>
    public PromQlEngine(EngineOptions options, TimeProvider time)
    {
        _options = options;
        _time = time;
        _parsed = new ParsedQueries(ParserOptions);
        _budget = new SampleBudget(Math.Max(options.MaxSamples, options.MaxSamplesTogether));
        _ranges = options.Plain || options.MaxCachedPoints <= 0 ? null : new RangeCache(options.MaxCachedPoints);
        _parts = options.Plain || options.DelayedNameRemoval || options.MaxSharedPoints <= 0 ? null : new ConcurrentParts(options.MaxSharedPoints);
    }

    /// <summary>Samples that queries hold in memory at this moment, beyond the first million of each (<see cref="EngineOptions.MaxSamplesTogether"/>).</summary>
    public long SamplesHeld => _budget.Taken;

    /// <summary>What is kept of range queries; null: nothing ever is.</summary>
    internal RangeCache? Ranges => _ranges;

    /// <summary>What queries hold together.</summary>
    internal SampleBudget Budget => _budget;

    /// <summary>What range queries that are asked at the same time have in common; null: nothing is shared.</summary>
    internal ConcurrentParts? Parts => _parts;

    /// <summary>Values that range queries took from others that were asked at the same time.</summary>
    public long PartsShared => _parts?.Shared ?? 0;

    /// <summary>Parses a query that will be asked often, as rules are. It is not refused because of what other queries hold (<see cref="EngineOptions.MaxSamplesTogether"/>).</summary>
    public PreparedQuery Prepare(string query) => new(query, PromQlParser.Parse(query, ParserOptions));

    /// <summary>As <see cref="Prepare"/>, for a text that is known only when it is asked, as those of alert templates are: what was parsed for other queries of this text is taken.</summary>
    public PreparedQuery PrepareKnown(string query) => new(query, _parsed.Parse(query));

    /// <summary>Prepares queries that will be asked together, to evaluate what they have in common once.</summary>
    public static SharedEvaluation Share(IEnumerable<PreparedQuery> queries) => new(queries);

    /// <summary>Evaluates at one time.</summary>
    /// <param name="reader">The data.</param>
    /// <param name="query">PromQL text.</param>
    /// <param name="timeMs">Unix ms.</param>
    /// <param name="cancellation">Ends it early with <see cref="QueryErrorKind.Canceled"/>.</param>
    public QueryResult Instant(ISeriesReader reader, string query, long timeMs, CancellationToken cancellation = default) =>
        Run(reader, query, _parsed.Parse(query), new Grid(timeMs, 0, 1), false, cancellation);

    /// <summary>Evaluates a prepared query at one time. Values that it has in common with others that are asked together are taken from what was evaluated since the last reset.</summary>
    public QueryResult Instant(ISeriesReader reader, PreparedQuery query, long timeMs, SharedEvaluation? shared = null, CancellationToken cancellation = default) =>
        Run(reader, query.Text, query.Parsed, new Grid(timeMs, 0, 1), false, cancellation, _options.Plain || _options.DelayedNameRemoval ? null : shared, query);

    /// <summary>Evaluates a prepared query at start, start + step, ... up to end (inclusive); nothing of it is kept for other queries.</summary>
    public QueryResult Range(ISeriesReader reader, PreparedQuery query, long startMs, long endMs, long stepMs, CancellationToken cancellation = default) =>
        GridOf(startMs, endMs, stepMs, out QueryError? error) is { } grid ? Run(reader, query.Text, query.Parsed, grid, true, cancellation, prepared: query) : Failed(error!);

    /// <summary>Evaluates at start, start + step, ... up to end (inclusive). The result is a matrix (scalars become one series without labels).</summary>
    public QueryResult Range(ISeriesReader reader, string query, long startMs, long endMs, long stepMs, CancellationToken cancellation = default) =>
        Range(reader, query, startMs, endMs, stepMs, default, cancellation);

    /// <summary>As <see cref="Instant(ISeriesReader, string, long, CancellationToken)"/>, with what it asks for beside.</summary>
    public QueryResult Instant(ISeriesReader reader, string query, long timeMs, AskOptions ask, CancellationToken cancellation = default) =>
        Run(reader, query, _parsed.Parse(query), new Grid(timeMs, 0, 1), false, cancellation, ask: Normal(ask));

    /// <summary>As <see cref="Range(ISeriesReader, string, long, long, long, CancellationToken)"/>, with what it asks for beside.</summary>
    public QueryResult Range(ISeriesReader reader, string query, long startMs, long endMs, long stepMs, AskOptions ask, CancellationToken cancellation = default)
    {
        if (GridOf(startMs, endMs, stepMs, out QueryError? error) is not { } grid)
            return Failed(error!);
        ask = Normal(ask);
        return ask == default && _ranges is not null && reader is IChangeLog changes && grid.Count > 1 && IsCacheable(query, grid.EndMs, changes)
            ? RangeFromCache(reader, changes, query, grid, cancellation)
            : Run(reader, query, _parsed.Parse(query), grid, true, cancellation, ask: ask);
    }

    /// <summary>How far back an instant selector looks.</summary>
    public TimeSpan Lookback => _options.Lookback;

    /// <summary>The same with nothing in it that is so anyway: equal ones mean the same.</summary>
    internal AskOptions Normal(AskOptions ask) => ask.Lookback == _options.Lookback ? ask with { Lookback = null } : ask;

    /// <summary>The parser options that the engine's options mean.</summary>
    public ParserOptions ParserOptions => new() { Experimental = _options.Experimental, MaxLength = _options.MaxQueryLength, MaxDepth = _options.MaxDepth };

    private static Grid? GridOf(long startMs, long endMs, long stepMs, out QueryError? error)
    {
        // As unsigned: the distance of any two times fits.
        ulong steps = stepMs <= 0 || endMs < startMs ? 0 : ((ulong)(endMs - startMs) / (ulong)stepMs) + 1;
        error = stepMs <= 0 ? new QueryError(QueryErrorKind.BadData, "zero or negative query resolution step widths are not accepted. Try a positive integer")
            : endMs < startMs ? new QueryError(QueryErrorKind.BadData, "end timestamp must not be before start time")
            : steps is 0 or > MaxSteps ? new QueryError(QueryErrorKind.BadData, "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)")
            : null;
        return error is null ? new Grid(startMs, stepMs, (int)steps) : null;
    }

    /// <summary>The newest time that a query up to a time may read; null: it reads what the log of changes does not tell.</summary>
    internal long? ReachOf(string query, long endMs, IChangeLog changes) => _parsed.Parse(query).Expr is { } expr ? ReachOf(expr, endMs, changes) : endMs;

    /// <summary>The newest time that an expression up to a time may read; null: it reads what the log of changes does not tell.</summary>
    internal static long? ReachOf(Expr expr, long endMs, IChangeLog changes)
    {
        // info() selects more than the text says.
        if (!ExprWalk.Selectors(expr).All(v => changes.Covers(v.Matchers)) || ExprWalk.All(expr).OfType<CallExpr>().Any(c => c.Function.Name == "info"))
            return null;
        return ExprWalk.IsLocal(expr) ? endMs : long.MaxValue - 1;
    }

    private bool IsCacheable(string query, long endMs, IChangeLog changes) =>
        !_options.DelayedNameRemoval && _parsed.Parse(query).Expr is { Type: ValueType.Vector } expr && ReachOf(expr, endMs, changes) == endMs;

    /// <summary>Evaluates the steps that are not known, before and after those that are. What gives warnings is not kept: they belong to steps.</summary>
    private QueryResult RangeFromCache(ISeriesReader reader, IChangeLog changes, string query, Grid grid, CancellationToken cancellation)
    {
        string key = RangeCache.KeyOf(query, grid.StartMs, grid.StepMs);
        RangeCache.Extent? known = _ranges!.Get(key, grid.StepMs, changes);
        if (known is not null && (known.FromMs > grid.EndMs || known.ToMs < grid.StartMs))
            known = null;
        var pieces = new List<RangeCache.Extent>(3);
        long knownFrom = known is null ? long.MaxValue : Math.Max(known.FromMs, grid.StartMs), knownTo = known is null ? 0 : Math.Min(known.ToMs, grid.EndMs);
        long headEnd = known is null ? grid.EndMs : knownFrom - grid.StepMs;
        if (headEnd >= grid.StartMs && !AddPiece(grid.StartMs, headEnd, out QueryResult? other))
            return other!;
        if (known is not null)
            pieces.Add(RangeCache.Cut(known, knownFrom, knownTo));
        if (known is not null && knownTo < grid.EndMs && !AddPiece(knownTo + grid.StepMs, grid.EndMs, out other))
            return other!;
        RangeCache.Extent whole = RangeCache.Join(pieces);
        if (pieces.Count > 1 || known is null)
            _ranges.Keep(key, whole);
        return new QueryResult { Type = ValueType.Matrix, Series = whole.Series };

        bool AddPiece(long fromMs, long toMs, out QueryResult? failed)
        {
            long mark = changes.TakeMark();
            QueryResult result = Run(reader, query, _parsed.Parse(query), new Grid(fromMs, grid.StepMs, (int)((toMs - fromMs) / grid.StepMs) + 1), true, cancellation);
            failed = null;
            if (result.Error is not null || result.IsPartial || result.Warnings.Count + result.Infos.Count > 0)
            {
                // The whole at once, so that all its warnings are there; and what fails of a piece may be a warning of the whole.
                bool isFinal = pieces.Count == 0 && toMs == grid.EndMs || result.Error is { Kind: not QueryErrorKind.Execution };
                failed = isFinal ? result : Run(reader, query, _parsed.Parse(query), grid, true, cancellation);
                return false;
            }
            pieces.Add(new RangeCache.Extent(fromMs, toMs, mark, result.Series));
            return true;
        }
    }

    private QueryResult Run(ISeriesReader reader, string query, ParseResult parsed, Grid grid, bool isRange, CancellationToken cancellation, SharedEvaluation? shared = null, PreparedQuery? prepared = null,
        AskOptions ask = default)
    {
        if (parsed.Expr is not { } expr)
            return Failed(new QueryError(QueryErrorKind.BadData, parsed.Errors[0].ToString(), parsed.Errors[0].Span.Start));
        if (isRange && expr.Type is ValueType.Matrix or ValueType.String)
            return Failed(new QueryError(QueryErrorKind.BadData, $"invalid expression type \"{PromQlParser.TypeName(expr.Type)}\" for range query, must be Scalar or instant Vector"));
        var notes = new Annotations(query);
        Scratch scratch = _scratches.Rent();
        EngineOptions options = ask.Lookback is { } own ? _options with { Lookback = own } : _options;
        // What rules have in common goes another way, what looks back otherwise is another value, and what others evaluated is not counted.
        ConcurrentParts? parts = prepared is null && ask == default ? _parts : null;
        var evaluator = new Evaluator(reader, options, notes, grid, isRange, new QueryDeadline(_time, _options.Timeout, cancellation), scratch, _budget, shared, prepared) { Parts = parts };
        try
        {
            if (ask.CountsSamples)
                evaluator.CountSamples();
            QueryResult result = Evaluate(evaluator, expr, grid, isRange, notes);
            result.Samples = result.Error is null ? evaluator.Counts : null;
            return result;
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            return Failed(new QueryError(QueryErrorKind.Canceled, "query was canceled in expression evaluation"));
        }
        catch (Exception e) when (e is not (OperationCanceledException or OutOfMemoryException))
        {
            // One query must not stop the rules of all groups, which would try it again for ever.
            _options.OnUnexpected?.Invoke(query, e);
            return Failed(new QueryError(QueryErrorKind.Internal, $"unexpected error: {e.Message}"));
        }
        finally
        {
            evaluator.GiveBack();
            _scratches.Return(scratch);
        }
    }

    private static QueryResult Evaluate(Evaluator evaluator, Expr expr, Grid grid, bool isRange, Annotations notes)
    {
        if (expr.Type == ValueType.Matrix)
        {
            List<(Labels Labels, List<Point> Points)>? vectors = evaluator.RangeVector(expr);
            return vectors is null ? Failed(evaluator.Error!) : Result(ValueType.Matrix, [.. vectors.Select(v => new ResultSeries(v.Labels, v.Points))], notes, evaluator.IsPartial);
        }
        EvalValue? value = evaluator.Run(expr);
        if (value is null)
            return Failed(evaluator.Error!);
        switch (value.Type)
        {
            case ValueType.String:
                return new QueryResult { Type = ValueType.String, Text = value.Text, Warnings = notes.Warnings, Infos = notes.Infos };
            case ValueType.Scalar when !isRange:
                return new QueryResult { Type = ValueType.Scalar, Scalar = new Point(grid.StartMs, value.Scalars[0]), Warnings = notes.Warnings, Infos = notes.Infos };
            case ValueType.Scalar:
                var points = new Point[grid.Count];
                for (int i = 0; i < points.Length; i++)
                    points[i] = new Point(grid.At(i), value.Scalars[i]);
                return Result(ValueType.Matrix, [new ResultSeries(Labels.Empty, evaluator.IsPartial ? [.. points.Where((_, i) => !evaluator.IsRefused(i))] : points)], notes, evaluator.IsPartial);
        }
        List<ResultSeries> series = Points(evaluator, value, grid);
        if (isRange)
            series.Sort((a, b) => a.Labels.CompareTo(b.Labels));
        return Result(isRange ? ValueType.Matrix : ValueType.Vector, series, notes, evaluator.IsPartial);
    }

    private static List<ResultSeries> Points(Evaluator evaluator, EvalValue value, Grid grid)
    {
        var result = new List<ResultSeries>(value.Series.Count);
        foreach (EvalSeries series in value.Series)
        {
            if (grid.Count == 1)
            {
                if (series.Has(0))
                    result.Add(new ResultSeries(series.Labels, [new Point(grid.StartMs, series.Values[0], series.HistogramAt(0))]));
                continue;
            }
            int count = 0;
            for (int i = 0; i < grid.Count; i++)
                count += series.Has(i) && !evaluator.IsRefused(i) ? 1 : 0;
            if (count == 0)
                continue;
            var points = new Point[count];
            for (int i = grid.Count - 1; i >= 0; i--)
            {
                if (series.Has(i) && !evaluator.IsRefused(i))
                    points[--count] = new Point(grid.At(i), series.Values[i], series.HistogramAt(i));
            }
            result.Add(new ResultSeries(series.Labels, points));
        }
        return result;
    }

    private static QueryResult Result(ValueType type, IReadOnlyList<ResultSeries> series, Annotations notes, bool isPartial) =>
        new() { Type = type, Series = series, IsPartial = isPartial, Warnings = notes.Warnings, Infos = notes.Infos };

    private static QueryResult Failed(QueryError error) => new() { Error = error };
}
