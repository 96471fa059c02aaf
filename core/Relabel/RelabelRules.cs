using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Bellwether.Core.Configuration;
using Bellwether.Core.Model;

namespace Bellwether.Core.Relabel;

/// <summary>Applies relabelling rules. Stateless and thread-safe (the builder is the caller's).</summary>
public static class RelabelRules
{
    /// <summary>Changes the labels by the rules in order. False when a rule dropped them; the builder is then half changed and means nothing.</summary>
    public static bool Apply(ValueList<RelabelRule> rules, LabelsBuilder labels)
    {
        foreach (RelabelRule rule in rules.AsSpan())
        {
            if (!ApplyOne(rule, labels))
                return false;
        }
        return true;
    }

    /// <summary>The labels after the rules, or null when they are dropped.</summary>
    public static Labels? Apply(ValueList<RelabelRule> rules, Labels labels)
    {
        if (rules.Count == 0)
            return labels;
        var builder = new LabelsBuilder(labels);
        return Apply(rules, builder) ? builder.Build() : null;
    }

    private static bool ApplyOne(RelabelRule rule, LabelsBuilder labels)
    {
        switch (rule.Action)
        {
            case RelabelAction.Keep:
                return rule.Regex.IsMatch(SourceValue(rule, labels));
            case RelabelAction.Drop:
                return !rule.Regex.IsMatch(SourceValue(rule, labels));
            case RelabelAction.KeepEqual:
                return labels.Get(rule.TargetLabel) == SourceValue(rule, labels);
            case RelabelAction.DropEqual:
                return labels.Get(rule.TargetLabel) != SourceValue(rule, labels);
            case RelabelAction.Replace:
                Replace(rule, labels);
                return true;
            case RelabelAction.Lowercase:
                labels.Set(rule.TargetLabel, SourceValue(rule, labels).ToLowerInvariant());
                return true;
            case RelabelAction.Uppercase:
                labels.Set(rule.TargetLabel, SourceValue(rule, labels).ToUpperInvariant());
                return true;
            case RelabelAction.HashMod:
                labels.Set(rule.TargetLabel, HashMod(SourceValue(rule, labels), rule.Modulus).ToString(CultureInfo.InvariantCulture));
                return true;
            case RelabelAction.LabelMap:
                MapNames(rule, labels);
                return true;
            case RelabelAction.LabelDrop:
                RemoveNames(rule, labels, whenMatching: true);
                return true;
            default:
                RemoveNames(rule, labels, whenMatching: false);
                return true;
        }
    }

    /// <summary>The source labels' values joined by the separator; without copying when there is one label.</summary>
    private static string SourceValue(RelabelRule rule, LabelsBuilder labels)
    {
        ReadOnlySpan<string> names = rule.SourceLabels.AsSpan();
        if (names.IsEmpty)
            return "";
        if (names.Length == 1)
            return labels.Get(names[0]);
        var text = new StringBuilder(labels.Get(names[0]));
        foreach (string name in names[1..])
            text.Append(rule.Separator).Append(labels.Get(name));
        return text.ToString();
    }

    private static void Replace(RelabelRule rule, LabelsBuilder labels)
    {
        string value = SourceValue(rule, labels);
        bool fixedTarget = !rule.TargetLabel.Contains('$');
        if (fixedTarget && !rule.Replacement.Contains('$'))
        {
            // Fast path: nothing to expand, so whether it matches is all that counts.
            if (rule.Regex.IsMatch(value) && IsLabelName(rule.TargetLabel, rule.LegacyNames))
                labels.Set(rule.TargetLabel, rule.Replacement);
            return;
        }
        string? target = fixedTarget ? rule.TargetLabel : rule.Regex.Replace(value, rule.TargetLabel);
        if (target is null || !IsLabelName(target, rule.LegacyNames))
            return;
        if (rule.Regex.Replace(value, rule.Replacement) is { } replacement)
            labels.Set(target, replacement);
    }

    /// <summary>The last 8 bytes of the MD5 of the value, big-endian, modulo the divisor: how Prometheus shares targets out.</summary>
    public static ulong HashMod(string value, ulong modulus)
    {
        Span<byte> hash = stackalloc byte[MD5.HashSizeInBytes];
#pragma warning disable CA5351 // Not for secrecy: Prometheus defines hashmod by MD5.
        MD5.HashData(Encoding.UTF8.GetBytes(value), hash);
#pragma warning restore CA5351
        return BinaryPrimitives.ReadUInt64BigEndian(hash[8..]) % modulus;
    }

    private static void MapNames(RelabelRule rule, LabelsBuilder labels)
    {
        Labels before = labels.Build();
        foreach (ref readonly Label label in before.AsSpan())
        {
            if (rule.Regex.Replace(label.Name, rule.Replacement) is { Length: > 0 } name)
                labels.Set(name, label.Value);
        }
    }

    private static void RemoveNames(RelabelRule rule, LabelsBuilder labels, bool whenMatching)
    {
        for (int i = labels.Count - 1; i >= 0; i--)
        {
            string name = labels[i].Name;
            if (rule.Regex.IsMatch(name) == whenMatching)
                labels.Remove(name);
        }
    }

    internal static bool IsLabelName(string name, bool legacy) => legacy ? Labels.IsLegacyLabelName(name) : name.Length > 0;
}
