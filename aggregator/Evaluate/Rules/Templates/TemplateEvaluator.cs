using System.Runtime.CompilerServices;
using System.Text;

namespace Bellwether.Evaluate.Rules.Templates;

/// <summary>Walks the tree of a template and writes its text. One run each; not thread-safe.</summary>
internal sealed class TemplateEvaluator(Dictionary<string, List<Node>> defined, TemplateFunctions functions)
{
    private const int OutputMax = 64 * 1024;
    private const int StepsMax = 100_000;
    private const int CallDepthMax = 100;

    private readonly StringBuilder _text = new();
    private List<(string Name, object? Value)> _variables = [];
    private int _steps;
    private int _calls;

    private enum Flow
    {
        On, Break, Continue,
    }

    /// <summary>Expands; throws <see cref="TemplateException"/>.</summary>
    public string Run(List<Node> body, TemplateRoot root)
    {
        _variables = [("$", root), ("$labels", root.Labels), ("$externalLabels", root.ExternalLabels), ("$externalURL", root.ExternalUrl), ("$value", root.Value)];
        Walk(body, root);
        return _text.ToString();
    }

    private Flow Walk(List<Node> nodes, object? dot)
    {
        // 100 calls of templates with 60 levels each are more than a thread's stack holds, and an overflow would end the program.
        if (!RuntimeHelpers.TryEnsureSufficientExecutionStack())
            throw new TemplateException("templates call each other too deep");
        int scope = _variables.Count;
        Flow flow = Flow.On;
        foreach (Node node in nodes)
        {
            Count();
            flow = One(node, dot);
            if (flow != Flow.On)
                break;
        }
        _variables.RemoveRange(scope, _variables.Count - scope);
        return flow;
    }

    private void Count()
    {
        if (++_steps > StepsMax)
            throw new TemplateException($"more than {StepsMax} steps");
    }

    private Flow One(Node node, object? dot)
    {
        switch (node)
        {
            case TextNode text:
                Write(text.Text);
                return Flow.On;
            case ActionNode action:
                object? value = Evaluate(action.Pipeline, dot);
                if (action.Pipeline.Variables.Count == 0)
                    Write(TemplateValues.Print(value));
                return Flow.On;
            case BranchNode branch:
                return Branch(branch, dot);
            case RangeNode range:
                return Range(range, dot);
            case CallNode call:
                Call(call, dot);
                return Flow.On;
            case JumpNode jump:
                return jump.IsBreak ? Flow.Break : Flow.Continue;
            default:
                throw new TemplateException($"unknown node {node.GetType().Name}");
        }
    }

    private Flow Branch(BranchNode branch, object? dot)
    {
        int scope = _variables.Count;
        object? value = Evaluate(branch.Pipeline, dot);
        Flow flow = TemplateValues.IsTrue(value) ? Walk(branch.Then, branch.IsWith ? value : dot) : Walk(branch.Else, dot);
        _variables.RemoveRange(scope, _variables.Count - scope);
        return flow;
    }

    private Flow Range(RangeNode range, object? dot)
    {
        int scope = _variables.Count;
        object? over = Evaluate(range.Pipeline with { Variables = [] }, dot);
        IEnumerable<(object? Key, object? Value)> items = over switch
        {
            null => [],
            TemplateMap map => map.Items.Select(i => ((object?)i.Key, i.Value)),
            IReadOnlyList<object?> list => list.Select((v, i) => ((object?)(long)i, v)),
            long n => Enumerable.Range(0, (int)Math.Clamp(n, 0, StepsMax)).Select(i => ((object?)(long)i, (object?)(long)i)),
            _ => throw new TemplateException($"range can't iterate over {TemplateValues.Print(over)}"),
        };
        bool any = false;
        Flow flow = Flow.On;
        foreach ((object? key, object? value) in items)
        {
            any = true;
            Count();
            int inner = _variables.Count;
            SetRangeVariables(range.Pipeline, key, value);
            flow = Walk(range.Body, value);
            _variables.RemoveRange(inner, _variables.Count - inner);
            if (flow == Flow.Break)
                break;
        }
        flow = any ? Flow.On : Walk(range.Else, dot);
        _variables.RemoveRange(scope, _variables.Count - scope);
        return flow;
    }

    private void SetRangeVariables(Pipeline pipeline, object? key, object? value)
    {
        List<string> names = pipeline.Variables;
        if (names.Count == 1)
            SetVariable(names[0], value, pipeline.Assign);
        if (names.Count == 2)
        {
            SetVariable(names[0], key, pipeline.Assign);
            SetVariable(names[1], value, pipeline.Assign);
        }
    }

    private void Call(CallNode call, object? dot)
    {
        if (!defined.TryGetValue(call.Name, out List<Node>? body))
            throw new TemplateException($"template \"{call.Name}\" not defined");
        if (++_calls > CallDepthMax)
            throw new TemplateException($"templates call each other more than {CallDepthMax} deep");
        object? argument = call.Argument is null ? null : Evaluate(call.Argument, dot);
        List<(string, object?)> outer = _variables;
        _variables = [("$", argument)];
        Walk(body, argument);
        _variables = outer;
        _calls--;
    }

    private object? Evaluate(Pipeline pipeline, object? dot)
    {
        object? value = null;
        for (int i = 0; i < pipeline.Commands.Count; i++)
            value = Command(pipeline.Commands[i], dot, hasFinal: i > 0, value);
        foreach (string name in pipeline.Variables)
            SetVariable(name, value, pipeline.Assign);
        return value;
    }

    private object? Command(List<Operand> words, object? dot, bool hasFinal, object? final)
    {
        if (words[0] is FunctionOperand function)
        {
            if (function.Name is "and" or "or")
                return ShortCircuit(function.Name == "and", words, dot, hasFinal, final);
            var arguments = new List<object?>(words.Count);
            foreach (Operand word in words.Skip(1))
                arguments.Add(Value(word, dot));
            if (hasFinal)
                arguments.Add(final);
            return functions.Call(function.Name, arguments);
        }
        if (words.Count > 1 || hasFinal)
            throw new TemplateException("can't give argument to non-function");
        return Value(words[0], dot);
    }

    private object? ShortCircuit(bool isAnd, List<Operand> words, object? dot, bool hasFinal, object? final)
    {
        object? value = null;
        if (words.Count == 1 && !hasFinal)
            throw new TemplateException($"wrong number of args for {(isAnd ? "and" : "or")}: want at least 1 got 0");
        foreach (Operand word in words.Skip(1))
        {
            value = Value(word, dot);
            if (TemplateValues.IsTrue(value) != isAnd)
                return value;
        }
        return hasFinal ? final : value;
    }

    private object? Value(Operand word, object? dot) => word switch
    {
        ConstantOperand constant => constant.Value,
        DotOperand => dot,
        VariableOperand variable => _variables.FindLast(v => v.Name == variable.Name).Value,
        GroupOperand group => Evaluate(group.Pipeline, dot),
        FunctionOperand function => functions.Call(function.Name, []),
        FieldOperand field => field.Names.Aggregate(Value(field.Of, dot), Field),
        _ => throw new TemplateException($"unknown operand {word.GetType().Name}"),
    };

    private static object? Field(object? of, string name) => of switch
    {
        TemplateMap map => map.Get(name),
        TemplateSample sample when name == "Labels" => sample.Labels,
        TemplateSample sample when name == "Value" => sample.Value,
        TemplateRoot root when name == "Labels" => root.Labels,
        TemplateRoot root when name == "ExternalLabels" => root.ExternalLabels,
        TemplateRoot root when name == "ExternalURL" => root.ExternalUrl,
        TemplateRoot root when name == "Value" => root.Value,
        null => throw new TemplateException($"nil data; no entry for key \"{name}\""),
        _ => throw new TemplateException($"can't evaluate field {name} in type {TemplateValues.TypeName(of)}"),
    };

    private void SetVariable(string name, object? value, bool assign)
    {
        if (!assign)
        {
            _variables.Add((name, value));
            return;
        }
        int at = _variables.FindLastIndex(v => v.Name == name);
        _variables[at] = (name, value);
    }

    private void Write(string text)
    {
        if (_text.Length + text.Length > OutputMax)
            throw new TemplateException($"the text is longer than {OutputMax} characters");
        _text.Append(text);
    }
}
