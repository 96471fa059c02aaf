using Bellwether.Evaluate.PromQl.Evaluation;
using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Evaluate.PromQl;

/// <summary>
/// Lets queries that are asked one after the other at one time, as the rules of a group are, evaluate what they have in common once. Made by
/// <see cref="PromQlEngine.Share"/>. Whoever uses it calls <see cref="Reset"/> when the time or the data has moved on. Not thread-safe.
/// </summary>
public sealed class SharedEvaluation
{
    /// <summary>Points that are kept between queries at most. What is beyond is evaluated again.</summary>
    public const long MaxPoints = 1_000_000;

    private readonly Dictionary<Expr, string> _keys = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<string, ParseResult> _parsed = [];
    private readonly Dictionary<(string Text, Grid Grid), EvalValue> _values = [];
    private long _points;

    internal SharedEvaluation(IEnumerable<string> queries, Func<string, ParseResult> parse)
    {
        var seen = new Dictionary<string, int>();
        foreach (string query in queries)
        {
            if (_parsed.ContainsKey(query))
                continue;
            ParseResult parsed = parse(query);
            _parsed.Add(query, parsed);
            if (parsed.Expr is null)
                continue;
            var ofRanges = new HashSet<Expr>(ExprWalk.All(parsed.Expr).OfType<MatrixSelector>().Select(m => m.Selector), ReferenceEqualityComparer.Instance);
            foreach (Expr expr in ExprWalk.All(parsed.Expr).Where(e => !ofRanges.Contains(e)))
            {
                if (expr is not (AggregateExpr or VectorSelector) && !(expr is CallExpr c && c.Arguments.Any(a => a.Type is ValueType.Matrix or ValueType.Vector)))
                    continue;
                string key = expr.ToString();
                _keys[expr] = key;
                seen[key] = seen.GetValueOrDefault(key) + 1;
            }
        }
        foreach ((Expr expr, string key) in _keys.ToList())
        {
            if (seen[key] < 2)
                _keys.Remove(expr);
        }
    }

    /// <summary>Expressions that occur more than once.</summary>
    public int SharedCount => _keys.Values.Distinct().Count();

    /// <summary>How often a value was taken instead of evaluated.</summary>
    public long Hits { get; private set; }

    /// <summary>Forgets all values: the time or the data has moved on.</summary>
    public void Reset()
    {
        _values.Clear();
        _points = 0;
    }

    internal ParseResult? Parsed(string query) => _parsed.GetValueOrDefault(query);

    internal string? KeyOf(Expr expr) => _keys.Count == 0 ? null : _keys.GetValueOrDefault(expr);

    internal EvalValue? Known(string key, Grid grid)
    {
        if (!_values.TryGetValue((key, grid), out EvalValue? value))
            return null;
        Hits++;
        return value;
    }

    internal void Keep(string key, Grid grid, EvalValue value)
    {
        long points = (long)value.Series.Count * grid.Count;
        if (_points + points > MaxPoints)
            return;
        _points += points;
        _values[(key, grid)] = value;
    }
}
