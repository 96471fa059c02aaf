using System.Globalization;
using System.Text;
using Bellwether.Core.Model;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Evaluate.PromQl.Syntax;

/// <summary>Prints expressions in one line as Prometheus does; what it prints parses to the same tree.</summary>
public static class Printer
{
    /// <summary>The canonical text.</summary>
    public static string Print(Expr expr)
    {
        var text = new StringBuilder();
        Write(text, expr);
        return text.ToString();
    }

    private static void Write(StringBuilder text, Expr expr)
    {
        switch (expr)
        {
            case NumberLiteral n:
                text.Append(n.IsDuration ? FormatDuration(n.Value) : FormatNumber(n.Value));
                break;
            case StringLiteral s:
                text.Append(GoText.Quote(s.Value));
                break;
            case ParenExpr p:
                text.Append('(');
                Write(text, p.Inner);
                text.Append(')');
                break;
            case UnaryExpr u:
                text.Append(u.IsMinus ? '-' : '+');
                Write(text, u.Operand);
                break;
            case VectorSelector v:
                WriteSelector(text, v);
                WriteModifiers(text, v.At, v.Offset, v.Boundary);
                break;
            case MatrixSelector m:
                WriteSelector(text, m.Selector);
                text.Append('[').Append(Duration(m.Range)).Append(']');
                WriteModifiers(text, m.Selector.At, m.Selector.Offset, m.Selector.Boundary);
                break;
            case SubqueryExpr q:
                Write(text, q.Inner);
                text.Append(SubqueryTail(q));
                break;
            case AggregateExpr a:
                WriteAggregate(text, a);
                break;
            case BinaryExpr b:
                WriteBinary(text, b);
                break;
            case CallExpr c:
                text.Append(c.Function.Name).Append('(');
                WriteList(text, c.Arguments);
                text.Append(')');
                break;
        }
    }

    private static void WriteList(StringBuilder text, IReadOnlyList<Expr> list)
    {
        for (int i = 0; i < list.Count; i++)
        {
            if (i > 0)
                text.Append(", ");
            Write(text, list[i]);
        }
    }

    /// <summary>What follows the inner expression of a subquery.</summary>
    internal static string SubqueryTail(SubqueryExpr q)
    {
        StringBuilder text = new StringBuilder().Append('[').Append(Duration(q.Range)).Append(':');
        if (q.Step is not null)
            text.Append(Duration(q.Step));
        text.Append(']');
        WriteModifiers(text, q.At, q.Offset, Boundary.None);
        return text.ToString();
    }

    /// <summary>An aggregation up to its parenthesis.</summary>
    internal static string AggregateHead(AggregateExpr a) =>
        a.Without ? $"{a.Op} without ({LabelList(a.Grouping)}) " : a.Grouping.Count > 0 ? $"{a.Op} by ({LabelList(a.Grouping)}) " : a.Op;

    private static void WriteAggregate(StringBuilder text, AggregateExpr a)
    {
        text.Append(AggregateHead(a)).Append('(');
        if (a.Parameter is not null)
        {
            Write(text, a.Parameter);
            text.Append(", ");
        }
        Write(text, a.Inner);
        text.Append(')');
    }

    private static void WriteBinary(StringBuilder text, BinaryExpr b)
    {
        Write(text, b.Left);
        text.Append(' ').Append(b.Op).Append(OperatorTail(b)).Append(' ');
        Write(text, b.Right);
    }

    /// <summary>What stands between an operator and its right side.</summary>
    internal static string OperatorTail(BinaryExpr b)
    {
        var text = new StringBuilder();
        if (b.ReturnBool)
            text.Append(" bool");
        if (b.Matching is { } m)
        {
            bool grouped = m.Cardinality is MatchCardinality.ManyToOne or MatchCardinality.OneToMany;
            if (m.Labels.Count > 0 || m.On || grouped)
                text.Append(m.On ? " on (" : " ignoring (").Append(LabelList(m.Labels)).Append(')');
            if (grouped)
                text.Append(m.Cardinality == MatchCardinality.ManyToOne ? " group_left (" : " group_right (").Append(LabelList(m.Include)).Append(')');
            if (m.FillLeft is double both && m.FillRight is double right && both.Equals(right))
            {
                text.Append(" fill (").Append(FormatNumber(both)).Append(')');
            }
            else
            {
                if (m.FillLeft is double l)
                    text.Append(" fill_left (").Append(FormatNumber(l)).Append(')');
                if (m.FillRight is double r)
                    text.Append(" fill_right (").Append(FormatNumber(r)).Append(')');
            }
        }
        return text.ToString();
    }

    private static void WriteSelector(StringBuilder text, VectorSelector v)
    {
        bool plain = v.Name.Length > 0 && Labels.IsLegacyMetricName(v.Name) && !Keywords.NeverMetric.Contains(v.Name.ToLowerInvariant());
        if (plain)
            text.Append(v.Name);
        var parts = new List<string>();
        bool nameSeen = false;
        foreach (LabelMatcher m in v.Matchers)
        {
            bool isName = m.Name == LabelNames.MetricName && m.Type == MatchType.Equal && m.Value == v.Name && v.Name.Length > 0 && !nameSeen;
            nameSeen |= isName;
            if (isName && plain)
                continue;
            parts.Add(isName ? GoText.Quote(v.Name) : LabelText(m.Name) + Op(m.Type) + GoText.Quote(m.Value));
        }
        parts.Sort(string.CompareOrdinal);
        if (parts.Count > 0)
            text.Append('{').AppendJoin(',', parts).Append('}');
    }

    private static void WriteModifiers(StringBuilder text, AtModifier at, DurationNode? offset, Boundary boundary)
    {
        if (boundary != Boundary.None)
            text.Append(boundary == Boundary.Anchored ? " anchored" : " smoothed");
        text.Append(at.Kind switch
        {
            AtKind.Start => " @ start()",
            AtKind.End => " @ end()",
            AtKind.Time => string.Create(CultureInfo.InvariantCulture, $" @ {at.TimestampMs / 1000m:F3}"),
            _ => "",
        });
        if (offset is not null)
            text.Append(" offset ").Append(Duration(offset));
    }

    private static string Duration(DurationNode node) => node switch
    {
        DurationLiteral l => FormatDuration(l.Value),
        DurationUnary u => (u.IsMinus ? "-" : "+") + Duration(u.Operand),
        DurationParen p => "(" + Duration(p.Inner) + ")",
        DurationCall c => c.First is null ? c.Name + "()" : $"{c.Name}({Duration(c.First)}, {Duration(c.Second!)})",
        DurationBinary b => $"{Duration(b.Left)} {b.Op} {Duration(b.Right)}",
        _ => "",
    };

    private static string FormatDuration(double seconds)
    {
        double ms = Math.Round(seconds * 1000);
        return Math.Abs(ms) < 9e15 && ms / 1000 == seconds ? DurationText.Format((long)ms) : FormatNumber(seconds);
    }

    internal static string LabelText(string name) => Labels.IsLegacyLabelName(name) ? name : GoText.Quote(name);

    // In a list, other than before a matcher's operator, these two words are numbers.
    private static string LabelList(IReadOnlyList<string> names) => string.Join(", ", names.Select(n => n.ToLowerInvariant() is "inf" or "nan" ? GoText.Quote(n) : LabelText(n)));

    private static string Op(MatchType type) => type switch { MatchType.Equal => "=", MatchType.NotEqual => "!=", MatchType.Regex => "=~", _ => "!~" };

    /// <summary>A float as Prometheus writes it in messages and queries (Go's <c>%v</c>).</summary>
    public static string FormatNumber(double value) => Format(value, -4, 21);

    /// <summary>A float as Prometheus writes it in answers and labels (Go's <c>'f', -1</c>): never with an exponent.</summary>
    public static string FormatPlain(double value) => Format(value, int.MinValue, int.MaxValue);

    private static string Format(double value, int leastExponent, int exponentBeyond)
    {
        if (double.IsNaN(value))
            return "NaN";
        if (double.IsInfinity(value))
            return value > 0 ? "+Inf" : "-Inf";
        // The shortest digits that read back to the same number, laid out anew: .NET's own formats with a pattern give 15 of them only.
        string shortest = Math.Abs(value).ToString("R", CultureInfo.InvariantCulture);
        string sign = double.IsNegative(value) ? "-" : "";
        if (value == 0)
            return sign + "0";
        int mark = shortest.IndexOf('E', StringComparison.Ordinal);
        string mantissa = mark < 0 ? shortest : shortest[..mark];
        int exponent = mark < 0 ? 0 : int.Parse(shortest.AsSpan(mark + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
        int point = mantissa.IndexOf('.', StringComparison.Ordinal);
        exponent += (point < 0 ? mantissa.Length : point) - 1;
        string all = mantissa.Replace(".", "", StringComparison.Ordinal);
        string digits = all.TrimStart('0');
        exponent -= all.Length - digits.Length;
        return sign + LayOut(digits.TrimEnd('0'), exponent, exponent < leastExponent || exponent >= exponentBeyond);
    }

    /// <summary>Digits d.ddd times ten to the exponent, in full or with it.</summary>
    private static string LayOut(string digits, int exponent, bool isShort)
    {
        if (isShort)
            return string.Create(CultureInfo.InvariantCulture, $"{digits[0]}{(digits.Length > 1 ? "." : "")}{digits.AsSpan(1)}e{(exponent < 0 ? '-' : '+')}{Math.Abs(exponent):00}");
        if (exponent < 0)
            return "0." + new string('0', -exponent - 1) + digits;
        return digits.Length <= exponent + 1 ? digits.PadRight(exponent + 1, '0') : digits[..(exponent + 1)] + "." + digits[(exponent + 1)..];
    }
}
