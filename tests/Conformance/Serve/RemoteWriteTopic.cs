using System.Net.Http.Headers;
using System.Text.Json;
using Bellwether.Kit;

namespace Bellwether.Conformance.Serve;

/// <summary>remote-write: the 1.0 vectors are sent to the receiver; each must be answered 2xx and stored.</summary>
internal sealed class RemoteWriteTopic : ITopic
{
    private const string Vectors = "remote-write/vectors.json";

    public string Name => "remote-write";

    public void Run(string folder, TopicReport report)
    {
        using JsonDocument vectors = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "vectors.json")));
        int later = 0;
        foreach (JsonElement vector in vectors.RootElement.EnumerateArray())
        {
            string name = vector.GetProperty("name").GetString()!;
            if (vector.GetProperty("message").GetString() != "prometheus.WriteRequest")
            {
                later++;
                continue;
            }
            report.Case(Vectors, 0, name, () => Check(vector, name, report));
        }
        if (later > 0)
            report.Note($"remote-write: {later} vectors of 2.0 are left out: the receiver answers 415 to them");
    }

    private static void Check(JsonElement vector, string name, TopicReport report)
    {
        var store = new SeriesInMemory();
        using var served = new ServedApi(store);
        using var content = new ByteArrayContent(Convert.FromHexString(vector.GetProperty("snappy_block_hex").GetString()!));
        content.Headers.ContentType = MediaTypeHeaderValue.Parse("application/x-protobuf");
        content.Headers.ContentEncoding.Add("snappy");
        using HttpResponseMessage response = served.Client.PostAsync(new Uri("/api/v1/write", UriKind.Relative), content).GetAwaiter().GetResult();
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
        report.Pass();
    }
}
