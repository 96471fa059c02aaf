using System.Globalization;

namespace Bellwether.Evaluate.Rules.Templates;

/// <summary>Builds the tree of a template; unknown functions and undeclared variables are errors here, as in Go.</summary>
internal sealed class TemplateParser
{
    private const int DepthMax = 64;
    private readonly List<Token> _tokens;
    private readonly Func<string, bool> _isFunction;
    private readonly Dictionary<string, List<Node>> _defined = [];
    private readonly List<string> _variables = [];
    private int _at;
    private int _depth;
    private int _loops;

    private TemplateParser(string text, IEnumerable<string> variables, Func<string, bool> isFunction)
    {
        _tokens = new TemplateLexer(text).Run();
        _isFunction = isFunction;
        _variables.Add("$");
        _variables.AddRange(variables);
    }

    /// <summary>Parses; throws <see cref="TemplateException"/>.</summary>
    public static (List<Node> Body, Dictionary<string, List<Node>> Defined) Parse(string text, IEnumerable<string> variables, Func<string, bool> isFunction)
    {
        var parser = new TemplateParser(text, variables, isFunction);
        List<Node> body = parser.List(out string end);
        if (end.Length > 0)
            throw parser.Error($"unexpected {{{{{end}}}}}");
        return (body, parser._defined);
    }

    private Token Next => _tokens[_at];

    /// <summary>Nodes up to end, else or the end of the text; <paramref name="ended"/> says which, and the tokens stand after that word.</summary>
    private List<Node> List(out string ended)
    {
        if (++_depth > DepthMax)
            throw Error($"nested more than {DepthMax} deep");
        var nodes = new List<Node>();
        while (true)
        {
            Token token = _tokens[_at++];
            if (token.Kind == TokenKind.End)
            {
                _at--;
                ended = "";
                break;
            }
            if (token.Kind == TokenKind.Text)
            {
                nodes.Add(new TextNode(token.Text));
                continue;
            }
            SkipSpace();
            if (Next is { Kind: TokenKind.Word, Text: "end" or "else" })
            {
                ended = _tokens[_at++].Text;
                break;
            }
            Node? node = Action();
            if (node is not null)
                nodes.Add(node);
        }
        _depth--;
        return nodes;
    }

    private Node? Action()
    {
        if (Next.Kind != TokenKind.Word)
            return Output();
        switch (Next.Text)
        {
            case "if":
                _at++;
                return Branch(isWith: false);
            case "with":
                _at++;
                return Branch(isWith: true);
            case "range":
                _at++;
                return Range();
            case "define":
                _at++;
                Define();
                return null;
            case "block":
                _at++;
                string name = Name();
                Pipeline argument = Pipe(TokenKind.Close);
                AddDefinition(name);
                return new CallNode(name, argument);
            case "template":
                _at++;
                return Call();
            case "break" or "continue":
                bool isBreak = _tokens[_at++].Text == "break";
                if (_loops == 0)
                    throw Error($"{{{{{(isBreak ? "break" : "continue")}}}}} outside {{{{range}}}}");
                Close();
                return new JumpNode(isBreak);
            default:
                return Output();
        }
    }

    private ActionNode Output() => new(Pipe(TokenKind.Close));

    private BranchNode Branch(bool isWith)
    {
        int scope = _variables.Count;
        Pipeline pipeline = Pipe(TokenKind.Close);
        List<Node> then = List(out string ended);
        List<Node> otherwise = Else(ended, isWith);
        _variables.RemoveRange(scope, _variables.Count - scope);
        return new BranchNode(isWith, pipeline, then, otherwise);
    }

    private List<Node> Else(string ended, bool? isWith)
    {
        if (ended.Length == 0)
            throw Error("unexpected end of the template: {{end}} is missing");
        if (ended == "end")
        {
            Close();
            return [];
        }
        SkipSpace();
        // {{else if x}} ends with the {{end}} of the outer if.
        if (isWith is { } with && Next.Kind == TokenKind.Word && Next.Text == (with ? "with" : "if"))
        {
            _at++;
            if (++_depth > DepthMax)
                throw Error($"nested more than {DepthMax} deep");
            BranchNode inner = Branch(with);
            _depth--;
            return [inner];
        }
        Close();
        List<Node> nodes = List(out string end);
        if (end != "end")
            throw Error(end.Length == 0 ? "unexpected end of the template: {{end}} is missing" : "unexpected {{else}}");
        Close();
        return nodes;
    }

    private RangeNode Range()
    {
        int scope = _variables.Count;
        Pipeline pipeline = Pipe(TokenKind.Close, isRange: true);
        _loops++;
        List<Node> body = List(out string ended);
        _loops--;
        List<Node> otherwise = Else(ended, null);
        _variables.RemoveRange(scope, _variables.Count - scope);
        return new RangeNode(pipeline, body, otherwise);
    }

    private void Define()
    {
        string name = Name();
        Close();
        AddDefinition(name);
    }

    private void AddDefinition(string name)
    {
        List<string> outer = [.. _variables];
        int loops = _loops;
        _variables.Clear();
        _variables.Add("$");
        _loops = 0;
        List<Node> body = List(out string ended);
        if (ended != "end")
            throw Error($"{{{{define \"{name}\"}}}} is not closed by {{{{end}}}}");
        Close();
        _defined[name] = body;
        _variables.Clear();
        _variables.AddRange(outer);
        _loops = loops;
    }

    private CallNode Call()
    {
        string name = Name();
        SkipSpace();
        if (Next.Kind == TokenKind.Close)
        {
            _at++;
            return new CallNode(name, null);
        }
        return new CallNode(name, Pipe(TokenKind.Close));
    }

    private string Name()
    {
        SkipSpace();
        if (Next.Kind != TokenKind.String)
            throw Error($"unexpected \"{Next.Text}\": a quoted template name is needed");
        return _tokens[_at++].Text;
    }

    private void Close()
    {
        SkipSpace();
        if (Next.Kind != TokenKind.Close)
            throw Error($"unexpected \"{Next.Text}\": the action should end here");
        _at++;
    }

    private Pipeline Pipe(TokenKind end, bool isRange = false)
    {
        if (++_depth > DepthMax)
            throw Error($"nested more than {DepthMax} deep");
        List<string> variables = Declarations(isRange, out bool assign);
        var commands = new List<List<Operand>>();
        while (true)
        {
            commands.Add(Command());
            SkipSpace();
            Token token = _tokens[_at++];
            if (token.Kind == end)
                break;
            if (token.Kind != TokenKind.Pipe)
                throw Error(token.Kind == TokenKind.End ? "unclosed action" : $"unexpected \"{token.Text}\" in a pipeline");
        }
        if (commands.Skip(1).Any(c => c[0] is ConstantOperand or DotOperand))
            throw Error("a constant cannot take the result of a pipeline");
        if (!assign)
            _variables.AddRange(variables);
        _depth--;
        return new Pipeline(variables, assign, commands);
    }

    private List<string> Declarations(bool isRange, out bool assign)
    {
        assign = false;
        SkipSpace();
        int start = _at;
        var names = new List<string>();
        while (Next.Kind == TokenKind.Variable)
        {
            names.Add(_tokens[_at++].Text);
            SkipSpace();
            if (Next.Kind == TokenKind.Comma && isRange && names.Count < 2)
            {
                _at++;
                SkipSpace();
                continue;
            }
            if (Next.Kind is TokenKind.Declare or TokenKind.Assign)
            {
                assign = Next.Kind == TokenKind.Assign;
                _at++;
                if (assign)
                    names.ForEach(CheckVariable);
                return names;
            }
            break;
        }
        _at = start;
        return [];
    }

    private List<Operand> Command()
    {
        var words = new List<Operand>();
        while (true)
        {
            SkipSpace();
            if (Next.Kind is TokenKind.Pipe or TokenKind.Close or TokenKind.RightParen or TokenKind.End)
                break;
            words.Add(Word());
            if (Next.Kind is not (TokenKind.Space or TokenKind.Pipe or TokenKind.Close or TokenKind.RightParen or TokenKind.End))
                throw Error($"unexpected \"{Next.Text}\" after an operand");
        }
        if (words.Count == 0)
            throw Error("missing value for a command");
        if (words.Count > 1 && words[0] is ConstantOperand)
            throw Error("a constant cannot be called with arguments");
        return words;
    }

    private Operand Word()
    {
        Token token = _tokens[_at++];
        Operand operand = token.Kind switch
        {
            TokenKind.Dot => new DotOperand(),
            TokenKind.Field => new FieldOperand(new DotOperand(), [token.Text]),
            TokenKind.String => new ConstantOperand(token.Text),
            TokenKind.Char => new ConstantOperand((long)char.ConvertToUtf32(token.Text, 0)),
            TokenKind.Number => new ConstantOperand(Number(token.Text)),
            TokenKind.Variable => Variable(token.Text),
            TokenKind.LeftParen => new GroupOperand(Pipe(TokenKind.RightParen)),
            TokenKind.Word => Identifier(token.Text),
            _ => throw Error($"unexpected \"{token.Text}\" in a command"),
        };
        while (Next.Kind == TokenKind.Field)
        {
            string name = _tokens[_at++].Text;
            if (operand is ConstantOperand)
                throw Error($"unexpected .{name} after a constant");
            if (operand is FieldOperand field)
                field.Names.Add(name);
            else
                operand = new FieldOperand(operand, [name]);
        }
        return operand;
    }

    private VariableOperand Variable(string name)
    {
        CheckVariable(name);
        return new VariableOperand(name);
    }

    private void CheckVariable(string name)
    {
        if (!_variables.Contains(name))
            throw Error($"undefined variable \"{name}\"");
    }

    private Operand Identifier(string word) => word switch
    {
        "true" => new ConstantOperand(true),
        "false" => new ConstantOperand(false),
        "nil" => new ConstantOperand(null),
        _ when _isFunction(word) => new FunctionOperand(word),
        _ => throw Error($"function \"{word}\" not defined"),
    };

    private object Number(string text)
    {
        string digits = text.Replace("_", "", StringComparison.Ordinal);
        bool negative = digits.StartsWith('-');
        string magnitude = digits.TrimStart('+', '-');
        int radix = magnitude.Length > 1 && magnitude[0] == '0' ? char.ToLowerInvariant(magnitude[1]) switch { 'x' => 16, 'b' => 2, 'o' => 8, _ => 10 } : 10;
        try
        {
            if (radix != 10)
            {
                long value = Convert.ToInt64(magnitude[2..], radix);
                return negative ? -value : value;
            }
        }
        catch (Exception e) when (e is FormatException or OverflowException or ArgumentException)
        {
            throw Error($"bad number \"{text}\"");
        }
        if (magnitude.All(char.IsAsciiDigit) && long.TryParse(magnitude, CultureInfo.InvariantCulture, out long whole))
            return negative ? -whole : whole;
        const NumberStyles Style = NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent;
        return double.TryParse(magnitude, Style, CultureInfo.InvariantCulture, out double real) ? (negative ? -real : real) : throw Error($"bad number \"{text}\"");
    }

    private void SkipSpace()
    {
        while (Next.Kind == TokenKind.Space)
            _at++;
    }

    private TemplateException Error(string what) => new($"line {_tokens[Math.Min(_at, _tokens.Count - 1)].Line}: {what}");
}
