using System.Text.RegularExpressions;
using Bellwether.Evaluate.PromQl.Syntax;
using Bellwether.Kit.PromQl;

namespace Bellwether.PromQl.Tests;

/// <summary>Whether the scripts say something of everything that the language has.</summary>
public sealed class CoverageTests
{
    private static readonly string[] _aggregations =
        ["avg", "bottomk", "count", "count_values", "group", "limit_ratio", "limitk", "max", "min", "quantile", "stddev", "stdvar", "sum", "topk"];

    private static readonly string[] _operators =
        ["+", "-", "*", "/", "%", "^", "==", "!=", "<", "<=", ">", ">=", "atan2", "and", "or", "unless", "</", ">/"];

    [Fact]
    public void Every_function_aggregation_and_operator_is_evaluated_in_a_script()
    {
        var seen = new HashSet<string>();
        foreach (string file in Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "Scripts"), "*.test"))
        {
            foreach (Match eval in Regex.Matches(File.ReadAllText(file), @"^eval (?:instant at \S+|range from \S+ to \S+ step \S+) (.+)$", RegexOptions.Multiline))
            {
                if (PromQlParser.Parse(eval.Groups[1].Value, new ParserOptions { Experimental = true }).Expr is { } expr)
                    Collect(expr, seen);
            }
        }
        Assert.All(FunctionTable.All.Keys.Select(f => f + "()").Concat(_aggregations).Concat(_operators), name => Assert.Contains(name, seen));
    }

    [Fact]
    public void A_script_that_expects_what_is_not_so_fails()
    {
        const string Script = "load 1m\n    v 1 2\n\neval instant at 1m v\n    v 3\n\neval instant at 1m v + 1\n    {} 3\n\neval instant at 1m v\n    expect warn\n    v 2\n";
        Assert.Equal([true, false, true], TestScript.Run(Script, TimeProvider.System).Select(o => o.Failure is not null));
    }

    private static void Collect(Expr expr, HashSet<string> seen)
    {
        switch (expr)
        {
            case ParenExpr p:
                Collect(p.Inner, seen);
                break;
            case UnaryExpr u:
                Collect(u.Operand, seen);
                break;
            case SubqueryExpr q:
                Collect(q.Inner, seen);
                break;
            case AggregateExpr a:
                seen.Add(a.Op);
                Collect(a.Inner, seen);
                break;
            case BinaryExpr b:
                seen.Add(b.Op);
                Collect(b.Left, seen);
                Collect(b.Right, seen);
                break;
            case CallExpr c:
                seen.Add(c.Function.Name + "()");
                foreach (Expr argument in c.Arguments)
                    Collect(argument, seen);
                break;
        }
    }
}
