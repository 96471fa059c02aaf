using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;

namespace Bellwether.Kit;

/// <summary>
/// A throw-away PostgreSQL server in a temporary folder, on a free port of 127.0.0.1 and a Unix socket, with trust authentication. As root it runs as the user
/// <c>postgres</c>, since PostgreSQL refuses root. Dispose stops it and removes the folder.
/// </summary>
public sealed class PostgresServer : IDisposable
{
    private const int StartAttemptsMax = 5;
    private static readonly TimeSpan CommandTimeout = TimeSpan.FromSeconds(180);

    private readonly string _binaries;
    private readonly string _folder;
    private bool _running;

    private PostgresServer(string binaries, string folder)
    {
        _binaries = binaries;
        _folder = folder;
    }

    /// <summary>Host for TCP.</summary>
    public static string Host => "127.0.0.1";

    /// <summary>The superuser's name.</summary>
    public static string User => "postgres";

    /// <summary>The port, for TCP and for the name of the socket.</summary>
    public int Port { get; private set; }

    /// <summary>Folder of the Unix socket.</summary>
    public string SocketFolder => _folder;

    /// <summary>What the server wrote to its log so far.</summary>
    public string Log => File.Exists(LogPath) ? File.ReadAllText(LogPath) : "";

    private string DataFolder => Path.Combine(_folder, "data");

    private string LogPath => Path.Combine(_folder, "log");

    /// <summary>In Npgsql's notation.</summary>
    public string ConnectionString(string database = "postgres") => string.Create(CultureInfo.InvariantCulture, $"Host={Host};Port={Port};Username={User};Database={database};SSL Mode=Disable");

    /// <summary>As a URI.</summary>
    public string Uri(string database = "postgres") => string.Create(CultureInfo.InvariantCulture, $"postgresql://{User}@{Host}:{Port}/{database}?sslmode=disable");

    /// <summary>
    /// Makes and starts a server; null where PostgreSQL is not installed (said on standard error), an exception there when the environment says CI=true.
    /// </summary>
    /// <param name="settings">More settings, e.g. <c>shared_preload_libraries=pg_stat_statements</c>.</param>
    public static PostgresServer? TryStart(params string[] settings)
    {
        if (FindBinaries() is not { } binaries)
        {
            const string missing = "PostgreSQL is not installed: no initdb and pg_ctl in PATH, pg_config --bindir or /usr/lib/postgresql/*/bin (Debian: apt-get install postgresql)";
            if (Environment.GetEnvironmentVariable("CI") == "true")
                throw new InvalidOperationException(missing);
            Console.Error.WriteLine($"*** TEST NOT RUN: {missing}");
            return null;
        }
        string folder = Directory.CreateTempSubdirectory("bellwether-pg-").FullName;
        var server = new PostgresServer(binaries, folder);
        try
        {
            server.Initialise(settings);
            server.Start();
            return server;
        }
        catch
        {
            server.Dispose();
            throw;
        }
    }

    /// <summary>Starts it again after <see cref="Stop"/>, on the same port when that is still free.</summary>
    public void Start()
    {
        for (int attempt = 1; ; attempt++)
        {
            if (Port == 0 || attempt > 1)
                Port = Ports.Free();
            string options = string.Create(CultureInfo.InvariantCulture, $"-p {Port} -k {_folder} -h {Host}");
            (int code, string output) = Run("pg_ctl", "-D", DataFolder, "-l", LogPath, "-w", "-t", "150", "-o", options, "start");
            if (code == 0)
            {
                _running = true;
                return;
            }
            // Another process may have taken the port between our look and the start.
            if (attempt >= StartAttemptsMax || !Log.Contains("could not bind", StringComparison.Ordinal))
                throw new InvalidOperationException($"PostgreSQL did not start:\n{output}\n{Log}");
        }
    }

    /// <summary>Stops it.</summary>
    /// <param name="immediate">As a crash would (no checkpoint), else in good order without waiting for clients.</param>
    public void Stop(bool immediate = false)
    {
        if (!_running)
            return;
        _running = false;
        (int code, string output) = Run("pg_ctl", "-D", DataFolder, "-w", "-m", immediate ? "immediate" : "fast", "stop");
        if (code != 0)
            throw new InvalidOperationException($"PostgreSQL did not stop: {output}");
    }

    /// <summary>Runs SQL through psql and returns its unaligned output; throws when it fails.</summary>
    public string Sql(string sql, string database = "postgres")
    {
        (int code, string output) = Run("psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", Host, "-p", Port.ToString(CultureInfo.InvariantCulture), "-U", User, "-d", database, "-c", sql);
        return code == 0 ? output.Trim() : throw new InvalidOperationException($"psql: {output}");
    }

    /// <summary>Waits until a statement gives a text. Throws <see cref="TimeoutException"/> after a minute.</summary>
    public void WaitForSql(string sql, string expected, string database = "postgres")
    {
        TimeProvider time = TimeProvider.System;
        long began = time.GetTimestamp();
        for (string last = Sql(sql, database); last != expected; last = Sql(sql, database))
        {
            if (time.GetElapsedTime(began) > TimeSpan.FromMinutes(1))
                throw new TimeoutException($"'{sql}' gives '{last}', not '{expected}'");
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        try
        {
            Stop(immediate: true);
        }
        finally
        {
            if (Directory.Exists(_folder))
                Directory.Delete(_folder, recursive: true);
        }
    }

    private static string? FindBinaries()
    {
        List<string> folders = [.. (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries)];
        if (TryOutput("pg_config", "--bindir") is { } configured)
            folders.Add(configured);
        const string debian = "/usr/lib/postgresql";
        if (Directory.Exists(debian))
            folders.AddRange(Directory.GetDirectories(debian).OrderByDescending(d => int.TryParse(Path.GetFileName(d), CultureInfo.InvariantCulture, out int v) ? v : 0).Select(d => Path.Combine(d, "bin")));
        return folders.Find(f => File.Exists(Path.Combine(f, "initdb")) && File.Exists(Path.Combine(f, "pg_ctl")));
    }

    private static string? TryOutput(string program, params string[] arguments)
    {
        try
        {
            (int code, string output) = RunProcess(program, arguments);
            return code == 0 ? output.Trim() : null;
        }
        catch (Win32Exception)
        {
            return null;
        }
    }

    private void Initialise(string[] settings)
    {
        if (Environment.UserName == "root")
        {
            (int owned, string chown) = RunProcess("chown", [User, _folder]);
            if (owned != 0)
                throw new InvalidOperationException(chown);
        }
        (int code, string output) = Run("initdb", "-D", DataFolder, "-U", User, "-A", "trust", "-N", "-E", "UTF8", "--locale=C");
        if (code != 0)
            throw new InvalidOperationException($"initdb: {output}");
        // Durability costs seconds here and serves nobody.
        File.AppendAllLines(Path.Combine(DataFolder, "postgresql.conf"), ["fsync=off", "full_page_writes=off", "synchronous_commit=off", .. settings]);
    }

    private (int Code, string Output) Run(string program, params string[] arguments)
    {
        string path = Path.Combine(_binaries, program);
        if (!File.Exists(path))
            path = program;
        return Environment.UserName == "root" ? RunProcess("runuser", ["-u", User, "--", path, .. arguments]) : RunProcess(path, arguments);
    }

    private static (int Code, string Output) RunProcess(string program, string[] arguments)
    {
        var info = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = "/" };
        foreach (string argument in arguments)
            info.ArgumentList.Add(argument);
        using Process process = Process.Start(info) ?? throw new InvalidOperationException($"{program} did not start");
        var output = new System.Text.StringBuilder();
        void Take(string? line)
        {
            lock (output)
                output.AppendLine(line);
        }
        process.OutputDataReceived += (_, line) => Take(line.Data);
        process.ErrorDataReceived += (_, line) => Take(line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        if (!process.WaitForExit(CommandTimeout))
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{program} {string.Join(' ', arguments)} took longer than {CommandTimeout}");
        }
        // Waits for the end of the output too; with -l the server that pg_ctl leaves behind does not hold our pipes.
        process.WaitForExit();
        lock (output)
            return (process.ExitCode, output.ToString());
    }
}
