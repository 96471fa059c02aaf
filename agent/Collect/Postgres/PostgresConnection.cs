using System.Globalization;
using Npgsql;

namespace Bellwether.Agent.Collect.Postgres;

/// <summary>Reads where a server is, in both usual notations.</summary>
internal static class PostgresConnection
{
    private static readonly string[] Schemes = ["postgresql://", "postgres://"];

    /// <summary>Reads <c>Host=...;...</c> or <c>postgresql://...</c>. Throws <see cref="ArgumentException"/> that says what is wrong; a password is never in the message.</summary>
    public static NpgsqlConnectionStringBuilder Parse(string text)
    {
        if (!Schemes.Any(s => text.StartsWith(s, StringComparison.Ordinal)))
            return new NpgsqlConnectionStringBuilder(text);
        if (!Uri.TryCreate(text, UriKind.Absolute, out Uri? uri))
            throw new ArgumentException("the connection URI cannot be read; it is postgresql://user:password@host:port/database?sslmode=...");
        var builder = new NpgsqlConnectionStringBuilder();
        if (uri.Host.Length > 0)
            builder.Host = Uri.UnescapeDataString(uri.Host);
        if (uri.Port > 0)
            builder.Port = uri.Port;
        string[] user = uri.UserInfo.Split(':', 2);
        if (user[0].Length > 0)
            builder.Username = Uri.UnescapeDataString(user[0]);
        if (user.Length > 1)
            builder.Password = Uri.UnescapeDataString(user[1]);
        if (uri.AbsolutePath.Length > 1)
            builder.Database = Uri.UnescapeDataString(uri.AbsolutePath[1..]);
        foreach (string pair in uri.Query.TrimStart('?').Split('&', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] parts = pair.Split('=', 2);
            SetParameter(builder, parts[0], Uri.UnescapeDataString(parts.Length > 1 ? parts[1] : ""));
        }
        return builder;
    }

    private static void SetParameter(NpgsqlConnectionStringBuilder builder, string name, string value)
    {
        switch (name)
        {
            case "host":
                builder.Host = value;
                break;
            case "port":
                builder.Port = int.Parse(value, CultureInfo.InvariantCulture);
                break;
            case "user":
                builder.Username = value;
                break;
            case "password":
                builder.Password = value;
                break;
            case "dbname":
                builder.Database = value;
                break;
            case "sslmode":
                builder.SslMode = SslModeOf(value);
                break;
            case "sslrootcert":
                builder.RootCertificate = value;
                break;
            case "sslcert":
                builder.SslCertificate = value;
                break;
            case "sslkey":
                builder.SslKey = value;
                break;
            case "application_name" or "connect_timeout":
                break;
            default:
                throw new ArgumentException($"unknown parameter '{name}' in the connection URI; there are: host, port, user, password, dbname, sslmode, sslrootcert, sslcert, sslkey");
        }
    }

    private static SslMode SslModeOf(string value) => value switch
    {
        "disable" => SslMode.Disable,
        "allow" => SslMode.Allow,
        "prefer" => SslMode.Prefer,
        "require" => SslMode.Require,
        "verify-ca" => SslMode.VerifyCA,
        "verify-full" => SslMode.VerifyFull,
        _ => throw new ArgumentException($"sslmode '{value}' is not one of disable, allow, prefer, require, verify-ca, verify-full"),
    };
}
