using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Bellwether.Core.Model;
using Bellwether.Kit;

namespace Bellwether.Conformance.Serve;

/// <summary>http-api: recorded requests; status and errorType must be the same, and data where there is any.</summary>
internal sealed class HttpApiTopic : ITopic
{
    private const string File1 = "http-api/prometheus-2.42-responses.json";
    private const long StartMs = 1_700_006_403_000;

    public string Name => "http-api";

    public void Run(string folder, TopicReport report)
    {
        var store = new SeriesInMemory();
        LoadDataset(Path.Combine(folder, "..", "promql", "reference-2.42", "dataset.test"), store);
        using var served = new ServedApi(store);
        using JsonDocument cases = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "prometheus-2.42-responses.json")));
        foreach (JsonElement one in cases.RootElement.EnumerateArray())
        {
            string name = one.GetProperty("name").GetString()!;
            report.Case(File1, 0, name, () => Check(served, one, name, report));
        }
    }

    private static void Check(ServedApi served, JsonElement one, string name, TopicReport report)
    {
        string path = one.GetProperty("path").GetString()!;
        var parameters = one.GetProperty("params").EnumerateArray().Select(p => KeyValuePair.Create(p[0].GetString()!, p[1].GetString()!)).ToList();
        using HttpResponseMessage response = one.GetProperty("method").GetString() == "POST"
            ? Send(served, new HttpRequestMessage(HttpMethod.Post, path) { Content = new FormUrlEncodedContent(parameters) })
            : Send(served, new HttpRequestMessage(HttpMethod.Get, path + "?" + string.Join('&', parameters.Select(p => $"{Uri.EscapeDataString(p.Key)}={Uri.EscapeDataString(p.Value)}"))));
        string got = response.Content.ReadAsStringAsync().GetAwaiter().GetResult();
        int status = one.GetProperty("status").GetInt32();
        JsonElement expected = one.GetProperty("body");
        if ((int)response.StatusCode != status)
            report.Fail(File1, 0, name, $"status {status}", $"status {(int)response.StatusCode}: {got}");
        else if (path == "/federate")
            Text(expected.GetString()!, one.GetProperty("content_type").GetString()!, got, response, name, report);
        else if (expected.ValueKind != JsonValueKind.Object || Same(expected, JsonNode.Parse(got)!))
            report.Pass();
        else
            report.Fail(File1, 0, name, Cut(expected.GetRawText()), Cut(got));
    }

    /// <summary>Text is compared to the byte; of the health pages only the status counts, since they name the program.</summary>
    private static void Text(string expected, string contentType, string got, HttpResponseMessage response, string name, TopicReport report)
    {
        string type = response.Content.Headers.ContentType?.ToString() ?? "";
        if (got == expected && string.Equals(type.Replace(" ", "", StringComparison.Ordinal), contentType.Replace(" ", "", StringComparison.Ordinal), StringComparison.OrdinalIgnoreCase))
            report.Pass();
        else
            report.Fail(File1, 0, name, $"{contentType}: {Cut(expected)}", $"{type}: {Cut(got)}");
    }

    private static bool Same(JsonElement expected, JsonNode got)
    {
        JsonNode node = JsonNode.Parse(expected.GetRawText())!;
        if (node["status"]!.GetValue<string>() == "error")
            return got["status"]!.GetValue<string>() == "error" && got["errorType"]!.GetValue<string>() == node["errorType"]!.GetValue<string>();
        if (node["data"] is JsonObject { } data && data["resultType"]?.GetValue<string>() == "vector")
        {
            Sort(data);
            Sort((JsonObject)got["data"]!);
        }
        return JsonNode.DeepEquals(node["data"], got["data"]);
    }

    /// <summary>A vector has no order.</summary>
    private static void Sort(JsonObject data)
    {
        JsonNode[] items = [.. data["result"]!.AsArray().Select(i => i!.DeepClone()).OrderBy(i => i.ToJsonString(), StringComparer.Ordinal)];
        data["result"] = new JsonArray(items);
    }

    private static HttpResponseMessage Send(ServedApi served, HttpRequestMessage request) => served.Client.SendAsync(request).GetAwaiter().GetResult();

    private static string Cut(string text) => text.Length > 400 ? text[..400] + "..." : text;

    /// <summary>Loads the one block of series, 15 s apart; its items are plain numbers, repetitions and gaps.</summary>
    private static void LoadDataset(string path, SeriesInMemory store)
    {
        foreach (string line in File.ReadLines(path))
        {
            if (!line.StartsWith("    ", StringComparison.Ordinal))
                continue;
            string[] parts = line.Trim().Split(' ');
            Labels labels = ExpositionLine.Parse(parts[0] + " 0").Labels;
            long at = StartMs;
            foreach (string item in parts.Skip(1))
                at = Add(store, labels, item, at);
        }
    }

    private static long Add(SeriesInMemory store, Labels labels, string item, long at)
    {
        int x = item.IndexOf('x', StringComparison.Ordinal);
        int times = x < 0 ? 1 : int.Parse(item.AsSpan(x + 1), CultureInfo.InvariantCulture);
        string value = x < 0 ? item : item[..x];
        if (value == "_")
            return at + (times * 15_000L);
        if (x >= 0)
            times++;
        int step = value.IndexOfAny(['+', '-'], 1);
        double v = double.Parse(step < 0 || value[step - 1] == 'e' ? value : value[..step], CultureInfo.InvariantCulture);
        double d = step < 0 || value[step - 1] == 'e' ? 0 : double.Parse(value.AsSpan(step), CultureInfo.InvariantCulture);
        for (int i = 0; i < times; i++, at += 15_000, v += d)
            store.Add(labels, at, v);
        return at;
    }
}
