using System.Security.Cryptography;
using System.Text;
using Bellwether.Core.Configuration;

namespace Bellwether.Aggregator.Configuration;

/// <summary>Finds what two entries of <c>agents</c> must not share, and token files that hold no token. Not thread-safe.</summary>
internal sealed class SeenAgents
{
    private readonly Dictionary<string, int> _ids = new(StringComparer.Ordinal);
    private readonly Dictionary<string, (int Entry, string Id)> _tokens = new(StringComparer.Ordinal);

    /// <summary>Checks one entry against those before it.</summary>
    /// <param name="section">The entry.</param>
    /// <param name="agent">What was read of it.</param>
    /// <param name="number">Its place, from 1.</param>
    public void Add(ConfigSection section, AgentEntry agent, int number)
    {
        // '*' may stand more than once: several shared tokens.
        if (agent.Id.Length > 0 && agent.Id != "*" && !_ids.TryAdd(agent.Id, number))
            section.Error("id", $"'{agent.Id}' stands in entry {_ids[agent.Id]} already; an agent has one entry");
        if (HashOf(section, agent) is not { Length: > 0 } hash)
            return;
        if (!_tokens.TryAdd(hash, (number, agent.Id)))
            section.Error(agent.TokenFile.Length > 0 ? "token_file" : "token_sha256", $"is the token of entry {_tokens[hash].Entry} ('{_tokens[hash].Id}') already; each agent needs its own");
    }

    private static string HashOf(ConfigSection section, AgentEntry agent)
    {
        if (agent.TokenFile.Length == 0)
            return agent.TokenSha256;
        if (!section.Reading.CheckFiles || !File.Exists(agent.TokenFile))
            return "";
        try
        {
            string token = File.ReadAllText(agent.TokenFile).Trim();
            if (token.Length > 0)
                return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(token)));
            section.Error("token_file", $"{agent.TokenFile} is empty; it must hold the token");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            section.Error("token_file", $"{agent.TokenFile} cannot be read: {e.Message}");
        }
        return "";
    }
}
