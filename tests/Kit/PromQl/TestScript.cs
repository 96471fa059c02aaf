using System.Text.RegularExpressions;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.PromQl.Syntax;
using ValueType = Bellwether.Evaluate.PromQl.ValueType;

namespace Bellwether.Kit.PromQl;

/// <summary>What became of one <c>eval</c>.</summary>
/// <param name="Line">Its 1-based line.</param>
/// <param name="Text">The line itself.</param>
/// <param name="Failure">What was wrong, or null.</param>
public sealed record EvalOutcome(int Line, string Text, string? Failure);

/// <summary>
/// Runs scripts in PromQL's test language (load, clear, eval, expect) against an engine over an empty memory. Every instant case is also run with its
/// selectors pinned by <c>@</c> at several times, and as the middle of a range.
/// </summary>
public sealed partial class TestScript
{
    private static readonly string[] _timeWords =
        ["time", "timestamp", "predict_linear", "start", "end", "range", "step", "minute", "hour", "day_of_week", "day_of_month", "day_of_year", "days_in_month", "month", "year"];

    private readonly MemorySeries _series = new();
    private readonly List<EvalOutcome> _outcomes = [];
    private readonly string[] _lines;
    private readonly PromQlEngine _engine;
    private readonly long _baseMs;
    private int _at;

    private TestScript(string text, PromQlEngine engine, long baseMs)
    {
        _lines = text.Split('\n');
        _engine = engine;
        _baseMs = baseMs;
    }

    /// <summary>The engine's settings that scripts expect.</summary>
    public static EngineOptions Options { get; } = new() { Experimental = true, DelayedNameRemoval = true };

    /// <summary>Runs a script and tells every eval's outcome. A line that is no command is a failed outcome too.</summary>
    public static IReadOnlyList<EvalOutcome> Run(string text, TimeProvider time) =>
        new TestScript(text, new PromQlEngine(Options, time), 0).RunAll();

    /// <summary>Only loads a script's series, point 0 at <paramref name="baseMs"/>.</summary>
    public static MemorySeries Load(string text, TimeProvider time, long baseMs)
    {
        var script = new TestScript(text, new PromQlEngine(Options, time), baseMs);
        script.RunAll();
        return script._series;
    }

    private List<EvalOutcome> RunAll()
    {
        while (_at < _lines.Length)
        {
            string line = _lines[_at].Trim();
            string word = line.Split([' ', '\t'], 2)[0].ToLowerInvariant();
            if (line.Length == 0 || line[0] == '#')
                _at++;
            else if (word == "clear")
                ClearAll();
            else if (word.StartsWith("load", StringComparison.Ordinal))
                LoadBlock(word, line);
            else if (word.StartsWith("eval", StringComparison.Ordinal))
                Eval(line);
            else
                Fail(_at++, line, "not a command");
        }
        return _outcomes;
    }

    private void Fail(int index, string line, string failure) => _outcomes.Add(new EvalOutcome(index + 1, line, failure));

    private void ClearAll()
    {
        _series.Clear();
        _at++;
    }

    private IEnumerable<(int Index, string Line)> Body()
    {
        while (_at < _lines.Length)
        {
            string line = _lines[_at].Trim();
            if (line.Length == 0 || line[0] == '#')
                yield break;
            yield return (_at++, line);
        }
    }

    private void LoadBlock(string word, string header)
    {
        int headerAt = _at++;
        string step = header[word.Length..].Trim();
        if (!DurationText.TryParse(step, out long stepMs))
        {
            Fail(headerAt, header, $"'{step}' is not a duration");
            return;
        }
        var block = new Dictionary<Labels, (SeriesLine Line, SeriesLine? Starts)>();
        SeriesLine? starts = null;
        foreach ((int index, string line) in Body())
        {
            SeriesLine? parsed = SeriesNotation.Parse(line, out string error);
            if (parsed is null)
            {
                Fail(index, line, error);
                continue;
            }
            if (parsed.IsStartTimes)
            {
                starts = parsed;
                continue;
            }
            block[parsed.Labels] = (parsed, starts);
            starts = null;
        }
        var floats = new List<(Labels, long, double)>();
        foreach ((SeriesLine line, SeriesLine? startLine) in block.Values)
            Store(line, startLine, stepMs, floats);
        if (word == "load_with_nhcb")
            ClassicToCustomBuckets.Add(_series, floats);
    }

    private void Store(SeriesLine line, SeriesLine? starts, long stepMs, List<(Labels, long, double)> floats)
    {
        for (int k = 0; k < line.Items.Count; k++)
        {
            SeriesItem item = line.Items[k];
            if (item.IsMissing)
                continue;
            long time = _baseMs + k * stepMs;
            long start = starts is not null && k < starts.Items.Count && !starts.Items[k].IsMissing ? time + (long)starts.Items[k].Value : 0;
            _series.Add(line.Labels, time, item.Value, item.Histogram, start);
            if (item.Histogram is null)
                floats.Add((line.Labels, time, item.Value));
        }
    }

    private void Eval(string line)
    {
        int index = _at++;
        EvalCase test = EvalCase.ReadHeader(line);
        foreach ((_, string body) in Body())
        {
            test.ReadLine(body);
            if (test.IsComplete)
                break;
        }
        string? failure = test.Problem ?? Check(test);
        _outcomes.Add(new EvalOutcome(index + 1, line, failure));
    }

    private string? Check(EvalCase test)
    {
        if (!test.IsInstant)
            return Comparison.Check(test, _engine.Range(_series, test.Query, test.StartMs, test.EndMs, test.StepMs), test.StartMs, test.StepMs);
        QueryResult result = _engine.Instant(_series, test.Query, test.StartMs);
        string? failure = Comparison.Check(test, result, test.StartMs, 0);
        if (failure is not null || result.Error is not null)
            return failure;
        return CheckPinned(test) ?? CheckMiddle(test);
    }

    private string? CheckPinned(EvalCase test)
    {
        if (Array.Exists(_timeWords, w => Regex.IsMatch(test.Query, $@"\b{w}\b")) || PromQlParser.Parse(test.Query, _engine.ParserOptions).Expr is not { } expr)
            return null;
        string pinned = AtRewriter.Pin(expr, test.StartMs).ToString();
        long t = test.StartMs;
        foreach (long time in t == 0 ? (ReadOnlySpan<long>)[-1000, 0, 1000] : [-10 * t, 0, t / 5, t, 10 * t])
        {
            string? failure = Comparison.CheckValues(test, _engine.Instant(_series, pinned, time), time);
            if (failure is not null)
                return $"pinned as {pinned} at {time}: {failure}";
        }
        return null;
    }

    private string? CheckMiddle(EvalCase test)
    {
        if (test.Ordered || test.Text is not null || test.RangeVector is not null || MiddleExcluded().IsMatch(test.Query))
            return null;
        QueryResult range = _engine.Range(_series, test.Query, test.StartMs - 60_000, test.StartMs + 60_000, 60_000);
        if (range.Error is not null)
            return $"as a range: {range.Error.Message}";
        var middle = new List<ResultSeries>();
        foreach (ResultSeries series in range.Series)
        {
            List<Point> points = [.. series.Points.Where(p => p.TimestampMs == test.StartMs)];
            if (points.Count > 0)
                middle.Add(new ResultSeries(series.Labels, points));
        }
        string? failure = Comparison.CheckValues(test, new QueryResult { Type = ValueType.Vector, Series = middle }, test.StartMs);
        return failure is null ? null : $"as the middle of a range: {failure}";
    }

    [GeneratedRegex(@"\b(start|end|range|step)\s*\(\s*\)", RegexOptions.IgnoreCase)]
    private static partial Regex MiddleExcluded();
}
