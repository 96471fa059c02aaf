using System.Globalization;
using System.Text.Json;

namespace Bellwether.EndToEnd;

/// <summary>A client of the Prometheus HTTP API: of our aggregator, and of real Prometheus and VictoriaMetrics.</summary>
internal sealed class Api(string address) : IDisposable
{
    public HttpClient Client { get; } = new() { BaseAddress = new Uri(address), Timeout = TimeSpan.FromSeconds(60) };

    public async Task<JsonElement> GetAsync(string path)
    {
        using HttpResponseMessage answer = await Client.GetAsync(path);
        string body = await answer.Content.ReadAsStringAsync();
        if (!answer.IsSuccessStatusCode)
            throw new InvalidOperationException($"GET {path}: {(int)answer.StatusCode} {body}");
        using JsonDocument document = JsonDocument.Parse(body);
        return document.RootElement.Clone();
    }

    public async Task<bool> IsReadyAsync() => (await Client.GetAsync("/-/ready")).IsSuccessStatusCode;

    public async Task<JsonElement[]> QueryAsync(string query)
    {
        JsonElement answer = await GetAsync("/api/v1/query?query=" + Uri.EscapeDataString(query));
        return [.. answer.GetProperty("data").GetProperty("result").EnumerateArray()];
    }

    /// <summary>The value of a query that gives one series; null when none.</summary>
    public async Task<double?> ValueAsync(string query)
    {
        JsonElement[] result = await QueryAsync(query);
        return result.Length == 0 ? null : Number(result.Single().GetProperty("value")[1]);
    }

    /// <summary>All raw samples of a selector over a range, by series.</summary>
    public async Task<List<(JsonElement Metric, List<(double Time, double Value)> Samples)>> RawAsync(string selector, string range)
    {
        JsonElement[] result = await QueryAsync($"{selector}[{range}]");
        return [.. result.Select(s => (s.GetProperty("metric"), s.GetProperty("values").EnumerateArray().Select(p => (p[0].GetDouble(), Number(p[1]))).ToList()))];
    }

    public void Dispose() => Client.Dispose();

    private static double Number(JsonElement text) => text.GetString() switch
    {
        "+Inf" => double.PositiveInfinity,
        "-Inf" => double.NegativeInfinity,
        { } number => double.Parse(number, CultureInfo.InvariantCulture),
        null => double.NaN,
    };
}
