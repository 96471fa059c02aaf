using System.Text.Json;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Syntax;
using MatchType = Bellwether.Core.Model.MatchType;
using ValueType = Bellwether.Evaluate.PromQl.ValueType;

namespace Bellwether.Serve.QueryApi;

/// <summary>Expressions as the tree that parse_query gives. Source: prometheus.io/docs/prometheus/latest/querying/api/ ("Parsing a PromQL expressions into a abstract syntax tree").</summary>
internal static class ExpressionJson
{
    public static void Write(Utf8JsonWriter json, Expr? expr)
    {
        if (expr is null)
        {
            json.WriteNullValue();
            return;
        }
        json.WriteStartObject();
        switch (expr)
        {
            case NumberLiteral n:
                Head(json, "numberLiteral");
                json.WriteString("val", n.ToString());
                break;
            case StringLiteral s:
                Head(json, "stringLiteral");
                json.WriteString("val", s.Value);
                break;
            case ParenExpr p:
                Head(json, "parenExpr");
                Child(json, "expr", p.Inner);
                break;
            case UnaryExpr u:
                Head(json, "unaryExpr");
                Child(json, "expr", u.Operand);
                json.WriteString("op", u.IsMinus ? "-" : "+");
                break;
            case AggregateExpr a:
                WriteAggregate(json, a);
                break;
            case BinaryExpr b:
                WriteBinary(json, b);
                break;
            case CallExpr c:
                WriteCall(json, c);
                break;
            case VectorSelector v:
                Head(json, "vectorSelector");
                WriteSelector(json, v);
                break;
            case MatrixSelector m:
                Head(json, "matrixSelector");
                json.WriteNumber("range", Ms(m.Range));
                WriteSelector(json, m.Selector);
                break;
            case SubqueryExpr q:
                Head(json, "subquery");
                Child(json, "expr", q.Inner);
                json.WriteNumber("range", Ms(q.Range));
                json.WriteNumber("step", Ms(q.Step));
                WriteTime(json, q.Offset, q.At);
                break;
        }
        json.WriteEndObject();
    }

    private static void WriteAggregate(Utf8JsonWriter json, AggregateExpr a)
    {
        Head(json, "aggregation");
        json.WriteString("op", a.Op);
        Child(json, "expr", a.Inner);
        Child(json, "param", a.Parameter);
        Texts(json, "grouping", a.Grouping);
        json.WriteBoolean("without", a.Without);
    }

    private static void WriteBinary(Utf8JsonWriter json, BinaryExpr b)
    {
        Head(json, "binaryExpr");
        json.WriteString("op", b.Op);
        Child(json, "lhs", b.Left);
        Child(json, "rhs", b.Right);
        json.WriteBoolean("bool", b.ReturnBool);
        json.WritePropertyName("matching");
        if (b.Matching is not { } m)
        {
            json.WriteNullValue();
            return;
        }
        json.WriteStartObject();
        json.WriteString("card", m.Cardinality switch
        {
            MatchCardinality.OneToOne => "one-to-one",
            MatchCardinality.ManyToOne => "many-to-one",
            MatchCardinality.OneToMany => "one-to-many",
            _ => "many-to-many",
        });
        Texts(json, "labels", m.Labels);
        json.WriteBoolean("on", m.On);
        Texts(json, "include", m.Include);
        json.WriteEndObject();
    }

    private static void WriteCall(Utf8JsonWriter json, CallExpr c)
    {
        Head(json, "call");
        json.WriteStartObject("func");
        json.WriteString("name", c.Function.Name);
        Texts(json, "argTypes", [.. c.Function.ArgumentTypes.Select(TypeName)]);
        json.WriteNumber("variadic", c.Function.Variadic);
        json.WriteString("returnType", TypeName(c.Function.ReturnType));
        json.WriteEndObject();
        json.WriteStartArray("args");
        foreach (Expr argument in c.Arguments)
            Write(json, argument);
        json.WriteEndArray();
    }

    private static void WriteSelector(Utf8JsonWriter json, VectorSelector v)
    {
        json.WriteString("name", v.Name);
        json.WriteStartArray("matchers");
        foreach (LabelMatcher matcher in v.Matchers)
        {
            json.WriteStartObject();
            json.WriteString("name", matcher.Name);
            json.WriteString("value", matcher.Value);
            json.WriteString("type", matcher.Type switch { MatchType.Equal => "=", MatchType.NotEqual => "!=", MatchType.Regex => "=~", _ => "!~" });
            json.WriteEndObject();
        }
        json.WriteEndArray();
        WriteTime(json, v.Offset, v.At);
    }

    private static void WriteTime(Utf8JsonWriter json, DurationNode? offset, AtModifier at)
    {
        json.WriteNumber("offset", Ms(offset));
        json.WritePropertyName("timestamp");
        if (at.Kind == AtKind.Time)
            json.WriteNumberValue(at.TimestampMs);
        else
            json.WriteNullValue();
        json.WritePropertyName("startOrEnd");
        if (at.Kind is AtKind.Start or AtKind.End)
            json.WriteStringValue(at.Kind == AtKind.Start ? "start" : "end");
        else
            json.WriteNullValue();
    }

    private static string TypeName(ValueType type) => type switch { ValueType.Scalar => "scalar", ValueType.Vector => "vector", ValueType.Matrix => "matrix", _ => "string" };

    // What depends on the query's step or range has no value yet.
    private static long Ms(DurationNode? duration) => duration?.ResolveMs(0, 0, out _) ?? 0;

    private static void Head(Utf8JsonWriter json, string type) => json.WriteString("type", type);

    private static void Child(Utf8JsonWriter json, string name, Expr? expr)
    {
        json.WritePropertyName(name);
        Write(json, expr);
    }

    private static void Texts(Utf8JsonWriter json, string name, IReadOnlyList<string> texts)
    {
        json.WriteStartArray(name);
        foreach (string text in texts)
            json.WriteStringValue(text);
        json.WriteEndArray();
    }
}
