using Bellwether.Core.Configuration;
using Bellwether.Ingest;
using Bellwether.Serve.QueryApi;
using Microsoft.Extensions.Logging;

namespace Bellwether.Aggregator.Run;

// What a running aggregator takes of its configuration without a restart.
internal sealed partial class AggregatorServer
{
    /// <summary>Reads the configuration and the rules again; what is wrong is told and changes nothing.</summary>
    public IReadOnlyList<string> Reload()
    {
        lock (_reloadGate)
        {
            try
            {
                IReadOnlyList<string> errors = ReloadLocked();
                _configState = errors.Count == 0 ? new ConfigState(true, NowMs) : _configState with { Ok = false };
                return errors;
            }
            catch (Exception e)
            {
                // Whatever stands in the files, the running aggregator goes on with what it has.
                ReloadFailed(_log, e);
                _configState = _configState with { Ok = false };
                return [$"BUG: taking the new configuration failed: {e.Message}"];
            }
        }
    }

    private IReadOnlyList<string> ReloadLocked()
    {
        var read = ConfigurationRead.Of(_file, checkFiles: true, _time);
        if (read is not { Config: { } config, Definitions: { } definitions })
        {
            foreach (ConfigError error in read.Errors)
                ReloadRefused(_log, error.ToString());
            return [.. read.Errors.Select(e => e.ToString())];
        }
        try
        {
            _authenticator.Replace(AgentCredentials.Proofs(ConfiguredOptions.Credentials(config)));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
        {
            ReloadRefused(_log, e.Message);
            return [e.Message];
        }
        _service?.EndRevoked();
        if (config != _first with { Agents = config.Agents, Fleet = _first.Fleet with { Expected = config.Fleet.Expected, Retired = config.Fleet.Retired }, RuleFiles = config.RuleFiles, KpiFiles = config.KpiFiles, SloFiles = config.SloFiles, Bundle = _first.Bundle with { KeyFile = config.Bundle.KeyFile }, Evaluation = _first.Evaluation with { BackfillNew = config.Evaluation.BackfillNew }, Shown = config.Shown, Log = config.Log })
            NeedsRestart(_log);
        _loggers.Minimum = ConfiguredOptions.Level(config.Log.Level);
        _definitions.Replace(definitions);
        _completeness.Book.Configure(NowMs, config.Fleet.Expected, config.Fleet.Retired);
        _newRules.Backfill(config.Evaluation.BackfillNew, _stop.Token);
        _config = config;
        Reloaded(_log, _file, definitions.Groups.Count);
        return [];
    }

    private ConfigState ConfigNow()
    {
        lock (_reloadGate)
            return _configState;
    }

    [LoggerMessage(5004, LogLevel.Error, "the new configuration is refused, the one in force stays: {Error}")]
    private static partial void ReloadRefused(ILogger log, string error);

    [LoggerMessage(5005, LogLevel.Information, "configuration {File} taken, {Groups} rule groups")]
    private static partial void Reloaded(ILogger log, string file, int groups);

    [LoggerMessage(5008, LogLevel.Error, "BUG: taking the new configuration failed, the one in force stays")]
    private static partial void ReloadFailed(ILogger log, Exception failure);

    [LoggerMessage(5006, LogLevel.Warning, "the new configuration changes more than what a reload takes (docs/configuration.md, column 'applies'): the rest takes effect at the next start")]
    private static partial void NeedsRestart(ILogger log);
}
