using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Bellwether.Core.Model;

namespace Bellwether.Kit;

/// <summary>A real Prometheus exporter that runs for a test, on a free port of 127.0.0.1. Dispose ends it.</summary>
public sealed class PeerExporter : IDisposable
{
    private const int PollsMax = 1200;
    private static readonly TimeSpan PollPause = TimeSpan.FromMilliseconds(50);

    private readonly Process _process;
    private readonly Uri _metrics;

    private PeerExporter(Process process, Uri metrics)
    {
        _process = process;
        _metrics = metrics;
    }

    /// <summary>CPU time that it has used so far.</summary>
    public TimeSpan CpuTime
    {
        get
        {
            _process.Refresh();
            return _process.TotalProcessorTime;
        }
    }

    /// <summary>Starts the first of some programs that is in PATH; null where there is none (said on standard error), an exception there when CI=true.</summary>
    /// <param name="programs">Names of the program, e.g. Debian's and upstream's.</param>
    /// <param name="arguments">Arguments but for the address.</param>
    /// <param name="environment">Environment variables to set.</param>
    public static async Task<PeerExporter?> TryStartAsync(string[] programs, string[] arguments, Dictionary<string, string>? environment = null)
    {
        string? path = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').SelectMany(folder => programs.Select(p => Path.Combine(folder, p))).FirstOrDefault(File.Exists);
        if (path is null)
        {
            string missing = $"none of {string.Join(", ", programs)} is in PATH";
            if (Environment.GetEnvironmentVariable("CI") == "true")
                throw new InvalidOperationException(missing);
            await Console.Error.WriteLineAsync($"*** TEST NOT RUN: {missing}");
            return null;
        }
        int port = Ports.Free();
        var info = new ProcessStartInfo(path) { RedirectStandardError = true, RedirectStandardOutput = true };
        info.ArgumentList.Add(string.Create(CultureInfo.InvariantCulture, $"--web.listen-address=127.0.0.1:{port}"));
        foreach (string argument in arguments)
            info.ArgumentList.Add(argument);
        foreach ((string name, string value) in environment ?? [])
            info.Environment[name] = value;
        Process process = Process.Start(info) ?? throw new InvalidOperationException($"{path} did not start");
        process.OutputDataReceived += static (_, _) => { };
        process.ErrorDataReceived += static (_, _) => { };
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        var exporter = new PeerExporter(process, new Uri(string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}/metrics")));
        try
        {
            await exporter.WaitAsync(port);
            return exporter;
        }
        catch
        {
            exporter.Dispose();
            throw;
        }
    }

    /// <summary>Scrapes it: samples by series, and types by family.</summary>
    public async Task<(Dictionary<Labels, double> Samples, Dictionary<string, string> Types)> ScrapeAsync()
    {
        using var client = new HttpClient();
        var samples = new Dictionary<Labels, double>();
        var types = new Dictionary<string, string>();
        foreach (string line in (await client.GetStringAsync(_metrics)).Split('\n'))
        {
            if (line.StartsWith("# TYPE ", StringComparison.Ordinal))
            {
                string[] words = line.Split(' ');
                types[words[2]] = words[3];
            }
            else if (line.Length > 0 && line[0] != '#')
            {
                (Labels labels, double value) = ExpositionLine.Parse(line);
                samples[labels] = value;
            }
        }
        return (samples, types);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            _process.WaitForExit();
        }
        _process.Dispose();
    }

    private async Task WaitAsync(int port)
    {
        for (int poll = 0; ; poll++)
        {
            using var client = new TcpClient();
            try
            {
                await client.ConnectAsync(IPAddress.Loopback, port);
                return;
            }
            catch (SocketException) when (poll < PollsMax && !_process.HasExited)
            {
                await Task.Delay(PollPause, TimeProvider.System);
            }
        }
    }
}
