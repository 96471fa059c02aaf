using System.Collections.Frozen;

namespace Bellwether.Evaluate.Kpi;

/// <summary>
/// A unit as people write it (<c>euros/hour</c>, <c>ms</c>, <c>percent</c>, <c>requests per second</c>) and what it measures. Nouns that are no measure (users, orders, score) count as
/// numbers. Immutable; compares by what it measures and by its scale.
/// </summary>
internal sealed record Unit(string Canonical, Dimension Dimension)
{
    private static readonly FrozenDictionary<string, (string Canonical, Dimension Dimension)> s_words = Words();

    /// <summary>A unit of which nothing is known but that it is a number.</summary>
    public static Unit Number { get; } = new("", default);

    /// <summary>Reads a unit. Every text is one.</summary>
    public static Unit Parse(string text)
    {
        string[] parts = text.Replace("_per_", "/", StringComparison.Ordinal).Replace(" per ", "/", StringComparison.Ordinal).Split('/', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        var dimension = default(Dimension);
        var canonical = new List<string>();
        for (int i = 0; i < parts.Length; i++)
        {
            (string word, Dimension part) = s_words.TryGetValue(parts[i], out var known) || s_words.TryGetValue(parts[i].ToLowerInvariant(), out known) ? known : (parts[i].ToLowerInvariant(), default);
            canonical.Add(word);
            dimension = i == 0 ? part : dimension.Over(part);
        }
        return new Unit(string.Join('/', canonical), dimension);
    }

    /// <summary>What a word of a metric name measures; null: it says nothing.</summary>
    public static Dimension? OfWord(string word) => s_words.TryGetValue(word, out var known) ? known.Dimension : null;

    /// <summary>The unit as the last part of a recorded name.</summary>
    public static string NamePart(string text)
    {
        string word = text.Trim().Replace("/", " per ", StringComparison.Ordinal).Replace("%", "percent", StringComparison.Ordinal).Replace("€", "euros", StringComparison.Ordinal).Replace("$", "dollars", StringComparison.Ordinal).ToLowerInvariant();
        return string.Join('_', word.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(w => string.Concat(w.Where(c => char.IsAsciiLetterOrDigit(c) || c == '_'))).Where(w => w.Length > 0));
    }

    private static FrozenDictionary<string, (string Canonical, Dimension Dimension)> Words()
    {
        var words = new Dictionary<string, (string, Dimension)>(StringComparer.Ordinal);
        void Add(string names, Dimension dimension)
        {
            string[] all = names.Split(' ');
            foreach (string name in all)
                words[name] = (all[0], dimension);
        }
        var time = new Dimension(1, 0, "");
        Add("seconds second sec s", time);
        Add("milliseconds millisecond ms", time);
        Add("microseconds microsecond us", time);
        Add("minutes minute min", time);
        Add("hours hour h", time);
        Add("days day d", time);
        Add("weeks week", time);
        Add("months month monthly", time);
        Add("years year", time);
        var bytes = new Dimension(0, 1, "");
        Add("bytes byte B", bytes);
        Add("kilobytes KB KiB", bytes);
        Add("megabytes MB MiB", bytes);
        Add("gigabytes GB GiB", bytes);
        foreach (string currency in new[] { "EUR euros euro €", "USD dollars dollar usd $", "GBP pounds pound", "CHF francs", "JPY yen", "HRK kuna" })
            Add(currency, new Dimension(0, 0, currency[..3]));
        Add("percent % pct percentage", default);
        Add("ratio share", default);
        Add("score points", default);
        return words.ToFrozenDictionary(StringComparer.Ordinal);
    }
}

/// <summary>What a number measures: powers of time, bytes and money. The default measures nothing.</summary>
/// <param name="Time">The power of time.</param>
/// <param name="Bytes">The power of bytes.</param>
/// <param name="Currency">The currencies with a sign each, e.g. <c>EUR</c>, <c>-USD</c>, sorted; empty or null: no money.</param>
internal readonly record struct Dimension(int Time, int Bytes, string? Currency)
{
    /// <summary>The currencies, never null (as they are in the default).</summary>
    public string Money => Currency ?? "";

    public Dimension Times(Dimension other) => new(Time + other.Time, Bytes + other.Bytes, Joined(Money, other.Money, false));

    public Dimension Over(Dimension other) => new(Time - other.Time, Bytes - other.Bytes, Joined(Money, other.Money, true));

    /// <summary>Whether both measure the same.</summary>
    public bool Same(Dimension other) => Time == other.Time && Bytes == other.Bytes && Money == other.Money;

    /// <summary>In words.</summary>
    public override string ToString()
    {
        var words = new List<string>();
        if (Money.Length > 0)
            words.Add(Money.Replace("EUR", "euros", StringComparison.Ordinal).Replace("USD", "dollars", StringComparison.Ordinal));
        if (Bytes != 0)
            words.Add(Bytes == 1 ? "bytes" : $"bytes^{Bytes}");
        if (Time > 0)
            words.Add(Time == 1 ? "seconds" : $"seconds^{Time}");
        string over = Time < 0 ? "/second" : "";
        return words.Count == 0 ? (over.Length == 0 ? "a plain number" : "per second") : string.Join(' ', words) + over;
    }

    private static string Joined(string a, string b, bool over)
    {
        var powers = new SortedDictionary<string, int>(StringComparer.Ordinal);
        foreach ((string text, int sign) in new[] { (a, 1), (b, over ? -1 : 1) })
        {
            foreach (string word in text.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            {
                string name = word.TrimStart('-');
                powers[name] = powers.GetValueOrDefault(name) + (name == word ? sign : -sign);
            }
        }
        return string.Join(' ', powers.SelectMany(p => Enumerable.Repeat(p.Value < 0 ? $"-{p.Key}" : p.Key, Math.Abs(p.Value))));
    }
}
