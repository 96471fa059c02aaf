using Bellwether.Core.Model;

namespace Bellwether.Evaluate.Rules.Templates;

/// <summary>What a template can see beside its alert.</summary>
/// <param name="ExternalLabels">Labels of this aggregator.</param>
/// <param name="ExternalUrl">Where this aggregator is reached, e.g. <c>https://host/base</c>.</param>
/// <param name="Query">Runs an instant query at the evaluation's time. A failure is a <see cref="FormatException"/>.</param>
/// <param name="Time">For <c>now</c>.</param>
public sealed record TemplateContext(Labels ExternalLabels, string ExternalUrl, Func<string, IReadOnlyList<(Labels Labels, double Value)>> Query, TimeProvider Time);

/// <summary>
/// A label or annotation of an alert in Go's template syntax with Prometheus' functions. Immutable, thread-safe. Limits: 64 levels, 64 Ki characters of text,
/// 100,000 steps.
/// </summary>
public sealed class AlertTemplate
{
    private static readonly string[] s_variables = ["$labels", "$externalLabels", "$externalURL", "$value"];
    private readonly string _text;
    private readonly List<Node>? _body;
    private readonly Dictionary<string, List<Node>> _defined;

    private AlertTemplate(string text, List<Node>? body, Dictionary<string, List<Node>> defined)
    {
        _text = text;
        _body = body;
        _defined = defined;
    }

    /// <summary>The template as written.</summary>
    public string Text => _text;

    /// <summary>A text that is taken as it is, whatever it holds.</summary>
    public static AlertTemplate Plain(string text) => new(text, null, []);

    /// <summary>Parses a template; null and the reason (with its line) when it is not valid.</summary>
    public static AlertTemplate? TryParse(string text, out string? error)
    {
        error = null;
        // Most labels and annotations are plain text: no tree for those.
        if (!text.Contains("{{", StringComparison.Ordinal))
            return new AlertTemplate(text, null, []);
        try
        {
            (List<Node> body, Dictionary<string, List<Node>> defined) = TemplateParser.Parse(text, s_variables, TemplateFunctions.IsKnown);
            return new AlertTemplate(text, body, defined);
        }
        catch (TemplateException e)
        {
            error = e.Message;
            return null;
        }
    }

    /// <summary>Expands the template. When that fails the text says so (<c>&lt;error expanding template: ...&gt;</c>) and <paramref name="error"/> is set.</summary>
    public string Expand(TemplateContext context, Labels labels, double value, out string? error)
    {
        error = null;
        if (_body is null)
            return _text;
        try
        {
            var root = new TemplateRoot(TemplateMap.Of(labels), TemplateMap.Of(context.ExternalLabels), context.ExternalUrl, value);
            return new TemplateEvaluator(_defined, new TemplateFunctions(context.Query, context.ExternalUrl, context.Time)).Run(_body, root);
        }
        catch (Exception e) when (e is TemplateException or FormatException)
        {
            error = e.Message;
            return $"<error expanding template: {e.Message}>";
        }
    }
}
