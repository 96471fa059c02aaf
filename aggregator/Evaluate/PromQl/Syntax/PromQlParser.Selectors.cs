using Bellwether.Core.Model;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Evaluate.PromQl.Syntax;

/// <content>Selectors and what may follow them: ranges, subqueries, offset, @, boundaries, durations.</content>
public sealed partial class PromQlParser
{
    private VectorSelector? Selector(string name, int start)
    {
        var matchers = new List<LabelMatcher>();
        if (name.Length > 0)
            matchers.Add(new LabelMatcher(MatchType.Equal, LabelNames.MetricName, name));
        bool isNamed = name.Length > 0;
        if (IsSymbol("{") && !Braces(ref name, matchers))
            return null;
        var span = new TextSpan(start, _lastEnd);
        if (SecondName(matchers, isNamed) is { } second)
            return Fail<VectorSelector>($"metric name must not be set twice: {GoText.Quote(matchers.First(IsName).Value)} or {GoText.Quote(second.Value)}", span);
        if (!_emptySelectorAllowed && matchers.TrueForAll(m => m.MatchesEmpty))
            return Fail<VectorSelector>("vector selector must contain at least one non-empty matcher", span);
        return new VectorSelector(name, matchers) { Span = span };
    }

    private static bool IsName(LabelMatcher matcher) => matcher is { Name: LabelNames.MetricName, Type: MatchType.Equal };

    /// <summary>A matcher that names the metric once more: after a name before the braces any matcher of it, else a second equality.</summary>
    private static LabelMatcher? SecondName(List<LabelMatcher> matchers, bool isNamed)
    {
        int seen = 0;
        foreach (LabelMatcher matcher in matchers)
        {
            if (matcher.Name == LabelNames.MetricName && (isNamed || matcher.Type == MatchType.Equal) && seen++ > 0)
                return matcher;
        }
        return null;
    }

    private bool Braces(ref string name, List<LabelMatcher> matchers)
    {
        int open = _token.Span.Start;
        _colonInWords = false;
        Advance();
        while (_error is null && !IsSymbol("}"))
        {
            if (!Matcher(ref name, matchers, open))
                return false;
            if (IsSymbol(","))
                Advance();
            else if (!IsSymbol("}"))
                Unexpected("label matching", "\",\" or \"}\"");
        }
        _colonInWords = true;
        if (_error is not null)
            return false;
        Advance();
        return _error is null;
    }

    private bool Matcher(ref string name, List<LabelMatcher> matchers, int open)
    {
        Token label = _token;
        if (label.Kind is not (TokenKind.Identifier or TokenKind.Text))
        {
            Unexpected("label matching", "identifier or \"}\"");
            return false;
        }
        Advance();
        string op = _token.Kind == TokenKind.Symbol ? _token.Value : "";
        if (label.Kind == TokenKind.Text && op is "," or "}")
            return QuotedName(label, ref name, matchers, open);
        MatchType? type = op switch { "=" => MatchType.Equal, "!=" => MatchType.NotEqual, "=~" => MatchType.Regex, "!~" => MatchType.NotRegex, _ => null };
        if (type is null)
        {
            Unexpected("label matching", "label matching operator");
            return false;
        }
        Advance();
        Token value = _token;
        if (value.Kind != TokenKind.Text)
        {
            Unexpected("label matching", "string");
            return false;
        }
        Advance();
        return AddMatcher(type.Value, label, value, ref name, matchers);
    }

    private bool AddMatcher(MatchType type, Token label, Token value, ref string name, List<LabelMatcher> matchers)
    {
        try
        {
            matchers.Add(new LabelMatcher(type, label.Value, value.Value));
        }
        catch (FormatException e)
        {
            Fail($"error parsing regexp: {e.Message}", label.Span);
            return false;
        }
        return _error is null;
    }

    private bool QuotedName(Token label, ref string name, List<LabelMatcher> matchers, int open)
    {
        if (name.Length > 0)
        {
            Fail($"metric name must not be set twice: {GoText.Quote(name)} or {GoText.Quote(label.Value)}", new TextSpan(open, label.Span.End));
            return false;
        }
        name = label.Value;
        matchers.Add(new LabelMatcher(MatchType.Equal, LabelNames.MetricName, name));
        return true;
    }

    private Expr? Bracket(Expr expr)
    {
        _colonInWords = false;
        Advance();
        DurationNode? range = DurationExpression(0);
        if (range is null)
            return null;
        DurationNode? step = null;
        bool subquery = IsSymbol(":");
        if (subquery)
        {
            Advance();
            if (!IsSymbol("]"))
            {
                step = DurationExpression(0);
                if (step is null)
                    return null;
            }
        }
        _colonInWords = true;
        if (!Expect("]", subquery ? "subquery selector" : "range selector"))
            return null;
        if (!Positive(range) || (step is not null && !Positive(step)))
            return null;
        var span = new TextSpan(expr.Span.Start, _lastEnd);
        if (subquery)
        {
            return expr.Type == ValueType.Vector
                ? new SubqueryExpr(expr, range, step) { Span = span }
                : Fail<Expr>($"subquery is only allowed on instant vector, got {(expr.Type == ValueType.Matrix ? "matrix" : TypeName(expr.Type))} instead", span);
        }
        return RangeOf(expr, range, span);
    }

    private MatrixSelector? RangeOf(Expr expr, DurationNode range, TextSpan span)
    {
        if (expr is not VectorSelector selector)
            return Fail<MatrixSelector>("ranges only allowed for vector selectors", span);
        if (selector.Offset is not null)
            return Fail<MatrixSelector>("no offset modifiers allowed before range", span);
        if (selector.At.Kind != AtKind.None)
            return Fail<MatrixSelector>("no @ modifiers allowed before range", span);
        if (selector.Boundary != Boundary.None)
            return Fail<MatrixSelector>("no anchored or smoothed modifiers allowed before range", span);
        return new MatrixSelector(selector, range) { Span = span };
    }

    private bool Positive(DurationNode node)
    {
        if (DependsOnQuery(node))
            return true;
        long? ms = node.ResolveMs(0, 0, out string error);
        if (ms is > 0)
            return true;
        Fail(error.Length > 0 ? error : "duration must be greater than 0", node.Span);
        return false;
    }

    private static bool DependsOnQuery(DurationNode? node) => node switch
    {
        DurationCall { Name: "step" or "range" } => true,
        DurationCall c => DependsOnQuery(c.First) || DependsOnQuery(c.Second),
        DurationUnary u => DependsOnQuery(u.Operand),
        DurationParen p => DependsOnQuery(p.Inner),
        DurationBinary b => DependsOnQuery(b.Left) || DependsOnQuery(b.Right),
        _ => false,
    };

    private Expr? OffsetModifier(Expr expr)
    {
        Advance();
        DurationNode? offset = DurationUnaryOf();
        if (offset is null)
            return null;
        if (!DependsOnQuery(offset) && offset.ResolveMs(0, 0, out string error) is null)
            return Fail<Expr>(error, offset.Span);
        var span = new TextSpan(expr.Span.Start, _lastEnd);
        const string Twice = "offset may not be set multiple times";
        return expr switch
        {
            VectorSelector v => v.Offset is null ? v with { Offset = offset, Span = span } : Fail<Expr>(Twice, span),
            MatrixSelector m => m.Selector.Offset is null ? m with { Selector = m.Selector with { Offset = offset }, Span = span } : Fail<Expr>(Twice, span),
            SubqueryExpr q => q.Offset is null ? q with { Offset = offset, Span = span } : Fail<Expr>(Twice, span),
            _ => Fail<Expr>("offset modifier must be preceded by an instant vector selector or range vector selector or a subquery", span),
        };
    }

    private Expr? AtModifierOf(Expr expr)
    {
        Advance();
        if (AtValue() is not { } at)
            return null;
        var span = new TextSpan(expr.Span.Start, _lastEnd);
        const string Twice = "@ <timestamp> may not be set multiple times";
        return expr switch
        {
            VectorSelector v => v.At.Kind == AtKind.None ? v with { At = at, Span = span } : Fail<Expr>(Twice, span),
            MatrixSelector m => m.Selector.At.Kind == AtKind.None ? m with { Selector = m.Selector with { At = at }, Span = span } : Fail<Expr>(Twice, span),
            SubqueryExpr q => q.At.Kind == AtKind.None ? q with { At = at, Span = span } : Fail<Expr>(Twice, span),
            _ => Fail<Expr>("@ modifier must be preceded by an instant vector selector or range vector selector or a subquery", span),
        };
    }

    private AtModifier? AtValue()
    {
        if (IsWord("start") || IsWord("end"))
        {
            AtKind kind = IsWord("start") ? AtKind.Start : AtKind.End;
            Advance();
            return Expect("(", "@") && Expect(")", "@") ? new AtModifier(kind, 0) : null;
        }
        bool minus = IsSymbol("-");
        if (minus || IsSymbol("+"))
            Advance();
        double? value = _token.Kind is TokenKind.Number or TokenKind.Duration ? _token.Number : IsWord("inf") ? double.PositiveInfinity : IsWord("nan") ? double.NaN : null;
        if (value is null)
        {
            Unexpected("@", "timestamp");
            return null;
        }
        double seconds = minus ? -value.Value : value.Value;
        if (!(Math.Abs(seconds) < 9.2e15))
        {
            Fail($"timestamp out of bounds for @ modifier: {Printer.FormatNumber(seconds)}", _token.Span);
            return null;
        }
        Advance();
        return new AtModifier(AtKind.Time, (long)Math.Round(seconds * 1000));
    }

    private Expr? BoundaryOf(Expr expr)
    {
        Boundary boundary = IsWord("anchored") ? Boundary.Anchored : Boundary.Smoothed;
        // What counts exactly (KPIs, evidence) stands on anchored ranges.
        if (boundary == Boundary.Smoothed && !_options.Experimental)
            return Fail<Expr>($"{_token.Value.ToLowerInvariant()} modifier is experimental and must be enabled with {ParserOptions.ExperimentalSwitch}", _token.Span);
        Advance();
        var span = new TextSpan(expr.Span.Start, _lastEnd);
        VectorSelector selector = expr as VectorSelector ?? ((MatrixSelector)expr).Selector;
        if (selector.Boundary != Boundary.None)
            return Fail<Expr>("anchored and smoothed modifiers cannot be used together or twice", span);
        if (expr is MatrixSelector matrix)
            return matrix with { Selector = selector with { Boundary = boundary }, Span = span };
        return boundary == Boundary.Smoothed
            ? selector with { Boundary = boundary, Span = span }
            : Fail<Expr>("anchored modifier can only be used with range vector selectors", span);
    }

    private DurationNode? DurationExpression(int minPrecedence)
    {
        if (++_depth > _options.MaxDepth)
            return Fail<DurationNode>($"expression is nested deeper than the limit of {_options.MaxDepth}", _token.Span);
        DurationNode? left = DurationUnaryOf(6);
        while (left is not null && _token.Kind == TokenKind.Symbol && _token.Value is "+" or "-" or "*" or "/" or "%" or "^")
        {
            string op = _token.Value;
            int precedence = Precedence(op);
            if (precedence < minPrecedence || !ExperimentalDuration())
                break;
            Advance();
            DurationNode? right = DurationExpression(op == "^" ? precedence : precedence + 1);
            left = right is null ? null : new DurationBinary(op, left, right) { Span = new TextSpan(left.Span.Start, right.Span.End) };
        }
        _depth--;
        return _error is null ? left : null;
    }

    /// <summary>A sign and its operand. In an offset (no precedence given) the operand is a primary only: <c>offset -5m + 1</c> ends after 5m.</summary>
    private DurationNode? DurationUnaryOf(int operandPrecedence = 0)
    {
        if (!IsSymbol("+") && !IsSymbol("-"))
            return DurationPrimary();
        Token sign = _token;
        Advance();
        DurationNode? operand = operandPrecedence > 0 ? DurationExpression(operandPrecedence) : DurationPrimary();
        return operand is null ? null : operand is DurationLiteral l
            ? new DurationLiteral(sign.Value == "-" ? 0 - l.Value : l.Value) { Span = new TextSpan(sign.Span.Start, l.Span.End) }
            : new DurationUnary(sign.Value == "-", operand) { Span = new TextSpan(sign.Span.Start, operand.Span.End) };
    }

    private DurationNode? DurationPrimary()
    {
        Token token = _token;
        if (token.Kind is TokenKind.Number or TokenKind.Duration)
        {
            Advance();
            return new DurationLiteral(token.Number) { Span = token.Span };
        }
        if (IsSymbol("(") && ExperimentalDuration())
        {
            bool colon = _colonInWords;
            Advance();
            DurationNode? inner = DurationExpression(0);
            _colonInWords = colon;
            return inner is null || !Expect(")", "duration expression") ? null : new DurationParen(inner) { Span = new TextSpan(token.Span.Start, _lastEnd) };
        }
        if (token.Kind == TokenKind.Identifier && token.Value.ToLowerInvariant() is "step" or "range" or "min_of" or "max_of" or "min" or "max" && ExperimentalDuration())
            return DurationCallOf(token.Value.ToLowerInvariant());
        return Unexpected<DurationNode>("duration", "number, duration");
    }

    private DurationCall? DurationCallOf(string name)
    {
        int start = _token.Span.Start;
        Advance();
        if (!Expect("(", "duration expression"))
            return null;
        DurationNode? first = null, second = null;
        // As Prometheus named them first.
        name = name is "min" or "max" ? name + "_of" : name;
        if (name is "min_of" or "max_of")
        {
            first = DurationExpression(0);
            if (first is null || !Expect(",", "duration expression"))
                return null;
            second = DurationExpression(0);
            if (second is null)
                return null;
        }
        return Expect(")", "duration expression") ? new DurationCall(name, first, second) { Span = new TextSpan(start, _lastEnd) } : null;
    }

    private bool ExperimentalDuration()
    {
        if (!_options.Experimental)
            Fail($"experimental duration expression is not enabled: it must be enabled with {ParserOptions.ExperimentalSwitch}", _token.Span);
        return _error is null;
    }
}
