using Bellwether.Core.Model;
using Bellwether.Core.Relabel;
using Bellwether.Core.Text;

namespace Bellwether.Core.Configuration.Prometheus;

/// <summary>Reads relabelling rules with Prometheus' checks.</summary>
public static class RelabelReading
{
    private static readonly (string Word, RelabelAction Value)[] s_actions =
    [
        ("replace", RelabelAction.Replace), ("keep", RelabelAction.Keep), ("drop", RelabelAction.Drop), ("keepequal", RelabelAction.KeepEqual),
        ("dropequal", RelabelAction.DropEqual), ("hashmod", RelabelAction.HashMod), ("labelmap", RelabelAction.LabelMap), ("labeldrop", RelabelAction.LabelDrop),
        ("labelkeep", RelabelAction.LabelKeep), ("lowercase", RelabelAction.Lowercase), ("uppercase", RelabelAction.Uppercase),
    ];

    /// <summary>Reads a list of rules.</summary>
    public static ValueList<RelabelRule> Read(ConfigSection parent, string key, bool legacyNames) =>
        [.. parent.Sections(key).Select(s => ReadRule(s, legacyNames))];

    private static RelabelRule ReadRule(ConfigSection section, bool legacyNames)
    {
        var rule = new RelabelRule
        {
            SourceLabels = ReadSourceLabels(section),
            Separator = section.Text("separator", RelabelRule.DefaultSeparator),
            Regex = ReadRegex(section),
            Modulus = (ulong)section.Whole("modulus", 0),
            TargetLabel = section.Text("target_label"),
            Replacement = section.Text("replacement", RelabelRule.DefaultReplacement),
            Action = ReadAction(section, out bool known),
            LegacyNames = legacyNames,
        };
        // What a misspelt action needs is not known; its own error says enough.
        if (known)
        {
            CheckTarget(section, rule);
            CheckForeignKeys(section, rule);
        }
        section.Close();
        return rule;
    }

    private static ValueList<string> ReadSourceLabels(ConfigSection section)
    {
        ValueList<string> names = section.Texts("source_labels");
        if (names.Any(n => n.Length == 0))
            section.Error("source_labels", "holds an empty label name");
        return names;
    }

    private static Re2Pattern ReadRegex(ConfigSection section)
    {
        if (!section.Has("regex"))
            return RelabelRule.DefaultRegex;
        string text = section.Text("regex");
        try
        {
            return Re2Pattern.CompileAnchored(text);
        }
        catch (FormatException e)
        {
            section.Error("regex", e.Message);
            return RelabelRule.DefaultRegex;
        }
    }

    private static RelabelAction ReadAction(ConfigSection section, out bool known)
    {
        known = true;
        if (section.Find("action") is not { } node)
            return RelabelAction.Replace;
        if (node.Kind == ConfigNodeKind.Scalar && node.Text.Length == 0)
        {
            section.Error("action", "is empty; leave it out for 'replace'");
            return RelabelAction.Replace;
        }
        // Prometheus takes the words in any case.
        string lower = node.Text.ToLowerInvariant();
        int at = Array.FindIndex(s_actions, a => a.Word == lower);
        known = at >= 0;
        return known ? s_actions[at].Value : section.WordOf(node, section.PathOf("action"), s_actions, RelabelAction.Replace);
    }

    private static void CheckTarget(ConfigSection section, RelabelRule rule)
    {
        string word = Word(rule.Action);
        bool needsTarget = rule.Action is RelabelAction.Replace or RelabelAction.KeepEqual or RelabelAction.DropEqual or RelabelAction.HashMod
            or RelabelAction.Lowercase or RelabelAction.Uppercase;
        if (needsTarget && rule.TargetLabel.Length == 0)
            section.Error("target_label", $"is missing; action {word} needs it");
        else if (needsTarget && !IsTarget(rule.TargetLabel, rule.LegacyNames, template: rule.Action == RelabelAction.Replace))
            section.Error("target_label", $"'{rule.TargetLabel}' is not a label name");
        if (rule.Action == RelabelAction.LabelMap && !IsTarget(rule.Replacement, rule.LegacyNames, template: true))
            section.Error("replacement", $"'{rule.Replacement}' does not give a label name, which action labelmap needs");
        if (rule.Action == RelabelAction.HashMod && rule.Modulus == 0)
            section.Error("modulus", "is missing; action hashmod needs it, above 0");
    }

    private static void CheckForeignKeys(ConfigSection section, RelabelRule rule)
    {
        bool regex = section.Has("regex");
        bool replacement = rule.Replacement != RelabelRule.DefaultReplacement;
        bool separator = rule.Separator != RelabelRule.DefaultSeparator;
        string word = Word(rule.Action);
        switch (rule.Action)
        {
            case RelabelAction.Lowercase or RelabelAction.Uppercase when replacement:
                section.Error("replacement", $"cannot be set with action {word}");
                break;
            case RelabelAction.KeepEqual or RelabelAction.DropEqual when regex || replacement || separator || rule.Modulus > 0:
                section.Error($"action {word} takes source_labels and target_label only");
                break;
            case RelabelAction.LabelDrop or RelabelAction.LabelKeep
                when rule.SourceLabels.Count > 0 || rule.TargetLabel.Length > 0 || replacement || separator || rule.Modulus > 0:
                section.Error($"action {word} takes regex only");
                break;
        }
    }

    private static string Word(RelabelAction action) => Array.Find(s_actions, a => a.Value == action).Word;

    /// <summary>Whether a text is a label name, or (as a template) can become one.</summary>
    private static bool IsTarget(string text, bool legacy, bool template)
    {
        if (!legacy || !template || !text.Contains('$'))
            return legacy ? Labels.IsLegacyLabelName(text) : text.Length > 0;
        // A template of a legacy name: names and $1, ${1}, ${name} in any order, starting with a letter or a reference.
        return Re2Pattern.CompileAnchored(@"(?:(?:[a-zA-Z_]|\$(?:\{\w+\}|\w+))+\w*)+").IsMatch(text);
    }
}
