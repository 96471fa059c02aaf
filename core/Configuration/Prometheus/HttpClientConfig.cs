namespace Bellwether.Core.Configuration.Prometheus;

/// <summary>How an HTTP client identifies itself, which certificates it trusts and what it follows: Prometheus' <c>http_config</c> keys. Immutable.</summary>
public sealed record HttpClientConfig
{
    /// <summary>User and password, or null.</summary>
    public BasicAuthConfig? BasicAuth { get; init; }

    /// <summary>The Authorization header, or null. <c>bearer_token</c> and <c>bearer_token_file</c> are read into it.</summary>
    public AuthorizationConfig? Authorization { get; init; }

    /// <summary>OAuth 2.0 client credentials, or null. Read and checked; no client of ours fetches such tokens, and the programs' own files refuse it.</summary>
    public OAuth2Config? OAuth2 { get; init; }

    /// <summary>Certificates; all empty means the system's trust.</summary>
    public TlsConfig Tls { get; init; } = new();

    /// <summary>The proxy to go through; nothing by default.</summary>
    public ProxyConfig Proxy { get; init; } = new();

    /// <summary>Whether redirects are followed; default true.</summary>
    public bool FollowRedirects { get; init; } = true;

    /// <summary>Whether HTTP/2 may be spoken; default true.</summary>
    public bool EnableHttp2 { get; init; } = true;

    /// <summary>Headers to send besides.</summary>
    public ValueList<HttpHeaderConfig> HttpHeaders { get; init; } = [];
}

/// <summary>HTTP basic authentication. File paths are absolute after reading.</summary>
public sealed record BasicAuthConfig
{
    /// <summary>The user name, unless it comes from <see cref="UsernameFile"/>.</summary>
    public string Username { get; init; } = "";

    /// <summary>A file that holds the user name; read at each use.</summary>
    public string UsernameFile { get; init; } = "";

    /// <summary>The password, or null.</summary>
    public Secret? Password { get; init; }

    /// <summary>A file that holds the password; read at each use.</summary>
    public string PasswordFile { get; init; } = "";
}

/// <summary>The Authorization header: a type and credentials.</summary>
public sealed record AuthorizationConfig
{
    /// <summary>The type; <c>Bearer</c> by default.</summary>
    public string Type { get; init; } = "Bearer";

    /// <summary>The credentials, or null.</summary>
    public Secret? Credentials { get; init; }

    /// <summary>A file that holds the credentials; read at each use.</summary>
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
    public string CaFile { get; init; } = "";

    /// <summary>PEM file of the client's certificate.</summary>
    public string CertFile { get; init; } = "";

    /// <summary>PEM file of the client's key.</summary>
    public string KeyFile { get; init; } = "";

    /// <summary>PEM text of the authorities to trust.</summary>
    public string Ca { get; init; } = "";

    /// <summary>PEM text of the client's certificate.</summary>
    public string Cert { get; init; } = "";

    /// <summary>PEM text of the client's key.</summary>
    public Secret? Key { get; init; }

    /// <summary>The name to expect in the server's certificate; empty = the host.</summary>
    public string ServerName { get; init; } = "";

    /// <summary>Whether the server's certificate is not checked at all; default false.</summary>
    public bool InsecureSkipVerify { get; init; }

    /// <summary>The lowest TLS version: <c>TLS10</c> to <c>TLS13</c>; empty = TLS12.</summary>
    public string MinVersion { get; init; } = "";

    /// <summary>The highest TLS version; empty = no bound.</summary>
    public string MaxVersion { get; init; } = "";
}

/// <summary>The proxy of a client.</summary>
public sealed record ProxyConfig
{
    /// <summary>The proxy's address; empty = none.</summary>
    public string ProxyUrl { get; init; } = "";

    /// <summary>Hosts that are reached directly, comma separated.</summary>
    public string NoProxy { get; init; } = "";

    /// <summary>Whether HTTP_PROXY, HTTPS_PROXY and NO_PROXY count.</summary>
    public bool ProxyFromEnvironment { get; init; }

    /// <summary>Headers for CONNECT.</summary>
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
