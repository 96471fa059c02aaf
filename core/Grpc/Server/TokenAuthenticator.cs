using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Microsoft.AspNetCore.Http;

namespace Bellwether.Core.Grpc.Server;

/// <summary>What one client may show. One proof is set at least.</summary>
/// <param name="Name">The identity that it shows.</param>
/// <param name="TokenSha256">SHA-256 of the bearer token, 32 bytes, or empty.</param>
/// <param name="CertificateSha256">SHA-256 of the client certificate (DER), 32 bytes, or empty.</param>
/// <param name="CertificateName">Common name of a client certificate that the listener has verified against its CA, or null.</param>
public sealed record ClientProof(string Name, ReadOnlyMemory<byte> TokenSha256, ReadOnlyMemory<byte> CertificateSha256, string? CertificateName);

/// <summary>
/// Static bearer tokens and client certificates. A certificate comes first: a client that shows one is who it says. Tokens are kept and compared as hashes, in
/// fixed time over all of them, so that neither time nor order tells which came close. Thread-safe; <see cref="Replace"/> swaps the whole set (reload).
/// </summary>
public sealed class TokenAuthenticator : IGrpcAuthenticator
{
    /// <summary>Longest token read, characters.</summary>
    public const int MaxTokenLength = 512;

    private volatile IReadOnlyList<ClientProof> _proofs;

    /// <summary>With a first set.</summary>
    public TokenAuthenticator(IReadOnlyList<ClientProof> proofs) => _proofs = proofs;

    /// <summary>Takes a new set; calls that are open keep their identity; see <see cref="IsInForce"/>.</summary>
    public void Replace(IReadOnlyList<ClientProof> proofs) => _proofs = proofs;

    /// <summary>Whether what an open call once showed would still let it in.</summary>
    public bool IsInForce(ClientIdentity identity) => identity.Met is not { } met || _proofs.Any(p => p.Name == met.Name && (identity.Proof == "token"
        ? p.TokenSha256.Span.SequenceEqual(met.TokenSha256.Span)
        : p.CertificateSha256.Span.SequenceEqual(met.CertificateSha256.Span) && p.CertificateName == met.CertificateName));

    /// <inheritdoc/>
    public ClientIdentity? Authenticate(HttpContext http, out string reason)
    {
        X509Certificate2? certificate = http.Connection.ClientCertificate;
        if (certificate is not null && ByCertificate(certificate) is { } certified)
        {
            reason = "";
            return certified;
        }
        string header = http.Request.Headers.Authorization.ToString();
        if (!header.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase))
        {
            reason = certificate is null ? "a bearer token or a client certificate is needed" : $"the client certificate ({CertificateText.Of(certificate)}) is not known, and there is no bearer token";
            return null;
        }
        ClientIdentity? identity = ByToken(header.AsSpan("Bearer ".Length));
        reason = identity is not null ? "" : certificate is null ? "the bearer token is not known" : $"the bearer token is not known, nor is the client certificate ({CertificateText.Of(certificate)})";
        return identity;
    }

    private ClientIdentity? ByToken(ReadOnlySpan<char> token)
    {
        if (token.Length is 0 or > MaxTokenLength)
            return null;
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(Encoding.UTF8.GetBytes(token.ToString()), hash);
        ClientProof? match = null;
        foreach (ClientProof proof in _proofs)
        {
            if (!proof.TokenSha256.IsEmpty & CryptographicOperations.FixedTimeEquals(hash, proof.TokenSha256.Span))
                match ??= proof;
        }
        return match is null ? null : new ClientIdentity(match.Name, "token") { Met = match };
    }

    private ClientIdentity? ByCertificate(X509Certificate2 certificate)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(certificate.RawData, hash);
        string name = certificate.GetNameInfo(X509NameType.SimpleName, forIssuer: false);
        foreach (ClientProof proof in _proofs)
        {
            if ((!proof.CertificateSha256.IsEmpty && CryptographicOperations.FixedTimeEquals(hash, proof.CertificateSha256.Span)) || (proof.CertificateName is { } wanted && wanted == name))
                return new ClientIdentity(proof.Name, "certificate") { Met = proof };
        }
        return null;
    }
}
