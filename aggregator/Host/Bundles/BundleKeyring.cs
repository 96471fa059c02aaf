using System.Security.Cryptography;
using Bellwether.Aggregator.Configuration;
using Bellwether.Core.Bundles;

namespace Bellwether.Aggregator.Bundles;

/// <summary>The keys that the configuration names: each agent's public key, and the aggregator's own. Throws <see cref="CryptographicException"/> or <see cref="IOException"/> that names the file.</summary>
internal sealed class BundleKeyring : IDisposable
{
    private readonly Dictionary<string, ECDsa> _agents = new(StringComparer.Ordinal);

    public BundleKeyring(AggregatorConfig config)
    {
        try
        {
            Own = config.Bundle.KeyFile.Length == 0 ? null : Read(config.Bundle.KeyFile);
            foreach (AgentEntry agent in config.Agents)
            {
                if (agent.BundleKeyFile.Length > 0)
                    _agents.Add(agent.Id, Read(agent.BundleKeyFile));
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Signs receipts and reads what was encrypted for us; null: none is configured.</summary>
    public ECDsa? Own { get; }

    /// <summary>Whether any agent may send bundles.</summary>
    public bool IsEmpty => _agents.Count == 0;

    public BundleTrust Trust => new(agent => _agents.GetValueOrDefault(agent), Own);

    public void Dispose()
    {
        Own?.Dispose();
        foreach (ECDsa key in _agents.Values)
            key.Dispose();
    }

    private static ECDsa Read(string path) => BundleKeys.Read(File.ReadAllText(path), path);
}
