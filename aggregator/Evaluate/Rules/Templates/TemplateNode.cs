namespace Bellwether.Evaluate.Rules.Templates;

/// <summary>Something to do in a template.</summary>
internal abstract record Node;

/// <summary>Literal text.</summary>
internal sealed record TextNode(string Text) : Node;

/// <summary><c>{{ pipeline }}</c>.</summary>
internal sealed record ActionNode(Pipeline Pipeline) : Node;

/// <summary>if and with.</summary>
internal sealed record BranchNode(bool IsWith, Pipeline Pipeline, List<Node> Then, List<Node> Else) : Node;

/// <summary>range.</summary>
internal sealed record RangeNode(Pipeline Pipeline, List<Node> Body, List<Node> Else) : Node;

/// <summary><c>{{ template "name" pipeline }}</c>.</summary>
internal sealed record CallNode(string Name, Pipeline? Argument) : Node;

/// <summary>break or continue.</summary>
internal sealed record JumpNode(bool IsBreak) : Node;

/// <summary>Commands joined by <c>|</c>, and the variables that take the result.</summary>
internal sealed record Pipeline(List<string> Variables, bool Assign, List<List<Operand>> Commands);

/// <summary>A word of a command.</summary>
internal abstract record Operand;

/// <summary>A constant: long, double, string, bool or null (nil).</summary>
internal sealed record ConstantOperand(object? Value) : Operand;

/// <summary>The current value.</summary>
internal sealed record DotOperand : Operand;

/// <summary>A function's name.</summary>
internal sealed record FunctionOperand(string Name) : Operand;

/// <summary><c>$name</c>.</summary>
internal sealed record VariableOperand(string Name) : Operand;

/// <summary>A pipeline in parentheses.</summary>
internal sealed record GroupOperand(Pipeline Pipeline) : Operand;

/// <summary>Fields of another operand: <c>.a.b</c>, <c>$x.a</c>, <c>(...).a</c>.</summary>
internal sealed record FieldOperand(Operand Of, List<string> Names) : Operand;

/// <summary>A template that cannot be read or expanded. Caught in <see cref="AlertTemplate"/>; never leaves it.</summary>
internal sealed class TemplateException(string message) : Exception(message);
