using Bellwether.Core.Configuration;
using Bellwether.Core.Text;

namespace Bellwether.Core.Relabel;

/// <summary>What a relabelling rule does; as Prometheus 3 names them.</summary>
public enum RelabelAction
{
    /// <summary>Where the regex matches the source value, set the target label to the expanded replacement.</summary>
    Replace,

    /// <summary>Drop what does not match.</summary>
    Keep,

    /// <summary>Drop what matches.</summary>
    Drop,

    /// <summary>Drop where the source value is not the target label's value.</summary>
    KeepEqual,

    /// <summary>Drop where the source value is the target label's value.</summary>
    DropEqual,

    /// <summary>Set the target label to the source value's hash modulo <see cref="RelabelRule.Modulus"/>.</summary>
    HashMod,

    /// <summary>Copy each label whose name matches to the name that the replacement gives.</summary>
    LabelMap,

    /// <summary>Remove labels whose names match.</summary>
    LabelDrop,

    /// <summary>Remove labels whose names do not match.</summary>
    LabelKeep,

    /// <summary>Set the target label to the source value in lower case.</summary>
    Lowercase,

    /// <summary>Set the target label to the source value in upper case.</summary>
    Uppercase,
}

/// <summary>One rule of <c>relabel_configs</c>, <c>metric_relabel_configs</c> or <c>write_relabel_configs</c>. Immutable; compares by content.</summary>
public sealed record RelabelRule
{
    /// <summary>What stands between source values when nothing else is said.</summary>
    public const string DefaultSeparator = ";";

    /// <summary>The replacement when nothing else is said: the first group.</summary>
    public const string DefaultReplacement = "$1";

    /// <summary>The regex when nothing else is said: anything, as group 1.</summary>
    public static Re2Pattern DefaultRegex { get; } = Re2Pattern.CompileAnchored("(.*)");

    /// <summary>The labels whose values are joined to the source value.</summary>
    [Option("The labels whose values are joined to the source value.")]
    public ValueList<string> SourceLabels { get; init; } = [];

    /// <summary>What stands between the joined values.</summary>
    [Option("What stands between the joined values.")]
    public string Separator { get; init; } = DefaultSeparator;

    /// <summary>Matched against the whole source value (or label name).</summary>
    [Option("Matched against the whole source value (or the label's name); RE2's language.", Type = "regular expression", Default = "`(.*)`")]
    public Re2Pattern Regex { get; init; } = DefaultRegex;

    /// <summary>The divisor of <see cref="RelabelAction.HashMod"/>.</summary>
    [Option("The divisor of hashmod.")]
    public ulong Modulus { get; init; }

    /// <summary>The label that is set; may hold <c>$1</c> with <see cref="RelabelAction.Replace"/>.</summary>
    [Option("The label that is set; with replace it may hold `$1`.")]
    public string TargetLabel { get; init; } = "";

    /// <summary>What it is set to, with <c>$1</c>, <c>${name}</c>, <c>$$</c>.</summary>
    [Option("What it is set to, with `$1`, `${name}` and `$$`.")]
    public string Replacement { get; init; } = DefaultReplacement;

    /// <summary>What the rule does.</summary>
    [Option("replace, keep, drop, keepequal, dropequal, hashmod, labelmap, labeldrop, labelkeep, lowercase or uppercase.", Type = "word")]
    public RelabelAction Action { get; init; } = RelabelAction.Replace;

    /// <summary>Whether label names must fit <c>[a-zA-Z_][a-zA-Z0-9_]*</c> (Prometheus' <c>legacy</c>) instead of any UTF-8.</summary>
    public bool LegacyNames { get; init; }
}
