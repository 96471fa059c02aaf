namespace Bellwether.Core.Configuration.Prometheus;

/// <summary>Reads Prometheus' <c>http_config</c> keys, which stand among the keys of what uses them. Source: Prometheus' configuration page and prometheus/common's checks.</summary>
public static class HttpClientReading
{
    // What the client itself sets: a file that sets them too would break the protocol or hide credentials.
    private static readonly HashSet<string> s_reservedHeaders = new(StringComparer.OrdinalIgnoreCase)
    {
        "Authorization", "Host", "Content-Encoding", "Content-Length", "Content-Type", "User-Agent", "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
        "Www-Authenticate", "Accept-Encoding", "X-Prometheus-Remote-Write-Version", "X-Prometheus-Remote-Read-Version", "X-Prometheus-Scrape-Timeout-Seconds",
        "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-Sha256",
    };

    private static readonly (string, string)[] s_tlsVersions = [("TLS10", "TLS10"), ("TLS11", "TLS11"), ("TLS12", "TLS12"), ("TLS13", "TLS13")];

    /// <summary>Whether a header is set by the client itself.</summary>
    public static bool IsReservedHeader(string name) => s_reservedHeaders.Contains(name.Trim());

    /// <summary>Reads the keys from a section.</summary>
    /// <param name="section">Where they stand; its own keys are read by the caller.</param>
    /// <param name="supportedOnly">Whether what no client of ours can do (OAuth 2.0) is refused.</param>
    public static HttpClientConfig Read(ConfigSection section, bool supportedOnly)
    {
        BasicAuthConfig? basic = ReadBasicAuth(section);
        AuthorizationConfig? authorization = ReadAuthorization(section);
        OAuth2Config? oauth2 = ReadOAuth2(section, supportedOnly);
        authorization = ReadBearer(section, authorization, basic, oauth2);
        if ((basic is null ? 0 : 1) + (authorization is null ? 0 : 1) + (oauth2 is null ? 0 : 1) > 1)
            section.Error("more than one of basic_auth, authorization, oauth2, bearer_token and bearer_token_file; keep one");
        return new HttpClientConfig
        {
            BasicAuth = basic,
            Authorization = authorization,
            OAuth2 = oauth2,
            Tls = ReadTls(section.Section("tls_config")),
            Proxy = ReadProxy(section),
            FollowRedirects = section.Flag("follow_redirects", true),
            EnableHttp2 = section.Flag("enable_http2", true),
            HttpHeaders = ReadHeaders(section, "http_headers", reservedRefused: true),
        };
    }

    /// <summary>Reads a <c>tls_config</c> section.</summary>
    public static TlsConfig ReadTls(ConfigSection section)
    {
        var tls = new TlsConfig
        {
            CaFile = section.InputFile("ca_file"),
            CertFile = section.InputFile("cert_file"),
            KeyFile = section.InputFile("key_file"),
            Ca = section.Text("ca"),
            Cert = section.Text("cert"),
            Key = section.Secret("key"),
            ServerName = section.Text("server_name"),
            InsecureSkipVerify = section.Flag("insecure_skip_verify", false),
            MinVersion = section.Word("min_version", "", s_tlsVersions),
            MaxVersion = section.Word("max_version", "", s_tlsVersions),
        };
        if (tls.Ca.Length > 0 && tls.CaFile.Length > 0)
            section.Error("ca", "stands beside ca_file; keep one");
        if (tls.Cert.Length > 0 && tls.CertFile.Length > 0)
            section.Error("cert", "stands beside cert_file; keep one");
        if (tls.Key is not null && tls.KeyFile.Length > 0)
            section.Error("key", "stands beside key_file; keep one");
        bool cert = tls.Cert.Length + tls.CertFile.Length > 0;
        bool key = tls.Key is not null || tls.KeyFile.Length > 0;
        if (cert && !key)
            section.Error("a client certificate without its key; add key_file");
        if (key && !cert)
            section.Error("a client key without its certificate; add cert_file");
        if (tls.MinVersion.Length > 0 && tls.MaxVersion.Length > 0 && string.CompareOrdinal(tls.MinVersion, tls.MaxVersion) > 0)
            section.Error("max_version", $"{tls.MaxVersion} is below min_version {tls.MinVersion}");
        section.Close();
        return tls;
    }

    /// <summary>Reads a section of headers with values, secrets and files.</summary>
    public static ValueList<HttpHeaderConfig> ReadHeaders(ConfigSection parent, string key, bool reservedRefused)
    {
        ConfigSection section = parent.Section(key);
        var headers = new List<HttpHeaderConfig>();
        if (section.Node is null)
            return [];
        foreach ((ConfigNode name, _) in section.Node.Entries)
        {
            if (reservedRefused && IsReservedHeader(name.Text))
                section.Error(name.Text, "is set by the client itself; use basic_auth, authorization or the option meant for it");
            ConfigSection header = section.Section(name.Text);
            headers.Add(new HttpHeaderConfig
            {
                Name = name.Text,
                Values = header.Texts("values"),
                Secrets = [.. header.Texts("secrets").Select(t => new Secret(t))],
                Files = [.. header.Texts("files").Select(parent.Reading.Resolve)],
            });
            header.Close();
        }
        return [.. headers];
    }

    private static BasicAuthConfig? ReadBasicAuth(ConfigSection parent)
    {
        ConfigSection section = parent.Section("basic_auth");
        if (!section.IsPresent)
            return null;
        var basic = new BasicAuthConfig
        {
            Username = section.Text("username"),
            UsernameFile = section.SecretFile("username_file"),
            Password = section.Secret("password"),
            PasswordFile = section.SecretFile("password_file"),
        };
        if (basic.Username.Length > 0 && basic.UsernameFile.Length > 0)
            section.Error("username", "stands beside username_file; keep one");
        if (basic.Password is not null && basic.PasswordFile.Length > 0)
            section.Error("password", "stands beside password_file; keep one");
        section.Close();
        return basic;
    }

    private static AuthorizationConfig? ReadAuthorization(ConfigSection parent)
    {
        ConfigSection section = parent.Section("authorization");
        if (!section.IsPresent)
            return null;
        string type = section.Text("type").Trim();
        var authorization = new AuthorizationConfig
        {
            Type = type.Length == 0 ? "Bearer" : type,
            Credentials = section.Secret("credentials"),
            CredentialsFile = section.SecretFile("credentials_file"),
        };
        if (authorization.Credentials is not null && authorization.CredentialsFile.Length > 0)
            section.Error("credentials", "stands beside credentials_file; keep one");
        if (type.Equals("basic", StringComparison.OrdinalIgnoreCase))
            section.Error("type", "'basic' cannot be written here; use basic_auth");
        section.Close();
        return authorization;
    }

    private static AuthorizationConfig? ReadBearer(ConfigSection section, AuthorizationConfig? authorization, BasicAuthConfig? basic, OAuth2Config? oauth2)
    {
        Secret? token = section.Secret("bearer_token");
        string file = section.SecretFile("bearer_token_file");
        if (token is null && file.Length == 0)
            return authorization;
        if (token is not null && file.Length > 0)
            section.Error("bearer_token", "stands beside bearer_token_file; keep one");
        if (authorization is not null || basic is not null || oauth2 is not null)
        {
            section.Error(token is not null ? "bearer_token" : "bearer_token_file", "stands beside another of basic_auth, authorization and oauth2; keep one");
            // Already told: the count of methods would tell it again.
            return basic is null && oauth2 is null ? authorization : null;
        }
        return new AuthorizationConfig { Credentials = token, CredentialsFile = file };
    }

    private static OAuth2Config? ReadOAuth2(ConfigSection parent, bool supportedOnly)
    {
        ConfigSection section = parent.Section("oauth2");
        if (!section.IsPresent)
            return null;
        if (supportedOnly)
            parent.Error("oauth2", "is not supported; use authorization with credentials_file, kept fresh from outside");
        var oauth2 = new OAuth2Config
        {
            ClientId = section.RequiredText("client_id"),
            ClientSecret = section.Secret("client_secret"),
            ClientSecretFile = section.InputFile("client_secret_file"),
            TokenUrl = section.RequiredText("token_url"),
            Scopes = section.Texts("scopes"),
        };
        if (oauth2.ClientSecret is not null && oauth2.ClientSecretFile.Length > 0)
            section.Error("client_secret", "stands beside client_secret_file; keep one");
        section.Section("endpoint_params");
        ReadTls(section.Section("tls_config"));
        ReadProxy(section);
        section.Close("grant_type", "client_certificate_key_id", "client_certificate_key", "client_certificate_key_file", "signature_algorithm", "iss", "audience", "claims");
        return oauth2;
    }

    private static ProxyConfig ReadProxy(ConfigSection section)
    {
        var proxy = new ProxyConfig
        {
            ProxyUrl = section.Text("proxy_url"),
            NoProxy = section.Text("no_proxy"),
            ProxyFromEnvironment = section.Flag("proxy_from_environment", false),
            ProxyConnectHeader = ReadConnectHeaders(section),
        };
        if (proxy.ProxyUrl.Length > 0 && !Uri.TryCreate(proxy.ProxyUrl, UriKind.Absolute, out _))
            section.Error("proxy_url", $"'{proxy.ProxyUrl}' is not a URL");
        if (proxy.ProxyFromEnvironment && proxy.ProxyUrl.Length > 0)
            section.Error("proxy_from_environment", "stands beside proxy_url; keep one");
        if (proxy.ProxyFromEnvironment && proxy.NoProxy.Length > 0)
            section.Error("no_proxy", "stands beside proxy_from_environment, which takes NO_PROXY from the environment; keep one");
        if (!proxy.ProxyFromEnvironment && proxy.ProxyUrl.Length == 0 && proxy.NoProxy.Length > 0)
            section.Error("no_proxy", "needs proxy_url");
        if (!proxy.ProxyFromEnvironment && proxy.ProxyUrl.Length == 0 && proxy.ProxyConnectHeader.Count > 0)
            section.Error("proxy_connect_header", "needs proxy_url or proxy_from_environment");
        return proxy;
    }

    private static ValueList<HttpHeaderConfig> ReadConnectHeaders(ConfigSection section)
    {
        ConfigSection headers = section.Section("proxy_connect_header");
        return headers.Node is null
            ? []
            : [.. headers.Node.Entries.Select(e => new HttpHeaderConfig { Name = e.Key.Text, Secrets = [.. headers.Texts(e.Key.Text).Select(t => new Secret(t))] })];
    }
}
