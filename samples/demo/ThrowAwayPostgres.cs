using System.Diagnostics;
using Npgsql;

namespace Bellwether.Samples.Demo;

/// <summary>A PostgreSQL of its own in a folder of its own, on a free port of loopback. PostgreSQL refuses to run as root, so root hands it to the system's postgres user.</summary>
internal sealed class ThrowAwayPostgres : IAsyncDisposable
{
    private readonly string _bin;
    private readonly string _data;

    private ThrowAwayPostgres(string bin, string data, int port)
    {
        _bin = bin;
        _data = data;
        Port = port;
    }

    public int Port { get; }

    public string ConnectionString => $"Host=127.0.0.1;Port={Port};Username=shop;Database=shop;Timeout=60;Command Timeout=120";

    public string Url => $"postgresql://shop@127.0.0.1:{Port}/shop";

    public static async Task<ThrowAwayPostgres> StartAsync(string folder, int port, CancellationToken cancellation)
    {
        string bin = FindBinaries();
        string home = Path.Combine(folder, "postgres");
        Directory.CreateDirectory(home);
        if (Environment.UserName == "root")
        {
            await RunAsync("chown", ["postgres", home], asPostgres: false, cancellation);
            // The folders above must let the postgres user through.
            await RunAsync("chmod", ["o+x", folder], asPostgres: false, cancellation);
        }
        var server = new ThrowAwayPostgres(bin, Path.Combine(home, "data"), port);
        await RunAsync(Path.Combine(bin, "initdb"), ["-D", server._data, "-U", "shop", "-A", "trust", "-E", "UTF8", "--no-sync"], asPostgres: true, cancellation);
        string options = $"-p {port} -k {home} -c listen_addresses=127.0.0.1 -c shared_preload_libraries=pg_stat_statements -c fsync=off";
        await RunAsync(Path.Combine(bin, "pg_ctl"), ["-D", server._data, "-l", Path.Combine(home, "log"), "-o", options, "-w", "-t", "180", "start"], asPostgres: true, cancellation);
        await server.CreateDatabaseAsync(cancellation);
        return server;
    }

    public async ValueTask DisposeAsync() =>
        await RunAsync(Path.Combine(_bin, "pg_ctl"), ["-D", _data, "-m", "immediate", "stop"], asPostgres: true, CancellationToken.None);

    private async Task CreateDatabaseAsync(CancellationToken cancellation)
    {
        await using (NpgsqlDataSource admin = NpgsqlDataSource.Create($"Host=127.0.0.1;Port={Port};Username=shop;Database=postgres;Pooling=false;Timeout=60;Command Timeout=120"))
        {
            await using NpgsqlCommand create = admin.CreateCommand("create database shop");
            await create.ExecuteNonQueryAsync(cancellation);
        }
        await using NpgsqlDataSource shop = NpgsqlDataSource.Create(ConnectionString + ";Pooling=false");
        await using NpgsqlCommand extension = shop.CreateCommand("create extension if not exists pg_stat_statements");
        try
        {
            await extension.ExecuteNonQueryAsync(cancellation);
        }
        catch (PostgresException e)
        {
            // Some distributions package the extension apart; the demo goes without its metrics.
            Console.Error.WriteLine($"demo: no pg_stat_statements: {e.MessageText}");
        }
    }

    private static string FindBinaries()
    {
        IEnumerable<string> folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
            .Concat(Directory.Exists("/usr/lib/postgresql") ? Directory.GetDirectories("/usr/lib/postgresql").OrderDescending(StringComparer.Ordinal).Select(d => Path.Combine(d, "bin")) : []);
        return folders.FirstOrDefault(f => File.Exists(Path.Combine(f, "initdb")) && File.Exists(Path.Combine(f, "pg_ctl")))
            ?? throw new DemoException("PostgreSQL is not here (no initdb in PATH nor in /usr/lib/postgresql/*/bin): install it, e.g. apt-get install postgresql");
    }

    private static async Task RunAsync(string file, string[] arguments, bool asPostgres, CancellationToken cancellation)
    {
        var start = new ProcessStartInfo { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = "/" };
        if (asPostgres && Environment.UserName == "root")
        {
            start.FileName = "runuser";
            foreach (string a in new[] { "-u", "postgres", "--", file })
                start.ArgumentList.Add(a);
        }
        else
        {
            start.FileName = file;
        }
        foreach (string a in arguments)
            start.ArgumentList.Add(a);
        using Process process = Process.Start(start) ?? throw new DemoException($"{file} did not start");
        // pg_ctl's server keeps the pipe open: wait for the process, not for the end of its output.
        await process.WaitForExitAsync(cancellation);
        if (process.ExitCode != 0)
            throw new DemoException($"{file} {string.Join(' ', arguments)} ended with {process.ExitCode}: {await process.StandardError.ReadToEndAsync(cancellation)}");
    }
}
