using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using Bellwether.Core.Configuration;
using Bellwether.Core.Configuration.Prometheus;

namespace Bellwether.Agent.Collect.Scrape.Discovery;

/// <summary>
/// Asks one HTTP endpoint for target groups. Certificate and credential files are read at each request, so that they may change.
/// Source: prometheus.io/docs/prometheus/latest/http_sd/ (status 200, content type application/json, the whole list each time). Stateless, thread-safe.
/// </summary>
internal static class HttpTargetSource
{
    /// <summary>How long a request may take at most; it is less when the endpoint is asked more often.</summary>
    public static TimeSpan FetchTimeMax { get; } = TimeSpan.FromSeconds(30);

    /// <summary>Asks once. What goes wrong is a result with an error; only a cancelled token throws.</summary>
    public static async Task<ConfigResult<ValueList<TargetGroup>>> FetchAsync(HttpSdConfig config, TimeProvider time, CancellationToken cancellation)
    {
        TimeSpan timeout = config.RefreshInterval < FetchTimeMax ? config.RefreshInterval : FetchTimeMax;
        using var limit = new CancellationTokenSource(timeout, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellation, limit.Token);
        try
        {
            using var http = new ScrapeHttp(config, timeout);
            using HttpResponseMessage response = await http.GetAsync(new Uri(config.Url), config.RefreshInterval, both.Token);
            if (response.StatusCode != HttpStatusCode.OK)
                return Wrong(config, string.Create(CultureInfo.InvariantCulture, $"answered {(int)response.StatusCode}; 200 is needed"));
            if (!string.Equals(response.Content.Headers.ContentType?.MediaType, "application/json", StringComparison.OrdinalIgnoreCase))
                return Wrong(config, $"answered with content type '{response.Content.Headers.ContentType}'; application/json is needed");
            return await ReadBodyAsync(response, both.Token) is { } body
                ? TargetGroupFile.Parse(body.Span, config.Url, json: true)
                : Wrong(config, $"the answer is longer than {TargetGroupFile.MaxBytes} bytes");
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return Wrong(config, $"no answer within {PrometheusDuration.Format(timeout)}");
        }
        catch (Exception e) when (e is HttpRequestException or IOException or SocketException or AuthenticationException or UnauthorizedAccessException or CryptographicException or FormatException)
        {
            return Wrong(config, e.Message);
        }
    }

    /// <summary>The body, or null when it is too long.</summary>
    private static async Task<ReadOnlyMemory<byte>?> ReadBodyAsync(HttpResponseMessage response, CancellationToken cancellation)
    {
        if (response.Content.Headers.ContentLength > TargetGroupFile.MaxBytes)
            return null;
        await using System.IO.Stream stream = await response.Content.ReadAsStreamAsync(cancellation);
        byte[] buffer = new byte[16 * 1024];
        int length = 0;
        while (await stream.ReadAsync(buffer.AsMemory(length), cancellation) is > 0 and var read)
        {
            length += read;
            if (length > TargetGroupFile.MaxBytes)
                return null;
            if (length == buffer.Length)
                Array.Resize(ref buffer, buffer.Length * 2);
        }
        return buffer.AsMemory(0, length);
    }

    private static ConfigResult<ValueList<TargetGroup>> Wrong(HttpSdConfig config, string message) => new([new ConfigError(config.Url, 0, 0, "", message)]);
}
