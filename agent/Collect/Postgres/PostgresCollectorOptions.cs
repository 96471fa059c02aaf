using Bellwether.Core.Configuration;
using Bellwether.Core.Model;

namespace Bellwether.Agent.Collect.Postgres;

/// <summary>Settings of the collector of one PostgreSQL server.</summary>
public sealed record PostgresCollectorOptions
{
    /// <summary>Where and as whom: Npgsql's <c>Host=...;Username=...</c> or <c>postgresql://user:password@host:port/database?sslmode=...</c>.</summary>
    public required string ConnectionString { get; init; }

    /// <summary>The password where it is not in <see cref="ConnectionString"/>; null: none, or from ~/.pgpass.</summary>
    public string? Password { get; init; }

    /// <summary>A file with the password alone, read at each connecting, so that a password that was changed counts at once; empty: none.</summary>
    public string PasswordFile { get; init; } = "";

    /// <summary>How often it is due. Default 15 s.</summary>
    public TimeSpan Interval { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>Value of the label <c>job</c>. Default <c>postgres</c>; empty: no such label.</summary>
    public string Job { get; init; } = "postgres";

    /// <summary>Value of the label <c>instance</c>. Null: the server as <c>host:port</c>; empty: no such label.</summary>
    public string? Instance { get; init; }

    /// <summary>More labels on every series; they do not replace labels of the metrics themselves.</summary>
    public IReadOnlyDictionary<string, string> Labels { get; init; } = new Dictionary<string, string>();

    /// <summary>Collectors on beside the default ones (<see cref="PostgresCollector.CollectorNames"/> has all).</summary>
    public IReadOnlyList<string> Enable { get; init; } = [];

    /// <summary>Default collectors that are off.</summary>
    public IReadOnlyList<string> Disable { get; init; } = [];

    /// <summary>Own queries.</summary>
    public IReadOnlyList<PostgresQuery> Queries { get; init; } = [];

    /// <summary>How long connecting may take. Whole seconds, 1 s to 60 s; default 5 s.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long one query may take (also set as <c>statement_timeout</c>). Default 5 s.</summary>
    public TimeSpan QueryTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How often sizes and settings are asked for, which change seldom or cost the server more; between, their last values are repeated. Default 60 s.</summary>
    public TimeSpan SlowInterval { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Databases at most, largest number of connections and name first. Default 100.</summary>
    public int DatabasesMax { get; init; } = 100;

    /// <summary>Tables (and indexes) at most, most used first. Default 500.</summary>
    public int TablesMax { get; init; } = 500;

    /// <summary>Statements of pg_stat_statements at most, by total time. Default 100.</summary>
    public int StatementsMax { get; init; } = 100;

    /// <summary>Sessions groups, replicas, slots, roles and other rows at most per query. Default 500.</summary>
    public int RowsMax { get; init; } = 500;

    /// <summary>Whether <c>pg_stat_statements_query_id</c> carries the text of the statements. Default off: the text may hold what must not leave the host.</summary>
    public bool StatementText { get; init; }

    /// <summary>Series at most; more are refused and counted. Default 20,000.</summary>
    public int SeriesMax { get; init; } = 20_000;
}

/// <summary>An own query: each row gives a sample per metric, told apart by the label columns.</summary>
public sealed record PostgresQuery
{
    /// <summary>Its name, unique in the collector: value of the label <c>collector</c> of <c>pg_scrape_collector_success</c>.</summary>
    public required string Name { get; init; }

    /// <summary>The SQL, run in a read-only transaction.</summary>
    public required string Sql { get; init; }

    /// <summary>Columns whose text becomes a label of the same name (or another).</summary>
    public IReadOnlyList<PostgresQueryLabel> Labels { get; init; } = [];

    /// <summary>Columns whose number becomes a sample.</summary>
    public required IReadOnlyList<PostgresQueryMetric> Metrics { get; init; }

    /// <summary>How often it runs; between, its last values are repeated. Default zero: each tick.</summary>
    public TimeSpan Interval { get; init; }

    /// <summary>How long it may take. Default zero: <see cref="PostgresCollectorOptions.QueryTimeout"/>.</summary>
    public TimeSpan Timeout { get; init; }

    /// <summary>Rows beyond this many are not read. Default 1,000.</summary>
    public int RowsMax { get; init; } = 1_000;

    /// <summary>The lowest server_version_num it is for. Default 0.</summary>
    public int VersionMin { get; init; }

    /// <summary>The first server_version_num it is not for any more. Default: none.</summary>
    public int VersionEnd { get; init; } = int.MaxValue;
}

/// <summary>A label from a column.</summary>
/// <param name="Column">The column.</param>
/// <param name="Name">The label's name; null: the column's.</param>
public sealed record PostgresQueryLabel(string Column, string? Name = null);

/// <summary>A metric from a column: numbers as they are, booleans as 0 and 1, times as Unix seconds; NULL gives no sample.</summary>
/// <param name="Column">The column.</param>
/// <param name="Name">The metric's name.</param>
/// <param name="Type">Its type.</param>
/// <param name="Help">Its help text.</param>
/// <param name="Scale">The value is multiplied by this, e.g. 0.001 for milliseconds to seconds.</param>
public sealed record PostgresQueryMetric(
    [property: Reload("The column.", Default = "required")] string Column,
    [property: Reload("The metric's name.", Default = "QUERY_COLUMN")] string Name,
    [property: Reload("gauge, counter or untyped.", Default = "gauge", Type = "word")] MetricType Type,
    [property: Reload("The metric's help text.", Default = "none")] string Help = "",
    [property: Reload("The value is multiplied by this, e.g. 0.001 for milliseconds to seconds.", Default = "1")] double Scale = 1);

/// <summary>A metric that the collector can write, for documentation and checks.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type">Its type.</param>
/// <param name="Help">Its help text.</param>
/// <param name="Labels">Its own labels; job, instance and server come on top.</param>
public sealed record PostgresMetricDescription(string Name, MetricType Type, string Help, IReadOnlyList<string> Labels);
