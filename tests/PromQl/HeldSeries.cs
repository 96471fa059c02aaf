using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Kit.PromQl;

namespace Bellwether.PromQl.Tests;

/// <summary>One series, whose selections stand still until they are released.</summary>
internal sealed class HeldSeries : ISeriesReader, IChangeLog, IDisposable
{
    private static readonly TimeSpan s_soon = TimeSpan.FromMinutes(1);

    private readonly MemorySeries _series = new();
    private readonly List<long> _times = [];
    private readonly ManualResetEventSlim _released = new();
    private readonly SemaphoreSlim _begun = new(0), _asked = new(0);
    private readonly ManualResetEventSlim _written = new(true);
    private readonly Lock _gate = new();

    public int Selects { get; private set; }

    public CancellationToken Cancellation { get; private set; }

    public Task Begun() => _begun.WaitAsync();

    public Task Asked() => _asked.WaitAsync(s_soon);

    public void Write() => _written.Reset();

    public void Written() => _written.Set();

    public void Release() => _released.Set();

    public void Hold() => _released.Reset();

    public void Add(long timeMs, double value)
    {
        lock (_gate)
        {
            _series.Add(Labels.Of("__name__", "v"), timeMs, value);
            _times.Add(timeMs);
        }
    }

    public long TakeMark()
    {
        WaitForWriter();
        lock (_gate)
            return _times.Count;
    }

    public long OldestChangeSince(long mark)
    {
        WaitForWriter();
        lock (_gate)
            return _times.Skip((int)mark).DefaultIfEmpty(long.MaxValue).Min();
    }

    private void WaitForWriter()
    {
        if (_written.IsSet)
            return;
        _asked.Release();
        _written.Wait();
    }

    public bool Covers(IReadOnlyList<LabelMatcher> matchers) => true;

    public ISeriesSet Select(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation)
    {
        lock (_gate)
        {
            Selects++;
            Cancellation = cancellation;
        }
        _begun.Release();
        _released.Wait(cancellation);
        lock (_gate)
            return _series.Select(fromMs, toMs, matchers, cancellation);
    }

    IReadOnlyList<string> ISeriesReader.LabelNames(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) => _series.LabelNames(fromMs, toMs, matchers, cancellation);

    public IReadOnlyList<string> LabelValues(string name, long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) =>
        _series.LabelValues(name, fromMs, toMs, matchers, cancellation);

    public MetricMetadata? Metadata(string family) => _series.Metadata(family);

    public IReadOnlyDictionary<string, MetricMetadata> AllMetadata() => _series.AllMetadata();

    public void Dispose()
    {
        _released.Dispose();
        _begun.Dispose();
        _asked.Dispose();
        _written.Dispose();
    }
}

/// <summary>Places for queries that can be closed.</summary>
internal sealed class Places : IQueryPlaces
{
    private readonly TaskCompletionSource _opened = new();
    private int _taken;

    public bool IsOpen { get; set; } = true;

    public int Taken => _taken;

    public void Open() => _opened.SetResult();

    public async ValueTask<bool> EnterAsync(CancellationToken cancellation)
    {
        if (!IsOpen)
            await _opened.Task.WaitAsync(cancellation);
        Interlocked.Increment(ref _taken);
        return true;
    }

    public void Leave() => Interlocked.Decrement(ref _taken);
}
