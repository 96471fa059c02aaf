using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <summary>One side of an operator at one step.</summary>
internal readonly record struct Operand(double Float, NativeHistogram? Histogram);

/// <summary>Operators on single values.</summary>
internal static class BinaryOperators
{
    public static bool IsComparison(string op) => op is "==" or "!=" or "<" or "<=" or ">" or ">=";

    public static double Scalar(string op, double a, double b) => op switch
    {
        "+" => a + b,
        "-" => a - b,
        "*" => a * b,
        "/" => a / b,
        "^" => Power(a, b),
        "%" => Math.Abs(b) == double.PositiveInfinity && double.IsFinite(a) ? a : a % b,
        "atan2" => Math.Atan2(a, b),
        _ => Compare(op, a, b) ? 1 : 0,
    };

    private static double Power(double a, double b) => a == 1 || b == 0 ? 1 : Math.Pow(a, b);

    private static bool Compare(string op, double a, double b) => op switch
    {
        "==" => a == b,
        "!=" => a != b,
        "<" => a < b,
        "<=" => a <= b,
        ">" => a > b,
        _ => a >= b,
    };

    /// <summary>Applies an operator. The return value is whether a comparison holds; <paramref name="valid"/> is false when the kinds do not go together.</summary>
    public static bool Apply(BinaryExpr b, Operand l, Operand r, Annotations notes, out Operand value, out bool valid)
    {
        valid = true;
        value = default;
        if (l.Histogram is null && r.Histogram is null)
        {
            if (IsComparison(b.Op))
                return Compare(b.Op, l.Float, r.Float);
            if (b.Op is "</" or ">/")
                return Incompatible(b, l, r, notes, out valid);
            value = new Operand(Scalar(b.Op, l.Float, r.Float), null);
            return true;
        }
        if (l.Histogram is { } h && r.Histogram is null)
        {
            NativeHistogram? result = b.Op switch
            {
                "*" => h.Multiply(r.Float).Compact(),
                "/" => h.Divide(r.Float).Compact(),
                "</" => HistogramTrim.Trim(h, r.Float, true),
                ">/" => HistogramTrim.Trim(h, r.Float, false),
                _ => null,
            };
            value = new Operand(0, result);
            return result is not null || Incompatible(b, l, r, notes, out valid);
        }
        if (l.Histogram is null)
        {
            value = b.Op == "*" ? new Operand(0, r.Histogram!.Multiply(l.Float).Compact()) : default;
            return value.Histogram is not null || Incompatible(b, l, r, notes, out valid);
        }
        return TwoHistograms(b, l, r, notes, out value, out valid);
    }

    private static bool TwoHistograms(BinaryExpr b, Operand l, Operand r, Annotations notes, out Operand value, out bool valid)
    {
        valid = true;
        value = default;
        NativeHistogram left = l.Histogram!, right = r.Histogram!;
        if (b.Op is "==" or "!=")
            return left.SameDistribution(right) == (b.Op == "==");
        if (b.Op is not ("+" or "-"))
            return Incompatible(b, l, r, notes, out valid);
        string word = b.Op == "+" ? "addition" : "subtraction";
        bool reconciled, collide;
        NativeHistogram? result = b.Op == "+" ? left.Add(right, out reconciled, out collide) : left.Subtract(right, out reconciled, out collide);
        if (collide)
            notes.HintsCollide(word, b.Span);
        if (reconciled)
            notes.Reconciled(word, b.Span);
        if (result is null)
        {
            notes.Warn($"incompatible bucket layout encountered for binary operator {b.Op}", b.Span);
            valid = false;
            return false;
        }
        value = new Operand(0, result.Compact());
        return true;
    }

    private static bool Incompatible(BinaryExpr b, Operand l, Operand r, Annotations notes, out bool valid)
    {
        static string Kind(Operand o) => o.Histogram is null ? "float" : "histogram";
        notes.Info($"incompatible sample types encountered for binary operator {GoText.Quote(b.Op)}: {Kind(l)} {b.Op} {Kind(r)}", b.Span);
        valid = false;
        return false;
    }
}
