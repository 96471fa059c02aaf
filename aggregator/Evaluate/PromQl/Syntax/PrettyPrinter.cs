using System.Text;

namespace Bellwether.Evaluate.PromQl.Syntax;

/// <summary>Prints expressions over several lines where one would be too long, as Prometheus' format_query does.</summary>
public static class PrettyPrinter
{
    /// <summary>What is longer is cut into its parts.</summary>
    private const int LineMax = 100;

    /// <summary>The canonical text; what is longer than a line stands on several, its parts two blanks further in.</summary>
    public static string Print(Expr expr) => Print(expr, 0);

    private static string Print(Expr expr, int level)
    {
        string line = Printer.Print(expr), indent = Indent(level);
        bool isSelector = expr is VectorSelector or MatrixSelector or NumberLiteral or StringLiteral;
        if (isSelector || (Encoding.UTF8.GetByteCount(line) <= LineMax && expr is not UnaryExpr))
            return indent + line;
        return expr switch
        {
            AggregateExpr a => $"{indent}{Printer.AggregateHead(a)}(\n{(a.Parameter is null ? "" : Print(a.Parameter, level + 1) + ",\n")}{Print(a.Inner, level + 1)}\n{indent})",
            BinaryExpr b => $"{Print(b.Left, level + 1)}\n{indent}{b.Op}{Printer.OperatorTail(b)}\n{Print(b.Right, level + 1)}",
            CallExpr c => $"{indent}{c.Function.Name}(\n{string.Join(",\n", c.Arguments.Select(a => Print(a, level + 1)))}\n{indent})",
            ParenExpr p => $"{indent}(\n{Print(p.Inner, level + 1)}\n{indent})",
            SubqueryExpr q => Print(q.Inner, level) + Printer.SubqueryTail(q),
            UnaryExpr u => indent + (u.IsMinus ? "-" : "+") + Print(u.Operand, level).Trim(),
            _ => indent + line,
        };
    }

    private static string Indent(int level) => new(' ', 2 * level);
}
