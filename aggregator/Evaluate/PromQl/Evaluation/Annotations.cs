using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <summary>Warnings and infos of one query, each text once, in the order they came up. At most <see cref="MaxCount"/> of each level.</summary>
internal sealed class Annotations
{
    public const int MaxCount = 1000;

    private readonly string _query;
    private HashSet<string>? _seen;

    public Annotations(string query) => _query = query;

    public List<string> Warnings { get; } = [];

    public List<string> Infos { get; } = [];

    /// <summary>How many there are; the same text at the same place counts once.</summary>
    public int Count => Warnings.Count + Infos.Count;

    /// <summary>How often one was given, the same text again and those above <see cref="MaxCount"/> included.</summary>
    public long Given { get; private set; }

    public void Warn(string text, TextSpan span) => Add(Warnings, "PromQL warning: " + text, span);

    public void Info(string text, TextSpan span) => Add(Infos, "PromQL info: " + text, span);

    public void MixedFloatsHistograms(string metric, TextSpan span) =>
        Warn($"encountered a mix of histograms and floats for metric name {GoText.Quote(metric)}", span);

    public void MixedSchemas(string metric, TextSpan span) =>
        Warn($"vector contains a mix of histograms with exponential and custom buckets schemas for metric name {GoText.Quote(metric)}", span);

    public void Reconciled(string operation, TextSpan span) => Info($"mismatched custom buckets were reconciled during {operation}", span);

    public void HintsCollide(string operation, TextSpan span) => Warn($"conflicting counter resets during histogram {operation}", span);

    /// <summary>What a text says at its end of the metric that it is about; nothing where it has no name.</summary>
    public static string ForMetric(string metric) => metric.Length == 0 ? "" : $" for metric name {GoText.Quote(metric)}";

    public void QuantileOutOfRange(double q, TextSpan span) =>
        Warn($"quantile value should be between 0 and 1, got {Printer.FormatNumber(q)}", span);

    private void Add(List<string> list, string text, TextSpan span)
    {
        Given++;
        if (list.Count >= MaxCount)
            return;
        (int line, int column) = PromQlParser.Position(_query, span.Start);
        string full = $"{text} ({line}:{column})";
        if ((_seen ??= []).Add(full))
            list.Add(full);
    }
}
