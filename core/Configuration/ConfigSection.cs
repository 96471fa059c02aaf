using System.Globalization;
using Bellwether.Core.Model;

namespace Bellwether.Core.Configuration;

/// <summary>
/// Reads the keys of one section by type. Each wrong value is an error with its place, and reads as its default, so that all errors of a file are found in one run.
/// After the last key call <see cref="Close"/>: keys that nobody asked for are unknown.
/// </summary>
public sealed class ConfigSection
{
    private readonly List<string> _known = [];

    internal ConfigSection(ConfigReading reading, ConfigNode? node, string path)
    {
        Reading = reading;
        Node = node;
        Path = path;
    }

    /// <summary>The reading that it belongs to.</summary>
    public ConfigReading Reading { get; }

    /// <summary>The section's node; null when the section is not there.</summary>
    public ConfigNode? Node { get; }

    /// <summary>The section's path, e.g. <c>scrape_configs[0]</c>.</summary>
    public string Path { get; }

    /// <summary>Whether the file has the section.</summary>
    public bool IsPresent => Node is not null;

    /// <summary>A key's path.</summary>
    public string PathOf(string key) => Path.Length == 0 ? key : $"{Path}.{key}";

    /// <summary>A key's node, also when null; the key is known from here on.</summary>
    public ConfigNode? Find(string key)
    {
        if (!_known.Contains(key))
            _known.Add(key);
        return Node?.Find(key);
    }

    /// <summary>Whether the key is there, with a value or null.</summary>
    public bool Has(string key) => Find(key) is not null;

    /// <summary>Notes an error at a key, or at the section when the key is not there.</summary>
    public void Error(string key, string message) => Reading.Error(Find(key) ?? Node, PathOf(key), message);

    /// <summary>Notes an error about the section as a whole.</summary>
    public void Error(string message) => Reading.Error(Node, Path, message);

    /// <summary>Warns when a key is there that is read and checked, and does nothing here; one that says "off" asks for nothing.</summary>
    public void HasNoEffect(string key, string why)
    {
        if (Node?.Find(key) is { IsNull: false } node && node.Text is not ("0" or "false" or "no" or "off"))
            Reading.Warn(node, PathOf(key), $"has no effect here: {why}");
    }

    /// <summary>Any text. Null in the file reads as empty.</summary>
    public string Text(string key, string @default = "") => Scalar(key) is { } node ? node.Text : @default;

    /// <summary>A text that must be there.</summary>
    public string RequiredText(string key)
    {
        string text = Text(key);
        if (text.Length == 0 && IsPresent && (Find(key) is null or { Kind: ConfigNodeKind.Scalar, Fault: null }))
            Error(key, "is missing");
        return text;
    }

    /// <summary>A file path, made absolute.</summary>
    public string FilePath(string key, string @default = "") => Reading.Resolve(Text(key, @default));

    /// <summary>The path of a file that is read later, made absolute; in a full check it must be there.</summary>
    public string InputFile(string key)
    {
        string path = FilePath(key);
        if (path.Length > 0 && Reading.CheckFiles && !File.Exists(path))
            Error(key, $"{path}: no such file");
        return path;
    }

    /// <summary>The path of a file that holds one secret and is read later, made absolute; in a full check it must be there, readable and hold more than blanks.</summary>
    public string SecretFile(string key)
    {
        int errors = Reading.Errors.Count;
        string path = InputFile(key);
        if (path.Length == 0 || !Reading.CheckFiles || Reading.Errors.Count > errors)
            return path;
        if (!ConfigReading.TryReadFile(path, out string text, out ConfigError? error))
            Error(key, error!.ToString());
        else if (string.IsNullOrWhiteSpace(text))
            Error(key, $"{path}: holds nothing; write the secret into it, alone on the first line");
        return path;
    }

    /// <summary>A secret, or null when the key is not there or empty.</summary>
    public Secret? Secret(string key) => Scalar(key) is { Text.Length: > 0 } node ? new Secret(node.Text) : null;

    /// <summary>A truth value.</summary>
    public bool Flag(string key, bool @default) => OptionalFlag(key) ?? @default;

    /// <summary>A truth value, or null when the key is not there.</summary>
    public bool? OptionalFlag(string key)
    {
        if (Scalar(key) is not { } node)
            return null;
        switch (node.Text)
        {
            case "true" or "True" or "TRUE" or "yes" or "Yes" or "YES" or "on" or "On" or "ON" or "y" or "Y":
                return true;
            case "false" or "False" or "FALSE" or "no" or "No" or "NO" or "off" or "Off" or "OFF" or "n" or "N":
            case "" when node.IsNull:
                return false;
            default:
                Error(key, $"{node.Describe()} is not true or false");
                return null;
        }
    }

    /// <summary>A duration as Prometheus writes it, between two bounds (both inclusive).</summary>
    public TimeSpan Duration(string key, TimeSpan @default, TimeSpan min = default, TimeSpan? max = null)
    {
        if (Scalar(key) is not { } node)
            return @default;
        if (node.IsNull)
            return TimeSpan.Zero;
        if (!PrometheusDuration.TryParse(node.Text, out TimeSpan value))
        {
            Error(key, $"{node.Describe()} is not a duration; write for example 30s, 5m or 1h30m");
            return @default;
        }
        if (value < min || value > (max ?? PrometheusDuration.Max))
        {
            string bound = value < min ? $"below the minimum {PrometheusDuration.Format(min)}" : $"above the maximum {PrometheusDuration.Format(max!.Value)}";
            Error(key, $"{node.Text} is {bound}");
            return @default;
        }
        return value;
    }

    /// <summary>A size with a unit, between two bounds (both inclusive).</summary>
    public ByteSize Size(string key, ByteSize @default, ByteSize min = default, ByteSize? max = null)
    {
        if (Scalar(key) is not { } node)
            return @default;
        if (node.IsNull || node.Text.Length == 0)
            return ByteSize.Zero;
        if (!ByteSize.TryParse(node.Text, out ByteSize value))
        {
            Error(key, $"{node.Describe()} is not a size with a unit; write for example 512KB, 64MB or 1GB");
            return @default;
        }
        if (value < min || value > (max ?? new ByteSize(long.MaxValue)))
        {
            Error(key, value < min ? $"{value} is below the minimum {min}" : $"{value} is above the maximum {max}");
            return @default;
        }
        return value;
    }

    /// <summary>A whole number between two bounds (both inclusive).</summary>
    public long Whole(string key, long @default, long min = 0, long max = long.MaxValue)
    {
        if (Scalar(key) is not { } node)
            return @default;
        if (node.IsNull)
            return 0;
        if (!long.TryParse(node.Text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long value))
        {
            Error(key, $"{node.Describe()} is not a whole number");
            return @default;
        }
        if (value < min || value > max)
        {
            Error(key, value < min ? $"{value} is below the minimum {min}" : $"{value} is above the maximum {max}");
            return @default;
        }
        return value;
    }

    /// <summary>A whole number that fits 32 bits.</summary>
    public int Count(string key, int @default, int min = 0, int max = int.MaxValue) => (int)Whole(key, @default, min, max);

    /// <summary>A decimal number between two bounds (both inclusive).</summary>
    public double Number(string key, double @default, double min = double.MinValue, double max = double.MaxValue)
    {
        if (Scalar(key) is not { } node)
            return @default;
        if (node.IsNull)
            return 0;
        if (!double.TryParse(node.Text, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) || double.IsNaN(value))
        {
            Error(key, $"{node.Describe()} is not a number");
            return @default;
        }
        if (value < min || value > max)
        {
            Error(key, string.Create(CultureInfo.InvariantCulture, $"{value} is not between {min} and {max}"));
            return @default;
        }
        return value;
    }

    /// <summary>One of the words; the match is exact.</summary>
    public T Word<T>(string key, T @default, ReadOnlySpan<(string Word, T Value)> words)
    {
        if (Scalar(key) is not { } node || node.IsNull)
            return @default;
        return WordOf(node, PathOf(key), words, @default);
    }

    /// <summary>One of the words.</summary>
    public T WordOf<T>(ConfigNode node, string path, ReadOnlySpan<(string Word, T Value)> words, T @default)
    {
        foreach ((string word, T value) in words)
        {
            if (node.Text == word && node.Kind == ConfigNodeKind.Scalar)
                return value;
        }
        var all = new List<string>();
        foreach ((string word, _) in words)
            all.Add(word);
        string? near = NearestWord.Find(node.Text, all);
        Reading.Error(node, path, $"{node.Describe()} is not known; {(near is null ? "" : $"did you mean '{near}'? ")}There {(all.Count == 1 ? "is" : "are")}: {string.Join(", ", all)}");
        return @default;
    }

    /// <summary>A list of texts; null reads as empty.</summary>
    public ValueList<string> Texts(string key)
    {
        var texts = new List<string>();
        foreach ((ConfigNode node, string path) in List(key))
        {
            if (CheckScalar(node, path))
                texts.Add(node.Text);
        }
        return [.. texts];
    }

    /// <summary>A section; absent and null read as a section without keys.</summary>
    public ConfigSection Section(string key)
    {
        ConfigNode? node = Find(key);
        if (node is { Kind: not ConfigNodeKind.Mapping, IsNull: false })
        {
            Error(key, $"must be a section of keys, not {node.Describe()}; write its keys below it, as docs/configuration.md lists them");
            node = null;
        }
        return new ConfigSection(Reading, node is { IsNull: true } ? null : node, PathOf(key));
    }

    /// <summary>A list's items with their paths.</summary>
    public IEnumerable<(ConfigNode Node, string Path)> List(string key)
    {
        ConfigNode? node = Find(key);
        if (node is null || node.IsNull)
            return [];
        if (node.Kind == ConfigNodeKind.Sequence)
            return node.Items.Select((item, i) => (item, string.Create(CultureInfo.InvariantCulture, $"{PathOf(key)}[{i}]")));
        Error(key, $"must be a list, not {node.Describe()}");
        return [];
    }

    /// <summary>A list of sections; an item that is nothing is an error.</summary>
    public IEnumerable<ConfigSection> Sections(string key)
    {
        foreach ((ConfigNode node, string path) in List(key))
        {
            if (node.Kind == ConfigNodeKind.Mapping)
                yield return new ConfigSection(Reading, node, path);
            else
                Reading.Error(node, path, node.IsNull ? "is empty; write a section of keys, or leave the item out" : $"must be a section of keys, not {node.Describe()}");
        }
    }

    /// <summary>Names and texts of a section whose keys are free.</summary>
    public IEnumerable<(ConfigNode Name, ConfigNode Value, string Path)> Pairs(string key)
    {
        ConfigSection section = Section(key);
        if (section.Node is null)
            yield break;
        foreach ((ConfigNode name, ConfigNode value) in section.Node.Entries)
            yield return (name, value, $"{section.Path}.{name.Text}");
    }

    /// <summary>Labels: names and texts.</summary>
    public Labels Labels(string key, bool legacyNames = false)
    {
        var labels = new LabelsBuilder();
        foreach ((ConfigNode name, ConfigNode value, string path) in Pairs(key))
        {
            if (name.Fault is not null || name.Text.Length == 0 || (legacyNames && !Model.Labels.IsLegacyLabelName(name.Text)))
                Reading.Error(name, path, name.Fault ?? $"'{name.Text}' is not a label name");
            else if (CheckScalar(value, path))
                labels.Set(name.Text, value.Text);
        }
        return labels.Build();
    }

    /// <summary>Whether a node is a usable scalar; else an error is noted.</summary>
    public bool CheckScalar(ConfigNode node, string path)
    {
        if (node.Kind == ConfigNodeKind.Scalar && node.Fault is null)
            return true;
        Reading.Error(node, path, node.Fault ?? $"must be one value, not {node.Describe()}");
        return false;
    }

    /// <summary>Notes every key that nobody asked for, with the word that was probably meant.</summary>
    public void Close(params ReadOnlySpan<string> besides)
    {
        foreach (ConfigError unknown in Unknown(besides))
            Reading.Error(unknown);
    }

    /// <summary>Every key that nobody asked for, with the word that was probably meant, for formats where such keys refuse nothing.</summary>
    public IReadOnlyList<ConfigError> Unknown(params ReadOnlySpan<string> besides)
    {
        var unknown = new List<ConfigError>();
        foreach ((ConfigNode key, _) in Node?.Entries ?? [])
        {
            if (_known.Contains(key.Text) || besides.Contains(key.Text))
                continue;
            string? near = NearestWord.Find(key.Text, _known);
            unknown.Add(new ConfigError(Reading.File, key.Line, key.Column, PathOf(key.Text), near is null ? $"unknown key '{key.Text}'; known are: {string.Join(", ", _known.Order(StringComparer.Ordinal))}" : $"unknown key '{key.Text}'; did you mean '{near}'?"));
        }
        return unknown;
    }

    private ConfigNode? Scalar(string key)
    {
        ConfigNode? node = Find(key);
        return node is not null && CheckScalar(node, PathOf(key)) ? node : null;
    }
}
