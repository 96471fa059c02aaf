using System.Globalization;
using System.Net;
using System.Text;
using Xunit.Abstractions;

namespace Bellwether.EndToEnd;

/// <summary>
/// Hostile input at the aggregator's doors, case by case: an answer soon, never an error of the server, memory bounded, and the agent that behaves loses nothing meanwhile.
/// </summary>
public sealed class HostileInputTests(ITestOutputHelper output) : IAsyncLifetime
{
    private const long GrowthMaxBytes = 64L << 20;
    private static readonly TimeSpan s_answerMax = TimeSpan.FromSeconds(15);
    private readonly Site _site = new();
    private CountingTarget _target = null!;
    private long _peakBefore;

    public async Task InitializeAsync()
    {
        _target = await CountingTarget.StartAsync(20);
        _site.ConfigureAggregator();
        _site.ConfigureAgent(Ledger.Scraping(_target));
        await _site.StartAggregatorAsync();
        _site.StartAgent();
        await _site.WaitForAsync("samples", async () => await _site.Api.ValueAsync("count(ledger_value)") == 20);
        await RemoteWrite.SendAsync(_site, [("warm_value", Now(), 1)]);
        _peakBefore = PeakBytes();
    }

    public async Task DisposeAsync()
    {
        try
        {
            long growth = PeakBytes() - _peakBefore;
            output.WriteLine($"memory grew by {growth >> 20} MiB");
            Assert.True(growth < GrowthMaxBytes, $"the aggregator's memory grew by {growth >> 20} MiB");
            int last = _target.Answered.Max();
            await Ledger.WaitForAfterAsync(_site, last);
            await Ledger.CompareAsync(_site, _target, last, lostMax: 0);
            // The target is in this process, which is busy: an answer of its own may be late now and then.
            Assert.True(await _site.Api.ValueAsync("min(avg_over_time(up{job=\"ledger\"}[5m]))") >= 0.5, "most scrapes of the agent that behaves failed");
        }
        finally
        {
            await _site.DisposeAsync();
            await _target.DisposeAsync();
        }
    }

    [Fact]
    public async Task Remote_writes_are_refused_or_taken_as_they_are()
    {
        byte[] name = "__name__"u8.ToArray(), metric = "hostile_value"u8.ToArray(), one = "1"u8.ToArray();
        (long, ulong) sample = (Now(), 0x3FF0000000000000);
        byte[] groups = new byte[100_000];
        Array.Fill(groups, (byte)0x0B);
        (string Case, byte[] Body, HttpStatusCode Expected)[] cases =
        [
            ("a length of 2^32 - 1", [0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0, 0], HttpStatusCode.BadRequest),
            ("a length of 2^63", [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 0], HttpStatusCode.BadRequest),
            ("a bomb of 256 MiB", RemoteWrite.Compress(new byte[256 << 20]), HttpStatusCode.BadRequest),
            ("31 MiB of zeros", RemoteWrite.Compress(new byte[31 << 20]), HttpStatusCode.BadRequest),
            ("a million labels", RemoteWrite.ManyLabels(1_000_000), HttpStatusCode.BadRequest),
            ("a label value of 1 MiB", Series([(name, metric), ("a"u8.ToArray(), new byte[1 << 20])], sample), HttpStatusCode.BadRequest),
            ("a label name of 1 MiB", Series([(name, metric), (Filled(1 << 20, (byte)'a'), one)], sample), HttpStatusCode.BadRequest),
            ("a metric name of 1 MiB", Series([(name, Filled(1 << 20, (byte)'a'))], sample), HttpStatusCode.BadRequest),
            ("a label value that is no UTF-8", Series([(name, metric), ("a"u8.ToArray(), [0xC0, 0xAF, 0xFF])], sample), HttpStatusCode.BadRequest),
            ("a label name that is no UTF-8", Series([(name, metric), ([0xED, 0xA0, 0x80], one)], sample), HttpStatusCode.BadRequest),
            ("a label without a name", Series([(name, metric), ([], one)], sample), HttpStatusCode.BadRequest),
            ("a series without a name", Series([("a"u8.ToArray(), one)], sample), HttpStatusCode.BadRequest),
            ("a label twice", Series([(name, metric), ("a"u8.ToArray(), one), ("a"u8.ToArray(), "2"u8.ToArray())], sample), HttpStatusCode.BadRequest),
            ("a series without labels", Series([], sample), HttpStatusCode.BadRequest),
            ("the end of time", Series([(name, metric)], (long.MaxValue, 0)), HttpStatusCode.BadRequest),
            ("the beginning of time", Series([(name, metric)], (long.MinValue, 0)), HttpStatusCode.BadRequest),
            ("a day ahead", Series([(name, metric)], (Now() + 86_400_000, 0)), HttpStatusCode.BadRequest),
            ("NaN with a payload", Series([(name, "payload_value"u8.ToArray())], (Now(), 0x7FF8DEADBEEF0001)), HttpStatusCode.NoContent),
            ("a signalling NaN", Series([(name, "signalling_value"u8.ToArray())], (Now(), 0x7FF0000000000001)), HttpStatusCode.NoContent),
            ("a message cut short", RemoteWrite.Compress(RemoteWrite.Message([("cut_value", Now(), 1)])[..^3]), HttpStatusCode.BadRequest),
            ("snappy cut short", RemoteWrite.Compress(RemoteWrite.Message([("cut_value", Now(), 1)]))[..^3], HttpStatusCode.BadRequest),
            ("100,000 groups within one another", RemoteWrite.Compress(groups), HttpStatusCode.BadRequest),
            ("a length beyond the message", RemoteWrite.Compress([0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F]), HttpStatusCode.BadRequest),
            ("a number of 11 bytes", RemoteWrite.Compress([0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]), HttpStatusCode.BadRequest),
            ("field 0", RemoteWrite.Compress([0x02, 0x01, 0x00]), HttpStatusCode.BadRequest),
            ("wire type 7", RemoteWrite.Compress([0x0F, 0x01]), HttpStatusCode.BadRequest),
            ("nothing at all", [], HttpStatusCode.BadRequest),
            ("no snappy", "{\"streams\": []}"u8.ToArray(), HttpStatusCode.BadRequest),
        ];
        var wrong = new List<string>();
        foreach ((string text, byte[] body, HttpStatusCode expected) in cases)
            await CheckAsync(text, expected, () => RemoteWrite.PostAsync(_site, body), wrong);
        var random = new Random(9);
        for (int i = 0; i < 50; i++)
        {
            byte[] garbage = new byte[random.Next(1, 5000)];
            random.NextBytes(garbage);
            await CheckAsync($"garbage {i}", HttpStatusCode.BadRequest, () => RemoteWrite.PostAsync(_site, i % 2 == 0 ? garbage : RemoteWrite.Compress(garbage)), wrong);
        }
        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
        Assert.Null(await _site.Api.ValueAsync("count(hostile_value)"));
        Assert.True(double.IsNaN((await _site.Api.ValueAsync("payload_value")).GetValueOrDefault(0)));
    }

    [Fact]
    public async Task Queries_are_refused_or_answered_soon()
    {
        string parentheses = new string('(', 100_000) + "1" + new string(')', 100_000);
        (string Case, string Path, HttpStatusCode Expected)[] cases =
        [
            ("100,000 parentheses", "query?query=" + parentheses, HttpStatusCode.BadRequest),
            ("10,000 parentheses never closed", "query?query=" + new string('(', 10_000), HttpStatusCode.BadRequest),
            ("100,000 signs", "query?query=" + new string('-', 100_000) + "1", HttpStatusCode.BadRequest),
            ("10,000 calls within one another", "query?query=" + string.Concat(Enumerable.Repeat("abs(", 10_000)), HttpStatusCode.BadRequest),
            ("10,000 operators", "query?query=1" + string.Concat(Enumerable.Repeat("%2B1", 10_000)), HttpStatusCode.BadRequest),
            ("a regular expression that repeats repeats", "query?query=" + Uri.EscapeDataString("up{a=~\"((a{1000}){1000}){1000}\"}"), HttpStatusCode.BadRequest),
            ("a regular expression that backtracks", "query?query=" + Uri.EscapeDataString("ledger_value{instance=~\"(([0-9.:a-z])+)+x\"}"), HttpStatusCode.OK),
            ("a step of 1 ms over ten years", "query_range?query=up&start=0&end=315360000&step=0.001", HttpStatusCode.BadRequest),
            ("a step of 0", "query_range?query=up&start=0&end=1&step=0", HttpStatusCode.BadRequest),
            ("a step below 0", "query_range?query=up&start=0&end=1&step=-1", HttpStatusCode.BadRequest),
            ("an end before the start", "query_range?query=up&start=10&end=1&step=1", HttpStatusCode.BadRequest),
            ("a time that is no number", "query?query=up&time=NaN", HttpStatusCode.BadRequest),
            ("a time beyond time", "query?query=up&time=1e300", HttpStatusCode.OK),
            ("a negative time-out", "query?query=up&timeout=-1s", HttpStatusCode.BadRequest),
            ("a subquery of very many steps", "query?query=" + Uri.EscapeDataString("max_over_time(up[100y:1ms])"), HttpStatusCode.UnprocessableEntity),
            ("bytes that are no UTF-8", "query?query=up%FF%C0%AF", HttpStatusCode.OK),
            ("a zero byte", "query?query=up%00", HttpStatusCode.BadRequest),
            ("no selector", "series", HttpStatusCode.BadRequest),
            ("an empty selector", "series?match[]={}", HttpStatusCode.BadRequest),
            ("a label that cannot be one", "label/%FF/values", HttpStatusCode.OK),
            ("a folder above", "label/..%2F..%2Fetc%2Fpasswd/values", HttpStatusCode.OK),
            ("no query", "query", HttpStatusCode.BadRequest),
        ];
        var wrong = new List<string>();
        foreach ((string text, string path, HttpStatusCode expected) in cases)
            await CheckAsync(text, expected, () => AskAsync(path), wrong);
        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
    }

    private static async Task CheckAsync(string text, HttpStatusCode expected, Func<Task<(HttpStatusCode Status, string Answer)>> send, List<string> wrong)
    {
        TimeProvider time = TimeProvider.System;
        long began = time.GetTimestamp();
        (HttpStatusCode status, string answer) = await send();
        TimeSpan took = time.GetElapsedTime(began);
        if (status != expected)
            wrong.Add($"{text}: {(int)status} instead of {(int)expected}: {answer[..Math.Min(answer.Length, 200)]}");
        if (took > s_answerMax)
            wrong.Add($"{text}: answered after {took.TotalSeconds:F1} s");
    }

    /// <summary>By POST: what is long would be refused as a URL before it is read.</summary>
    private async Task<(HttpStatusCode Status, string Answer)> AskAsync(string path)
    {
        int question = path.IndexOf('?', StringComparison.Ordinal);
        using HttpResponseMessage response = path.Length < 1000
            ? await _site.Api.Client.GetAsync("/api/v1/" + path)
            : await PostAsync(path[..question], path[(question + 1)..]);
        return (response.StatusCode, await response.Content.ReadAsStringAsync());
    }

    private async Task<HttpResponseMessage> PostAsync(string path, string form)
    {
        using var content = new StringContent(form, Encoding.ASCII, "application/x-www-form-urlencoded");
        return await _site.Api.Client.PostAsync("/api/v1/" + path, content);
    }

    private static byte[] Series((byte[] Name, byte[] Value)[] labels, params (long TimeMs, ulong Bits)[] samples) => RemoteWrite.Series(labels, samples);

    private static byte[] Filled(int length, byte with)
    {
        byte[] bytes = new byte[length];
        Array.Fill(bytes, with);
        return bytes;
    }

    private static long Now() => TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds();

    private long PeakBytes()
    {
        string line = File.ReadLines($"/proc/{_site.Aggregator!.Id}/status").First(l => l.StartsWith("VmHWM:", StringComparison.Ordinal));
        return long.Parse(line.AsSpan(6, line.Length - 8).Trim(), CultureInfo.InvariantCulture) * 1024;
    }
}
