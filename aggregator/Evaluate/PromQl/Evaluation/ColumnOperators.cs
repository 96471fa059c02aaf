using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <summary>Operators over whole columns of floats, as <see cref="BinaryOperators"/> has them for single values.</summary>
internal static class ColumnOperators
{
    /// <summary>A column against scalars, one per step. Returns whether there is any point.</summary>
    public static bool WithScalar(BinaryExpr b, double[] column, double[] scalars, bool scalarLeft, double[] into)
    {
        bool filters = BinaryOperators.IsComparison(b.Op) && !b.ReturnBool;
        if (filters)
            return Filter(b.Op, scalarLeft ? scalars : column, scalarLeft ? column : scalars, column, column, into);
        return Compute(b.Op, scalarLeft ? scalars : column, scalarLeft ? column : scalars, column, column, into);
    }

    /// <summary>Two columns. A comparison that filters keeps the left value. Returns whether there is any point.</summary>
    public static bool Apply(BinaryExpr b, double[] left, double[] right, double[] into)
    {
        bool filters = BinaryOperators.IsComparison(b.Op) && !b.ReturnBool;
        return filters ? Filter(b.Op, left, right, null, left, into) : Compute(b.Op, left, right, null, left, into);
    }

    // present: the one column whose points count (the other is scalars), or null: both must have one.
    private static bool Has(double[] left, double[] right, double[]? present, int i) =>
        present is null ? !SpecialValues.IsStale(left[i]) && !SpecialValues.IsStale(right[i]) : !SpecialValues.IsStale(present[i]);

    private static bool Filter(string op, double[] left, double[] right, double[]? present, double[] kept, double[] into)
    {
        bool any = false;
        for (int i = 0; i < into.Length; i++)
        {
            if (!Has(left, right, present, i) || !Holds(op, left[i], right[i]))
                continue;
            into[i] = kept[i];
            any = true;
        }
        return any;
    }

    private static bool Holds(string op, double a, double b) => op[0] switch
    {
        '=' => a == b,
        '!' => a != b,
        '<' => op.Length == 1 ? a < b : a <= b,
        _ => op.Length == 1 ? a > b : a >= b,
    };

    private static bool Compute(string op, double[] left, double[] right, double[]? present, double[] like, double[] into)
    {
        bool any = false;
        char arithmetic = op.Length == 1 ? op[0] : ' ';
        for (int i = 0; i < like.Length; i++)
        {
            if (!Has(left, right, present, i))
                continue;
            any = true;
            double a = left[i], b = right[i];
            into[i] = arithmetic switch
            {
                '+' => a + b,
                '-' => a - b,
                '*' => a * b,
                '/' => a / b,
                _ => BinaryOperators.Scalar(op, a, b),
            };
        }
        return any;
    }
}
