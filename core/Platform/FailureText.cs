using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace Bellwether.Core.Platform;

/// <summary>
/// Says in words why a connection or a request failed. The framework's own texts cannot be relied on: a program published small has only their keys
/// (<c>UseSystemResourceKeys</c>), and its wrappers only say that something failed. Stateless.
/// </summary>
public static class FailureText
{
    /// <summary>The cause, in words.</summary>
    public static string Of(Exception exception)
    {
        string? cause = null;
        for (Exception? e = exception; e is not null; e = e.InnerException)
            cause = OfOne(e) ?? cause;
        return cause ?? $"it failed ({exception.GetType().Name})";
    }

    /// <summary>
    /// To be set as <see cref="SslClientAuthenticationOptions.RemoteCertificateValidationCallback"/>: takes what the framework takes, and throws an
    /// <see cref="AuthenticationException"/> that says what is wrong with a certificate otherwise.
    /// </summary>
    public static bool CheckServerCertificate(object sender, X509Certificate? certificate, X509Chain? chain, SslPolicyErrors errors)
    {
        if (errors == SslPolicyErrors.None)
            return true;
        var wrong = new List<string>();
        if ((errors & SslPolicyErrors.RemoteCertificateNotAvailable) != 0)
            wrong.Add("there is none");
        if ((errors & SslPolicyErrors.RemoteCertificateNameMismatch) != 0)
            wrong.Add($"it is not for the name '{(sender as SslStream)?.TargetHostName}'");
        foreach (X509ChainStatus status in chain?.ChainStatus ?? [])
        {
            string words = OfStatus(status.Status);
            if (!wrong.Contains(words))
                wrong.Add(words);
        }
        if (wrong.Count == 0)
            return false;
        throw new AuthenticationException($"the server's certificate ({certificate?.Subject}) is refused: {string.Join("; ", wrong)}");
    }

    private static string OfStatus(X509ChainStatusFlags status) => status switch
    {
        X509ChainStatusFlags.UntrustedRoot or X509ChainStatusFlags.PartialChain or X509ChainStatusFlags.NotSignatureValid => "no trusted authority has signed it",
        X509ChainStatusFlags.NotTimeValid => "it is expired or not yet valid",
        X509ChainStatusFlags.Revoked => "it is revoked",
        _ => status.ToString(),
    };

    private static string? OfOne(Exception e) => e switch
    {
        SocketException => e.Message,
        HttpRequestException http => OfError(http.HttpRequestError) ?? Words(e),
        HttpIOException http => OfError(http.HttpRequestError) ?? Words(e),
        AuthenticationException => Words(e) ?? "the TLS handshake failed",
        OperationCanceledException or TimeoutException => "it took too long",
        InvalidDataException => Words(e) ?? "the compressed data are not valid",
        _ => Words(e),
    };

    private static string? OfError(HttpRequestError error) => error switch
    {
        HttpRequestError.NameResolutionError => "the host's name cannot be resolved",
        HttpRequestError.ConnectionError => "no connection can be made",
        HttpRequestError.SecureConnectionError => "the TLS handshake failed",
        HttpRequestError.ResponseEnded => "the response ended prematurely",
        HttpRequestError.InvalidResponse => "the answer is not valid HTTP",
        HttpRequestError.ConfigurationLimitExceeded => "the answer's headers are too large",
        _ => null,
    };

    /// <summary>The message, unless it is a key instead of a text.</summary>
    private static string? Words(Exception e)
    {
        string head = e.Message.Split(',')[0];
        return head.Contains('_') && !head.Contains(' ') ? null : e.Message;
    }
}
