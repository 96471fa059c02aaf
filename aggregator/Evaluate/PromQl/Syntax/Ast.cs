using Bellwether.Core.Model;

namespace Bellwether.Evaluate.PromQl.Syntax;

/// <summary>A place in the query text: 0-based offsets, the end exclusive.</summary>
public readonly record struct TextSpan(int Start, int End);

/// <summary>A PromQL expression. Immutable.</summary>
public abstract record Expr
{
    /// <summary>Where it stands in the query.</summary>
    public TextSpan Span { get; init; }

    /// <summary>The type of its value.</summary>
    public abstract ValueType Type { get; }

    /// <summary>The canonical text, as Prometheus prints it.</summary>
    public sealed override string ToString() => Printer.Print(this);
}

/// <summary>A number, or a duration used as one (seconds).</summary>
public sealed record NumberLiteral(double Value, bool IsDuration = false) : Expr
{
    /// <inheritdoc/>
    public override ValueType Type => ValueType.Scalar;
}

/// <summary>A text.</summary>
public sealed record StringLiteral(string Value) : Expr
{
    /// <inheritdoc/>
    public override ValueType Type => ValueType.String;
}

/// <summary>An expression in parentheses.</summary>
public sealed record ParenExpr(Expr Inner) : Expr
{
    /// <inheritdoc/>
    public override ValueType Type => Inner.Type;
}

/// <summary>A sign before an expression.</summary>
public sealed record UnaryExpr(bool IsMinus, Expr Operand) : Expr
{
    /// <inheritdoc/>
    public override ValueType Type => Operand.Type;
}

/// <summary>What an <c>@</c> refers to.</summary>
public enum AtKind
{
    /// <summary>There is none.</summary>
    None,
    /// <summary>A fixed time.</summary>
    Time,
    /// <summary>The start of the query.</summary>
    Start,
    /// <summary>The end of the query.</summary>
    End,
}

/// <summary>An <c>@</c> modifier.</summary>
/// <param name="Kind">What it refers to.</param>
/// <param name="TimestampMs">Unix ms, for <see cref="AtKind.Time"/>.</param>
public readonly record struct AtModifier(AtKind Kind, long TimestampMs);

/// <summary>The experimental boundary modifiers of a selector.</summary>
public enum Boundary
{
    /// <summary>None: samples as they are.</summary>
    None,
    /// <summary><c>anchored</c>: the sample before the range stands at its start.</summary>
    Anchored,
    /// <summary><c>smoothed</c>: values at the edges are interpolated.</summary>
    Smoothed,
}

/// <summary>An instant vector selector.</summary>
public sealed record VectorSelector(string Name, IReadOnlyList<LabelMatcher> Matchers) : Expr
{
    /// <summary>The offset, or null.</summary>
    public DurationNode? Offset { get; init; }

    /// <summary>The <c>@</c> modifier.</summary>
    public AtModifier At { get; init; }

    /// <summary>The boundary modifier.</summary>
    public Boundary Boundary { get; init; }

    /// <inheritdoc/>
    public override ValueType Type => ValueType.Vector;
}

/// <summary>A range vector selector.</summary>
public sealed record MatrixSelector(VectorSelector Selector, DurationNode Range) : Expr
{
    /// <inheritdoc/>
    public override ValueType Type => ValueType.Matrix;
}

/// <summary>A subquery.</summary>
public sealed record SubqueryExpr(Expr Inner, DurationNode Range, DurationNode? Step) : Expr
{
    /// <summary>The offset, or null.</summary>
    public DurationNode? Offset { get; init; }

    /// <summary>The <c>@</c> modifier.</summary>
    public AtModifier At { get; init; }

    /// <inheritdoc/>
    public override ValueType Type => ValueType.Matrix;
}

/// <summary>An aggregation.</summary>
public sealed record AggregateExpr(string Op, Expr Inner, Expr? Parameter, IReadOnlyList<string> Grouping, bool Without) : Expr
{
    /// <inheritdoc/>
    public override ValueType Type => ValueType.Vector;
}

/// <summary>How many series of one side may match one of the other.</summary>
public enum MatchCardinality
{
    /// <summary>One each.</summary>
    OneToOne,
    /// <summary><c>group_left</c>.</summary>
    ManyToOne,
    /// <summary><c>group_right</c>.</summary>
    OneToMany,
    /// <summary>Set operators.</summary>
    ManyToMany,
}

/// <summary>How the sides of a binary operator between vectors match.</summary>
public sealed record VectorMatching
{
    /// <summary>Cardinality.</summary>
    public MatchCardinality Cardinality { get; init; }

    /// <summary>The labels of <c>on</c> or <c>ignoring</c>.</summary>
    public IReadOnlyList<string> Labels { get; init; } = [];

    /// <summary>Whether <see cref="Labels"/> are those of <c>on</c>.</summary>
    public bool On { get; init; }

    /// <summary>Labels that the "one" side gives.</summary>
    public IReadOnlyList<string> Include { get; init; } = [];

    /// <summary>The value for a missing left side, or null.</summary>
    public double? FillLeft { get; init; }

    /// <summary>The value for a missing right side, or null.</summary>
    public double? FillRight { get; init; }
}

/// <summary>A binary operation.</summary>
public sealed record BinaryExpr(string Op, Expr Left, Expr Right) : Expr
{
    /// <summary>Whether a comparison gives 0 or 1 instead of filtering.</summary>
    public bool ReturnBool { get; init; }

    /// <summary>How vectors match; null unless both sides are vectors.</summary>
    public VectorMatching? Matching { get; init; }

    /// <inheritdoc/>
    public override ValueType Type => Left.Type == ValueType.Scalar && Right.Type == ValueType.Scalar ? ValueType.Scalar : ValueType.Vector;
}

/// <summary>A function call.</summary>
public sealed record CallExpr(FunctionSignature Function, IReadOnlyList<Expr> Arguments) : Expr
{
    /// <inheritdoc/>
    public override ValueType Type => Function.ReturnType;
}

/// <summary>A duration, or an expression of durations; in seconds until it is resolved.</summary>
public abstract record DurationNode
{
    /// <summary>Where it stands.</summary>
    public TextSpan Span { get; init; }

    /// <summary>Its value in ms, given the query's step and range in ms; null with an error text when it has none (division by zero, overflow).</summary>
    public long? ResolveMs(long stepMs, long rangeMs, out string error)
    {
        error = "";
        double seconds = Seconds(stepMs / 1000.0, rangeMs / 1000.0, ref error);
        if (error.Length > 0)
            return null;
        if (!(Math.Abs(seconds) < 9.2e9))
        {
            error = "duration out of range";
            return null;
        }
        return (long)Math.Round(seconds * 1000);
    }

    internal abstract double Seconds(double step, double range, ref string error);
}

/// <summary>A number of seconds, written as a number or a duration.</summary>
public sealed record DurationLiteral(double Value) : DurationNode
{
    internal override double Seconds(double step, double range, ref string error) => Value;
}

/// <summary>A sign before a duration.</summary>
public sealed record DurationUnary(bool IsMinus, DurationNode Operand) : DurationNode
{
    internal override double Seconds(double step, double range, ref string error)
    {
        double value = Operand.Seconds(step, range, ref error);
        return IsMinus ? -value : value;
    }
}

/// <summary>A duration in parentheses.</summary>
public sealed record DurationParen(DurationNode Inner) : DurationNode
{
    internal override double Seconds(double step, double range, ref string error) => Inner.Seconds(step, range, ref error);
}

/// <summary><c>step()</c>, <c>range()</c>, or <c>min_of</c>, <c>max_of</c> of two.</summary>
public sealed record DurationCall(string Name, DurationNode? First, DurationNode? Second) : DurationNode
{
    internal override double Seconds(double step, double range, ref string error) => Name switch
    {
        "step" => step,
        "range" => range,
        "min_of" => Math.Min(First!.Seconds(step, range, ref error), Second!.Seconds(step, range, ref error)),
        _ => Math.Max(First!.Seconds(step, range, ref error), Second!.Seconds(step, range, ref error)),
    };
}

/// <summary>Arithmetic of durations.</summary>
public sealed record DurationBinary(string Op, DurationNode Left, DurationNode Right) : DurationNode
{
    internal override double Seconds(double step, double range, ref string error)
    {
        double a = Left.Seconds(step, range, ref error), b = Right.Seconds(step, range, ref error);
        if (b == 0 && (Op is "/" or "%"))
            error = Op == "/" ? "division by zero" : "modulo by zero";
        return Op switch
        {
            "+" => a + b,
            "-" => a - b,
            "*" => a * b,
            "/" => a / b,
            "%" => a % b,
            _ => Math.Pow(a, b),
        };
    }
}
