using System.Diagnostics.Metrics;
using System.Security.Cryptography;
using System.Text;
using Bellwether.Core.Configuration.Prometheus;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Core.Telemetry;
using Microsoft.Extensions.Logging;

namespace Bellwether.Serve.RemoteWrite;

/// <summary>What forwarding works on.</summary>
/// <param name="ExternalLabels">Labels added to every series that does not have them.</param>
/// <param name="Metadata">The metadata known now.</param>
/// <param name="Meter">Where it counts.</param>
/// <param name="Handler">Makes the connection pool of an upstream.</param>
public sealed record ForwardSurroundings(Labels ExternalLabels, Func<IReadOnlyDictionary<string, MetricMetadata>> Metadata, Meter Meter, Func<RemoteWriteConfig, HttpMessageHandler> Handler);

/// <summary>
/// Forwards every sample that the store commits, filtered and relabelled, to any number of upstreams by remote write 1.0 or 2.0, from a queue on disk: it survives a
/// restart and goes on where it stopped; what it must drop it counts. Thread-safe.
/// </summary>
public sealed partial class RemoteWriteForwarder : ISampleTap, IDisposable
{
    private static readonly TimeSpan s_sync = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan s_free = TimeSpan.FromSeconds(10);

    private readonly ForwardQueue _queue;
    private readonly Upstream[] _upstreams;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Counter<long> _queued;
    private readonly Counter<long> _dropped;
    private readonly Counter<long> _droppedExemplars;
    private readonly bool _sendsExemplars;

    /// <summary>Opens the queue and prepares the upstreams. Throws <see cref="IOException"/> when the folder cannot be used.</summary>
    public RemoteWriteForwarder(ForwardQueueOptions options, IReadOnlyList<RemoteWriteConfig> upstreams, ForwardSurroundings around, IDisk disk, TimeProvider time, ILogger logger)
    {
        _time = time;
        _logger = logger;
        _queue = new ForwardQueue(options, disk, time, ProcessRandom.Create());
        _upstreams = [.. upstreams.Select(c => new Upstream(NameOf(c), c, _queue, around, time, ProcessRandom.Create(), logger))];
        _queued = around.Meter.CreateCounter<long>(MetricNames.ForwardSamplesQueued, description: "Samples queued for upstreams.");
        _dropped = around.Meter.CreateCounter<long>(MetricNames.ForwardSamplesDropped, description: "Samples that will not be sent.");
        _droppedExemplars = around.Meter.CreateCounter<long>(MetricNames.ForwardExemplarsDropped, description: "Exemplars that will not be sent.");
        _sendsExemplars = upstreams.Any(u => u.SendExemplars);
        around.Meter.CreateObservableGauge(MetricNames.ForwardQueueBytes, () => _queue.Bytes, description: "Bytes of samples that wait for upstreams.");
        around.Meter.CreateObservableGauge(MetricNames.ForwardSent, () => _upstreams.Select(u => u.LastSuccess), description: "Unix time of the last request that an upstream took; 0: none yet.");
    }

    /// <inheritdoc/>
    public ulong HeldTo => _queue.HeldTo;

    /// <summary>The connection pool that a configuration asks for.</summary>
    public static HttpMessageHandler DefaultHandler(RemoteWriteConfig config) => UpstreamHttp.Handler(config);

    /// <inheritdoc/>
    public bool OnCommitted(ulong position, ReadOnlySpan<SeriesSample> samples, ReadOnlySpan<(Labels Labels, Exemplar Exemplar)> exemplars = default)
    {
        // An upstream has no revisions: it keeps what on-time evaluation gave.
        samples = WithoutRevisions(samples);
        if (!_sendsExemplars)
            exemplars = default;
        if (samples.Length + exemplars.Length == 0)
            return false;
        (long samplesBefore, long exemplarsBefore) = _queue.Overflowed;
        (int droppedSamples, int droppedExemplars) = _queue.Append(position, samples, exemplars);
        // Before the store acknowledges: what it takes for stored is durable here too. A full disk leaves it waiting in memory, and KeepAsync tries again.
        _queue.Sync();
        _queued.Add(samples.Length - droppedSamples);
        Dropped(_queue.Overflowed.Samples - samplesBefore, _queue.Overflowed.Exemplars - exemplarsBefore, "overflow");
        Dropped(droppedSamples, droppedExemplars, "queue_full");
        return true;
    }

    private void Dropped(long samples, long exemplars, string reason)
    {
        if (samples > 0)
            _dropped.Add(samples, new KeyValuePair<string, object?>("reason", reason));
        if (exemplars > 0)
            _droppedExemplars.Add(exemplars, new KeyValuePair<string, object?>("reason", reason));
    }

    private static ReadOnlySpan<SeriesSample> WithoutRevisions(ReadOnlySpan<SeriesSample> samples)
    {
        foreach (ref readonly SeriesSample sample in samples)
        {
            if (Revision.Of(sample.Labels) > 0)
                return samples.ToArray().Where(s => Revision.Of(s.Labels) == 0).ToArray();
        }
        return samples;
    }

    /// <summary>Sends until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        Task[] loops = [KeepAsync(cancellation), .. _upstreams.Select(u => u.RunAsync(cancellation))];
        await Task.WhenAll(loops);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Upstream upstream in _upstreams)
            upstream.Dispose();
        _queue.Dispose();
    }

    /// <summary>Syncs what was appended, and frees what nobody needs.</summary>
    private async Task KeepAsync(CancellationToken cancellation)
    {
        long freed = _time.GetTimestamp();
        while (!cancellation.IsCancellationRequested)
        {
            try
            {
                if (!_queue.Sync())
                    LogQueueStuck();
                if (_time.GetElapsedTime(freed) > s_free)
                {
                    freed = _time.GetTimestamp();
                    (long samples, long exemplars) = _queue.Free(_upstreams.Length == 0 ? 0 : _upstreams.Min(u => u.Cursor));
                    Dropped(samples, exemplars, "queue_bound");
                }
                await Task.Delay(s_sync, _time, cancellation);
            }
            catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
            {
                return;
            }
            catch (IOException e)
            {
                LogQueueFailed(e);
                await Task.Delay(s_free, _time, CancellationToken.None);
            }
        }
    }

    /// <summary>The name in the configuration, or one made from the address: it names the cursor, so it must stay the same over restarts.</summary>
    private static string NameOf(RemoteWriteConfig config) =>
        "u-" + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(config.Name.Length > 0 ? config.Name : config.Url)))[..12];

    [LoggerMessage(EventId = 4211, Level = LogLevel.Warning, Message = "the remote write queue cannot be written now; samples wait in memory")]
    private partial void LogQueueStuck();

    [LoggerMessage(EventId = 4212, Level = LogLevel.Error, Message = "the remote write queue failed; trying again")]
    private partial void LogQueueFailed(Exception error);
}
