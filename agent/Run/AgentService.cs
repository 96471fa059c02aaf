using System.Net.Sockets;
using System.Security.Cryptography;
using Bellwether.Agent.Configuration;
using Bellwether.Core.Configuration;
using Bellwether.Core.Platform;
using Bellwether.Core.Telemetry;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Bellwether.Agent.Run;

/// <summary>
/// The agent as a service: starts the runtime, tells systemd, reloads at SIGHUP, keeps the watchdog fed as long as data moves, and stops at SIGTERM or SIGINT.
/// </summary>
internal sealed partial class AgentService : BackgroundService
{
    private static readonly TimeSpan s_lookInterval = TimeSpan.FromSeconds(1);
    private readonly string _file;
    private readonly AgentConfig _first;
    private readonly TimeProvider _time;
    private readonly LineLoggerFactory _loggers;
    private readonly IHostApplicationLifetime _lifetime;
    private readonly ILogger _log;
    private readonly ServiceNotifier _notifier;

    public AgentService(AgentStart start, IHostApplicationLifetime lifetime)
    {
        _file = start.File;
        _first = start.Config;
        _time = start.Time;
        _loggers = start.Loggers;
        _lifetime = lifetime;
        _log = _loggers.CreateLogger<AgentService>();
        _notifier = new ServiceNotifier(_time);
    }

    /// <summary>What the process ends with: 0 stopped on request, 1 it could not go on.</summary>
    public static int ExitCode { get; private set; }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        AgentRuntime runtime;
        try
        {
            runtime = new AgentRuntime(_first, _time, _loggers);
        }
        catch (Exception e) when (e is IOException or SocketException or CryptographicException or UnauthorizedAccessException)
        {
            CannotStart(_log, e.Message);
            ExitCode = 1;
            _lifetime.StopApplication();
            return;
        }
        catch (Exception e)
        {
            // Whatever it is: an agent that ends must say why.
            PartFailed(_log, e);
            ExitCode = 1;
            _lifetime.StopApplication();
            return;
        }
        await using (runtime)
        {
            using IDisposable? hangup = ReloadSignal.Listen(() => Reload(runtime));
            _notifier.Ready($"{runtime.CollectorCount} collectors");
            await WatchAsync(runtime, stoppingToken);
            _notifier.Stopping();
        }
        Stopped(_log);
    }

    private async Task WatchAsync(AgentRuntime runtime, CancellationToken stopping)
    {
        TimeSpan stallLimit = _first.Watchdog.StallLimit;
        long seen = -1;
        long movedAt = _time.GetTimestamp();
        long fedAt = 0;
        var memory = new SmallMemory(_time);
        try
        {
            while (true)
            {
                await Task.Delay(s_lookInterval, _time, stopping);
                if (runtime.Ticks != seen || runtime.CollectorCount == 0)
                {
                    seen = runtime.Ticks;
                    movedAt = _time.GetTimestamp();
                }
                if (runtime.Failure is { } failure)
                {
                    PartFailed(_log, failure);
                    ExitCode = 1;
                    _lifetime.StopApplication();
                    return;
                }
                memory.Step();
                TimeSpan still = _time.GetElapsedTime(movedAt);
                if (stallLimit > TimeSpan.Zero && still > stallLimit)
                {
                    Stalled(_log, still.TotalSeconds);
                    ExitCode = 1;
                    _lifetime.StopApplication();
                    return;
                }
                if (_notifier.WatchdogInterval is { } interval && _time.GetElapsedTime(fedAt) > interval)
                {
                    fedAt = _time.GetTimestamp();
                    _notifier.Alive();
                }
            }
        }
        catch (OperationCanceledException)
        {
            return;
        }
    }

    private void Reload(AgentRuntime runtime)
    {
        _notifier.Reloading();
        try
        {
            TakeConfiguration(runtime);
        }
        catch (Exception e)
        {
            // Whatever stands in the file, the running agent goes on with what it has.
            ReloadFailed(_log, e);
            runtime.Refuse([$"{_file}: taking it failed: {e.Message}"]);
        }
        _notifier.Ready($"{runtime.CollectorCount} collectors");
    }

    private void TakeConfiguration(AgentRuntime runtime)
    {
        ConfigResult<AgentConfig> result = AgentConfigFile.Load(_file, checkFiles: true);
        if (result.Value is { } config)
        {
            _loggers.Minimum = LevelOf(config.Log.Level);
            runtime.Apply(config);
            Reloaded(_log, _file);
        }
        else
        {
            runtime.Refuse([.. result.Errors.Select(e => e.ToString())]);
            foreach (ConfigError error in result.Errors)
                ReloadRefused(_log, error.ToString());
        }
    }

    /// <summary>The log level that the configuration's word means.</summary>
    public static LogLevel LevelOf(LogDetail detail) => detail switch
    {
        LogDetail.Debug => LogLevel.Debug,
        LogDetail.Information => LogLevel.Information,
        LogDetail.Warning => LogLevel.Warning,
        _ => LogLevel.Error,
    };

    [LoggerMessage(1331, LogLevel.Critical, "the agent cannot start: {Reason}")]
    private static partial void CannotStart(ILogger log, string reason);

    [LoggerMessage(1332, LogLevel.Information, "stopped")]
    private static partial void Stopped(ILogger log);

    [LoggerMessage(1333, LogLevel.Critical, "no tick for {Seconds:0} s: the agent ends itself, to be started anew")]
    private static partial void Stalled(ILogger log, double seconds);

    [LoggerMessage(1337, LogLevel.Error, "BUG: taking the new configuration failed, the one in force stays")]
    private static partial void ReloadFailed(ILogger log, Exception failure);

    [LoggerMessage(1336, LogLevel.Critical, "BUG: a part of the agent ended by itself; the agent ends, to be started anew")]
    private static partial void PartFailed(ILogger log, Exception failure);

    [LoggerMessage(1334, LogLevel.Information, "configuration {File} taken")]
    private static partial void Reloaded(ILogger log, string file);

    [LoggerMessage(1335, LogLevel.Error, "the new configuration is refused, the one in force stays: {Error}")]
    private static partial void ReloadRefused(ILogger log, string error);
}

/// <summary>What the service starts from.</summary>
internal sealed record AgentStart(string File, AgentConfig Config, TimeProvider Time, LineLoggerFactory Loggers);
