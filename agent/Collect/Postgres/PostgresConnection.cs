using System.Globalization;
using Bellwether.Core.Configuration;
using Npgsql;

namespace Bellwether.Agent.Collect.Postgres;

/// <summary>Reads where a server is, in both usual notations.</summary>
internal static class PostgresConnection
{
    private const string UriForm = "postgresql://user@host:port/database?sslmode=...";
    private const int DefaultPort = 5432;
    private static readonly string[] Schemes = ["postgresql://", "postgres://"];

    /// <summary>HOST:PORT of a connection text, or null and what is wrong with the text.</summary>
    public static string? ServerOf(string text, out string? wrong)
    {
        wrong = null;
        try
        {
            return ServerOf(Parse(text));
        }
        catch (ArgumentException e)
        {
            wrong = e.Message;
            return null;
        }
    }

    /// <summary>HOST:PORT.</summary>
    public static string ServerOf(NpgsqlConnectionStringBuilder connection) =>
        string.Create(CultureInfo.InvariantCulture, $"{(connection.Host ?? "localhost").Split(',')[0]}:{(connection.Port == 0 ? DefaultPort : connection.Port)}");

    /// <summary>Reads <c>Host=...;...</c> or <c>postgresql://...</c>. Throws <see cref="ArgumentException"/> that says what is wrong; a password is never in the message.</summary>
    public static NpgsqlConnectionStringBuilder Parse(string text)
    {
        if (!Schemes.Any(s => text.StartsWith(s, StringComparison.Ordinal)))
            return ParsePairs(text);
        if (!Uri.TryCreate(text, UriKind.Absolute, out Uri? uri))
            throw new ArgumentException(WrongUri(text));
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

    /// <summary><c>Host=...;Port=...</c>, Npgsql's own form. Its own errors would show values, so they are told here.</summary>
    private static NpgsqlConnectionStringBuilder ParsePairs(string text)
    {
        if (text.Contains("://", StringComparison.Ordinal) && !text.Contains('='))
            throw new ArgumentException($"the scheme is not postgresql; write {UriForm}");
        var builder = new NpgsqlConnectionStringBuilder();
        var pairs = new System.Data.Common.DbConnectionStringBuilder();
        try
        {
            pairs.ConnectionString = text;
        }
        catch (ArgumentException)
        {
            throw new ArgumentException($"is neither Host=...;Username=...;Database=... nor {UriForm}");
        }
        foreach (string key in pairs.Keys)
        {
            try
            {
                builder[key] = key.Equals("port", StringComparison.OrdinalIgnoreCase) ? PortOf((string)pairs[key]) : pairs[key];
            }
            catch (Exception e) when (e is ArgumentException or FormatException or InvalidCastException or OverflowException or KeyNotFoundException)
            {
                throw new ArgumentException(IsKeyword(key)
                    ? $"the value of '{key}' is not valid{(key.Equals("port", StringComparison.OrdinalIgnoreCase) ? "; a port is a number from 1 to 65535" : "")}"
                    : $"unknown keyword '{key}'; {Near(key)}write Host, Port, Username, Password, Database, SSL Mode, each followed by =VALUE and ;");
            }
        }
        if (builder.Host is { } host && host.Contains('=') && host.Contains(' '))
            throw new ArgumentException($"its pairs are separated by blanks; write Host=...;Username=...;Database=... or {UriForm}");
        return builder;
    }

    private static bool IsKeyword(string key)
    {
        try
        {
            return new NpgsqlConnectionStringBuilder().ContainsKey(key);
        }
        catch (Exception e) when (e is ArgumentException or KeyNotFoundException)
        {
            return false;
        }
    }

    private static string Near(string key) =>
        NearestWord.Find(key, ["Host", "Port", "Username", "Password", "Database", "SSL Mode"]) is { } near ? $"did you mean '{near}'? " : "";

    /// <summary>Why a URI cannot be read, without showing it: it may hold a password.</summary>
    private static string WrongUri(string text)
    {
        string rest = text[(text.IndexOf("://", StringComparison.Ordinal) + 3)..];
        string authority = rest.Split('/', '?')[0];
        string address = authority[(authority.LastIndexOf('@') + 1)..];
        int colon = address.LastIndexOf(':');
        // A password with a slash ends the authority early; what is shown then may be a part of it.
        if (colon >= 0 && !(int.TryParse(address[(colon + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out int port) && port is > 0 and <= 65535) && rest.LastIndexOf('@') < authority.Length)
            return $"its port is not a number from 1 to 65535; write {UriForm}";
        return $"cannot be read as a URI; write {UriForm}, with %-escapes for special characters in the password";
    }

    private static int PortOf(string value) =>
        int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int port) && port is > 0 and <= 65535 ? port : throw new ArgumentException("its port is not a number from 1 to 65535");

    private static void SetParameter(NpgsqlConnectionStringBuilder builder, string name, string value)
    {
        switch (name)
        {
            case "host":
                builder.Host = value;
                break;
            case "port":
                builder.Port = PortOf(value);
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
