using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;

namespace Bellwether.Kit.Live;

/// <summary>A program under test: its output kept for the failure message, killed with the test.</summary>
public sealed class Running : IAsyncDisposable
{
    private const int LinesKept = 4000;
    private static readonly TimeSpan s_endMax = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan s_stopMax = TimeSpan.FromMinutes(2);
    private readonly Process _process;
    private readonly ConcurrentQueue<string> _lines = new();
    private bool _disposed;

    private Running(Process process) => _process = process;

    /// <summary>Its process id.</summary>
    public int Id => _process.Id;

    /// <summary>Whether it has ended.</summary>
    public bool HasExited => _process.HasExited;

    /// <summary>When it ended (Unix ms); only once it has.</summary>
    public long EndedMs => new DateTimeOffset(_process.ExitTime).ToUnixTimeMilliseconds();

    /// <summary>The last lines of its output.</summary>
    public string Output => string.Join('\n', _lines);

    /// <summary>Starts a program in a folder.</summary>
    public static Running Start(string file, string folder, params ReadOnlySpan<string> arguments)
    {
        var start = new ProcessStartInfo(file) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string argument in arguments)
            start.ArgumentList.Add(argument);
        var running = new Running(Process.Start(start)!);
        running._process.OutputDataReceived += (_, e) => running.Keep(e.Data);
        running._process.ErrorDataReceived += (_, e) => running.Keep(e.Data);
        running._process.BeginOutputReadLine();
        running._process.BeginErrorReadLine();
        return running;
    }

    /// <summary>Runs to the end and gives exit code and output. Throws with the output when it takes longer than five minutes.</summary>
    public static Task<(int Code, string Output)> ToEndAsync(string file, string folder, params string[] arguments) => ToEndAsync(s_endMax, file, folder, arguments);

    /// <summary>Runs to the end and gives exit code and output. Throws with the output when it takes longer than a limit.</summary>
    public static async Task<(int Code, string Output)> ToEndAsync(TimeSpan within, string file, string folder, params string[] arguments)
    {
        await using Running running = Start(file, folder, arguments);
        await running.EndAsync(within);
        running._process.WaitForExit();
        return (running._process.ExitCode, running.Output);
    }

    /// <summary>kill -9, as a power cut of the process.</summary>
    public async Task KillAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync();
    }

    /// <summary>Sends a signal by name (HUP, TERM, STOP, CONT).</summary>
    public void Signal(string name)
    {
        using Process kill = Process.Start("kill", ["-" + name, _process.Id.ToString(CultureInfo.InvariantCulture)]);
        kill.WaitForExit();
    }

    /// <summary>Waits until it has ended by itself.</summary>
    public Task EndedAsync(CancellationToken cancel) => _process.WaitForExitAsync(cancel);

    /// <summary>SIGTERM; gives the exit code. Throws with the output when it has not ended after two minutes.</summary>
    public async Task<int> StopAsync()
    {
        Signal("TERM");
        await EndAsync(s_stopMax);
        return _process.ExitCode;
    }

    /// <summary>Kills it, and its children, when it still runs.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, true))
            return;
        if (!_process.HasExited)
        {
            int[] children = Children(_process.Id);
            _process.Kill(entireProcessTree: true);
            await _process.WaitForExitAsync();
            // Of a program under strace: it still has its folder and its ports until it is gone.
            using var limit = new CancellationTokenSource(s_stopMax, TimeProvider.System);
            while (children.Any(IsRunning))
                await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System, limit.Token);
        }
        _process.Dispose();
    }

    /// <summary>The processes that a process has started; none where there is no /proc.</summary>
    private static int[] Children(int parent) => !Directory.Exists("/proc/self")
        ? []
        : [.. Directory.EnumerateDirectories("/proc").Select(d => int.TryParse(Path.GetFileName(d), CultureInfo.InvariantCulture, out int id) ? id : 0).Where(id => id > 0 && Stat(id) is [_, { } of, ..] && of == parent.ToString(CultureInfo.InvariantCulture))];

    private static bool IsRunning(int id) => Stat(id) is [not ("Z" or "X"), ..];

    /// <summary>State, parent and the rest of what /proc tells of a process; none when it is gone.</summary>
    private static string[] Stat(int id)
    {
        try
        {
            string stat = File.ReadAllText($"/proc/{id}/stat");
            return stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        }
        catch (IOException)
        {
            return [];
        }
    }

    private async Task EndAsync(TimeSpan within)
    {
        using var limit = new CancellationTokenSource(within, TimeProvider.System);
        try
        {
            await _process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException($"{_process.StartInfo.FileName} has not ended within {within.TotalSeconds:F0} s:\n{Output}");
        }
    }

    private void Keep(string? line)
    {
        if (line is null)
            return;
        _lines.Enqueue(line);
        while (_lines.Count > LinesKept)
            _lines.TryDequeue(out _);
    }
}
