using System.Security.Cryptography;
using System.Text;
using Bellwether.Aggregator.Configuration;
using Bellwether.Evaluate.PromQl;
using Bellwether.Ingest;
using Bellwether.Ingest.Completeness;
using Bellwether.Store;
using Microsoft.Extensions.Logging;

namespace Bellwether.Aggregator.Run;

/// <summary>The options of the parts, as the configuration has them: for the running aggregator and for the commands that open its folders.</summary>
internal static class ConfiguredOptions
{
    /// <summary>The store's.</summary>
    public static StoreOptions Store(AggregatorConfig config) => new()
    {
        Folder = config.DataDir,
        Retention = config.Retention.Raw,
        Resolutions = ResolutionsOf(config.Retention),
        RetentionBytes = config.Retention.Size.Bytes,
        FutureBound = config.Limits.FutureBound,
        MaxSeries = config.Limits.MaxSeries,
        MaxSeriesPerJob = config.Limits.MaxSeriesPerJob,
        MaxSeriesPerAgent = config.Limits.MaxSeriesPerAgent,
        MinFreeBytes = config.Limits.MinFreeDisk.Bytes,
    };

    /// <summary>The query engine's.</summary>
    public static EngineOptions Engine(AggregatorConfig config) => new()
    {
        MaxSamples = config.Limits.MaxSamplesPerQuery,
        MaxSamplesTogether = config.Limits.MaxSamplesTogether,
        Timeout = config.Limits.QueryTimeout,
        Experimental = config.Evaluation.Experimental,
    };

    private static List<CoarseResolution> ResolutionsOf(RetentionSection retention)
    {
        var resolutions = new List<CoarseResolution>();
        if (retention.FiveMinutes > TimeSpan.Zero)
            resolutions.Add(new CoarseResolution(TimeSpan.FromMinutes(5), retention.FiveMinutes));
        if (retention.OneHour > TimeSpan.Zero)
            resolutions.Add(new CoarseResolution(TimeSpan.FromHours(1), retention.OneHour));
        return resolutions;
    }

    /// <summary>What is remembered of the fleet.</summary>
    public static CompletenessOptions Completeness(AggregatorConfig config) => new() { MaxAgents = config.Limits.MaxAgents, SilentAfter = config.Fleet.SilentAfter };

    /// <summary>The folder of what is remembered of the fleet.</summary>
    public static string CompletenessFolder(AggregatorConfig config) => Path.Combine(config.DataDir, "completeness");

    /// <summary>The folder that is watched for bundles.</summary>
    public static string Inbox(AggregatorConfig config) => config.Bundle.Inbox.Length > 0 ? config.Bundle.Inbox : Path.Combine(config.DataDir, "inbox");

    /// <summary>How agents prove who they are. Reads the token files: throws <see cref="IOException"/> or <see cref="UnauthorizedAccessException"/> when one cannot be read.</summary>
    public static IEnumerable<AgentCredential> Credentials(AggregatorConfig config) => [.. config.Agents.Select(agent => new AgentCredential
    {
        AgentId = agent.Id,
        TokenSha256 = agent.TokenFile.Length > 0
            ? Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(File.ReadAllText(agent.TokenFile).Trim())))
            : agent.TokenSha256.Length > 0 ? agent.TokenSha256 : null,
        CertificateSha256 = agent.CertificateSha256.Length > 0 ? agent.CertificateSha256 : null,
        CertificateName = agent.CertificateName.Length > 0 ? agent.CertificateName : null,
    })];

    /// <summary>The log level that the configuration's word means.</summary>
    public static LogLevel Level(LogDetail detail) => detail switch
    {
        LogDetail.Debug => LogLevel.Debug,
        LogDetail.Information => LogLevel.Information,
        LogDetail.Warning => LogLevel.Warning,
        _ => LogLevel.Error,
    };
}
