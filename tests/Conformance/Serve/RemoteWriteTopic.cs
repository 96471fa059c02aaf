using System.Net.Http.Headers;
using System.Text.Json;
using Bellwether.Kit;

namespace Bellwether.Conformance.Serve;

/// <summary>remote-write: each vector of 1.0 and 2.0 is sent to the receiver with its headers: answered 2xx (400 where the symbols are wrong) and stored; 2.0 is told the counts.</summary>
internal sealed class RemoteWriteTopic : ITopic
{
    private const string Vectors = "remote-write/vectors.json";

    public string Name => "remote-write";

    public void Run(string folder, TopicReport report)
    {
        using JsonDocument vectors = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "vectors.json")));
        foreach (JsonElement vector in vectors.RootElement.EnumerateArray())
        {
            string name = vector.GetProperty("name").GetString()!;
            report.Case(Vectors, 0, name, () => Check(vector, name, report));
        }
        report.Case("remote-write/big", 0, "v2_200_series", () => CheckBig(Path.Combine(folder, "big", "v2_200_series.pb.snappy"), report));
    }

    private static void CheckBig(string file, TopicReport report)
    {
        var store = new SeriesInMemory();
        using var served = new ServedApi(store);
        using HttpResponseMessage response = Post(served, File.ReadAllBytes(file), "application/x-protobuf;proto=io.prometheus.write.v2.Request");
        // Its series have no metric name, which a receiver should refuse: what counts is that all 200 were read out of the snappy block.
        string answer = response.Content.ReadAsStringAsync().GetAwaiter().GetResult();
        if ((int)response.StatusCode == 400 && answer.StartsWith("200 of 200 samples were refused", StringComparison.Ordinal))
            report.Pass();
        else
            report.Fail("remote-write/big", 0, "v2_200_series", "400: 200 of 200 samples were refused", $"{(int)response.StatusCode} {answer}");
    }

    private static HttpResponseMessage Post(ServedApi served, byte[] body, string type)
    {
        using var content = new ByteArrayContent(body);
        content.Headers.ContentType = MediaTypeHeaderValue.Parse(type);
        content.Headers.ContentEncoding.Add("snappy");
        return served.Client.PostAsync(new Uri("/api/v1/write", UriKind.Relative), content).GetAwaiter().GetResult();
    }

    private static string Written(HttpResponseMessage response, string what) =>
        response.Headers.TryGetValues($"X-Prometheus-Remote-Write-{what}-Written", out IEnumerable<string>? values) ? values.Single() : "no header";

    private static void Check(JsonElement vector, string name, TopicReport report)
    {
        var store = new SeriesInMemory();
        using var served = new ServedApi(store);
        using HttpResponseMessage response = Post(served, Convert.FromHexString(vector.GetProperty("snappy_block_hex").GetString()!), vector.GetProperty("headers").GetProperty("Content-Type").GetString()!);
        if (name is "v2_bad_ref" or "v2_odd_refs")
        {
            if ((int)response.StatusCode == 400)
                report.Pass();
            else
                report.Fail(Vectors, 0, name, "400", $"{(int)response.StatusCode}");
            return;
        }
        if ((int)response.StatusCode / 100 != 2)
        {
            report.Fail(Vectors, 0, name, "2xx", $"{(int)response.StatusCode} {response.Content.ReadAsStringAsync().GetAwaiter().GetResult()}");
            return;
        }
        if (vector.TryGetProperty("stored", out JsonElement stored))
        {
            foreach (JsonElement series in stored.EnumerateArray())
            {
                var labels = Core.Model.Labels.Of([.. series.GetProperty("metric").EnumerateObject().SelectMany(l => new[] { l.Name, l.Value.GetString()! })]);
                int expected = series.TryGetProperty("values", out JsonElement values) ? values.GetArrayLength() : series.GetProperty("histograms").GetArrayLength();
                int got = store.Of(labels).Count(s => !Core.Model.SpecialValues.IsStale(s.Value));
                if (expected != got)
                {
                    report.Fail(Vectors, 0, name, $"{expected} samples of {labels}", $"{got}");
                    return;
                }
            }
        }
        bool v2 = vector.GetProperty("message").GetString() != "prometheus.WriteRequest";
        string text = vector.GetProperty("text").GetString()!;
        foreach ((string what, string field) in new[] { ("Samples", "\n  samples {"), ("Histograms", "\n  histograms {"), ("Exemplars", "\n  exemplars {") })
        {
            string expected = v2 ? (text.Split(field).Length - 1).ToString(System.Globalization.CultureInfo.InvariantCulture) : "no header";
            if (Written(response, what) != expected)
            {
                report.Fail(Vectors, 0, name, $"{what}-Written: {expected}", Written(response, what));
                return;
            }
        }
        report.Pass();
    }
}
