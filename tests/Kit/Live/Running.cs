using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;

namespace Bellwether.Kit.Live;

/// <summary>A program under test: its output kept for the failure message, killed with the test.</summary>
public sealed class Running : IAsyncDisposable
{
    private const int LinesKept = 400;
    private readonly Process _process;
    private readonly ConcurrentQueue<string> _lines = new();
    private bool _disposed;

    private Running(Process process) => _process = process;

    /// <summary>Its process id.</summary>
    public int Id => _process.Id;

    /// <summary>Whether it has ended.</summary>
    public bool HasExited => _process.HasExited;

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

    /// <summary>Runs to the end and gives exit code and output.</summary>
    public static async Task<(int Code, string Output)> ToEndAsync(string file, string folder, params string[] arguments)
    {
        await using Running running = Start(file, folder, arguments);
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(120));
        await running._process.WaitForExitAsync(limit.Token);
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

    /// <summary>SIGTERM; gives the exit code.</summary>
    public async Task<int> StopAsync()
    {
        Signal("TERM");
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        await _process.WaitForExitAsync(limit.Token);
        return _process.ExitCode;
    }

    /// <summary>Kills it, and its children, when it still runs.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, true))
            return;
        if (!_process.HasExited)
        {
            _process.Kill(entireProcessTree: true);
            await _process.WaitForExitAsync();
        }
        _process.Dispose();
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
