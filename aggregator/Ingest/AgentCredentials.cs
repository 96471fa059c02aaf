using Bellwether.Core.Grpc.Server;

namespace Bellwether.Ingest;

/// <summary>Turns the configured credentials into what the gRPC server checks.</summary>
public static class AgentCredentials
{
    /// <summary>The proofs of all credentials. Throws <see cref="FormatException"/> for a hash that is not 64 hexadecimal digits.</summary>
    public static IReadOnlyList<ClientProof> Proofs(IEnumerable<AgentCredential> credentials) =>
        [.. credentials.Select(c => new ClientProof(c.AgentId, Hash(c.TokenSha256, c.AgentId), Hash(c.CertificateSha256, c.AgentId), c.CertificateName))];

    private static ReadOnlyMemory<byte> Hash(string? hex, string agentId)
    {
        if (hex is null)
            return default;
        if (hex.Length != 64 || !hex.All(char.IsAsciiHexDigit))
            throw new FormatException($"agent '{agentId}': a SHA-256 is 64 hexadecimal digits, not '{(hex.Length > 70 ? hex[..70] : hex)}'.");
        return Convert.FromHexString(hex);
    }
}
