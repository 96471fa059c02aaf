using System.Diagnostics;
using System.Text;

namespace Bellwether.Mutants;

/// <summary>How a program ended.</summary>
/// <param name="Code">Its exit code.</param>
/// <param name="Text">What it said, on both outputs.</param>
/// <param name="Seconds">How long it took.</param>
/// <param name="IsLate">It did not end in time, and was ended.</param>
internal sealed record ToolEnd(int Code, string Text, double Seconds, bool IsLate);

/// <summary>Runs dotnet.</summary>
internal static class Tool
{
    /// <summary>Runs it in a folder until it ends, or for so long at most.</summary>
    public static ToolEnd Run(string folder, TimeSpan limit, params IReadOnlyCollection<string> arguments)
    {
        TimeProvider time = TimeProvider.System;
        long started = time.GetTimestamp();
        var start = new ProcessStartInfo("dotnet", arguments) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["DOTNET_CLI_UI_LANGUAGE"] = "en";
        start.Environment["UseSharedCompilation"] = "true";
        var text = new StringBuilder();
        using var process = new Process { StartInfo = start };
        process.OutputDataReceived += (_, line) => Add(line.Data);
        process.ErrorDataReceived += (_, line) => Add(line.Data);
        process.Start();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        bool inTime = process.WaitForExit(limit);
        if (!inTime)
            process.Kill(entireProcessTree: true);
        process.WaitForExit();
        lock (text)
            return new ToolEnd(process.ExitCode, text.ToString(), time.GetElapsedTime(started).TotalSeconds, !inTime);

        void Add(string? line)
        {
            lock (text)
                text.AppendLine(line);
        }
    }
}
