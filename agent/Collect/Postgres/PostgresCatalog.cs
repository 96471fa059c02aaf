using System.Globalization;
using Bellwether.Core.Model;

namespace Bellwether.Agent.Collect.Postgres;

/// <summary>
/// The built-in queries: names, labels and types as postgres_exporter has them, for server versions 12 to 17 (and later ones as long as the columns stay). Inner
/// queries give their columns in any type; labels are cast to text and values to float8 around them. What a version does not have is left out of its query.
/// </summary>
internal sealed class PostgresCatalog(SeriesTable series, PostgresCollectorOptions options)
{
    private const int Version13 = 130_000;
    private const int Version14 = 140_000;
    private const int Version16 = 160_000;
    private const int Version17 = 170_000;

    /// <summary>Name, and whether it is on by default.</summary>
    public static IReadOnlyList<(string Name, bool IsDefault)> Names { get; } =
    [
        ("archiver", true), ("buffercache_summary", false), ("database", true), ("database_conflicts", true), ("database_wraparound", true), ("locks", true), ("long_running_transactions", true),
        ("postmaster", true), ("replication", true), ("replication_slot", true), ("replication_slot_wal_status", true), ("replication_slots", true), ("roles", true), ("settings", true), ("stat_activity", true), ("stat_activity_autovacuum", true),
        ("stat_bgwriter", true), ("stat_checkpointer", true), ("stat_database", true), ("stat_progress_vacuum", true), ("stat_replication", true), ("stat_statements", true), ("stat_statements_text", true),
        ("stat_user_tables", true), ("stat_wal_receiver", true), ("statio_user_indexes", false), ("statio_user_tables", true), ("wal", true), ("xlog_location", true),
    ];

    /// <summary>Makes the part of a name in <see cref="Names"/>.</summary>
    public PostgresPart Make(string name) => name switch
    {
        "archiver" => Archiver(),
        "buffercache_summary" => BufferCache(),
        "database" => Database(),
        "database_conflicts" => Conflicts(),
        "database_wraparound" => Wraparound(),
        "locks" => Locks(),
        "long_running_transactions" => LongTransactions(),
        "postmaster" => Part("postmaster", "pg_postmaster", "", _ => "SELECT EXTRACT(EPOCH FROM pg_postmaster_start_time()) AS start_time_seconds",
            Gauge("start_time_seconds", "Time at which postmaster started")),
        "replication" => Replication(),
        "replication_slot" => Slots(),
        "replication_slot_wal_status" => SlotStatus(),
        "replication_slots" => SlotLag(),
        "roles" => Part("roles", "pg_roles", "rolname", _ => "SELECT rolname, rolconnlimit AS connection_limit FROM pg_roles ORDER BY rolname",
            Gauge("connection_limit", "Connection limit set for the role")),
        "settings" => new PostgresSettingsPart(series) { Interval = options.SlowInterval, Timeout = options.QueryTimeout, RowsMax = 5_000 },
        "stat_activity" => Activity(),
        "stat_activity_autovacuum" => Autovacuum(),
        "stat_bgwriter" => BackgroundWriter(),
        "stat_checkpointer" => Checkpointer(),
        "stat_database" => StatDatabase(),
        "stat_progress_vacuum" => Vacuum(),
        "stat_replication" => StatReplication(),
        "stat_statements" => Statements(),
        "stat_statements_text" => StatementTexts(),
        "stat_user_tables" => UserTables(),
        "stat_wal_receiver" => WalReceiver(),
        "statio_user_indexes" => Part("statio_user_indexes", "pg_statio_user_indexes", "schemaname,relname,indexrelname",
            _ => $"SELECT schemaname, relname, indexrelname, idx_blks_read AS idx_blks_read_total, idx_blks_hit AS idx_blks_hit_total FROM pg_statio_user_indexes ORDER BY idx_blks_read + idx_blks_hit DESC LIMIT {Number(options.TablesMax)}",
            Counter("idx_blks_read_total", "Number of disk blocks read from this index"), Counter("idx_blks_hit_total", "Number of buffer hits in this index")),
        "statio_user_tables" => StatioTables(),
        "wal" => Part("wal", "pg_wal", "", _ => "SELECT count(*) AS segments, sum(size) AS size_bytes FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'",
            Gauge("segments", "Number of WAL segments"), Gauge("size_bytes", "Total size of WAL segments")),
        "xlog_location" => Part("xlog_location", "pg_xlog_location", "",
            facts => $"SELECT pg_wal_lsn_diff({CurrentLsn(facts)}, '0/0') AS bytes", Gauge("bytes", "Postgres LSN (log sequence number) being generated on primary or replayed on replica (truncated to low 52 bits)")),
        _ => throw new ArgumentException($"no PostgreSQL collector '{name}'", nameof(name)),
    };

    private static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);

    private static string CurrentLsn(PostgresServerFacts facts) => facts.IsReplica ? "pg_last_wal_replay_lsn()" : "pg_current_wal_lsn()";

    private static (string Column, MetricType Type, string Help) Gauge(string column, string help) => (column, MetricType.Gauge, help);

    private static (string Column, MetricType Type, string Help) Counter(string column, string help) => (column, MetricType.Counter, help);

    /// <summary>A part whose metrics are PREFIX_COLUMN.</summary>
    private PostgresRowsPart Part(string name, string prefix, string labels, Func<PostgresServerFacts, string?> inner, params (string Column, MetricType Type, string Help)[] metrics)
    {
        PostgresQueryLabel[] labelColumns = [.. labels.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(l => new PostgresQueryLabel(l))];
        PostgresQueryMetric[] metricColumns = Array.ConvertAll(metrics, m => new PostgresQueryMetric(m.Column, $"{prefix}_{m.Column}", m.Type, m.Help));
        return new PostgresRowsPart(series, name, facts => inner(facts) is { } sql ? Cast(sql, labelColumns, metricColumns) : null, labelColumns, metricColumns)
        {
            Timeout = options.QueryTimeout,
            RowsMax = 100_000,
        };
    }

    private static string Cast(string inner, PostgresQueryLabel[] labels, PostgresQueryMetric[] metrics)
    {
        IEnumerable<string> columns = labels.Select(l => $"{l.Column}::text AS {l.Column}").Concat(metrics.Where(m => Has(inner, m.Column)).Select(m => $"{m.Column}::float8 AS {m.Column}"));
        return $"SELECT {string.Join(", ", columns)} FROM ({inner}) AS q";
    }

    /// <summary>Whether the inner query gives a column: it names it as a whole word.</summary>
    private static bool Has(string inner, string column)
    {
        for (int at = inner.IndexOf(column, StringComparison.Ordinal); at >= 0; at = inner.IndexOf(column, at + 1, StringComparison.Ordinal))
        {
            int end = at + column.Length;
            if ((at == 0 || !IsWord(inner[at - 1])) && (end == inner.Length || !IsWord(inner[end])))
                return true;
        }
        return false;
    }

    private static bool IsWord(char c) => char.IsAsciiLetterOrDigit(c) || c == '_';

    private PostgresRowsPart Archiver() => Part("archiver", "pg_stat_archiver", "",
        _ => "SELECT archived_count, failed_count, EXTRACT(EPOCH FROM now() - last_archived_time) AS last_archive_age FROM pg_stat_archiver",
        Counter("archived_count", "Number of WAL files that have been successfully archived"), Counter("failed_count", "Number of failed attempts for archiving WAL files"),
        Gauge("last_archive_age", "Time in seconds since last WAL segment was successfully archived"));

    private PostgresRowsPart BufferCache() => Part("buffercache_summary", "pg_buffercache_summary", "",
        facts => facts.Version < Version16 ? null : "SELECT buffers_used, buffers_unused, buffers_dirty, buffers_pinned, usagecount_avg FROM pg_buffercache_summary()",
        Gauge("buffers_used", "Number of used shared buffers"), Gauge("buffers_unused", "Number of unused shared buffers"), Gauge("buffers_dirty", "Number of dirty shared buffers"),
        Gauge("buffers_pinned", "Number of pinned shared buffers"), Gauge("usagecount_avg", "Average usage count of used shared buffers"));

    private PostgresRowsPart Database()
    {
        const string prefix = "pg_database";
        // has_database_privilege: the size of a database that we may not connect to is an error for the whole query.
        string sql = $"SELECT datname, datconnlimit AS connection_limit, CASE WHEN has_database_privilege(oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'USAGE') THEN pg_database_size(oid) END AS size_bytes FROM pg_database WHERE datallowconn OR datistemplate ORDER BY datname LIMIT {Number(options.DatabasesMax)}";
        PostgresQueryLabel[] labels = [new("datname")];
        PostgresQueryMetric[] metrics =
        [
            new("size_bytes", prefix + "_size_bytes", MetricType.Gauge, "Disk space used by the database"), new("connection_limit", prefix + "_connection_limit", MetricType.Gauge, "Connection limit set for the database"),
        ];
        return new PostgresRowsPart(series, "database", _ => Cast(sql, labels, metrics), labels, metrics) { Interval = options.SlowInterval, Timeout = options.QueryTimeout, RowsMax = options.DatabasesMax };
    }

    private PostgresRowsPart Conflicts() => Part("database_conflicts", "pg_stat_database_conflicts", "datid,datname",
        facts => $"SELECT datid, datname, confl_tablespace, confl_lock, confl_snapshot, confl_bufferpin, confl_deadlock{(facts.Version >= Version16 ? ", confl_active_logicalslot" : "")} FROM pg_stat_database_conflicts ORDER BY datname LIMIT {Number(options.DatabasesMax)}",
        Counter("confl_tablespace", "Number of queries in this database that have been canceled due to dropped tablespaces"),
        Counter("confl_lock", "Number of queries in this database that have been canceled due to lock timeouts"),
        Counter("confl_snapshot", "Number of queries in this database that have been canceled due to old snapshots"),
        Counter("confl_bufferpin", "Number of queries in this database that have been canceled due to pinned buffers"),
        Counter("confl_deadlock", "Number of queries in this database that have been canceled due to deadlocks"),
        Counter("confl_active_logicalslot", "Number of uses of logical slots in this database that have been canceled due to old snapshots or too low a wal_level on the primary"));

    private PostgresRowsPart Wraparound() => Part("database_wraparound", "pg_database_wraparound", "datname",
        _ => $"SELECT datname, age(datfrozenxid) AS age_datfrozenxid_seconds, mxid_age(datminmxid) AS age_datminmxid_seconds FROM pg_database WHERE datallowconn ORDER BY age(datfrozenxid) DESC LIMIT {Number(options.DatabasesMax)}",
        Gauge("age_datfrozenxid_seconds", "Age of the oldest transaction ID that has not been frozen."), Gauge("age_datminmxid_seconds", "Age of the oldest multi-transaction ID that has been replaced with a transaction ID."));

    private PostgresRowsPart Locks() => Part("locks", "pg_locks", "datname,mode",
        _ => $"""
            SELECT d.datname, m.mode, COALESCE(l.n, 0) AS count
            FROM (VALUES ('accesssharelock'), ('rowsharelock'), ('rowexclusivelock'), ('shareupdateexclusivelock'), ('sharelock'), ('sharerowexclusivelock'),
                         ('exclusivelock'), ('accessexclusivelock'), ('sireadlock')) AS m(mode)
            CROSS JOIN (SELECT oid, datname FROM pg_database ORDER BY datname LIMIT {Number(options.DatabasesMax)}) AS d
            LEFT JOIN (SELECT database, lower(mode) AS mode, count(*) AS n FROM pg_locks WHERE database IS NOT NULL GROUP BY 1, 2) AS l ON l.database = d.oid AND l.mode = m.mode
            """,
        Gauge("count", "Number of locks"));

    private PostgresRowsPart LongTransactions()
    {
        const string name = "pg_long_running_transactions";
        PostgresQueryMetric[] metrics =
        [
            new("transactions", name, MetricType.Gauge, "Current number of long running transactions"),
            new("oldest_timestamp_seconds", name + "_oldest_timestamp_seconds", MetricType.Gauge, "The current maximum transaction age in seconds"),
        ];
        const string sql = "SELECT count(*) AS transactions, COALESCE(max(EXTRACT(EPOCH FROM clock_timestamp() - xact_start)), 0) AS oldest_timestamp_seconds FROM pg_stat_activity WHERE state IS DISTINCT FROM 'idle' AND query NOT LIKE 'autovacuum:%' AND xact_start IS NOT NULL AND pid <> pg_backend_pid()";
        return new PostgresRowsPart(series, "long_running_transactions", _ => Cast(sql, [], metrics), [], metrics) { Timeout = options.QueryTimeout, RowsMax = 1 };
    }

    private PostgresRowsPart Replication() => Part("replication", "pg_replication", "",
        _ => """
            SELECT CASE WHEN NOT pg_is_in_recovery() THEN 0 WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
                        ELSE GREATEST(0, EXTRACT(EPOCH FROM now() - pg_last_xact_replay_timestamp())) END AS lag_seconds,
                   pg_is_in_recovery()::int AS is_replica,
                   EXTRACT(EPOCH FROM now() - pg_last_xact_replay_timestamp()) AS last_replay_seconds
            """,
        Gauge("lag_seconds", "Replication lag behind master in seconds"), Gauge("is_replica", "Indicates if the server is a replica"),
        Gauge("last_replay_seconds", "Age of last transaction replay in seconds"));

    private PostgresRowsPart Slots()
    {
        const string prefix = "pg_replication_slots_";
        PostgresQueryLabel[] byType = [new("slot_name"), new("slot_type")];
        PostgresQueryMetric[] metrics =
        [
            new("slot_current_wal_lsn", prefix + "slot_current_wal_lsn", MetricType.Gauge, "current wal lsn value"),
            new("slot_confirmed_flush_lsn", prefix + "slot_confirmed_flush_lsn", MetricType.Gauge, "last lsn confirmed flushed to the replication slot"),
            new("slot_is_active", prefix + "slot_is_active", MetricType.Gauge, "whether the replication slot is active or not"),
            new("safe_wal_size_bytes", prefix + "safe_wal_size_bytes", MetricType.Gauge, "number of bytes that can be written to WAL such that this slot is not in danger of getting in state lost"),
        ];
        string? Sql(PostgresServerFacts facts) => Cast($"SELECT slot_name, slot_type, pg_wal_lsn_diff({CurrentLsn(facts)}, '0/0') AS slot_current_wal_lsn, COALESCE(pg_wal_lsn_diff(confirmed_flush_lsn, '0/0'), 0) AS slot_confirmed_flush_lsn, active::int AS slot_is_active{(facts.Version >= Version13 ? ", safe_wal_size AS safe_wal_size_bytes" : "")} FROM pg_replication_slots ORDER BY slot_name LIMIT {Number(options.RowsMax)}", byType, metrics);
        return new PostgresRowsPart(series, "replication_slot", Sql, byType, metrics) { Timeout = options.QueryTimeout, RowsMax = options.RowsMax };
    }

    private PostgresRowsPart SlotStatus()
    {
        PostgresQueryLabel[] labels = [new("slot_name"), new("slot_type"), new("wal_status")];
        PostgresQueryMetric[] metrics = [new("one", "pg_replication_slots_wal_status", MetricType.Gauge, "availability of WAL files claimed by this slot")];
        string? Sql(PostgresServerFacts facts) => facts.Version < Version13 ? null
            : Cast($"SELECT slot_name, slot_type, wal_status, 1 AS one FROM pg_replication_slots WHERE wal_status IS NOT NULL ORDER BY slot_name LIMIT {Number(options.RowsMax)}", labels, metrics);
        return new PostgresRowsPart(series, "replication_slot_wal_status", Sql, labels, metrics) { Timeout = options.QueryTimeout, RowsMax = options.RowsMax };
    }

    private PostgresRowsPart SlotLag() => Part("replication_slots", "pg_replication_slots", "slot_name,database",
        facts => $"SELECT slot_name, database, active::int AS active, pg_wal_lsn_diff({CurrentLsn(facts)}, restart_lsn) AS pg_wal_lsn_diff FROM pg_replication_slots ORDER BY slot_name LIMIT {Number(options.RowsMax)}",
        Gauge("active", "Flag indicating if the slot is active"), Gauge("pg_wal_lsn_diff", "Replication lag in bytes"));

    private PostgresRowsPart Activity() => Part("stat_activity", "pg_stat_activity", "datname,state,usename,application_name,backend_type,wait_event_type,wait_event",
        _ => $"""
            SELECT d.datname, s.state, a.usename, a.application_name, a.backend_type, a.wait_event_type, a.wait_event, COALESCE(a.n, 0) AS count, COALESCE(a.age, 0) AS max_tx_duration
            FROM (VALUES ('active'), ('idle'), ('idle in transaction'), ('idle in transaction (aborted)'), ('fastpath function call'), ('disabled')) AS s(state)
            CROSS JOIN (SELECT datname FROM pg_database ORDER BY datname LIMIT {Number(options.DatabasesMax)}) AS d
            LEFT JOIN (SELECT datname, state, usename, application_name, backend_type, wait_event_type, wait_event, count(*) AS n, max(EXTRACT(EPOCH FROM now() - xact_start)) AS age
                       FROM pg_stat_activity GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 8 DESC LIMIT {Number(options.RowsMax)}) AS a ON a.state = s.state AND a.datname = d.datname
            """,
        Gauge("count", "number of connections in this state"), Gauge("max_tx_duration", "max duration in seconds any active transaction has been running"));

    private PostgresRowsPart Autovacuum() => Part("stat_activity_autovacuum", "pg_stat_activity_autovacuum", "relname",
        _ => $"SELECT split_part(query, '.', 2) AS relname, min(EXTRACT(EPOCH FROM xact_start)) AS timestamp_seconds FROM pg_stat_activity WHERE query LIKE 'autovacuum:%' GROUP BY 1 LIMIT {Number(options.RowsMax)}",
        Gauge("timestamp_seconds", "Start timestamp of the vacuum process in seconds"));

    private PostgresRowsPart BackgroundWriter() => Part("stat_bgwriter", "pg_stat_bgwriter", "",
        facts => facts.Version >= Version17
            ? "SELECT buffers_clean AS buffers_clean_total, maxwritten_clean AS maxwritten_clean_total, buffers_alloc AS buffers_alloc_total, EXTRACT(EPOCH FROM stats_reset) AS stats_reset_total FROM pg_stat_bgwriter"
            : "SELECT checkpoints_timed AS checkpoints_timed_total, checkpoints_req AS checkpoints_req_total, checkpoint_write_time AS checkpoint_write_time_total, checkpoint_sync_time AS checkpoint_sync_time_total, buffers_checkpoint AS buffers_checkpoint_total, buffers_clean AS buffers_clean_total, maxwritten_clean AS maxwritten_clean_total, buffers_backend AS buffers_backend_total, buffers_backend_fsync AS buffers_backend_fsync_total, buffers_alloc AS buffers_alloc_total, EXTRACT(EPOCH FROM stats_reset) AS stats_reset_total FROM pg_stat_bgwriter",
        Counter("checkpoints_timed_total", "Number of scheduled checkpoints that have been performed"), Counter("checkpoints_req_total", "Number of requested checkpoints that have been performed"),
        Counter("checkpoint_write_time_total", "Total amount of time that has been spent in the portion of checkpoint processing where files are written to disk, in milliseconds"),
        Counter("checkpoint_sync_time_total", "Total amount of time that has been spent in the portion of checkpoint processing where files are synchronized to disk, in milliseconds"),
        Counter("buffers_checkpoint_total", "Number of buffers written during checkpoints"), Counter("buffers_clean_total", "Number of buffers written by the background writer"),
        Counter("maxwritten_clean_total", "Number of times the background writer stopped a cleaning scan because it had written too many buffers"),
        Counter("buffers_backend_total", "Number of buffers written directly by a backend"),
        Counter("buffers_backend_fsync_total", "Number of times a backend had to execute its own fsync call (normally the background writer handles those even when the backend does its own write)"),
        Counter("buffers_alloc_total", "Number of buffers allocated"), Counter("stats_reset_total", "Time at which these statistics were last reset"));

    private PostgresRowsPart Checkpointer() => Part("stat_checkpointer", "pg_stat_checkpointer", "",
        facts => facts.Version < Version17 ? null
            : "SELECT num_timed AS num_timed_total, num_requested AS num_requested_total, restartpoints_timed AS restartpoints_timed_total, restartpoints_req AS restartpoints_req_total, restartpoints_done AS restartpoints_done_total, write_time AS write_time_total, sync_time AS sync_time_total, buffers_written AS buffers_written_total, EXTRACT(EPOCH FROM stats_reset) AS stats_reset_total FROM pg_stat_checkpointer",
        Counter("num_timed_total", "Number of scheduled checkpoints due to timeout"), Counter("num_requested_total", "Number of requested checkpoints that have been performed"),
        Counter("restartpoints_timed_total", "Number of scheduled restartpoints due to timeout or after a failed attempt to perform it"), Counter("restartpoints_req_total", "Number of requested restartpoints"),
        Counter("restartpoints_done_total", "Number of restartpoints that have been performed"),
        Counter("write_time_total", "Total amount of time that has been spent in the portion of processing checkpoints and restartpoints where files are written to disk, in milliseconds"),
        Counter("sync_time_total", "Total amount of time that has been spent in the portion of processing checkpoints and restartpoints where files are synchronized to disk, in milliseconds"),
        Counter("buffers_written_total", "Number of buffers written during checkpoints and restartpoints"), Counter("stats_reset_total", "Time at which these statistics were last reset"));

    private PostgresRowsPart StatDatabase() => Part("stat_database", "pg_stat_database", "datid,datname",
        facts => $"""
            SELECT datid, datname, numbackends, xact_commit, xact_rollback, blks_read, blks_hit, tup_returned, tup_fetched, tup_inserted, tup_updated, tup_deleted,
                   conflicts, temp_files, temp_bytes, deadlocks, blk_read_time, blk_write_time, EXTRACT(EPOCH FROM stats_reset) AS stats_reset
                   {(facts.Version >= Version14 ? ", active_time / 1000.0 AS active_time_seconds_total" : "")}
            FROM pg_stat_database WHERE datname IS NOT NULL ORDER BY numbackends DESC, datname LIMIT {Number(options.DatabasesMax)}
            """,
        Gauge("numbackends", "Number of backends currently connected to this database. This is the only column in this view that returns a value reflecting current state; all other columns return the accumulated values since the last reset."),
        Counter("xact_commit", "Number of transactions in this database that have been committed"), Counter("xact_rollback", "Number of transactions in this database that have been rolled back"),
        Counter("blks_read", "Number of disk blocks read in this database"),
        Counter("blks_hit", "Number of times disk blocks were found already in the buffer cache, so that a read was not necessary (this only includes hits in the PostgreSQL buffer cache, not the operating system's file system cache)"),
        Counter("tup_returned", "Number of rows returned by queries in this database"), Counter("tup_fetched", "Number of rows fetched by queries in this database"),
        Counter("tup_inserted", "Number of rows inserted by queries in this database"), Counter("tup_updated", "Number of rows updated by queries in this database"),
        Counter("tup_deleted", "Number of rows deleted by queries in this database"),
        Counter("conflicts", "Number of queries canceled due to conflicts with recovery in this database. (Conflicts occur only on standby servers; see pg_stat_database_conflicts for details.)"),
        Counter("temp_files", "Number of temporary files created by queries in this database. All temporary files are counted, regardless of why the temporary file was created (e.g., sorting or hashing), and regardless of the log_temp_files setting."),
        Counter("temp_bytes", "Total amount of data written to temporary files by queries in this database. All temporary files are counted, regardless of why the temporary file was created, and regardless of the log_temp_files setting."),
        Counter("deadlocks", "Number of deadlocks detected in this database"), Counter("blk_read_time", "Time spent reading data file blocks by backends in this database, in milliseconds"),
        Counter("blk_write_time", "Time spent writing data file blocks by backends in this database, in milliseconds"), Counter("stats_reset", "Time at which these statistics were last reset"),
        Counter("active_time_seconds_total", "Time spent executing SQL statements in this database, in seconds"));

    private PostgresRowsPart Vacuum() => Part("stat_progress_vacuum", "pg_stat_progress_vacuum", "datname,relname",
        facts => $"""
            SELECT v.datname, COALESCE(c.relname, v.relid::text) AS relname, sum(v.heap_blks_total) AS heap_blks, sum(v.heap_blks_scanned) AS heap_blks_scanned,
                   sum(v.heap_blks_vacuumed) AS heap_blks_vacuumed, sum(v.index_vacuum_count) AS index_vacuums
                   {(facts.Version < Version17 ? ", sum(v.max_dead_tuples) AS max_dead_tuples, sum(v.num_dead_tuples) AS num_dead_tuples" : ", sum(v.num_dead_item_ids) AS num_dead_tuples")}
            FROM pg_stat_progress_vacuum AS v LEFT JOIN pg_class AS c ON c.oid = v.relid GROUP BY 1, 2 LIMIT {Number(options.TablesMax)}
            """,
        Gauge("heap_blks", "Total number of heap blocks in the table being vacuumed."), Gauge("heap_blks_scanned", "Number of heap blocks scanned so far."),
        Gauge("heap_blks_vacuumed", "Number of heap blocks vacuumed so far."), Gauge("index_vacuums", "Number of completed index vacuum cycles."),
        Gauge("max_dead_tuples", "Maximum number of dead tuples that can be stored before cleanup is performed."), Gauge("num_dead_tuples", "Current number of dead tuples found so far."));

    private PostgresRowsPart StatReplication() => Part("stat_replication", "pg_stat_replication", "application_name,client_addr,state,slot_name,pid",
        facts => $"""
            SELECT r.application_name, host(r.client_addr) AS client_addr, r.state, s.slot_name, r.pid, pg_wal_lsn_diff({CurrentLsn(facts)}, '0/0') AS pg_current_wal_lsn_bytes,
                   pg_wal_lsn_diff({CurrentLsn(facts)}, r.replay_lsn) AS pg_wal_lsn_diff
            FROM pg_stat_replication AS r LEFT JOIN pg_replication_slots AS s ON s.active_pid = r.pid ORDER BY r.pid LIMIT {Number(options.RowsMax)}
            """,
        Gauge("pg_current_wal_lsn_bytes", "WAL position in bytes"), Gauge("pg_wal_lsn_diff", "Lag in bytes between master and slave"));

    private PostgresRowsPart Statements()
    {
        const string prefix = "pg_stat_statements_";
        PostgresQueryLabel[] labels = [new("usename", "user"), new("datname"), new("queryid")];
        PostgresQueryMetric[] metrics =
        [
            new("calls_total", prefix + "calls_total", MetricType.Counter, "Number of times executed"), new("seconds_total", prefix + "seconds_total", MetricType.Counter, "Total time spent in the statement, in seconds"),
            new("rows_total", prefix + "rows_total", MetricType.Counter, "Total number of rows retrieved or affected by the statement"),
            new("block_read_seconds_total", prefix + "block_read_seconds_total", MetricType.Counter, "Total time the statement spent reading blocks, in seconds"),
            new("block_write_seconds_total", prefix + "block_write_seconds_total", MetricType.Counter, "Total time the statement spent writing blocks, in seconds"),
        ];
        string? Sql(PostgresServerFacts facts)
        {
            if (facts.StatementsSchema.Length == 0)
                return null;
            string total = facts.Version >= Version13 ? "total_exec_time" : "total_time";
            string block = facts.Version >= Version17 ? "shared_blk" : "blk";
            return Cast($"""
                SELECT pg_get_userbyid(s.userid) AS usename, d.datname, s.queryid, sum(s.calls) AS calls_total, sum(s.{total}) / 1000.0 AS seconds_total, sum(s.rows) AS rows_total,
                       sum(s.{block}_read_time) / 1000.0 AS block_read_seconds_total, sum(s.{block}_write_time) / 1000.0 AS block_write_seconds_total
                FROM {facts.StatementsSchema}.pg_stat_statements AS s JOIN pg_database AS d ON d.oid = s.dbid WHERE s.queryid IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 5 DESC LIMIT {Number(options.StatementsMax)}
                """, labels, metrics);
        }
        return new PostgresRowsPart(series, "stat_statements", Sql, labels, metrics) { Timeout = options.QueryTimeout, RowsMax = options.StatementsMax };
    }

    private PostgresRowsPart StatementTexts()
    {
        PostgresQueryLabel[] labels = [new("queryid"), new("query")];
        PostgresQueryMetric[] metrics = [new("one", "pg_stat_statements_query_id", MetricType.Counter, "SQL Query to queryid mapping")];
        string? Sql(PostgresServerFacts facts) => facts.StatementsSchema.Length == 0 || !options.StatementText ? null
            : Cast($"SELECT s.queryid, min(s.query) AS query, 1 AS one FROM {facts.StatementsSchema}.pg_stat_statements AS s WHERE s.queryid IS NOT NULL GROUP BY 1 ORDER BY sum(s.{(facts.Version >= Version13 ? "total_exec_time" : "total_time")}) DESC LIMIT {Number(options.StatementsMax)}", labels, metrics);
        return new PostgresRowsPart(series, "stat_statements_text", Sql, labels, metrics) { Interval = options.SlowInterval, Timeout = options.QueryTimeout, RowsMax = options.StatementsMax };
    }

    private PostgresRowsPart UserTables() => Part("stat_user_tables", "pg_stat_user_tables", "datname,schemaname,relname",
        _ => $"""
            SELECT current_database() AS datname, schemaname, relname, seq_scan, seq_tup_read, idx_scan, idx_tup_fetch, n_tup_ins, n_tup_upd, n_tup_del, n_tup_hot_upd, n_live_tup,
                   n_dead_tup, n_mod_since_analyze, COALESCE(EXTRACT(EPOCH FROM last_vacuum), 0) AS last_vacuum, COALESCE(EXTRACT(EPOCH FROM last_autovacuum), 0) AS last_autovacuum,
                   COALESCE(EXTRACT(EPOCH FROM last_analyze), 0) AS last_analyze, COALESCE(EXTRACT(EPOCH FROM last_autoanalyze), 0) AS last_autoanalyze, vacuum_count, autovacuum_count,
                   analyze_count, autoanalyze_count, pg_indexes_size(relid) AS index_size_bytes, pg_table_size(relid) AS table_size_bytes
            FROM pg_stat_user_tables ORDER BY COALESCE(seq_tup_read, 0) + COALESCE(idx_tup_fetch, 0) + n_tup_ins + n_tup_upd + n_tup_del DESC, relid LIMIT {Number(options.TablesMax)}
            """,
        Counter("seq_scan", "Number of sequential scans initiated on this table"), Counter("seq_tup_read", "Number of live rows fetched by sequential scans"),
        Counter("idx_scan", "Number of index scans initiated on this table"), Counter("idx_tup_fetch", "Number of live rows fetched by index scans"),
        Counter("n_tup_ins", "Number of rows inserted"), Counter("n_tup_upd", "Number of rows updated"), Counter("n_tup_del", "Number of rows deleted"),
        Counter("n_tup_hot_upd", "Number of rows HOT updated (i.e., with no separate index update required)"), Gauge("n_live_tup", "Estimated number of live rows"),
        Gauge("n_dead_tup", "Estimated number of dead rows"), Gauge("n_mod_since_analyze", "Estimated number of rows changed since last analyze"),
        Gauge("last_vacuum", "Last time at which this table was manually vacuumed (not counting VACUUM FULL)"), Gauge("last_autovacuum", "Last time at which this table was vacuumed by the autovacuum daemon"),
        Gauge("last_analyze", "Last time at which this table was manually analyzed"), Gauge("last_autoanalyze", "Last time at which this table was analyzed by the autovacuum daemon"),
        Counter("vacuum_count", "Number of times this table has been manually vacuumed (not counting VACUUM FULL)"), Counter("autovacuum_count", "Number of times this table has been vacuumed by the autovacuum daemon"),
        Counter("analyze_count", "Number of times this table has been manually analyzed"), Counter("autoanalyze_count", "Number of times this table has been analyzed by the autovacuum daemon"),
        Gauge("index_size_bytes", "Total disk space used by this index, in bytes"), Gauge("table_size_bytes", "Total disk space used by this table, in bytes"));

    private PostgresRowsPart WalReceiver() => Part("stat_wal_receiver", "pg_stat_wal_receiver", "upstream_host,slot_name,status",
        facts => !facts.IsReplica ? null
            : $"""
            SELECT substring(conninfo FROM 'host=([^ ]*)') AS upstream_host, slot_name, status, pg_wal_lsn_diff(receive_start_lsn, '0/0') AS receive_start_lsn, receive_start_tli,
                   pg_wal_lsn_diff({(facts.Version >= Version13 ? "flushed_lsn" : "received_lsn")}, '0/0') AS flushed_lsn, received_tli, EXTRACT(EPOCH FROM last_msg_send_time) AS last_msg_send_time,
                   EXTRACT(EPOCH FROM last_msg_receipt_time) AS last_msg_receipt_time, pg_wal_lsn_diff(latest_end_lsn, '0/0') AS latest_end_lsn,
                   EXTRACT(EPOCH FROM latest_end_time) AS latest_end_time, substring(slot_name FROM 'repmgr_slot_([0-9]*)') AS upstream_node
            FROM pg_stat_wal_receiver
            """,
        Counter("receive_start_lsn", "First write-ahead log location used when WAL receiver is started represented as a decimal"), Gauge("receive_start_tli", "First timeline number used when WAL receiver is started"),
        Counter("flushed_lsn", "Last write-ahead log location already received and flushed to disk, the initial value of this field being the first log location used when WAL receiver is started represented as a decimal"),
        Gauge("received_tli", "Timeline number of last write-ahead log location received and flushed to disk"), Counter("last_msg_send_time", "Send time of last message received from origin WAL sender"),
        Counter("last_msg_receipt_time", "Send time of last message received from origin WAL sender"), Counter("latest_end_lsn", "Last write-ahead log location reported to origin WAL sender as integer"),
        Counter("latest_end_time", "Time of last write-ahead log location reported to origin WAL sender"), Gauge("upstream_node", "Node ID of the upstream node"));

    private PostgresRowsPart StatioTables() => Part("statio_user_tables", "pg_statio_user_tables", "datname,schemaname,relname",
        _ => $"""
            SELECT current_database() AS datname, schemaname, relname, heap_blks_read AS heap_blocks_read, heap_blks_hit AS heap_blocks_hit, idx_blks_read AS idx_blocks_read,
                   idx_blks_hit AS idx_blocks_hit, toast_blks_read AS toast_blocks_read, toast_blks_hit AS toast_blocks_hit, tidx_blks_read AS tidx_blocks_read, tidx_blks_hit AS tidx_blocks_hit
            FROM pg_statio_user_tables ORDER BY heap_blks_read + heap_blks_hit DESC, relid LIMIT {Number(options.TablesMax)}
            """,
        Counter("heap_blocks_read", "Number of disk blocks read from this table"), Counter("heap_blocks_hit", "Number of buffer hits in this table"),
        Counter("idx_blocks_read", "Number of disk blocks read from all indexes on this table"), Counter("idx_blocks_hit", "Number of buffer hits in all indexes on this table"),
        Counter("toast_blocks_read", "Number of disk blocks read from this table's TOAST table (if any)"), Counter("toast_blocks_hit", "Number of buffer hits in this table's TOAST table (if any)"),
        Counter("tidx_blocks_read", "Number of disk blocks read from this table's TOAST table indexes (if any)"), Counter("tidx_blocks_hit", "Number of buffer hits in this table's TOAST table indexes (if any)"));
}
