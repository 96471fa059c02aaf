using System.Globalization;
using System.Text;
using Bellwether.Evaluate.PromQl.Syntax;
using FsCheck;
using FsCheck.Fluent;
using ValueType = Bellwether.Evaluate.PromQl.ValueType;

namespace Bellwether.PromQl.Tests;

/// <summary>Random expressions, written in the many ways that the grammar allows: their print parses to the same tree.</summary>
public sealed class RoundTripTests
{
    private static readonly ParserOptions _all = new() { Experimental = true, MaxDepth = 200, MaxLength = 1 << 20 };

    [Fact]
    public void Every_expression_prints_to_what_parses_to_itself() => Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
    {
        string text = new Writer(new System.Random(seed)).Expression();
        ParseResult first = PromQlParser.Parse(text, _all);
        Assert.True(first.Expr is not null, $"{text}: {(first.Errors.Count > 0 ? first.Errors[0] : null)}");
        string printed = first.Expr.ToString();
        ParseResult second = PromQlParser.Parse(printed, _all);
        Assert.True(second.Expr is not null, $"{text} printed as {printed}: {(second.Errors.Count > 0 ? second.Errors[0] : null)}");
        Assert.True(Dump(first.Expr) == Dump(second.Expr), $"{text} printed as {printed}:\n{Dump(first.Expr)}\n{Dump(second.Expr)}");
        Assert.Equal(printed, second.Expr.ToString());
    }).Check(Config.QuickThrowOnFailure.WithMaxTest(3000).WithQuietOnSuccess(true));

    [Theory]
    [InlineData(0.1, "0.1")]
    [InlineData(123456789012345678, "123456789012345680")]
    [InlineData(1e20, "100000000000000000000")]
    [InlineData(1e21, "1e+21")]
    [InlineData(1.2345678901234567e-5, "1.2345678901234568e-05")]
    [InlineData(0.0001, "0.0001")]
    [InlineData(5e-324, "5e-324")]
    [InlineData(1.7976931348623157e308, "1.7976931348623157e+308")]
    [InlineData(-0.0, "-0")]
    [InlineData(-1200, "-1200")]
    public void Numbers_are_written_with_all_their_digits(double value, string text) => Assert.Equal(text, Printer.FormatNumber(value));

    [Theory]
    [InlineData("{\"bool\"}", "{\"bool\"}")]
    [InlineData("{\"NaN\"}", "{\"NaN\"}")]
    [InlineData("a / ignoring () group_left b", "a / ignoring () group_left () b")]
    public void What_would_be_read_as_something_else_is_written_in_full(string text, string printed) => Assert.Equal(printed, PromQlParser.Parse(text).Expr!.ToString());

    /// <summary>The tree in another form than the printer's, with everything but the places and the order of matchers, which print sorted.</summary>
    private static string Dump(Expr? expr) => expr switch
    {
        null => "-",
        NumberLiteral n => $"num({Bits(n.Value)} {n.IsDuration})",
        StringLiteral s => $"str({s.Value})",
        ParenExpr p => $"paren({Dump(p.Inner)})",
        UnaryExpr u => $"unary({u.IsMinus} {Dump(u.Operand)})",
        VectorSelector v => $"sel({v.Name}|{string.Join(';', v.Matchers.Select(m => $"{m.Name}~{m.Type}~{m.Value}").Order(StringComparer.Ordinal))}|{Dump(v.Offset)}|{v.At}|{v.Boundary})",
        MatrixSelector m => $"matrix({Dump(m.Selector)} {Dump(m.Range)})",
        SubqueryExpr q => $"sub({Dump(q.Inner)} {Dump(q.Range)} {Dump(q.Step)} {Dump(q.Offset)} {q.At})",
        AggregateExpr a => $"agg({a.Op} {a.Without} {string.Join(',', a.Grouping)} {Dump(a.Parameter)} {Dump(a.Inner)})",
        BinaryExpr b => $"bin({b.Op} {b.ReturnBool} {Dump(b.Matching)} {Dump(b.Left)} {Dump(b.Right)})",
        CallExpr c => $"call({c.Function.Name} {string.Join(' ', c.Arguments.Select(Dump))})",
        _ => throw new InvalidOperationException(expr.GetType().Name),
    };

    private static string Dump(VectorMatching? m) => m is null
        ? "-"
        : $"[{m.Cardinality} {m.On} {string.Join(',', m.Labels)} {string.Join(',', m.Include)} {(m.FillLeft is { } l ? Bits(l) : "-")} {(m.FillRight is { } r ? Bits(r) : "-")}]";

    private static string Dump(DurationNode? node) => node switch
    {
        null => "-",
        DurationLiteral l => Bits(l.Value),
        DurationUnary u => $"unary({u.IsMinus} {Dump(u.Operand)})",
        DurationParen p => $"paren({Dump(p.Inner)})",
        DurationCall c => $"{c.Name}({Dump(c.First)} {Dump(c.Second)})",
        DurationBinary b => $"bin({b.Op} {Dump(b.Left)} {Dump(b.Right)})",
        _ => throw new InvalidOperationException(node.GetType().Name),
    };

    private static string Bits(double value) => double.IsNaN(value) ? "NaN" : BitConverter.DoubleToInt64Bits(value).ToString("x", CultureInfo.InvariantCulture);

    /// <summary>Writes expressions by the grammar, with types that fit.</summary>
    private sealed class Writer(System.Random random)
    {
        private static readonly string[] _names = ["up", "job:rate:sum", "sum", "rate", "offset", "by", "and", "start", "anchored", "step", "m1", "_x", "fill", "http_requests_total"];
        private static readonly string[] _quotedNames = ["up", "bool", "nan", "on", "with space", "utf.8 ü€😀", "a\\\"b", "group_left", "9x"];
        private static readonly string[] _labels = ["job", "le", "by", "bool", "sum", "offset", "\"with space\"", "\"ü.x\"", "\"job\"", "\"new\\nline\"", "nan"];
        private static readonly string[] _values = ["", "a", ".+", "x|y", "^a$", "\\\\d+", "ü😀", "tab\\t", "bell\\a", "\\x01", "\\u00e9", "'", "`"];
        private static readonly string[] _numbers =
            ["0", "1", "2.5", ".5", "1e3", "1E-7", "0x1F", "017", "1_000", "Inf", "NaN", "inf", "123456789012345678901", "1.2345678901234567e-9", "5e-324", "0.1", "123456.789e300", "99999999999999990000", "5m", "1h30m", "3ms", "2w", "1y", "10d12h"];
        private static readonly string[] _vectorOperators = ["+", "-", "*", "/", "%", "^", "atan2", "==", "!=", "<", "<=", ">", ">=", "</", ">/"];
        private static readonly string[] _scalarOperators = ["+", "-", "*", "/", "%", "^", "atan2", "== bool", "!= bool", "< bool", ">= bool"];
        private static readonly string[] _aggregations = ["sum", "AVG", "count", "min", "Max", "group", "stddev", "stdvar"];
        private static readonly FunctionSignature[] _functions = [.. FunctionTable.All.Values.Where(f => f.Name != "info").OrderBy(f => f.Name, StringComparer.Ordinal)];
        private int _budget = 40;

        public string Expression() => random.Next(6) switch { 0 => Scalar(), 1 => Matrix(), 2 => Text(), _ => Vector() };

        private string Vector()
        {
            if (--_budget < 0)
                return Selector();
            return random.Next(12) switch
            {
                0 => $"({Blank()}{Vector()}{Blank()})",
                1 => Sign() + Vector(),
                2 or 3 => Aggregation(),
                4 or 5 => Call(ValueType.Vector),
                6 or 7 => $"{Vector()} {VectorOperator()} {Vector()}",
                8 => $"({Vector()} {Of(_vectorOperators)} {Scalar()})",
                9 => random.Next(4) == 0 ? $"{Selector()}{Modifiers()} smoothed" : Selector() + Modifiers(),
                10 => $"(({Scalar()}) {Of(_vectorOperators)} ({Vector()}))",
                _ => Selector(),
            };
        }

        private string Scalar()
        {
            if (--_budget < 0)
                return Of(_numbers);
            return random.Next(6) switch
            {
                0 => $"({Scalar()})",
                1 => Sign() + Scalar(),
                2 => $"{Scalar()} {Of(_scalarOperators)} {Scalar()}",
                3 => Call(ValueType.Scalar),
                _ => Of(_numbers),
            };
        }

        private string Matrix()
        {
            if (--_budget < 0)
                return Selector() + "[5m]";
            string boundary = random.Next(6) switch { 0 => " anchored", 1 => " smoothed", _ => "" };
            return random.Next(4) switch
            {
                0 => $"({Vector()})[{Duration()}:{(random.Next(2) == 0 ? "" : Duration())}]{Modifiers()}",
                1 => $"{Call(ValueType.Vector)}[{Duration()}:]{Modifiers()}",
                2 => $"{Aggregation()}[{Duration()}:{Duration()}]{Modifiers()}",
                _ => $"{Selector()}[{Duration()}]{boundary}{Modifiers()}",
            };
        }

        private string Call(ValueType type)
        {
            FunctionSignature f = Of([.. _functions.Where(x => x.ReturnType == type)]);
            int declared = f.ArgumentTypes.Count;
            int count = f.Variadic switch { 0 => declared, < 0 => declared + random.Next(3), _ => declared - 1 + random.Next(Math.Min(f.Variadic, 4) + 1) };
            return $"{f.Name}({Blank()}{string.Join(", ", Enumerable.Range(0, count).Select(i => Argument(f.ArgumentTypes[Math.Min(i, declared - 1)])))})";
        }

        private string Argument(ValueType type) => type switch { ValueType.Scalar => Scalar(), ValueType.Vector => Vector(), ValueType.Matrix => Matrix(), _ => Text() };

        private string Aggregation()
        {
            (string op, string parameter) = random.Next(6) switch
            {
                0 => (Of(["topk", "BottomK", "limitk", "limit_ratio", "quantile"]), Scalar() + ", "),
                1 => ("count_values", Text() + ", "),
                _ => (Of(_aggregations), ""),
            };
            string grouping = random.Next(3) switch { 0 => "", 1 => $"by ({LabelList()})", _ => $"WITHOUT ({LabelList()})" };
            return random.Next(2) == 0 ? $"{op} {grouping} ({parameter}{Vector()})" : $"{op}({parameter}{Vector()}) {grouping}";
        }

        private string VectorOperator()
        {
            string labels = LabelList();
            if (random.Next(4) == 0)
                return Of(["and", "OR", "unless"]) + (random.Next(2) == 0 ? "" : $" on ({labels})");
            string op = Of(_vectorOperators);
            var text = new StringBuilder(op);
            if (op is "==" or "!=" or "<" or "<=" or ">" or ">=" && random.Next(2) == 0)
                text.Append(" bool");
            int matching = random.Next(3);
            if (matching > 0)
                text.Append(matching == 1 ? $" on ({labels})" : $" ignoring ({labels})");
            if (matching > 0 && random.Next(2) == 0)
                text.Append(Of([" group_left ", " group_right"])).Append(Of([" (extra)", "()", "(\"a b\", extra)", ""]));
            if (random.Next(4) == 0)
                text.Append(Of([" fill (0)", " fill_left(-1.5)", " fill_right (NaN)", " fill_left (1) fill_right (2)", " fill(+Inf)"]));
            // A list after group_left that is not there must not be taken from the right side.
            return text.Append(text[^1] is 't' or ' ' ? "()" : "").ToString();
        }

        private string Selector()
        {
            string matchers = string.Join(Of([",", " , "]), Enumerable.Range(0, random.Next(3)).Select(_ => $"{Of(_labels)}{Of(["=", "!="])}\"{Of(_values)}\""));
            string regex = random.Next(3) == 0 ? $"{(matchers.Length > 0 ? "," : "")}x{Of(["=~", "!~"])}'a.*|b'" : "";
            return random.Next(4) switch
            {
                0 => $"{{\"{Of(_quotedNames)}\"{(matchers.Length > 0 ? "," : "")}{matchers}}}",
                1 => $"{{__name__=\"{Of(_names)}\"{(matchers.Length > 0 ? "," : "")}{matchers}}}",
                2 => $"{Of(_names)}{{{matchers}{regex}}}",
                _ => Of(_names) + (random.Next(6) == 0 ? "{job=\"up\"}" : "{}"),
            };
        }

        private string Modifiers()
        {
            string offset = random.Next(3) == 0 ? $" offset {Of(["", "-", "+"])}{Of(["5m", "1h", "90", "0", "1.5", "0.0005", "step()", "(5m + 1)", "min_of(1m, 2m)"])}" : "";
            string at = random.Next(3) switch { 0 => Of([" @ 12.5", " @ -7", " @ start()", " @ end()", "@1e9", " @ 0.001"]), _ => "" };
            return random.Next(2) == 0 ? offset + at : at + offset;
        }

        private string Duration() => Of(["5m", "1h30m", "90", "1.5", "0.25", "1d", "1w3d", "step()", "range() + 1m", "5m - -1m", "(1h)", "2 * 3m", "max_of(step(), 1m)", "1m ^ 2", "-(-5m)", "100 % 7 + 1", "1e3"]);

        private string LabelList() => string.Join(Of([",", ", "]), Enumerable.Range(0, random.Next(3)).Select(_ => Of(_labels) is var label && label == "nan" ? "\"nan\"" : label));

        private string Text() => Of(["\"plain\"", "'single \"q\"'", "`raw \\n`", "\"esc \\\" \\\\ \\n \\u00fc \\x41 \\101\"", "\"😀\"", "\"\""]);

        private string Sign() => Of(["-", "+", "- "]);

        private string Blank() => Of(["", "", " ", "\n", " # comment\n"]);

        private T Of<T>(T[] from) => from[random.Next(from.Length)];
    }
}
