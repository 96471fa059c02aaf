namespace Bellwether.Aggregator;

/// <summary>The address of a running aggregator that a command asks.</summary>
internal static class ServerAddress
{
    /// <summary>What <c>--url</c> says, else what the configuration does, without a slash at the end; a missing scheme is http. Null after the error was told.</summary>
    public static string? Of(string? url, Func<string?> configured)
    {
        if ((url ?? configured()) is not { } text)
            return null;
        string address = text.Contains("://", StringComparison.Ordinal) ? text : "http://" + text;
        if (Uri.TryCreate(address, UriKind.Absolute, out Uri? uri) && uri.Scheme is "http" or "https")
            return address.TrimEnd('/');
        Console.Error.WriteLine($"--url {text} is not an address, e.g. http://127.0.0.1:9090");
        return null;
    }
}
