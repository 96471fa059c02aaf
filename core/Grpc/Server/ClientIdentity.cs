using Microsoft.AspNetCore.Http;

namespace Bellwether.Core.Grpc.Server;

/// <summary>Who a client was shown to be, by its credentials and nothing that it says.</summary>
/// <param name="Name">The identity, e.g. an agent id; <c>*</c> when the credential is shared by many.</param>
/// <param name="Proof">What showed it, for people: <c>token</c>, <c>certificate</c>.</param>
public sealed record ClientIdentity(string Name, string Proof)
{
    /// <summary>The configured proof that was met; null when the authenticator keeps none.</summary>
    public ClientProof? Met { get; init; }
}

/// <summary>Tells who a client is, before anything of its body is read. Thread-safe.</summary>
public interface IGrpcAuthenticator
{
    /// <summary>The client's identity, or null: refused as Unauthenticated. <paramref name="reason"/> says why, for the log and the client; it must not hold the secret.</summary>
    ClientIdentity? Authenticate(HttpContext http, out string reason);
}
