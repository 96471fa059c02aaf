namespace Bellwether.Evaluate.PromQl.Syntax;

/// <content>Aggregations, calls, the modifiers of binary operators, and the type checks of all these.</content>
public sealed partial class PromQlParser
{
    private sealed class MatchingDraft
    {
        public bool ReturnBool;
        public bool HasMatching;
        public bool HasGroup;
        public bool On;
        public MatchCardinality Cardinality;
        public List<string> Labels = [];
        public List<string> Include = [];
        public double? FillLeft;
        public double? FillRight;
    }

    private AggregateExpr? Aggregate(string op)
    {
        Token name = _token;
        Advance();
        List<string>? grouping = null;
        bool without = false;
        if (!IsSymbol("(") && (grouping = GroupingClause(out without)) is null)
            return null;
        List<Expr>? arguments = Arguments("aggregation");
        if (arguments is null)
            return null;
        if (grouping is null && (IsWord("by") || IsWord("without")) && (grouping = GroupingClause(out without)) is null)
            return null;
        var span = new TextSpan(name.Span.Start, _lastEnd);
        if (op is "limitk" or "limit_ratio" && !_options.Experimental)
            return Fail<AggregateExpr>($"{op}() is experimental and must be enabled with {ParserOptions.ExperimentalSwitch}", name.Span);
        if (arguments.Count == 0)
            return Fail<AggregateExpr>("no arguments for aggregate expression provided", span);
        int wanted = Keywords.HasParameter(op) ? 2 : 1;
        if (arguments.Count != wanted)
            return Fail<AggregateExpr>($"wrong number of arguments for aggregate expression provided, expected {wanted}, got {arguments.Count}", span);
        Expr inner = arguments[^1];
        Expr? parameter = wanted == 2 ? arguments[0] : null;
        if (!Typed(inner, ValueType.Vector, "aggregation expression"))
            return null;
        if (parameter is not null && !Typed(parameter, op == "count_values" ? ValueType.String : ValueType.Scalar, "aggregation parameter"))
            return null;
        return new AggregateExpr(op, inner, parameter, grouping ?? [], without) { Span = span };
    }

    private List<string>? GroupingClause(out bool without)
    {
        without = IsWord("without");
        Advance();
        return LabelList("grouping opts");
    }

    private List<string>? LabelList(string context)
    {
        var names = new List<string>();
        if (!IsSymbol("("))
            return Unexpected<List<string>>(context, "\"(\"");
        bool colon = _colonInWords;
        _colonInWords = false;
        Advance();
        while (_error is null && !IsSymbol(")"))
        {
            if (_token.Kind is not (TokenKind.Identifier or TokenKind.Text) || IsWord("inf") || IsWord("nan"))
                return Unexpected<List<string>>(context, "label");
            if (_token.Value.Length == 0)
                return Fail<List<string>>("invalid label name for grouping: \"\"", _token.Span);
            names.Add(_token.Value);
            Advance();
            if (IsSymbol(","))
                Advance();
            else if (!IsSymbol(")"))
                return Unexpected<List<string>>(context, "\",\" or \")\"");
        }
        _colonInWords = colon;
        if (_error is null)
            Advance();
        return _error is null ? names : null;
    }

    private List<Expr>? Arguments(string context, bool emptySelectorLast = false)
    {
        if (!Expect("(", context))
            return null;
        var arguments = new List<Expr>();
        if (IsSymbol(")"))
        {
            Advance();
            return _error is null ? arguments : null;
        }
        while (true)
        {
            // The second argument of info() is a set of matchers for data labels, not a selection.
            _emptySelectorAllowed = emptySelectorLast && arguments.Count > 0;
            Expr? argument = Binary(0);
            _emptySelectorAllowed = false;
            if (argument is null)
                return null;
            arguments.Add(argument);
            if (IsSymbol(","))
            {
                Advance();
                if (IsSymbol(")"))
                    return Fail<List<Expr>>("trailing commas not allowed in function call args", _token.Span);
                continue;
            }
            return Expect(")", context) ? arguments : null;
        }
    }

    private CallExpr? Call(Token name)
    {
        if (!FunctionTable.All.TryGetValue(name.Value, out FunctionSignature? function))
            return Fail<CallExpr>($"unknown function with name \"{name.Value}\"", name.Span);
        if (function.Experimental && !_options.Experimental)
            return Fail<CallExpr>($"function \"{name.Value}\" is not enabled: it is experimental and must be enabled with {ParserOptions.ExperimentalSwitch}", name.Span);
        List<Expr>? arguments = Arguments("function call", function.Name == "info");
        if (arguments is null)
            return null;
        var call = new CallExpr(function, arguments) { Span = new TextSpan(name.Span.Start, _lastEnd) };
        if (!CheckArgumentCount(call))
            return null;
        for (int i = 0; i < arguments.Count; i++)
        {
            ValueType wanted = function.ArgumentTypes[Math.Min(i, function.ArgumentTypes.Count - 1)];
            if (!Typed(arguments[i], wanted, $"call to function \"{function.Name}\""))
                return null;
        }
        return CheckSpecial(call);
    }

    private bool CheckArgumentCount(CallExpr call)
    {
        FunctionSignature f = call.Function;
        int given = call.Arguments.Count, declared = f.ArgumentTypes.Count;
        string kind = f.Variadic == 0 && given != declared ? "" : f.Variadic != 0 && given < declared - 1 ? "at least " : f.Variadic > 0 && given > declared - 1 + f.Variadic ? "at most " : "ok";
        if (kind == "ok")
            return true;
        int wanted = kind switch { "" => declared, "at least " => declared - 1, _ => declared - 1 + f.Variadic };
        Fail($"expected {kind}{wanted} argument(s) in call to \"{f.Name}\", got {given}", call.Span);
        return false;
    }

    private CallExpr? CheckSpecial(CallExpr call)
    {
        string name = call.Function.Name;
        if (name == "info" && call.Arguments.Count > 1 && call.Arguments[1] is not VectorSelector)
            return Fail<CallExpr>("expected label selectors only", call.Arguments[1].Span);
        return call;
    }

    private bool Typed(Expr expr, ValueType wanted, string context)
    {
        if (expr.Type == wanted)
            return true;
        Fail($"expected type {TypeName(wanted)} in {context}, got {TypeName(expr.Type)}", expr.Span);
        return false;
    }

    private bool Modifiers(MatchingDraft draft)
    {
        if (IsWord("bool"))
        {
            draft.ReturnBool = true;
            Advance();
        }
        if (IsWord("on") || IsWord("ignoring"))
        {
            draft.HasMatching = true;
            draft.On = IsWord("on");
            Advance();
            if (LabelList("grouping opts") is not { } labels)
                return false;
            draft.Labels = labels;
        }
        if (IsWord("group_left") || IsWord("group_right"))
        {
            if (!draft.HasMatching)
            {
                Unexpected("", "");
                return false;
            }
            draft.HasGroup = true;
            draft.Cardinality = IsWord("group_left") ? MatchCardinality.ManyToOne : MatchCardinality.OneToMany;
            Advance();
            if (IsSymbol("("))
            {
                if (LabelList("grouping opts") is not { } include)
                    return false;
                draft.Include = include;
            }
        }
        return FillModifiers(draft) && _error is null;
    }

    private bool FillModifiers(MatchingDraft draft)
    {
        while (_token.Kind == TokenKind.Identifier && _token.Value.ToLowerInvariant() is "fill" or "fill_left" or "fill_right" && FillFollows())
        {
            string which = _token.Value.ToLowerInvariant();
            if (!_options.Experimental)
            {
                Fail($"{which} modifier is experimental and must be enabled with {ParserOptions.ExperimentalSwitch}", _token.Span);
                return false;
            }
            Advance();
            Advance();
            bool minus = IsSymbol("-");
            if (minus || IsSymbol("+"))
                Advance();
            double? value = _token.Kind is TokenKind.Number or TokenKind.Duration ? _token.Number : IsWord("inf") ? double.PositiveInfinity : IsWord("nan") ? double.NaN : null;
            if (value is null)
            {
                Unexpected("fill modifier", "number");
                return false;
            }
            Advance();
            if (!Expect(")", "fill modifier"))
                return false;
            double signed = minus ? -value.Value : value.Value;
            if (which != "fill_right")
                draft.FillLeft = signed;
            if (which != "fill_left")
                draft.FillRight = signed;
        }
        return true;
    }

    /// <summary>Whether a parenthesis follows; else the word is a metric's name.</summary>
    private bool FillFollows()
    {
        int end = _token.Span.End;
        _lexer.Seek(end);
        Token next = _lexer.Next(_colonInWords);
        _lexer.Seek(end);
        return next is { Kind: TokenKind.Symbol, Value: "(" };
    }

    private BinaryExpr? CheckBinary(BinaryExpr b, MatchingDraft draft, TextSpan opSpan)
    {
        bool comparison = b.Op is "==" or "!=" or "<" or "<=" or ">" or ">=";
        bool set = b.Op is "and" or "or" or "unless";
        ValueType left = b.Left.Type, right = b.Right.Type;
        if (b.ReturnBool && !comparison)
            return Fail<BinaryExpr>("bool modifier can only be used on comparison operators", opSpan);
        if (comparison && !b.ReturnBool && left == ValueType.Scalar && right == ValueType.Scalar)
            return Fail<BinaryExpr>("comparisons between scalars must use BOOL modifier", opSpan);
        foreach (Expr side in (ReadOnlySpan<Expr>)[b.Left, b.Right])
        {
            if (side.Type is not (ValueType.Scalar or ValueType.Vector))
                return Fail<BinaryExpr>("binary expression must contain only scalar and instant vector types", side.Span);
        }
        bool vectors = left == ValueType.Vector && right == ValueType.Vector;
        if (!vectors)
        {
            if (set)
                return Fail<BinaryExpr>($"set operator \"{b.Op}\" not allowed in binary scalar expression", b.Left.Type == ValueType.Scalar ? b.Left.Span : b.Right.Span);
            if (draft.Labels.Count > 0 || draft.HasGroup)
                return Fail<BinaryExpr>("vector matching only allowed between instant vectors", b.Span);
            if (draft.FillLeft is not null || draft.FillRight is not null)
                return Fail<BinaryExpr>("filling in missing series only allowed between instant vectors", b.Span);
            return b;
        }
        if (set && draft.HasGroup)
            return Fail<BinaryExpr>($"no grouping allowed for \"{b.Op}\" operation", b.Span);
        if (set && (draft.FillLeft is not null || draft.FillRight is not null))
            return Fail<BinaryExpr>("filling in missing series not allowed for set operators", b.Span);
        if (draft.On && draft.Include.FirstOrDefault(draft.Labels.Contains) is { } both)
            return Fail<BinaryExpr>($"label \"{both}\" must not occur in ON and GROUP clause at once", opSpan);
        return b with
        {
            Matching = new VectorMatching
            {
                Cardinality = set ? MatchCardinality.ManyToMany : draft.Cardinality,
                On = draft.On,
                Labels = draft.Labels,
                Include = draft.Include,
                FillLeft = draft.FillLeft,
                FillRight = draft.FillRight,
            },
        };
    }
}
