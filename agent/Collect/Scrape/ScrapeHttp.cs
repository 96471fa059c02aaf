using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Bellwether.Core.Configuration;
using Bellwether.Core.Configuration.Prometheus;
using Bellwether.Core.Exposition;
using Bellwether.Core.Platform;

namespace Bellwether.Agent.Collect.Scrape;

/// <summary>
/// The HTTP client of one job: connections are shared by its targets. Redirects are followed by hand, so that credentials and configured headers go to the
/// target's own origin only. Certificate files are read when it is made, credential files at each request. Thread-safe.
/// </summary>
public sealed class ScrapeHttp : IDisposable
{
    private const int RedirectsMax = 10;

    private static readonly HttpRequestOptionsKey<bool> TlsByHand = new("bellwether.tls");
    private static readonly string UserAgent = "Bellwether/" + (typeof(ScrapeHttp).Assembly.GetName().Version?.ToString(3) ?? "0");

    private readonly ScrapeConfig _job;
    private readonly HttpMessageInvoker _client;
    private readonly string _accept;
    private readonly string _timeHeader = "X-Prometheus-Scrape-Timeout-Seconds";
    private readonly Lock _gate = new();
    private int _requests;
    private bool _isOver;

    /// <summary>Makes the client. Throws <see cref="IOException"/> or <see cref="System.Security.Cryptography.CryptographicException"/> when a certificate file cannot be read.</summary>
    public ScrapeHttp(ScrapeConfig job)
    {
        _job = job;
        _accept = ExpositionContent.AcceptFor([.. job.ScrapeProtocols.Select(ProtocolName)]);
        _client = new HttpMessageInvoker(NewHandler(job));
    }

    /// <summary>Makes a client that asks an endpoint for targets; what <see cref="GetAsync"/> is given as time is then how often it is asked. Throws as the other.</summary>
    internal ScrapeHttp(HttpSdConfig endpoint, TimeSpan connectTimeout)
        : this(new ScrapeConfig { HttpClient = endpoint.HttpClient, ScrapeTimeout = connectTimeout, EnableCompression = false })
    {
        _accept = "application/json";
        _timeHeader = "X-Prometheus-Refresh-Interval-Seconds";
    }

    /// <summary>The word of scrape_protocols for a protocol.</summary>
    internal static string ProtocolName(ScrapeProtocol protocol) => protocol switch
    {
        ScrapeProtocol.PrometheusProto => "PrometheusProto",
        ScrapeProtocol.OpenMetricsText100 => "OpenMetricsText1.0.0",
        ScrapeProtocol.OpenMetricsText001 => "OpenMetricsText0.0.1",
        ScrapeProtocol.PrometheusText100 => "PrometheusText1.0.0",
        _ => "PrometheusText0.0.4",
    };

    /// <summary>Fetches a target's answer, headers only; the caller disposes it. Throws <see cref="HttpRequestException"/> when the client is disposed; a request that is under way then is finished.</summary>
    internal async Task<HttpResponseMessage> GetAsync(Uri url, TimeSpan timeout, CancellationToken cancellation)
    {
        lock (_gate)
        {
            if (_isOver)
                throw new HttpRequestException("the job has been taken out of the configuration");
            _requests++;
        }
        try
        {
            return await FollowAsync(url, timeout, cancellation);
        }
        finally
        {
            Release(isRequest: true);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Release(isRequest: false);

    private void Release(bool isRequest)
    {
        lock (_gate)
        {
            if (isRequest)
                _requests--;
            else
                _isOver = true;
            if (!_isOver || _requests > 0)
                return;
        }
        _client.Dispose();
    }

    private async Task<HttpResponseMessage> FollowAsync(Uri url, TimeSpan timeout, CancellationToken cancellation)
    {
        Uri origin = url;
        for (int hops = 0; ; hops++)
        {
            using HttpRequestMessage request = await NewRequestAsync(url, SameOrigin(origin, url), timeout, cancellation);
            HttpResponseMessage response = await _client.SendAsync(request, cancellation);
            if (!_job.HttpClient.FollowRedirects || !IsRedirect(response.StatusCode) || response.Headers.Location is not { } location)
                return response;
            response.Dispose();
            if (hops == RedirectsMax)
                throw new HttpRequestException($"stopped after {RedirectsMax} redirects");
            url = new Uri(url, location);
            if (url.Scheme is not ("http" or "https"))
                throw new HttpRequestException($"redirected to '{url.Scheme}:', which is not http");
        }
    }

    private async Task<HttpRequestMessage> NewRequestAsync(Uri url, bool ownOrigin, TimeSpan timeout, CancellationToken cancellation)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, url);
        if (url.Scheme == "https" && _job.HttpClient.Tls.ServerName.Length > 0)
        {
            // The handler takes the name to expect from the URL; for another one the connection is made by ConnectAsync.
            request.RequestUri = new UriBuilder(url) { Scheme = "http", Port = url.Port }.Uri;
            request.Options.Set(TlsByHand, true);
        }
        else if (url.Scheme == "https" && _job.HttpClient.EnableHttp2)
        {
            request.Version = HttpVersion.Version20;
            request.VersionPolicy = HttpVersionPolicy.RequestVersionOrLower;
        }
        request.Headers.TryAddWithoutValidation("Accept", _accept);
        // As text, unchecked: these are our own words.
        request.Headers.TryAddWithoutValidation("Accept-Encoding", _job.EnableCompression ? "gzip" : "identity");
        request.Headers.TryAddWithoutValidation("User-Agent", UserAgent);
        request.Headers.TryAddWithoutValidation(_timeHeader, timeout.TotalSeconds.ToString(CultureInfo.InvariantCulture));
        if (!ownOrigin)
            return request;
        foreach (HttpHeaderConfig header in _job.HttpClient.HttpHeaders)
        {
            foreach (string value in header.Values)
                request.Headers.TryAddWithoutValidation(header.Name, value);
            foreach (Secret secret in header.Secrets)
                request.Headers.TryAddWithoutValidation(header.Name, secret.Reveal());
            foreach (string file in header.Files)
                request.Headers.TryAddWithoutValidation(header.Name, await ReadSecretAsync(file, cancellation));
        }
        await AuthorizeAsync(request, cancellation);
        return request;
    }

    private async Task AuthorizeAsync(HttpRequestMessage request, CancellationToken cancellation)
    {
        if (_job.HttpClient.BasicAuth is { } basic)
        {
            string user = basic.UsernameFile.Length > 0 ? await ReadSecretAsync(basic.UsernameFile, cancellation) : basic.Username;
            string password = basic.PasswordFile.Length > 0 ? await ReadSecretAsync(basic.PasswordFile, cancellation) : basic.Password?.Reveal() ?? "";
            request.Headers.Authorization = new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes($"{user}:{password}")));
        }
        else if (_job.HttpClient.Authorization is { } authorization)
        {
            string credentials = authorization.CredentialsFile.Length > 0 ? await ReadSecretAsync(authorization.CredentialsFile, cancellation) : authorization.Credentials?.Reveal() ?? "";
            request.Headers.TryAddWithoutValidation("Authorization", $"{authorization.Type} {credentials}".TrimEnd());
        }
    }

    private static async Task<string> ReadSecretAsync(string file, CancellationToken cancellation) => (await File.ReadAllTextAsync(file, cancellation)).Trim();

    private static bool SameOrigin(Uri a, Uri b) => a.Scheme == b.Scheme && a.Port == b.Port && string.Equals(a.Host, b.Host, StringComparison.OrdinalIgnoreCase);

    private static bool IsRedirect(HttpStatusCode status) => (int)status is 301 or 302 or 303 or 307 or 308;

    private static SocketsHttpHandler NewHandler(ScrapeConfig job)
    {
        ProxyConfig proxy = job.HttpClient.Proxy;
        var handler = new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseCookies = false,
            AutomaticDecompression = DecompressionMethods.None,
            ConnectTimeout = job.ScrapeTimeout,
            // A target may move to another address behind the same name.
            PooledConnectionLifetime = TimeSpan.FromMinutes(15),
            PooledConnectionIdleTimeout = TimeSpan.FromMinutes(5),
            UseProxy = proxy.ProxyUrl.Length > 0 || proxy.ProxyFromEnvironment,
            SslOptions = NewTls(job.HttpClient.Tls),
        };
        if (job.HttpClient.Tls.ServerName.Length > 0)
            handler.ConnectCallback = (context, cancellation) => ConnectAsync(context, job.HttpClient.Tls, cancellation);
        if (proxy.ProxyUrl.Length > 0)
            handler.Proxy = new ListedProxy(new Uri(proxy.ProxyUrl), proxy.NoProxy);
        return handler;
    }

    private static async ValueTask<System.IO.Stream> ConnectAsync(SocketsHttpConnectionContext context, TlsConfig tls, CancellationToken cancellation)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        System.IO.Stream? stream = null;
        try
        {
            await socket.ConnectAsync(context.DnsEndPoint, cancellation);
            stream = new NetworkStream(socket, ownsSocket: true);
            if (!context.InitialRequestMessage.Options.TryGetValue(TlsByHand, out bool secure) || !secure)
                return stream;
            var encrypted = new SslStream(stream);
            stream = encrypted;
            await encrypted.AuthenticateAsClientAsync(NewTls(tls), cancellation);
            return encrypted;
        }
        catch
        {
            if (stream is not null)
                await stream.DisposeAsync();
            socket.Dispose();
            throw;
        }
    }

    private static SslClientAuthenticationOptions NewTls(TlsConfig tls)
    {
        var options = new SslClientAuthenticationOptions { EnabledSslProtocols = Protocols(tls), CertificateRevocationCheckMode = X509RevocationMode.NoCheck, RemoteCertificateValidationCallback = FailureText.CheckServerCertificate };
        if (tls.ServerName.Length > 0)
            options.TargetHost = tls.ServerName;
        string authorities = tls.CaFile.Length > 0 ? File.ReadAllText(tls.CaFile) : tls.Ca;
        if (authorities.Length > 0)
        {
            var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
            policy.CustomTrustStore.ImportFromPem(authorities);
            options.CertificateChainPolicy = policy;
        }
        string certificate = tls.CertFile.Length > 0 ? File.ReadAllText(tls.CertFile) : tls.Cert;
        if (certificate.Length > 0)
        {
            string key = tls.KeyFile.Length > 0 ? File.ReadAllText(tls.KeyFile) : tls.Key?.Reveal() ?? "";
            options.ClientCertificates = [X509Certificate2.CreateFromPem(certificate, key)];
        }
        if (tls.InsecureSkipVerify)
        {
#pragma warning disable CA5359 // insecure_skip_verify: the user asks for exactly this.
            options.RemoteCertificateValidationCallback = (_, _, _, _) => true;
#pragma warning restore CA5359
        }
        return options;
    }

    private static SslProtocols Protocols(TlsConfig tls)
    {
        // By number: the names of TLS 1.0 (192) and 1.1 (768) are marked obsolete, and a user may still have to name them.
        (string Name, SslProtocols Protocol)[] all = [("TLS10", (SslProtocols)192), ("TLS11", (SslProtocols)768), ("TLS12", SslProtocols.Tls12), ("TLS13", SslProtocols.Tls13)];
        int low = Array.FindIndex(all, p => p.Name == (tls.MinVersion.Length > 0 ? tls.MinVersion : "TLS12"));
        int high = tls.MaxVersion.Length > 0 ? Array.FindIndex(all, p => p.Name == tls.MaxVersion) : all.Length - 1;
        SslProtocols protocols = SslProtocols.None;
        for (int i = Math.Max(low, 0); i <= high; i++)
            protocols |= all[i].Protocol;
        return protocols;
    }

    /// <summary>One proxy for all hosts but those of a comma-separated list (a host, or a domain with all below it).</summary>
    private sealed class ListedProxy(Uri proxy, string direct) : IWebProxy
    {
        private readonly string[] _direct = direct.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);

        public ICredentials? Credentials { get; set; }

        public Uri? GetProxy(Uri destination) => IsBypassed(destination) ? destination : proxy;

        public bool IsBypassed(Uri host)
        {
            foreach (string entry in _direct)
            {
                string name = entry.TrimStart('.');
                if (entry == "*" || string.Equals(host.Host, name, StringComparison.OrdinalIgnoreCase) || host.Host.EndsWith("." + name, StringComparison.OrdinalIgnoreCase))
                    return true;
            }
            return false;
        }
    }
}
