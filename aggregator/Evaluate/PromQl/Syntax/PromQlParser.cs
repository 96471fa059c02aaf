using Bellwether.Core.Model;

namespace Bellwether.Evaluate.PromQl.Syntax;

/// <summary>What the parser accepts.</summary>
public sealed record ParserOptions
{
    /// <summary>Everything that is stable.</summary>
    public static ParserOptions Default { get; } = new();

    /// <summary>Experimental functions and syntax too.</summary>
    public bool Experimental { get; init; }

    /// <summary>What switches experimental parts on, as errors name it.</summary>
    public const string ExperimentalSwitch = "evaluation.experimental: true";

    /// <summary>Longest text, in characters. Default 16 Ki.</summary>
    public int MaxLength { get; init; } = 16 * 1024;

    /// <summary>Deepest nesting. Default 64.</summary>
    public int MaxDepth { get; init; } = 64;

    /// <summary>Most binary operators. A chain of them is a tree as deep as it is long, and what walks trees does so on a thread's stack. Default 1,000.</summary>
    public int MaxOperators { get; init; } = 1000;
}

/// <summary>What is wrong with a text, and where.</summary>
/// <param name="Message">What is wrong, without place.</param>
/// <param name="Span">Where.</param>
/// <param name="Line">1-based line.</param>
/// <param name="Column">1-based column, in characters.</param>
public sealed record ParseError(string Message, TextSpan Span, int Line, int Column)
{
    /// <summary>As Prometheus writes it: <c>1:5: parse error: ...</c>.</summary>
    public override string ToString() => $"{Line}:{Column}: parse error: {Message}";
}

/// <summary>An expression, or why there is none.</summary>
/// <param name="Expr">The expression; null when there are errors.</param>
/// <param name="Errors">The errors, the first first.</param>
public sealed record ParseResult(Expr? Expr, IReadOnlyList<ParseError> Errors);

/// <summary>Matchers, or why there are none.</summary>
/// <param name="Matchers">The matchers; null when there are errors.</param>
/// <param name="Errors">The errors.</param>
public sealed record SelectorResult(IReadOnlyList<LabelMatcher>? Matchers, IReadOnlyList<ParseError> Errors);

/// <summary>
/// Parses and type-checks PromQL (Prometheus 3). Failures are values. A recursive descent over <see cref="Lexer"/>; after the first error it stops.
/// Source: prometheus.io/docs/prometheus/latest/querying/.
/// </summary>
public sealed partial class PromQlParser
{
    private readonly string _text;
    private readonly ParserOptions _options;
    private readonly Lexer _lexer;
    private ParseError? _error;
    private Token _token;
    private int _lastEnd;
    private int _operators;
    private int _depth;
    private bool _colonInWords = true;
    private bool _emptySelectorAllowed;

    private PromQlParser(string text, ParserOptions options)
    {
        _text = text;
        _options = options;
        _lexer = new Lexer(text);
    }

    /// <summary>Parses and type-checks an expression.</summary>
    public static ParseResult Parse(string text, ParserOptions? options = null)
    {
        var parser = new PromQlParser(text, options ?? ParserOptions.Default);
        Expr? expr = parser.Whole();
        return parser._error is null ? new ParseResult(expr, []) : new ParseResult(null, [parser._error]);
    }

    /// <summary>Parses a selector without range, offset or <c>@</c>, such as the API's <c>match[]</c>.</summary>
    /// <param name="text">The selector.</param>
    /// <param name="options">What is allowed.</param>
    /// <param name="emptyAllowed">Whether one that every series fits is taken, for callers that refuse it in their own words.</param>
    public static SelectorResult ParseSeriesSelector(string text, ParserOptions? options = null, bool emptyAllowed = false)
    {
        var parser = new PromQlParser(text, options ?? ParserOptions.Default) { _emptySelectorAllowed = emptyAllowed };
        Expr? expr = parser.Whole();
        if (expr is VectorSelector { Offset: null, At.Kind: AtKind.None } selector)
            return new SelectorResult(selector.Matchers, []);
        if (parser._error is null)
            parser.Fail("expected a series selector such as up{job=\"api\"}", new TextSpan(0, text.Length));
        return new SelectorResult(null, [parser._error!]);
    }

    private Expr? Whole()
    {
        if (_text.Length > _options.MaxLength)
            return Fail<Expr>($"query of {_text.Length} characters is longer than the limit of {_options.MaxLength}", new TextSpan(0, 0));
        Advance();
        if (_token.Kind == TokenKind.End && _error is null)
            return Fail<Expr>("no expression found in input", new TextSpan(0, 0));
        Expr? expr = Binary(0);
        if (expr is not null && _error is null && _token.Kind != TokenKind.End)
            Unexpected("", "");
        return _error is null ? expr : null;
    }

    private Expr? Binary(int minPrecedence)
    {
        if (++_depth > _options.MaxDepth)
            return Fail<Expr>($"expression is nested deeper than the limit of {_options.MaxDepth}", _token.Span);
        Expr? left = Unary();
        while (left is not null)
        {
            string op = OperatorOf(_token);
            int precedence = Precedence(op);
            if (precedence == 0 || precedence < minPrecedence)
                break;
            left = BinaryTail(left, op, precedence);
        }
        _depth--;
        return left;
    }

    private Expr? BinaryTail(Expr left, string op, int precedence)
    {
        Token opToken = _token;
        if (++_operators > _options.MaxOperators)
            return Fail<Expr>($"expression has more than the limit of {_options.MaxOperators} binary operators", opToken.Span);
        Advance();
        if (op is "</" or ">/" && !_options.Experimental)
            return Fail<Expr>($"operator \"{op}\" is experimental and must be enabled with {ParserOptions.ExperimentalSwitch}", opToken.Span);
        var matching = new MatchingDraft();
        if (!Modifiers(matching))
            return null;
        Expr? right = Binary(op == "^" ? precedence : precedence + 1);
        if (right is null)
            return null;
        var binary = new BinaryExpr(op, left, right) { ReturnBool = matching.ReturnBool, Span = new TextSpan(left.Span.Start, right.Span.End) };
        return CheckBinary(binary, matching, opToken.Span);
    }

    private Expr? Unary()
    {
        if (!IsSymbol("+") && !IsSymbol("-"))
            return Postfix();
        Token sign = _token;
        Advance();
        Expr? operand = Binary(6);
        if (operand is null)
            return null;
        var span = new TextSpan(sign.Span.Start, operand.Span.End);
        if (operand.Type is not (ValueType.Scalar or ValueType.Vector))
            return Fail<Expr>($"unary expression only allowed on expressions of type scalar or instant vector, got \"{TypeName(operand.Type)}\"", span);
        if (operand is NumberLiteral number)
            return number with { Value = sign.Value == "-" ? -number.Value : number.Value, Span = span };
        return new UnaryExpr(sign.Value == "-", operand) { Span = span };
    }

    private Expr? Postfix()
    {
        Expr? expr = Primary();
        while (expr is not null && _error is null)
        {
            if (IsSymbol("["))
                expr = Bracket(expr);
            else if (IsWord("offset"))
                expr = OffsetModifier(expr);
            else if (IsSymbol("@"))
                expr = AtModifierOf(expr);
            else if ((IsWord("anchored") || IsWord("smoothed")) && expr is VectorSelector or MatrixSelector)
                expr = BoundaryOf(expr);
            else
                break;
        }
        return _error is null ? expr : null;
    }

    private Expr? Primary()
    {
        Token token = _token;
        switch (token.Kind)
        {
            case TokenKind.Number:
            case TokenKind.Duration:
                Advance();
                return new NumberLiteral(token.Number, token.Kind == TokenKind.Duration) { Span = token.Span };
            case TokenKind.Text:
                Advance();
                return new StringLiteral(token.Value) { Span = token.Span };
            case TokenKind.Symbol when token.Value == "(":
                return Parenthesis();
            case TokenKind.Symbol when token.Value == "{":
                return Selector("", token.Span.Start);
            case TokenKind.Identifier:
                return Word();
            default:
                return Unexpected<Expr>("", "");
        }
    }

    private ParenExpr? Parenthesis()
    {
        int start = _token.Span.Start;
        Advance();
        Expr? inner = Binary(0);
        if (inner is null || !Expect(")", "paren expression"))
            return null;
        return new ParenExpr(inner) { Span = new TextSpan(start, _lastEnd) };
    }

    private Expr? Word()
    {
        Token token = _token;
        string lower = token.Value.ToLowerInvariant();
        if (lower is "nan" or "inf")
        {
            Advance();
            return new NumberLiteral(lower == "nan" ? double.NaN : double.PositiveInfinity) { Span = token.Span };
        }
        if (Keywords.IsAggregator(lower) && NextIsAggregation())
            return Aggregate(lower);
        if (Keywords.NeverMetric.Contains(lower))
            return Unexpected<Expr>("", "");
        Advance();
        if (IsSymbol("("))
            return Call(token);
        return Selector(token.Value, token.Span.Start);
    }

    /// <summary>Whether after an aggregator's name stands what makes it one: a parenthesis, by or without.</summary>
    private bool NextIsAggregation()
    {
        Token saved = _token;
        _lexer.Seek(saved.Span.End);
        Token next = _lexer.Next(true);
        _lexer.Seek(saved.Span.End);
        return next is { Kind: TokenKind.Symbol, Value: "(" }
            || (next.Kind == TokenKind.Identifier && (next.Value.Equals("by", StringComparison.OrdinalIgnoreCase) || next.Value.Equals("without", StringComparison.OrdinalIgnoreCase)));
    }

    private static string OperatorOf(Token token) => token.Kind switch
    {
        TokenKind.Symbol => token.Value,
        TokenKind.Identifier => token.Value.ToLowerInvariant() is "and" or "or" or "unless" or "atan2" ? token.Value.ToLowerInvariant() : "",
        _ => "",
    };

    private static int Precedence(string op) => op switch
    {
        "or" => 1,
        "and" or "unless" => 2,
        "==" or "!=" or "<" or "<=" or ">" or ">=" or "</" or ">/" => 3,
        "+" or "-" => 4,
        "*" or "/" or "%" or "atan2" => 5,
        "^" => 6,
        _ => 0,
    };

    private bool IsSymbol(string symbol) => _token.Kind == TokenKind.Symbol && _token.Value == symbol;

    private bool IsWord(string lower) => _token.Kind == TokenKind.Identifier && _token.Value.Equals(lower, StringComparison.OrdinalIgnoreCase);

    private void Advance()
    {
        _lastEnd = _token.Span.End;
        _token = _lexer.Next(_colonInWords);
        if (_token.Kind == TokenKind.Error)
            Fail(_token.Value, _token.Span);
    }

    private bool Expect(string symbol, string context)
    {
        if (!IsSymbol(symbol))
        {
            Unexpected(context, $"\"{symbol}\"");
            return false;
        }
        Advance();
        return _error is null;
    }

    private void Unexpected(string context, string expected)
    {
        string what = _token.Kind switch
        {
            TokenKind.End => "end of input",
            TokenKind.Identifier => DescribeWord(_token.Value),
            TokenKind.Number => $"number \"{_token.Value}\"",
            TokenKind.Duration => $"duration \"{_token.Value}\"",
            TokenKind.Text => "string " + GoText.Quote(_text[_token.Span.Start.._token.Span.End]),
            _ => Precedence(_token.Value) > 0 ? $"<op:{_token.Value}>" : $"\"{_token.Value}\"",
        };
        Fail($"unexpected {what}{(context.Length > 0 ? " in " + context : "")}{(expected.Length > 0 ? ", expected " + expected : "")}", _token.Span);
    }

    private static string DescribeWord(string word)
    {
        string lower = word.ToLowerInvariant();
        if (lower is "and" or "or" or "unless" or "atan2")
            return $"<op:{word}>";
        if (Keywords.IsAggregator(lower))
            return $"<aggr:{word}>";
        if (lower is "inf" or "nan")
            return $"number \"{word}\"";
        return Keywords.IsKeyword(lower) ? $"<{word}>" : $"{(word.Contains(':', StringComparison.Ordinal) ? "metric identifier" : "identifier")} \"{word}\"";
    }

    private T? Unexpected<T>(string context, string expected) where T : class
    {
        Unexpected(context, expected);
        return null;
    }

    private T? Fail<T>(string message, TextSpan span) where T : class
    {
        Fail(message, span);
        return null;
    }

    private void Fail(string message, TextSpan span)
    {
        if (_error is not null)
            return;
        (int line, int column) = Position(_text, span.Start);
        _error = new ParseError(message, span, line, column);
    }

    /// <summary>1-based line and column of an offset.</summary>
    public static (int Line, int Column) Position(string text, int offset)
    {
        int line = 1, lineStart = 0;
        for (int i = 0; i < offset && i < text.Length; i++)
        {
            if (text[i] == '\n')
            {
                line++;
                lineStart = i + 1;
            }
        }
        return (line, offset - lineStart + 1);
    }

    /// <summary>A type's name in messages.</summary>
    internal static string TypeName(ValueType type) => type switch
    {
        ValueType.Scalar => "scalar",
        ValueType.Vector => "instant vector",
        ValueType.Matrix => "range vector",
        _ => "string",
    };
}

internal static class Keywords
{
    private static readonly HashSet<string> _aggregators =
        ["avg", "bottomk", "count", "count_values", "group", "limit_ratio", "limitk", "max", "min", "quantile", "stddev", "stdvar", "sum", "topk"];

    private static readonly HashSet<string> _others =
        ["by", "without", "on", "ignoring", "group_left", "group_right", "bool", "offset", "start", "end", "and", "or", "unless", "atan2", "anchored", "smoothed"];

    /// <summary>Words that can stand for no metric name.</summary>
    public static HashSet<string> NeverMetric { get; } = ["atan2", "bool", "on", "ignoring", "group_left", "group_right", "nan", "inf"];

    public static bool IsAggregator(string lower) => _aggregators.Contains(lower);

    public static bool HasParameter(string op) => op is "topk" or "bottomk" or "quantile" or "count_values" or "limitk" or "limit_ratio";

    public static bool IsKeyword(string lower) => _others.Contains(lower) || _aggregators.Contains(lower);
}
