using System.Globalization;
using Bellwether.Core.Codec;
using Bellwether.Core.Configuration;
using Bellwether.Core.Model;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Bellwether.Agent.Collect.Postgres;

/// <summary>
/// The metrics of one PostgreSQL server under postgres_exporter's names and labels, and own queries. Source name <c>postgres/HOST:PORT/DATABASE</c>, followed by an instance and labels of its own. Holds one
/// connection. A query that fails costs its own families only; a server that cannot be reached gives <c>pg_up 0</c>. <c>up</c> is the target's health: whether the server was reached. What fails then, for
/// want of a privilege say, is told by <see cref="LastError"/> and <c>pg_scrape_collector_success</c>. Not thread-safe.
/// </summary>
public sealed partial class PostgresCollector : ICollector
{
    private const string ApplicationName = "bellwether-agent";
    private const int ConnectAttemptsMax = 2;

    private const string UpName = "pg_up";
    private const string UpHelp = "Whether the last scrape of metrics from PostgreSQL was able to connect to the server (1 for yes, 0 for no).";
    private const string CollectorSecondsName = "pg_scrape_collector_duration_seconds";
    private const string CollectorSecondsHelp = "postgres_exporter: Duration of a collector scrape.";
    private const string CollectorSuccessName = "pg_scrape_collector_success";
    private const string CollectorSuccessHelp = "postgres_exporter: Whether a collector succeeded.";

    private const string FactsSql = """
        SELECT current_setting('server_version_num')::int4, pg_is_in_recovery(), current_setting('server_version'), version(),
               COALESCE((SELECT quote_ident(n.nspname) FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements'), '')
        """;

    private static readonly TimeSpan ConnectRetryDelay = TimeSpan.FromMilliseconds(200);

    private readonly PostgresCollectorOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly NpgsqlDataSource _dataSource;
    private NpgsqlConnection? _connection;
    private Generation _generation;
    private long _scrapes;
    private string? _unreached;
    private readonly List<string> _failures = [];

    /// <summary>Makes the collector; nothing is connected yet.</summary>
    /// <param name="options">Settings. A connection string that makes no sense and unknown collector names throw <see cref="ArgumentException"/>.</param>
    /// <param name="time">The clock.</param>
    /// <param name="logger">Told when a query or the server begins to fail and when it works again.</param>
    public PostgresCollector(PostgresCollectorOptions options, TimeProvider time, ILogger logger)
    {
        foreach (string name in options.Enable.Concat(options.Disable))
        {
            if (!CollectorNames.Contains(name))
                throw new ArgumentException($"no PostgreSQL collector '{name}'; there are: {string.Join(", ", CollectorNames)}", nameof(options));
        }
        _options = options;
        _time = time;
        _logger = logger;
        NpgsqlConnectionStringBuilder connection = PostgresConnection.Parse(options.ConnectionString);
        if (options.Password is not null)
            connection.Password = options.Password;
        connection.ApplicationName = ApplicationName;
        connection.Timeout = (int)Math.Clamp(Math.Ceiling(options.ConnectTimeout.TotalSeconds), 1, 60);
        connection.CommandTimeout = (int)Math.Max(1, Math.Ceiling(options.QueryTimeout.TotalSeconds));
        connection.Pooling = false;
        Server = PostgresConnection.ServerOf(connection);
        string database = connection.Database ?? connection.Username ?? "";
        // Two collectors of one database differ by what distinguishes their series, and so do their names.
        Name = $"postgres/{Server}/{database}{(options.Instance is { } instance && instance != Server ? $"/{instance}" : "")}"
            + (options.Labels.Count > 0 ? "{" + string.Join(",", options.Labels.OrderBy(l => l.Key, StringComparer.Ordinal).Select(l => $"{l.Key}={l.Value}")) + "}" : "");
        var builder = new NpgsqlSlimDataSourceBuilder(connection.ConnectionString);
        builder.EnableTransportSecurity();
        // Only built-in types are read; the query for all others would cost memory and the server's time at each connect.
        builder.ConfigureTypeLoading(static loading => loading.EnableTypeLoading(false));
        if (options.PasswordFile.Length > 0)
            builder.UsePasswordProvider(_ => ReadPassword(options.PasswordFile), (_, _) => new ValueTask<string>(ReadPassword(options.PasswordFile)));
        _dataSource = builder.Build();
        var labels = new LabelsBuilder();
        foreach ((string label, string value) in options.Labels)
            labels.Set(label, value);
        TargetLabels = labels.Set("job", options.Job).Set("instance", options.Instance ?? Server).Set("server", Server).Build();
        _generation = new Generation(this);
    }

    private static string ReadPassword(string file) =>
        ConfigReading.TryReadFile(file, out string text, out ConfigError? error) ? text.Trim() : throw new IOException(error!.ToString());

    /// <summary>All built-in collectors, for <see cref="PostgresCollectorOptions.Enable"/> and <see cref="PostgresCollectorOptions.Disable"/>.</summary>
    public static IReadOnlyList<string> CollectorNames { get; } = [.. PostgresCatalog.Names.Select(n => n.Name)];

    /// <summary>All metrics that some server version gives, but for <c>pg_settings_*</c>, whose names come from the server, and own queries.</summary>
    public static IReadOnlyList<PostgresMetricDescription> DescribeMetrics()
    {
        var catalog = new PostgresCatalog(new SeriesTable("", TimeSpan.Zero, Labels.Empty, 0), new PostgresCollectorOptions { ConnectionString = "" });
        return
        [
            new(UpName, MetricType.Gauge, UpHelp, []),
            new(CollectorSecondsName, MetricType.Gauge, CollectorSecondsHelp, ["collector"]),
            new(CollectorSuccessName, MetricType.Gauge, CollectorSuccessHelp, ["collector"]),
            .. PostgresCatalog.Names.SelectMany(n => catalog.Make(n.Name).Describe()),
        ];
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>The server as <c>host:port</c>: value of the label <c>server</c>.</summary>
    public string Server { get; }

    /// <summary>The labels that all its series have.</summary>
    public Labels TargetLabels { get; }

    /// <inheritdoc/>
    public TimeSpan Interval => _options.Interval;

    /// <summary>Why the server could not be reached, or which queries failed, in the last tick; null: all went well.</summary>
    public string? LastError { get; private set; }

    /// <summary>Whether the last tick reached the server: the value of <c>up</c>. A query that fails leaves it true. False before the first tick.</summary>
    public bool IsUp { get; private set; }

    /// <summary>Series refused by <see cref="PostgresCollectorOptions.SeriesMax"/> since the table was made.</summary>
    public long SeriesRefused => _generation.Series.Refused;

    /// <inheritdoc/>
    public async ValueTask CollectAsync(SourceTick tick, long timestampMs, CancellationToken cancellation)
    {
        List<Labels>? last = null;
        if (_generation.Series.IsMostlyDead(tick))
        {
            last = _generation.Series.PresentIn(tick);
            _generation = new Generation(this);
        }
        Generation generation = _generation;
        generation.Series.Begin(tick, timestampMs);
        long started = _time.GetTimestamp();
        string? errorBefore = LastError;
        _failures.Clear();
        _scrapes++;
        // The budget of a tick: the next one must find this one done.
        using var budget = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        using var timer = new CancellationTokenSource(_options.Interval * 0.9, _time);
        await using CancellationTokenRegistration _ = timer.Token.UnsafeRegister(static state => ((CancellationTokenSource)state!).Cancel(), budget);

        bool reached = await TryConnectAsync(generation, budget.Token);
        generation.Reached.Set(reached ? 1 : 0);
        if (reached)
        {
            foreach (PostgresPart part in generation.Parts)
                await RunAsync(generation, part, timestampMs, budget.Token);
        }
        string? error = !reached ? _unreached : _failures.Count > 0 ? string.Join("; ", _failures) : null;
        generation.Up.Set(reached ? 1 : 0);
        generation.ScrapeError.Set(error is null ? 0 : 1);
        generation.ScrapeSeconds.Set(_time.GetElapsedTime(started).TotalSeconds);
        generation.Scrapes.Set(_scrapes);
        if (last is not null)
            generation.Series.EndMissing(last);
        (LastError, IsUp) = (error, reached);
        tick.Complete();
        LogChange(errorBefore, reached);
    }

    /// <inheritdoc/>
    public void End(SourceTick tick, long timestampMs)
    {
        _generation.Series.Begin(tick, timestampMs);
        tick.Complete();
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await DropConnectionAsync();
        await _dataSource.DisposeAsync();
    }

    /// <summary>Connects if need be and asks what the server is, which also tells whether an old connection is still good; a dead one is replaced once.</summary>
    private async Task<bool> TryConnectAsync(Generation generation, CancellationToken cancellation)
    {
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                if (_connection is null)
                {
                    var connection = _dataSource.CreateConnection();
                    _connection = connection;
                    await connection.OpenAsync(cancellation);
                    await SetSessionAsync(connection, cancellation);
                }
                await ReadFactsAsync(generation, _connection, cancellation);
                return true;
            }
            catch (Exception e) when (e is NpgsqlException or System.Net.Sockets.SocketException or IOException or TimeoutException or OperationCanceledException or InvalidOperationException or System.Security.Authentication.AuthenticationException)
            {
                await DropConnectionAsync();
                _unreached = $"{Server}: {Describe(e)}";
                if (attempt >= ConnectAttemptsMax || cancellation.IsCancellationRequested || e is PostgresException { IsTransient: false })
                    return false;
            }
            try
            {
                await Task.Delay(ConnectRetryDelay, _time, cancellation);
            }
            catch (OperationCanceledException)
            {
                return false;
            }
        }
    }

    private async Task SetSessionAsync(NpgsqlConnection connection, CancellationToken cancellation)
    {
        long timeoutMs = (long)Math.Max(1, Math.Max(_options.QueryTimeout.TotalMilliseconds, _options.Queries.Select(q => q.Timeout.TotalMilliseconds).DefaultIfEmpty().Max()));
        await using var command = new NpgsqlCommand(string.Create(CultureInfo.InvariantCulture,
            $"SET statement_timeout = {timeoutMs}; SET default_transaction_read_only = on; SET timezone = 'UTC'; SET datestyle = 'ISO'; SET extra_float_digits = 1"), connection);
        await command.ExecuteNonQueryAsync(cancellation);
    }

    private static async Task ReadFactsAsync(Generation generation, NpgsqlConnection connection, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand(FactsSql, connection);
        await using NpgsqlDataReader reader = await command.ExecuteReaderAsync(cancellation);
        if (!await reader.ReadAsync(cancellation))
            throw new InvalidOperationException("the server gave no row for its version");
        generation.Facts = new PostgresServerFacts(reader.GetInt32(0), reader.GetBoolean(1), reader.GetString(4));
        generation.SetStatic(reader.GetString(2), reader.GetString(3));
    }

    private async Task RunAsync(Generation generation, PostgresPart part, long timestampMs, CancellationToken cancellation)
    {
        string? sql = part.SqlFor(generation.Facts);
        if (sql is null)
            return;
        long started = _time.GetTimestamp();
        string? error = null;
        if (part.IsDue(timestampMs))
        {
            part.Begin(timestampMs);
            error = await TryQueryAsync(part, sql, cancellation);
            if (error is not null)
                part.Fail();
        }
        part.Set(generation.Series);
        (int duration, int success) = generation.SlotsOf(part);
        generation.CollectorSeconds.Set(duration, _time.GetElapsedTime(started).TotalSeconds);
        generation.CollectorSuccess.Set(success, error is null ? 1 : 0);
        if (error is not null)
            _failures.Add($"{part.Name}: {error}");
        if (error is not null && part.LastError is null)
            LogQueryFails(Server, part.Name, error);
        part.LastError = error;
    }

    /// <summary>Runs a query and feeds its rows to the part. Returns what went wrong, or null.</summary>
    private async Task<string?> TryQueryAsync(PostgresPart part, string sql, CancellationToken cancellation)
    {
        if (_connection is not { State: System.Data.ConnectionState.Open } connection)
            return "the connection was lost";
        try
        {
            await using var command = new NpgsqlCommand(sql, connection) { CommandTimeout = (int)Math.Max(1, Math.Ceiling(part.Timeout.TotalSeconds)), AllResultTypesAreUnknown = part.IsOwn };
            await using NpgsqlDataReader reader = await command.ExecuteReaderAsync(cancellation);
            if (part.Bind(reader) is { } wrong)
                return wrong;
            int rows = 0;
            while (rows++ < part.RowsMax && await reader.ReadAsync(cancellation))
                part.Row(reader);
            return null;
        }
        catch (Exception e) when (e is NpgsqlException or IOException or TimeoutException or OperationCanceledException or InvalidOperationException or InvalidCastException or FormatException)
        {
            return Describe(e);
        }
    }

    private async Task DropConnectionAsync()
    {
        if (_connection is { } connection)
        {
            _connection = null;
            await connection.DisposeAsync();
        }
    }

    private static string Describe(Exception e) => e switch
    {
        PostgresException server => $"{server.MessageText} (SQLSTATE {server.SqlState})",
        OperationCanceledException => "the tick's time was over",
        _ => e.InnerException is { } inner ? $"{e.Message}: {inner.Message}" : e.Message,
    };

    private void LogChange(string? errorBefore, bool reached)
    {
        if (!reached && errorBefore != LastError)
            LogDown(Server, LastError ?? "");
        else if (reached && errorBefore is not null && LastError is null)
            LogWorks(Server);
    }

    [LoggerMessage(EventId = 1201, Level = LogLevel.Warning, Message = "PostgreSQL {Server} cannot be reached, pg_up is 0: {Error}")]
    private partial void LogDown(string server, string error);

    [LoggerMessage(EventId = 1202, Level = LogLevel.Information, Message = "PostgreSQL {Server} works again")]
    private partial void LogWorks(string server);

    [LoggerMessage(EventId = 1203, Level = LogLevel.Warning, Message = "PostgreSQL {Server}: query {Query} fails, its metrics are missing until it works again: {Error}")]
    private partial void LogQueryFails(string server, string query, string error);

    /// <summary>One table with the parts that know its slots.</summary>
    private sealed class Generation
    {
        private readonly Dictionary<string, (int Duration, int Success)> _partSlots = [];
        private readonly MetricFamily _static;
        private string _versionText = "";
        private int _staticSlot = -1;

        public Generation(PostgresCollector owner)
        {
            PostgresCollectorOptions options = owner._options;
            Series = new SeriesTable(owner.Name, options.Interval, owner.TargetLabels, options.SeriesMax);
            MetricFamily Gauge(string name, string help) => new(Series, name, MetricType.Gauge, help);
            Up = Gauge("up", "Whether the server was reached; queries that fail are told by pg_scrape_collector_success.");
            Reached = Gauge(UpName, UpHelp);
            ScrapeError = Gauge("pg_exporter_last_scrape_error", "Whether the last scrape of metrics from PostgreSQL resulted in an error (1 for error, 0 for success).");
            ScrapeSeconds = Gauge("pg_exporter_last_scrape_duration_seconds", "Duration of the last scrape of metrics from PostgreSQL.");
            Scrapes = new MetricFamily(Series, "pg_exporter_scrapes_total", MetricType.Counter, "Total number of times PostgreSQL was scraped for metrics.");
            CollectorSeconds = Gauge(CollectorSecondsName, CollectorSecondsHelp);
            CollectorSuccess = Gauge(CollectorSuccessName, CollectorSuccessHelp);
            _static = new MetricFamily(Series, "pg_static", MetricType.Unknown, "Version string as reported by postgres");
            var catalog = new PostgresCatalog(Series, options);
            foreach ((string name, bool isDefault) in PostgresCatalog.Names)
            {
                if ((isDefault || options.Enable.Contains(name)) && !options.Disable.Contains(name))
                    Parts.Add(catalog.Make(name));
            }
            foreach (PostgresQuery query in options.Queries)
            {
                Parts.Add(new PostgresRowsPart(Series, query)
                {
                    Interval = query.Interval,
                    Timeout = query.Timeout > TimeSpan.Zero ? query.Timeout : options.QueryTimeout,
                    RowsMax = query.RowsMax,
                });
            }
        }

        public SeriesTable Series { get; }

        public List<PostgresPart> Parts { get; } = [];

        public PostgresServerFacts Facts { get; set; }

        public MetricFamily Up { get; }

        public MetricFamily ScrapeError { get; }

        public MetricFamily ScrapeSeconds { get; }

        public MetricFamily Reached { get; }

        public MetricFamily Scrapes { get; }

        public MetricFamily CollectorSeconds { get; }

        public MetricFamily CollectorSuccess { get; }

        public (int Duration, int Success) SlotsOf(PostgresPart part)
        {
            if (!_partSlots.TryGetValue(part.Name, out (int Duration, int Success) slots))
            {
                slots = (CollectorSeconds.Add("collector", part.Name), CollectorSuccess.Add("collector", part.Name));
                _partSlots[part.Name] = slots;
            }
            return slots;
        }

        /// <summary>pg_static: the version as text. postgres_exporter writes the short one as MAJOR.MINOR.0.</summary>
        public void SetStatic(string version, string text)
        {
            if (_staticSlot < 0 || _versionText != text)
            {
                _versionText = text;
                string number = version.Split(' ')[0];
                _staticSlot = _static.Add("version", text, "short_version", number.Count(c => c == '.') == 1 ? number + ".0" : number);
            }
            _static.Set(_staticSlot, 1);
        }
    }
}
