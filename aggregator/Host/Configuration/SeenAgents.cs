using System.Security.Cryptography;
using System.Text;
using Bellwether.Core.Configuration;

namespace Bellwether.Aggregator.Configuration;

/// <summary>Finds what two entries of <c>agents</c> must not share, and token files that hold no token. Not thread-safe.</summary>
internal sealed class SeenAgents
{
    private readonly Dictionary<string, int> _ids = new(StringComparer.Ordinal);
    private readonly Dictionary<(string What, string Proof), (int Entry, string Id)> _proofs = [];

    /// <summary>Checks one entry against those before it.</summary>
    /// <param name="section">The entry.</param>
    /// <param name="agent">What was read of it.</param>
    /// <param name="number">Its place, from 1.</param>
    public void Add(ConfigSection section, AgentEntry agent, int number)
    {
        // '*' may stand more than once: several shared tokens.
        if (agent.Id.Length > 0 && agent.Id != "*" && !_ids.TryAdd(agent.Id, number))
            section.Error("id", $"'{agent.Id}' stands in entry {_ids[agent.Id]} already; an agent has one entry");
        AddProof("token", HashOf(section, agent), agent.TokenFile.Length > 0 ? "token_file" : "token_sha256");
        AddProof("certificate", agent.CertificateSha256, "certificate_sha256");
        AddProof("certificate name", agent.CertificateName, "certificate_name");

        // Who shows it is taken for the first that has it: the second could never connect.
        void AddProof(string what, string proof, string key)
        {
            if (proof.Length > 0 && !_proofs.TryAdd((what, proof), (number, agent.Id)))
                section.Error(key, $"is the {what} of entry {_proofs[(what, proof)].Entry} ('{_proofs[(what, proof)].Id}') already; each agent needs its own");
        }
    }

    private static string HashOf(ConfigSection section, AgentEntry agent)
    {
        if (agent.TokenFile.Length == 0)
            return agent.TokenSha256;
        if (!File.Exists(agent.TokenFile))
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
            // Commands that need no token may be given to people who may not read it; who needs it says so when it is read.
            if (section.Reading.CheckFiles)
                section.Error("token_file", $"{agent.TokenFile} cannot be read: {e.Message}");
        }
        return "";
    }
}
