using System.Diagnostics.CodeAnalysis;
using System.Net.Http.Headers;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Bellwether.Core.Configuration.Prometheus;

namespace Bellwether.Serve.RemoteWrite;

/// <summary>The HTTP side of an upstream: TLS, proxy, authentication, headers. Stateless.</summary>
internal static class UpstreamHttp
{
    private static readonly HashSet<string> s_reserved = new(StringComparer.OrdinalIgnoreCase)
    {
        "authorization", "host", "content-encoding", "content-length", "content-type", "user-agent", "connection", "keep-alive", "proxy-authenticate",
        "proxy-authorization", "www-authenticate", "accept-encoding", "x-prometheus-remote-write-version", "x-prometheus-remote-read-version",
    };

    /// <summary>A connection pool as the configuration asks for. Throws <see cref="IOException"/> or a cryptographic exception for unreadable certificates.</summary>
    public static HttpMessageHandler Handler(RemoteWriteConfig config)
    {
        HttpClientConfig http = config.HttpClient;
        var handler = new SocketsHttpHandler
        {
            AllowAutoRedirect = http.FollowRedirects,
            UseCookies = false,
            PooledConnectionLifetime = TimeSpan.FromMinutes(5),
            MaxConnectionsPerServer = 4,
        };
        if (http.Proxy.ProxyUrl.Length > 0)
            handler.Proxy = new System.Net.WebProxy(http.Proxy.ProxyUrl);
        else
            handler.UseProxy = http.Proxy.ProxyFromEnvironment;
        TlsConfig tls = http.Tls;
        if (tls.ServerName.Length > 0)
            handler.SslOptions.TargetHost = tls.ServerName;
        if (tls.CertFile.Length > 0)
            handler.SslOptions.ClientCertificates = [X509Certificate2.CreateFromPemFile(tls.CertFile, tls.KeyFile)];
        if (tls.CaFile.Length > 0 || tls.Ca.Length > 0)
            handler.SslOptions.CertificateChainPolicy = Trust(tls);
        if (tls.InsecureSkipVerify)
            handler.SslOptions.RemoteCertificateValidationCallback = AcceptAny();
        return handler;
    }

    /// <summary>Headers of a request; none of the configuration can replace a required one.</summary>
    public static void AddHeaders(HttpRequestMessage request, RemoteWriteConfig config, bool v2)
    {
        foreach (UrlParameter header in config.Headers)
        {
            if (!s_reserved.Contains(header.Name))
                request.Headers.TryAddWithoutValidation(header.Name, header.Values);
        }
        request.Headers.TryAddWithoutValidation("X-Prometheus-Remote-Write-Version", v2 ? "2.0.0" : "0.1.0");
        request.Headers.TryAddWithoutValidation("User-Agent", "Bellwether/0.1.0");
        request.Headers.Authorization = Authorization(config.HttpClient);
    }

    private static AuthenticationHeaderValue? Authorization(HttpClientConfig http)
    {
        if (http.BasicAuth is { } basic)
        {
            string user = basic.UsernameFile.Length > 0 ? File.ReadAllText(basic.UsernameFile).Trim() : basic.Username;
            string password = basic.PasswordFile.Length > 0 ? File.ReadAllText(basic.PasswordFile).Trim() : basic.Password?.Reveal() ?? "";
            return new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes($"{user}:{password}")));
        }
        if (http.Authorization is { } authorization)
        {
            string credentials = authorization.CredentialsFile.Length > 0 ? File.ReadAllText(authorization.CredentialsFile).Trim() : authorization.Credentials?.Reveal() ?? "";
            return new AuthenticationHeaderValue(authorization.Type, credentials);
        }
        return null;
    }

    private static X509ChainPolicy Trust(TlsConfig tls)
    {
        var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        policy.CustomTrustStore.ImportFromPem(tls.CaFile.Length > 0 ? File.ReadAllText(tls.CaFile) : tls.Ca);
        return policy;
    }

    [SuppressMessage("Security", "CA5359", Justification = "the user asked for it by name: insecure_skip_verify")]
    private static RemoteCertificateValidationCallback AcceptAny() => (_, _, _, _) => true;
}
