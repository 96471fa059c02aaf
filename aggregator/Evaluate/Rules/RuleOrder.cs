namespace Bellwether.Evaluate.Rules;

/// <summary>Which rules of a group read what an earlier rule of the group writes: before those, the results so far must be in the store.</summary>
internal static class RuleOrder
{
    /// <summary>
    /// For each rule, whether it may read a series of a rule before it. Errs on the side of yes: a name that occurs anywhere in the text counts, and so does any
    /// expression that could name a metric without spelling it.
    /// </summary>
    public static bool[] ReadsEarlier(IReadOnlyList<RuleDefinition> rules)
    {
        var reads = new bool[rules.Count];
        var written = new HashSet<string>(StringComparer.Ordinal);
        for (int i = 0; i < rules.Count; i++)
        {
            RuleDefinition rule = rules[i];
            bool templates = rule.Annotations.Concat(rule.Labels).Any(p => p.Value.Text.Contains("query", StringComparison.Ordinal));
            reads[i] = written.Count > 0 && (templates || MayNameAnything(rule.Expression) || written.Any(name => rule.Expression.Contains(name, StringComparison.Ordinal)));
            if (reads[i])
                written.Clear();
            written.Add(rule.IsAlert ? AlertingRule.AlertsMetric : rule.Name);
        }
        return reads;
    }

    private static bool MayNameAnything(string expression)
    {
        if (expression.Contains("__name__", StringComparison.Ordinal) || expression.Contains('\\', StringComparison.Ordinal) || expression.Contains("info(", StringComparison.Ordinal))
            return true;
        // A selector that starts with a brace has no metric name before it.
        for (int i = expression.IndexOf('{', StringComparison.Ordinal); i >= 0; i = expression.IndexOf('{', i + 1))
        {
            int before = i - 1;
            while (before >= 0 && char.IsWhiteSpace(expression[before]))
                before--;
            if (before < 0 || (!char.IsLetterOrDigit(expression[before]) && expression[before] is not '_' and not ':'))
                return true;
        }
        return false;
    }
}
