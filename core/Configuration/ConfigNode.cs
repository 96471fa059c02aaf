namespace Bellwether.Core.Configuration;

/// <summary>What a YAML node is.</summary>
public enum ConfigNodeKind
{
    /// <summary>A text, number, truth value or null.</summary>
    Scalar,

    /// <summary>A list.</summary>
    Sequence,

    /// <summary>Keys with values.</summary>
    Mapping,
}

/// <summary>One node of a YAML document, with its place. Read-only after reading; an alias is the same object as its anchor.</summary>
public sealed class ConfigNode
{
    internal ConfigNode(ConfigNodeKind kind, int line, int column, string text = "", bool isNull = false, string? fault = null)
    {
        Kind = kind;
        Line = line;
        Column = column;
        Text = text;
        IsNull = isNull;
        Fault = fault;
    }

    /// <summary>What it is.</summary>
    public ConfigNodeKind Kind { get; }

    /// <summary>1-based.</summary>
    public int Line { get; }

    /// <summary>1-based, in characters.</summary>
    public int Column { get; }

    /// <summary>A scalar's text; empty otherwise.</summary>
    public string Text { get; }

    /// <summary>Whether it is <c>null</c>, <c>~</c> or nothing.</summary>
    public bool IsNull { get; }

    /// <summary>Why the scalar's text cannot be used (a !!binary that is not UTF-8), or null.</summary>
    public string? Fault { get; }

    /// <summary>A list's items.</summary>
    public IReadOnlyList<ConfigNode> Items => ItemList;

    /// <summary>A mapping's keys and values, in file order, merges included.</summary>
    public IReadOnlyList<(ConfigNode Key, ConfigNode Value)> Entries => EntryList;

    internal List<ConfigNode> ItemList { get; } = [];

    internal List<(ConfigNode Key, ConfigNode Value)> EntryList { get; } = [];

    private readonly Dictionary<string, int> _index = new(StringComparer.Ordinal);

    /// <summary>Where a key is in <see cref="EntryList"/>, or -1.</summary>
    internal int IndexOf(string key) => _index.TryGetValue(key, out int at) ? at : -1;

    internal void AddEntry(ConfigNode key, ConfigNode value)
    {
        _index.Add(key.Text, EntryList.Count);
        EntryList.Add((key, value));
    }

    /// <summary>How many nodes it stands for when aliases are written out.</summary>
    internal long Weight { get; set; } = 1;

    /// <summary>The value of a key, or null.</summary>
    public ConfigNode? Find(string key) => IndexOf(key) is >= 0 and var at ? EntryList[at].Value : null;

    /// <summary>In words, for errors.</summary>
    internal string Describe() => Kind switch
    {
        ConfigNodeKind.Sequence => "a list",
        ConfigNodeKind.Mapping => "a section of keys",
        _ when IsNull => "nothing",
        _ => Text.Length <= 60 ? $"'{Text}'" : $"'{Text[..60]}...'",
    };
}
