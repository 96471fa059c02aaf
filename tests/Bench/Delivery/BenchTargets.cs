using System.Buffers.Text;
using System.Globalization;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Bellwether.Bench.Delivery;

/// <summary>
/// Targets of 1,000 series each: a third never changes, a third counts up, a third is noise of two decimals; the first one, bench_scrape, is the number of the scrape. Each target
/// keeps a ledger of its answers.
/// </summary>
internal sealed class BenchTargets : IAsyncDisposable
{
    public const int Series = 1000;
    private readonly TimeProvider _time;
    private readonly WebApplication _app;
    private readonly byte[][] _names = new byte[Series][];
    private readonly Dictionary<int, int> _byPort = [];
    private readonly List<Answer>[] _answers;
    private readonly Lock _gate = new();

    private BenchTargets(int count, TimeProvider time)
    {
        _time = time;
        _names[0] = "bench_scrape "u8.ToArray();
        for (int i = 1; i < Series; i++)
            _names[i] = Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"bench_value_{i % 40}{{code=\"{200 + (i % 5)}\",handler=\"/api/v1/path/{i}\",method=\"get\"}} "));
        _answers = [.. Enumerable.Range(0, count).Select(_ => new List<Answer>())];
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls([.. Enumerable.Range(0, count).Select(_ => "http://127.0.0.1:0")]);
        _app = builder.Build();
        _app.MapGet("/metrics", AnswerAsync);
    }

    /// <summary>host:port of each.</summary>
    public IReadOnlyList<string> Addresses { get; private set; } = [];

    /// <summary>Answers written in full so far.</summary>
    public long Completed
    {
        get
        {
            lock (_gate)
                return _answers.Sum(a => (long)a.Count);
        }
    }

    public static async Task<BenchTargets> StartAsync(int count, TimeProvider time)
    {
        var targets = new BenchTargets(count, time);
        await targets._app.StartAsync();
        string[] addresses = [.. targets._app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Select(a => new Uri(a).Authority)];
        for (int i = 0; i < addresses.Length; i++)
            targets._byPort[new Uri("http://" + addresses[i]).Port] = i;
        targets.Addresses = addresses;
        return targets;
    }

    /// <summary>The answers of all targets that began at or before a time.</summary>
    public IReadOnlyList<Answer> Until(long timeMs)
    {
        lock (_gate)
            return [.. _answers.SelectMany(a => a).Where(a => a.BeganMs <= timeMs)];
    }

    /// <summary>The middle of the longest stretch in the last five seconds in which no scrape began: a time that cuts no scrape in two.</summary>
    public long QuietMoment()
    {
        long now = _time.GetUtcNow().ToUnixTimeMilliseconds();
        long[] began;
        lock (_gate)
            began = [.. _answers.SelectMany(a => a).Select(a => a.BeganMs).Where(t => t > now - 5000).Append(now).Order()];
        (long length, long at) = (-1, now);
        for (int i = 1; i < began.Length; i++)
        {
            if (began[i] - began[i - 1] > length)
                (length, at) = (began[i] - began[i - 1], (began[i] + began[i - 1]) / 2);
        }
        return at;
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private async Task AnswerAsync(HttpContext context)
    {
        int target = _byPort[context.Connection.LocalPort];
        long began = _time.GetUtcNow().ToUnixTimeMilliseconds();
        int scrape;
        lock (_gate)
            scrape = _answers[target].Count + 1;
        byte[] body = Body(target, scrape);
        context.Response.ContentType = "text/plain; version=0.0.4";
        context.Response.ContentLength = body.Length;
        await context.Response.Body.WriteAsync(body, context.RequestAborted);
        await context.Response.CompleteAsync();
        lock (_gate)
            _answers[target].Add(new Answer(target, scrape, began, _time.GetUtcNow().ToUnixTimeMilliseconds()));
    }

    private byte[] Body(int target, int scrape)
    {
        byte[] body = new byte[Series * 96];
        int at = 0;
        for (int i = 0; i < Series; i++)
        {
            _names[i].CopyTo(body, at);
            at += _names[i].Length;
            long whole = i == 0 ? scrape : (i % 3) switch
            {
                0 => i * 17L,
                1 => (long)scrape * (1 + (i % 50)) + i,
                _ => Noise(target, i, scrape) / 100,
            };
            Utf8Formatter.TryFormat(whole, body.AsSpan(at), out int written);
            at += written;
            if (i % 3 == 2)
            {
                long cents = Noise(target, i, scrape) % 100;
                body[at++] = (byte)'.';
                body[at++] = (byte)('0' + (cents / 10));
                body[at++] = (byte)('0' + (cents % 10));
            }
            body[at++] = (byte)'\n';
        }
        return body[..at];
    }

    private static long Noise(int target, int series, int scrape)
    {
        ulong x = (((ulong)target * 1_000_003) + (ulong)series) * 0x9E3779B97F4A7C15 + ((ulong)scrape * 0xBF58476D1CE4E5B9);
        x ^= x >> 29;
        x *= 0x94D049BB133111EB;
        return (long)((x >> 32) % 100_000);
    }
}

/// <summary>One answer of a target, written in full.</summary>
internal sealed record Answer(int Target, int Scrape, long BeganMs, long CompletedMs);
