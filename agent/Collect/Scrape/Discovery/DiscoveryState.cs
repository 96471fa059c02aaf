using Bellwether.Core.Configuration;
using Bellwether.Core.Configuration.Prometheus;

namespace Bellwether.Agent.Collect.Scrape.Discovery;

/// <summary>What one file gave last: its last good groups, and what is wrong with it now.</summary>
internal sealed record FileState(FileSdConfig Config, (DateTime Written, long Length) Stamp, ValueList<TargetGroup> Groups, string? Error);

/// <summary>What one HTTP endpoint gave last: its last good groups, and what is wrong with it now.</summary>
internal sealed record HttpState(ValueList<TargetGroup> Groups, string? Error);

/// <summary>What a job's discovery knows; handed to the discovery that follows it at a reload, so that last good groups stay. Immutable.</summary>
internal sealed record DiscoveryState(IReadOnlyDictionary<string, FileState> Files, IReadOnlyDictionary<HttpSdConfig, HttpState> Http)
{
    /// <summary>Nothing yet.</summary>
    public static DiscoveryState Empty { get; } = new(new Dictionary<string, FileState>(), new Dictionary<HttpSdConfig, HttpState>());
}
