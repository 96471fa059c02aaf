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

    private readonly Dictionary<Expr, int> _numbers = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<(int Number, Grid Grid), EvalValue> _values = [];
    private long _points;

    internal SharedEvaluation(IEnumerable<PreparedQuery> queries)
    {
        var known = new Dictionary<string, (Expr First, int Number)>(StringComparer.Ordinal);
        var seen = new HashSet<Expr>(ReferenceEqualityComparer.Instance);
        foreach (PreparedQuery query in queries)
        {
            if (query.Expression is not { } whole || !seen.Add(whole))
                continue;
            var ofRanges = new HashSet<Expr>(ReferenceEqualityComparer.Instance);
            foreach (Expr expr in ExprWalk.All(whole))
            {
                if (expr is MatrixSelector matrix)
                    ofRanges.Add(matrix.Selector);
                if (!IsWorthSharing(expr) || ofRanges.Contains(expr))
                    continue;
                string text = expr.ToString();
                if (!known.TryGetValue(text, out (Expr First, int Number) same))
                {
                    known.Add(text, (expr, -1));
                    continue;
                }
                if (same.Number < 0)
                {
                    known[text] = same = (same.First, SharedCount++);
                    _numbers.Add(same.First, same.Number);
                }
                _numbers.Add(expr, same.Number);
            }
        }
    }

    /// <summary>Expressions that occur more than once.</summary>
    public int SharedCount { get; private set; }

    /// <summary>How often a value was taken instead of evaluated.</summary>
    public long Hits { get; private set; }

    /// <summary>Forgets all values: the time or the data has moved on.</summary>
    public void Reset()
    {
        _values.Clear();
        _points = 0;
    }

    /// <summary>The number that an expression has in common with others; -1: it stands alone.</summary>
    internal int NumberOf(Expr expr) => _numbers.TryGetValue(expr, out int number) ? number : -1;

    internal EvalValue? Known(int number, Grid grid)
    {
        if (!_values.TryGetValue((number, grid), out EvalValue? value))
            return null;
        Hits++;
        return value;
    }

    internal void Keep(int number, Grid grid, EvalValue value)
    {
        long points = value.Samples;
        if (_points + points > MaxPoints)
            return;
        _points += points;
        _values[(number, grid)] = value;
    }

    private static bool IsWorthSharing(Expr expr) => expr is VectorSelector || IsWork(expr);

    /// <summary>Whether it is made of vectors: a step of the work, not a number nor a selector.</summary>
    internal static bool IsWork(Expr expr) => expr is AggregateExpr || (expr is CallExpr c && c.Arguments.Any(static a => a.Type is ValueType.Matrix or ValueType.Vector));
}
