using System.Globalization;
using System.Text.Json;

namespace Bellwether.Prove;

/// <summary>Reads what is stored, as any client would: raw samples by range selectors at /api/v1/query.</summary>
internal sealed class StoreReader(string address) : IDisposable
{
    private readonly HttpClient _http = new() { BaseAddress = new Uri(address), Timeout = TimeSpan.FromMinutes(2) };

    public async Task<bool> IsReadyAsync(CancellationToken cancel)
    {
        try
        {
            return (await _http.GetAsync("/-/ready", cancel)).IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    /// <summary>What the agents say of themselves.</summary>
    public async Task<AgentsLedger> AgentsLedgerAsync(CancellationToken cancel)
    {
        using JsonDocument document = JsonDocument.Parse(await _http.GetByteArrayAsync("/api/v1/completeness?limit=1000&gaps=1", cancel));
        return AgentsLedger.Read(document.RootElement);
    }

    /// <summary>The newest sample of each series of a selector.</summary>
    public Task<List<StoredSeries>> NewestAsync(string selector, CancellationToken cancel) => QueryAsync(selector, cancel);

    /// <summary>All raw samples of a selector between two times, by series. The window stands still, however long the comparison takes.</summary>
    public Task<List<StoredSeries>> RawAsync(string selector, long fromMs, long toMs, CancellationToken cancel)
    {
        long seconds = ((toMs - fromMs) / 1000) + 60;
        return QueryAsync(string.Create(CultureInfo.InvariantCulture, $"{selector}[{seconds}s]"), cancel, toMs);
    }

    public void Dispose() => _http.Dispose();

    private async Task<List<StoredSeries>> QueryAsync(string query, CancellationToken cancel, long? atMs = null)
    {
        string at = atMs is { } ms ? string.Create(CultureInfo.InvariantCulture, $"&time={ms / 1000m}") : "";
        using HttpResponseMessage response = await _http.GetAsync("/api/v1/query?query=" + Uri.EscapeDataString(query) + at, cancel);
        byte[] body = await response.Content.ReadAsByteArrayAsync(cancel);
        if (!response.IsSuccessStatusCode)
            throw new InvalidOperationException($"query {query}: {(int)response.StatusCode} {System.Text.Encoding.UTF8.GetString(body)}");
        using JsonDocument document = JsonDocument.Parse(body);
        var series = new List<StoredSeries>();
        foreach (JsonElement one in document.RootElement.GetProperty("data").GetProperty("result").EnumerateArray())
        {
            Dictionary<string, string> labels = one.GetProperty("metric").EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetString()!);
            series.Add(new StoredSeries(labels, one.TryGetProperty("values", out JsonElement values) ? [.. values.EnumerateArray().Select(Sample)] : [Sample(one.GetProperty("value"))]));
        }
        return series;
    }

    private static (long TimeMs, double Value) Sample(JsonElement pair) => ((long)Math.Round(pair[0].GetDouble() * 1000), Number(pair[1].GetString()!));

    private static double Number(string text) => text switch
    {
        "+Inf" => double.PositiveInfinity,
        "-Inf" => double.NegativeInfinity,
        _ => double.Parse(text, CultureInfo.InvariantCulture),
    };
}

/// <summary>One series as it is stored.</summary>
internal sealed record StoredSeries(IReadOnlyDictionary<string, string> Labels, (long TimeMs, double Value)[] Samples);
