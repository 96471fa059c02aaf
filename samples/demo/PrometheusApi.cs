using System.Globalization;
using System.Text.Json;

namespace Bellwether.Samples.Demo;

/// <summary>A client of the aggregator's Prometheus API, as anybody would write it.</summary>
internal sealed class PrometheusApi(string address) : IDisposable
{
    private readonly HttpClient _client = new() { BaseAddress = new Uri(address), Timeout = TimeSpan.FromSeconds(60) };

    public string Address => address;

    public async Task<JsonElement> GetAsync(string path, CancellationToken cancellation)
    {
        using HttpResponseMessage answer = await _client.GetAsync(path, cancellation);
        string body = await answer.Content.ReadAsStringAsync(cancellation);
        if (!answer.IsSuccessStatusCode)
            throw new DemoException($"GET {path}: {(int)answer.StatusCode} {body}");
        using JsonDocument document = JsonDocument.Parse(body);
        return document.RootElement.Clone();
    }

    public Task<string> GetTextAsync(string path, CancellationToken cancellation) => _client.GetStringAsync(path, cancellation);

    /// <summary>The value of a query that gives one series; null when it gives none.</summary>
    public async Task<double?> ValueAsync(string query, CancellationToken cancellation, double? atUnixSeconds = null)
    {
        string time = atUnixSeconds is { } at ? "&time=" + at.ToString("R", CultureInfo.InvariantCulture) : "";
        JsonElement result = (await GetAsync($"/api/v1/query?query={Uri.EscapeDataString(query)}{time}", cancellation)).GetProperty("data").GetProperty("result");
        if (result.GetArrayLength() == 0)
            return null;
        if (result.GetArrayLength() > 1)
            throw new DemoException($"{query} gives {result.GetArrayLength()} series, not one");
        return Number(result[0].GetProperty("value")[1]);
    }

    /// <summary>The points of a range query that gives one series.</summary>
    public async Task<IReadOnlyList<(double Time, double Value)>> RangeAsync(string query, double start, double end, double step, CancellationToken cancellation)
    {
        string path = FormattableString.Invariant($"/api/v1/query_range?query={Uri.EscapeDataString(query)}&start={start:F3}&end={end:F3}&step={step}");
        JsonElement result = (await GetAsync(path, cancellation)).GetProperty("data").GetProperty("result");
        return result.GetArrayLength() == 0 ? [] : [.. result[0].GetProperty("values").EnumerateArray().Select(p => (p[0].GetDouble(), Number(p[1])))];
    }

    public void Dispose() => _client.Dispose();

    private static double Number(JsonElement text) => text.GetString() switch
    {
        "+Inf" => double.PositiveInfinity,
        "-Inf" => double.NegativeInfinity,
        { } number => double.Parse(number, CultureInfo.InvariantCulture),
        null => double.NaN,
    };
}
