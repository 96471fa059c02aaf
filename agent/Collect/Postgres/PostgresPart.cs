using System.Data.Common;
using System.Globalization;
using Bellwether.Core.Model;

namespace Bellwether.Agent.Collect.Postgres;

/// <summary>What is known of the server at this tick.</summary>
/// <param name="Version">server_version_num.</param>
/// <param name="IsReplica">Whether it is in recovery.</param>
/// <param name="StatementsSchema">Schema of pg_stat_statements in this database, quoted; empty: not there.</param>
internal readonly record struct PostgresServerFacts(int Version, bool IsReplica, string StatementsSchema);

/// <summary>One query and the series of its rows. Remembers the last rows, so that they can be repeated while it is not due. Not thread-safe.</summary>
internal abstract class PostgresPart(string name)
{
    private readonly List<(int Slot, double Value)> _last = [];
    private long _lastRun = long.MinValue;

    /// <summary>Value of the label <c>collector</c>.</summary>
    public string Name { get; } = name;

    /// <summary>How often it runs; zero: each tick.</summary>
    public TimeSpan Interval { get; init; }

    /// <summary>How long the query may take.</summary>
    public TimeSpan Timeout { get; init; }

    /// <summary>Rows beyond this many are not read.</summary>
    public int RowsMax { get; init; }

    /// <summary>Whether it is an own query: its failure is its own, and all its columns are asked for as text (their types are not known).</summary>
    public virtual bool IsOwn => false;

    /// <summary>Its text for logs when it last failed; null: it works.</summary>
    public string? LastError { get; set; }

    /// <summary>The SQL for this server; null: it has nothing to say there.</summary>
    public abstract string? SqlFor(PostgresServerFacts facts);

    /// <summary>The metrics it can write.</summary>
    public abstract IEnumerable<PostgresMetricDescription> Describe();

    /// <summary>Finds the columns. Returns what is wrong with them, or null.</summary>
    public abstract string? Bind(DbDataReader reader);

    /// <summary>Takes one row.</summary>
    public abstract void Row(DbDataReader reader);

    /// <summary>Whether it must run now.</summary>
    public bool IsDue(long timestampMs) => _lastRun == long.MinValue || timestampMs - _lastRun >= Interval.TotalMilliseconds - DueSlackMs || timestampMs < _lastRun;

    /// <summary>Forgets the last rows: it runs now.</summary>
    public void Begin(long timestampMs)
    {
        _lastRun = timestampMs;
        _last.Clear();
    }

    /// <summary>Forgets the last rows, and runs at the next tick: it failed.</summary>
    public void Fail()
    {
        _lastRun = long.MinValue;
        _last.Clear();
    }

    /// <summary>Sets the last rows in the current tick.</summary>
    public void Set(SeriesTable series)
    {
        foreach ((int slot, double value) in _last)
            series.Tick.Set(slot, value);
    }

    /// <summary>Keeps a sample of the row at hand.</summary>
    protected void Keep(int slot, double value)
    {
        if (slot >= 0)
            _last.Add((slot, value));
    }

    /// <summary>Ticks are not exactly on time; a query each 60 s must not slip to the tick after.</summary>
    private const double DueSlackMs = 500;
}

/// <summary>Rows with label columns and value columns: all built-in queries but the settings, and all own ones.</summary>
internal sealed class PostgresRowsPart : PostgresPart
{
    private const int LabelCharsMax = 1_024;
    private readonly Func<PostgresServerFacts, string?> _sql;
    private readonly PostgresQueryLabel[] _labels;
    private readonly PostgresQueryMetric[] _metrics;
    private readonly MetricFamily[] _families;
    private readonly int[] _labelColumns;
    private readonly int[] _metricColumns;
    private readonly bool _optionalColumns;
    private readonly Dictionary<string, int[]> _rows = [];
    private readonly Dictionary<string, int[]>.AlternateLookup<ReadOnlySpan<char>> _rowsBySpan;
    private readonly string[] _labelTexts;
    private readonly int[] _newSlots;
    private char[] _key = new char[256];
    private int _keyLength;

    /// <summary>A built-in query.</summary>
    public PostgresRowsPart(SeriesTable series, string name, Func<PostgresServerFacts, string?> sql, PostgresQueryLabel[] labels, PostgresQueryMetric[] metrics) : base(name)
    {
        _sql = sql;
        _labels = labels;
        _metrics = metrics;
        _optionalColumns = true;
        _families = Array.ConvertAll(metrics, m => new MetricFamily(series, m.Name, m.Type, m.Help));
        _labelColumns = new int[labels.Length];
        _metricColumns = new int[metrics.Length];
        _labelTexts = new string[labels.Length];
        _newSlots = new int[metrics.Length];
        _rowsBySpan = _rows.GetAlternateLookup<ReadOnlySpan<char>>();
    }

    /// <summary>An own query.</summary>
    public PostgresRowsPart(SeriesTable series, PostgresQuery query)
        : this(series, query.Name, facts => facts.Version >= query.VersionMin && facts.Version < query.VersionEnd ? query.Sql : null, [.. query.Labels], [.. query.Metrics])
    {
        _optionalColumns = false;
        IsOwn = true;
    }

    /// <inheritdoc/>
    public override bool IsOwn { get; }

    /// <summary>Rows whose series are known.</summary>
    internal int RowsRemembered => _rows.Count;

    /// <inheritdoc/>
    public override string? SqlFor(PostgresServerFacts facts) => _sql(facts);

    /// <inheritdoc/>
    public override IEnumerable<PostgresMetricDescription> Describe() =>
        _metrics.Select(m => new PostgresMetricDescription(m.Name, m.Type, m.Help, [.. _labels.Select(l => l.Name ?? l.Column)]));

    /// <inheritdoc/>
    public override string? Bind(DbDataReader reader)
    {
        for (int i = 0; i < _labels.Length; i++)
        {
            _labelColumns[i] = Find(reader, _labels[i].Column);
            if (_labelColumns[i] < 0)
                return Missing(reader, _labels[i].Column);
        }
        for (int i = 0; i < _metrics.Length; i++)
        {
            _metricColumns[i] = Find(reader, _metrics[i].Column);
            // Built-in queries leave out what the server's version does not have.
            if (_metricColumns[i] < 0 && !_optionalColumns)
                return Missing(reader, _metrics[i].Column);
        }
        return null;
    }

    /// <inheritdoc/>
    public override void Row(DbDataReader reader)
    {
        int[]? known = KnownSlots(reader);
        int[] slots = known ?? _newSlots;
        if (known is null)
            Array.Clear(_newSlots);
        bool isAdded = false;
        for (int i = 0; i < _metrics.Length; i++)
        {
            int column = _metricColumns[i];
            if (column < 0 || reader.IsDBNull(column))
                continue;
            double value;
            if (!IsOwn)
                value = reader.GetDouble(column);
            else if (!PostgresText.TryNumber(reader.GetString(column), out value))
                continue;
            ref int slot = ref slots[i];
            if (slot == 0)
            {
                slot = AddSeries(i) + 1;
                isAdded |= slot > 0;
            }
            Keep(slot - 1, PostgresText.Scaled(value, _metrics[i].Scale));
        }
        // A row without a series (all values null, or the table full) is not worth its memory: labels may be other ones at each tick.
        if (known is null && isAdded)
            _rows[new string(_key, 0, _keyLength)] = [.. _newSlots];
    }

    private int AddSeries(int metric)
    {
        var labels = new string[_labels.Length * 2];
        for (int i = 0; i < _labels.Length; i++)
        {
            labels[2 * i] = _labels[i].Name ?? _labels[i].Column;
            labels[2 * i + 1] = _labelTexts[i];
        }
        return _families[metric].Add(labels);
    }

    /// <summary>The slots of a row by its labels, stored plus one (0: no such series yet); null: the row is new. Each text stands behind its length, so that no two rows have one key.</summary>
    private int[]? KnownSlots(DbDataReader reader)
    {
        int length = 0;
        for (int i = 0; i < _labelColumns.Length; i++)
        {
            string text = reader.IsDBNull(_labelColumns[i]) ? "" : reader.GetString(_labelColumns[i]);
            if (text.Length > LabelCharsMax)
                text = text[..LabelCharsMax];
            _labelTexts[i] = text;
            if (_key.Length < length + text.Length + 1)
                Array.Resize(ref _key, Math.Max(_key.Length * 2, length + text.Length + 1));
            _key[length++] = (char)text.Length;
            text.CopyTo(_key.AsSpan(length));
            length += text.Length;
        }
        _keyLength = length;
        return _rowsBySpan.TryGetValue(_key.AsSpan(0, length), out int[]? slots) ? slots : null;
    }

    private static int Find(DbDataReader reader, string column)
    {
        for (int i = 0; i < reader.FieldCount; i++)
        {
            if (string.Equals(reader.GetName(i), column, StringComparison.Ordinal))
                return i;
        }
        return -1;
    }

    private static string Missing(DbDataReader reader, string column)
    {
        string there = string.Join(", ", Enumerable.Range(0, reader.FieldCount).Select(reader.GetName));
        return $"the query has no column '{column}'; it has: {there}";
    }
}

/// <summary>
/// <c>pg_settings_NAME[_bytes|_seconds]</c> from booleans, integers and reals of pg_settings, in base units. -1 stays -1: it means 'off' or 'automatic' there.
/// </summary>
internal sealed class PostgresSettingsPart(SeriesTable series) : PostgresPart("settings")
{
    private readonly Dictionary<string, (int Slot, double Scale)> _settings = [];

    /// <inheritdoc/>
    public override string SqlFor(PostgresServerFacts facts) =>
        "SELECT name, setting, COALESCE(unit, '') AS unit, short_desc, vartype FROM pg_settings WHERE vartype IN ('bool', 'integer', 'real') ORDER BY name";

    /// <inheritdoc/>
    public override IEnumerable<PostgresMetricDescription> Describe() => [];

    /// <inheritdoc/>
    public override string? Bind(DbDataReader reader) => null;

    /// <inheritdoc/>
    public override void Row(DbDataReader reader)
    {
        string name = reader.GetString(0);
        if (reader.IsDBNull(1) || !PostgresText.TryNumber(reader.GetString(1), out double value))
            return;
        if (!_settings.TryGetValue(name, out (int Slot, double Scale) setting))
        {
            (string suffix, double scale) = PostgresText.UnitOf(reader.GetString(2));
            string help = $"Server Parameter: {name}. {reader.GetString(3)}" + (suffix.Length > 0 ? $" [Units converted to {suffix[1..]}.]" : "");
            string metric = "pg_settings_" + PostgresText.MetricNameOf(name) + suffix;
            setting = (new MetricFamily(series, metric, MetricType.Gauge, help).Add(), scale);
            _settings[name] = setting;
        }
        Keep(setting.Slot, value == -1 ? value : PostgresText.Scaled(value, setting.Scale));
    }
}

/// <summary>PostgreSQL's texts for numbers, booleans, times and units.</summary>
internal static class PostgresText
{
    /// <summary>A number, a boolean (t, f, on, off, true, false) as 1 or 0, or a time as Unix seconds.</summary>
    public static bool TryNumber(string text, out double value)
    {
        if (double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out value))
            return true;
        switch (text)
        {
            case "t" or "true" or "on" or "yes":
                value = 1;
                return true;
            case "f" or "false" or "off" or "no":
                value = 0;
                return true;
        }
        // timestamptz is written with its offset (+00), timestamp without: that one is read as UTC.
        if (DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset time) && text.Length >= 10 && text[4] == '-')
        {
            value = (time - DateTimeOffset.UnixEpoch).Ticks / (double)TimeSpan.TicksPerSecond;
            return true;
        }
        return false;
    }

    /// <summary>The suffix of a unit of pg_settings, and what to multiply by: 8kB gives _bytes and 8192.</summary>
    public static (string Suffix, double Scale) UnitOf(string unit)
    {
        int digits = 0;
        while (digits < unit.Length && char.IsAsciiDigit(unit[digits]))
            digits++;
        double count = digits > 0 ? double.Parse(unit[..digits], CultureInfo.InvariantCulture) : 1;
        return unit[digits..] switch
        {
            "B" => ("_bytes", count),
            "kB" => ("_bytes", count * 1024),
            "MB" => ("_bytes", count * 1024 * 1024),
            "GB" => ("_bytes", count * 1024 * 1024 * 1024),
            "TB" => ("_bytes", count * 1024 * 1024 * 1024 * 1024),
            "us" => ("_seconds", count / 1_000_000),
            "ms" => ("_seconds", count / 1_000),
            "s" => ("_seconds", count),
            "min" => ("_seconds", count * 60),
            "h" => ("_seconds", count * 3_600),
            "d" => ("_seconds", count * 86_400),
            _ => ("", 1),
        };
    }

    /// <summary>Milliseconds to seconds is a division by 1000: 0.001 has no exact binary form, so multiplying by it rounds twice.</summary>
    public static double Scaled(double value, double scale) => scale is > 0 and < 1 ? value / Math.Round(1 / scale) : value * scale;

    /// <summary>A setting's name as part of a metric's name.</summary>
    public static string MetricNameOf(string setting) =>
        string.Create(setting.Length, setting, static (into, from) =>
        {
            for (int i = 0; i < into.Length; i++)
                into[i] = char.IsAsciiLetterOrDigit(from[i]) ? from[i] : '_';
        });
}
