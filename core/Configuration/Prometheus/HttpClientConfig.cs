namespace Bellwether.Core.Configuration.Prometheus;

/// <summary>How an HTTP client identifies itself, which certificates it trusts and what it follows: Prometheus' <c>http_config</c> keys. Immutable.</summary>
public sealed record HttpClientConfig
{
    /// <summary>User and password, or null.</summary>
    [Option("HTTP basic authentication; one of basic_auth, authorization, bearer_token and bearer_token_file.")]
    public BasicAuthConfig? BasicAuth { get; init; }

    /// <summary>The Authorization header, or null. <c>bearer_token</c> and <c>bearer_token_file</c> are read into it.</summary>
    [Option("The Authorization header.")]
    [Option("Short for authorization.credentials.", Key = "bearer_token", Type = "secret", Default = "none")]
    [Option("Short for authorization.credentials_file.", Key = "bearer_token_file", Type = "file", Default = "none")]
    public AuthorizationConfig? Authorization { get; init; }

    /// <summary>OAuth 2.0 client credentials, or null. Read and checked; no client of ours fetches such tokens, and the programs' own files refuse it.</summary>
    public OAuth2Config? OAuth2 { get; init; }

    /// <summary>Certificates; all empty means the system's trust.</summary>
    [Option("Certificates.", Key = "tls_config")]
    public TlsConfig Tls { get; init; } = new();

    /// <summary>The proxy to go through; nothing by default.</summary>
    [Spread]
    public ProxyConfig Proxy { get; init; } = new();

    /// <summary>Whether redirects are followed; default true.</summary>
    [Option("Whether redirects are followed.")]
    public bool FollowRedirects { get; init; } = true;

    /// <summary>Whether HTTP/2 may be spoken; default true.</summary>
    [Option("Whether HTTP/2 may be spoken. Scrapes and discovery.")]
    public bool EnableHttp2 { get; init; } = true;

    /// <summary>Headers to send besides.</summary>
    [Option("More headers: name to a section with values, secrets and files (lists). Scrapes and discovery.", Type = "section of sections")]
    public ValueList<HttpHeaderConfig> HttpHeaders { get; init; } = [];
}

/// <summary>HTTP basic authentication. File paths are absolute after reading.</summary>
public sealed record BasicAuthConfig
{
    /// <summary>The user name, unless it comes from <see cref="UsernameFile"/>.</summary>
    [Option("The user name.")]
    public string Username { get; init; } = "";

    /// <summary>A file that holds the user name; read at each use.</summary>
    [Option("A file that holds the user name; read at each request.")]
    public string UsernameFile { get; init; } = "";

    /// <summary>The password, or null.</summary>
    [Option("The password. Better in a file.")]
    public Secret? Password { get; init; }

    /// <summary>A file that holds the password; read at each use.</summary>
    [Option("A file that holds the password; read at each request.")]
    public string PasswordFile { get; init; } = "";
}

/// <summary>The Authorization header: a type and credentials.</summary>
public sealed record AuthorizationConfig
{
    /// <summary>The type; <c>Bearer</c> by default.</summary>
    [Option("The type; basic is refused here.")]
    public string Type { get; init; } = "Bearer";

    /// <summary>The credentials, or null.</summary>
    [Option("The credentials. Better in a file.")]
    public Secret? Credentials { get; init; }

    /// <summary>A file that holds the credentials; read at each use.</summary>
    [Option("A file that holds the credentials; read at each request.")]
    public string CredentialsFile { get; init; } = "";
}

/// <summary>OAuth 2.0 client credentials.</summary>
public sealed record OAuth2Config
{
    /// <summary>The client's id.</summary>
    public string ClientId { get; init; } = "";

    /// <summary>The client's secret, or null.</summary>
    public Secret? ClientSecret { get; init; }

    /// <summary>A file that holds the client's secret.</summary>
    public string ClientSecretFile { get; init; } = "";

    /// <summary>Where tokens are fetched.</summary>
    public string TokenUrl { get; init; } = "";

    /// <summary>The scopes to ask for.</summary>
    public ValueList<string> Scopes { get; init; } = [];
}

/// <summary>TLS of a client.</summary>
public sealed record TlsConfig
{
    /// <summary>PEM file of the authorities to trust; empty = the system's.</summary>
    [Option("PEM file of the authorities to trust.", Default = "the system's")]
    public string CaFile { get; init; } = "";

    /// <summary>PEM file of the client's certificate.</summary>
    [Option("PEM file of the client's certificate.")]
    public string CertFile { get; init; } = "";

    /// <summary>PEM file of the client's key.</summary>
    [Option("PEM file of its key.")]
    public string KeyFile { get; init; } = "";

    /// <summary>PEM text of the authorities to trust.</summary>
    [Option("PEM text of the authorities, instead of ca_file.")]
    public string Ca { get; init; } = "";

    /// <summary>PEM text of the client's certificate.</summary>
    [Option("PEM text of the certificate, instead of cert_file. Scrapes and discovery.")]
    public string Cert { get; init; } = "";

    /// <summary>PEM text of the client's key.</summary>
    [Option("PEM text of the key, instead of key_file. Scrapes and discovery.")]
    public Secret? Key { get; init; }

    /// <summary>The name to expect in the server's certificate; empty = the host.</summary>
    [Option("The name to expect in the server's certificate.", Default = "the host")]
    public string ServerName { get; init; } = "";

    /// <summary>Whether the server's certificate is not checked at all; default false.</summary>
    [Option("Whether the server's certificate is not checked at all.")]
    public bool InsecureSkipVerify { get; init; }

    /// <summary>The lowest TLS version: <c>TLS10</c> to <c>TLS13</c>; empty = TLS12.</summary>
    [Option("TLS10, TLS11, TLS12 or TLS13. Scrapes and discovery.", Type = "word", Default = "TLS12")]
    public string MinVersion { get; init; } = "";

    /// <summary>The highest TLS version; empty = no bound.</summary>
    [Option("The same words. Scrapes and discovery.", Type = "word", Default = "no bound")]
    public string MaxVersion { get; init; } = "";
}

/// <summary>The proxy of a client.</summary>
public sealed record ProxyConfig
{
    /// <summary>The proxy's address; empty = none.</summary>
    [Option("The proxy to go through.")]
    public string ProxyUrl { get; init; } = "";

    /// <summary>Hosts that are reached directly, comma separated.</summary>
    [Option("Hosts that are reached directly, comma separated. Scrapes and discovery.")]
    public string NoProxy { get; init; } = "";

    /// <summary>Whether HTTP_PROXY, HTTPS_PROXY and NO_PROXY count.</summary>
    [Option("Whether HTTP_PROXY, HTTPS_PROXY and NO_PROXY count.")]
    public bool ProxyFromEnvironment { get; init; }

    /// <summary>Headers for CONNECT.</summary>
    [Option("Read and checked, without effect.", Type = "section of lists")]
    public ValueList<HttpHeaderConfig> ProxyConnectHeader { get; init; } = [];
}

/// <summary>One header: values in the clear, secret values, and files that hold values.</summary>
public sealed record HttpHeaderConfig
{
    /// <summary>The header's name as written.</summary>
    public string Name { get; init; } = "";

    /// <summary>Values in the clear.</summary>
    public ValueList<string> Values { get; init; } = [];

    /// <summary>Values that do not print.</summary>
    public ValueList<Secret> Secrets { get; init; } = [];

    /// <summary>Files that hold one value each.</summary>
    public ValueList<string> Files { get; init; } = [];
}
