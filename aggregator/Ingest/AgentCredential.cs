namespace Bellwether.Ingest;

/// <summary>
/// How one agent (or a group that shares a token) proves who it is. One of the two proofs is set at least. From <c>aggregator.yaml</c>.
/// </summary>
public sealed record AgentCredential
{
    /// <summary>The identity that this credential is bound to; what the agent says in its hello must equal it. <c>*</c>: any agent id may use this credential (a shared token).</summary>
    public required string AgentId { get; init; }

    /// <summary>SHA-256 of the bearer token, 64 hexadecimal digits; null: no token. Compared in fixed time.</summary>
    public string? TokenSha256 { get; init; }

    /// <summary>SHA-256 of the client certificate (DER), 64 hexadecimal digits; null: no certificate.</summary>
    public string? CertificateSha256 { get; init; }

    /// <summary>Common name that a client certificate signed by the configured client CA must have; null: not accepted by name.</summary>
    public string? CertificateName { get; init; }

    /// <summary>Labels that the aggregator stamps on this agent's entry in the fleet; they win over the agent's own.</summary>
    public IReadOnlyDictionary<string, string> Labels { get; init; } = new Dictionary<string, string>();
}
