using System.Globalization;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Bellwether.Kit.Live;

/// <summary>
/// Scrape targets, each on a port of its own, whose values are a function of target, series and number of the scrape, and which keep a ledger of every body that they answered:
/// so a lost, doubled, moved or altered sample is seen. Series i of scrape n of target t has the value <see cref="ValueOf"/>.
/// </summary>
public sealed class LedgerTargets : IAsyncDisposable
{
    /// <summary>The most series of a target: what leaves room for target and scrape in a double that is exact.</summary>
    public const int SeriesMax = 10_000;

    private const long ScrapesMax = 10_000_000;
    private readonly WebApplication _app;
    private readonly TimeProvider _time;
    private readonly LedgerTarget[] _targets;
    private readonly Dictionary<int, LedgerTarget> _byPort = [];
    private readonly byte[][] _names;
    private volatile bool _closed;

    private LedgerTargets(int targets, int series, TimeProvider time)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(series, SeriesMax);
        _time = time;
        Series = series;
        _names = [.. Enumerable.Range(0, series).Select(i => Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"ledger_value{{i=\"{i}\"}} ")))];
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls([.. Enumerable.Range(0, targets).Select(_ => "http://127.0.0.1:0")]);
        _app = builder.Build();
        _app.MapGet("/metrics", AnswerAsync);
        _targets = new LedgerTarget[targets];
    }

    /// <summary>The targets.</summary>
    public IReadOnlyList<LedgerTarget> All => _targets;

    /// <summary>How many series each answers.</summary>
    public int Series { get; }

    /// <summary>Starts them.</summary>
    public static async Task<LedgerTargets> StartAsync(int targets, int series, TimeProvider time)
    {
        var all = new LedgerTargets(targets, series, time);
        await all._app.StartAsync();
        int index = 0;
        foreach (string address in all._app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses)
        {
            var uri = new Uri(address);
            all._byPort[uri.Port] = all._targets[index] = new LedgerTarget(index, uri.Authority);
            index++;
        }
        return all;
    }

    /// <summary>The value of a series at a scrape: exact in a double.</summary>
    public static long ValueOf(int target, int series, long scrape) => (((target * ScrapesMax) + scrape) * SeriesMax) + series;

    /// <summary>Which target, series and scrape a value stands for; null when it is none that a target would answer.</summary>
    public static (int Target, int Series, int Scrape)? Read(double value)
    {
        if (!(value >= 0 && value < 1L << 53) || value != Math.Floor(value))
            return null;
        long whole = (long)value;
        return ((int)(whole / SeriesMax / ScrapesMax), (int)(whole % SeriesMax), (int)(whole / SeriesMax % ScrapesMax));
    }

    /// <summary>From now on every target answers 503: the ledgers are final once what is under way has ended.</summary>
    public void Close() => _closed = true;

    /// <summary>The stops of the server.</summary>
    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private async Task AnswerAsync(HttpContext context)
    {
        if (_closed)
        {
            context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
            return;
        }
        LedgerTarget target = _byPort[context.Connection.LocalPort];
        LedgerEntry entry = target.Begin(_time.GetUtcNow().ToUnixTimeMilliseconds());
        byte[] body = Body(target.Index, entry.Scrape);
        context.Response.ContentType = "text/plain; version=0.0.4";
        context.Response.ContentLength = body.Length;
        await context.Response.Body.WriteAsync(body, context.RequestAborted);
        await context.Response.CompleteAsync();
        entry.CompletedMs = _time.GetUtcNow().ToUnixTimeMilliseconds();
    }

    private byte[] Body(int target, int scrape)
    {
        var text = new ByteBuffer(_names.Length * 48);
        text.Write("# TYPE ledger_value gauge\n"u8);
        for (int i = 0; i < _names.Length; i++)
        {
            text.Write(_names[i]);
            text.WriteNumber(ValueOf(target, i, scrape));
            text.Write("\n"u8);
        }
        return text.ToArray();
    }

    private sealed class ByteBuffer(int capacity)
    {
        private byte[] _bytes = new byte[capacity];
        private int _length;

        public void Write(ReadOnlySpan<byte> bytes)
        {
            if (_bytes.Length - _length < bytes.Length)
                Array.Resize(ref _bytes, (_bytes.Length * 2) + bytes.Length);
            bytes.CopyTo(_bytes.AsSpan(_length));
            _length += bytes.Length;
        }

        public void WriteNumber(long number)
        {
            Span<byte> digits = stackalloc byte[20];
            System.Buffers.Text.Utf8Formatter.TryFormat(number, digits, out int written);
            Write(digits[..written]);
        }

        public byte[] ToArray() => _bytes.AsSpan(0, _length).ToArray();
    }
}

/// <summary>One target and its ledger.</summary>
/// <param name="index">Its number, from 0.</param>
/// <param name="address">host:port, as its label instance has it.</param>
public sealed class LedgerTarget(int index, string address)
{
    private readonly Lock _gate = new();
    private readonly List<LedgerEntry> _entries = [];

    /// <summary>Its number.</summary>
    public int Index => index;

    /// <summary>host:port.</summary>
    public string Address => address;

    /// <summary>Every scrape that began, in order; scrape n stands at n - 1.</summary>
    public LedgerEntry[] Entries
    {
        get
        {
            lock (_gate)
                return [.. _entries];
        }
    }

    /// <summary>How many scrapes were answered in full.</summary>
    public int Completed
    {
        get
        {
            lock (_gate)
                return _entries.Count(e => e.CompletedMs > 0);
        }
    }

    internal LedgerEntry Begin(long nowMs)
    {
        lock (_gate)
        {
            var entry = new LedgerEntry(_entries.Count + 1, nowMs);
            _entries.Add(entry);
            return entry;
        }
    }
}

/// <summary>One scrape in a ledger.</summary>
/// <param name="scrape">Its number, from 1.</param>
/// <param name="beganMs">When the request came (Unix ms).</param>
public sealed class LedgerEntry(int scrape, long beganMs)
{
    private long _completedMs;

    /// <summary>Its number, from 1.</summary>
    public int Scrape => scrape;

    /// <summary>When the request came (Unix ms).</summary>
    public long BeganMs => beganMs;

    /// <summary>When the answer was written completely (Unix ms); 0: it was not.</summary>
    public long CompletedMs
    {
        get => Volatile.Read(ref _completedMs);
        set => Volatile.Write(ref _completedMs, value);
    }
}
