using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace Bellwether.Core.Model;

/// <summary>
/// An immutable label set, sorted by name in UTF-8 byte order, without duplicate names and without empty values: what identifies a series.
/// Thread-safe. Equality and hash go by content.
/// </summary>
public sealed class Labels : IEquatable<Labels>, IComparable<Labels>
{
    // Shared with other sets of the same names.
    private readonly string[] _names;
    private readonly string[] _values;

    private Labels(string[] names, string[] values)
    {
        _names = names;
        _values = values;
        Hash = ComputeHash(names, values);
    }

    /// <summary>No labels at all.</summary>
    public static Labels Empty { get; } = new([], []);

    /// <summary>A 64-bit hash of the content; the same in every process and version 1 of the store's files relies on it nowhere.</summary>
    public ulong Hash { get; }

    /// <summary>For who keeps this very object as its own: what it has under it, so that the object alone finds it. Not part of the content; whoever sets it says who may when.</summary>
    public object? Owner { get; set; }

    /// <summary>How many labels there are.</summary>
    public int Count => _values.Length;

    /// <summary>The label at a position in name order.</summary>
    public Label this[int index] => new(_names[index], _values[index]);

    /// <summary>The metric name, or the empty string.</summary>
    public string MetricName => Get(LabelNames.MetricName);

    /// <summary>The labels in name order.</summary>
    public LabelSpan AsSpan() => new(_names, _values);

    /// <summary>Builds a set from labels in any order. Empty values are left out; of a repeated name the last value counts.</summary>
    public static Labels From(params ReadOnlySpan<Label> labels)
    {
        var builder = new LabelsBuilder();
        foreach (Label label in labels)
            builder.Set(label.Name, label.Value);
        return builder.Build();
    }

    /// <summary>Builds a set from name and value pairs, e.g. <c>Labels.Of("__name__", "up", "job", "shop")</c>.</summary>
    public static Labels Of(params ReadOnlySpan<string> namesAndValues)
    {
        if (namesAndValues.Length % 2 != 0)
            throw new ArgumentException("names and values must come in pairs", nameof(namesAndValues));
        var builder = new LabelsBuilder();
        for (int i = 0; i < namesAndValues.Length; i += 2)
            builder.Set(namesAndValues[i], namesAndValues[i + 1]);
        return builder.Build();
    }

    /// <summary>A set of labels that the caller knows to be sorted, unique and non-empty. Checked; throws <see cref="ArgumentException"/> when they are not.</summary>
    public static Labels FromSorted(ReadOnlySpan<Label> sorted) =>
        TryFromSorted(sorted) ?? throw new ArgumentException($"label {FirstWrong(sorted)} ('{sorted[FirstWrong(sorted)].Name}') is empty, out of order or doubled");

    /// <summary>A set of labels from elsewhere; null unless they are sorted, unique and not empty.</summary>
    internal static Labels? TryFromSorted(ReadOnlySpan<Label> labels)
    {
        if (labels.Length == 0)
            return Empty;
        string[]? names = LabelShapes.Find(labels);
        if (names is null)
        {
            if (FirstWrong(labels) >= 0)
                return null;
            names = LabelShapes.Add(labels);
        }
        var values = new string[labels.Length];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = labels[i].Value;
            if (values[i].Length == 0)
                return null;
        }
        return new Labels(names, values);
    }

    private static int FirstWrong(ReadOnlySpan<Label> labels)
    {
        for (int i = 0; i < labels.Length; i++)
        {
            if (labels[i].Name.Length == 0 || labels[i].Value.Length == 0 || (i > 0 && Utf8Order.Compare(labels[i - 1].Name, labels[i].Name) >= 0))
                return i;
        }
        return -1;
    }

    /// <summary>The value of a label, or the empty string when it is absent.</summary>
    public string Get(string name)
    {
        int at = _names.AsSpan().IndexOf(name);
        return at < 0 ? "" : _values[at];
    }

    /// <summary>Whether the label is there, and its value.</summary>
    public bool TryGet(string name, [NotNullWhen(true)] out string? value)
    {
        int at = _names.AsSpan().IndexOf(name);
        value = at < 0 ? null : _values[at];
        return at >= 0;
    }

    /// <summary>The same set with one label set (or, with an empty value, removed).</summary>
    public Labels With(string name, string value) => new LabelsBuilder(this).Set(name, value).Build();

    /// <summary>The same set without one label.</summary>
    public Labels Without(string name) => TryGet(name, out _) ? new LabelsBuilder(this).Remove(name).Build() : this;

    /// <inheritdoc/>
    public bool Equals(Labels? other) =>
        ReferenceEquals(this, other) || (other is not null && Hash == other.Hash && (ReferenceEquals(_names, other._names) || _names.AsSpan().SequenceEqual(other._names)) && _values.AsSpan().SequenceEqual(other._values));

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as Labels);

    /// <inheritdoc/>
    public override int GetHashCode() => (int)Hash ^ (int)(Hash >> 32);

    /// <summary>Prometheus' order: name, then value, label by label; a prefix sorts first.</summary>
    public int CompareTo(Labels? other)
    {
        if (other is null)
            return 1;
        int common = Math.Min(Count, other.Count);
        for (int i = 0; i < common; i++)
        {
            int c = ReferenceEquals(_names[i], other._names[i]) ? 0 : Utf8Order.Compare(_names[i], other._names[i]);
            if (c == 0)
                c = Utf8Order.Compare(_values[i], other._values[i]);
            if (c != 0)
                return c;
        }
        return Count - other.Count;
    }

    /// <summary>The series in PromQL's notation, e.g. <c>up{job="shop"}</c>.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        string name = MetricName;
        bool plainName = IsLegacyMetricName(name);
        if (plainName)
            text.Append(name);
        int others = Count - (name.Length > 0 ? 1 : 0);
        if (others == 0 && (plainName || name.Length == 0))
            return plainName ? text.ToString() : "{}";
        text.Append('{');
        bool first = true;
        if (name.Length > 0 && !plainName)
        {
            AppendQuoted(text, name);
            first = false;
        }
        foreach (ref readonly Label label in AsSpan())
        {
            if (label.Name == LabelNames.MetricName)
                continue;
            if (!first)
                text.Append(", ");
            first = false;
            if (IsLegacyLabelName(label.Name))
                text.Append(label.Name);
            else
                AppendQuoted(text, label.Name);
            text.Append('=');
            AppendQuoted(text, label.Value);
        }
        return text.Append('}').ToString();
    }

    /// <summary>Whether a metric name needs no quotes: <c>[a-zA-Z_:][a-zA-Z0-9_:]*</c>.</summary>
    public static bool IsLegacyMetricName(ReadOnlySpan<char> name)
    {
        if (name.IsEmpty || char.IsAsciiDigit(name[0]))
            return false;
        foreach (char c in name)
        {
            if (!char.IsAsciiLetterOrDigit(c) && c != '_' && c != ':')
                return false;
        }
        return true;
    }

    /// <summary>Whether a label name needs no quotes: <c>[a-zA-Z_][a-zA-Z0-9_]*</c>.</summary>
    public static bool IsLegacyLabelName(ReadOnlySpan<char> name) => IsLegacyMetricName(name) && !name.Contains(':');

    private static void AppendQuoted(StringBuilder text, string value)
    {
        text.Append('"');
        foreach (char c in value)
        {
            switch (c)
            {
                case '"': text.Append("\\\""); break;
                case '\\': text.Append(@"\\"); break;
                case '\n': text.Append("\\n"); break;
                case '\r': text.Append("\\r"); break;
                case '\t': text.Append("\\t"); break;
                default:
                    if (char.IsControl(c))
                        text.Append(System.Globalization.CultureInfo.InvariantCulture, $"\\x{(int)c:x2}");
                    else
                        text.Append(c);
                    break;
            }
        }
        text.Append('"');
    }

    private static ulong ComputeHash(string[] names, string[] values)
    {
        // A multiply-and-fold over UTF-16 units: string.GetHashCode is randomised per process, and order here must be the same in every run.
        ulong hash = 0x9E3779B97F4A7C15;
        for (int i = 0; i < names.Length; i++)
        {
            hash = HashText(hash, names[i]) + 1;
            hash = HashText(hash, values[i]) + 2;
        }
        hash ^= hash >> 32;
        hash *= 0xD6E8FEB86659FD93;
        return hash ^ (hash >> 32);
    }

    private static ulong HashText(ulong hash, string text)
    {
        ReadOnlySpan<ulong> words = System.Runtime.InteropServices.MemoryMarshal.Cast<char, ulong>(text.AsSpan());
        foreach (ulong word in words)
            hash = Mix(hash ^ word);
        foreach (char c in text.AsSpan(words.Length * 4))
            hash = Mix(hash ^ c);
        return hash;
    }

    private static ulong Mix(ulong value)
    {
        ulong high = Math.BigMul(value, 0xE7037ED1A0B428DB, out ulong low);
        return high ^ low;
    }
}
