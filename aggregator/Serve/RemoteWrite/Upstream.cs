using System.Buffers.Binary;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Runtime.InteropServices;
using Bellwether.Core.Codec;
using Bellwether.Core.Configuration.Prometheus;
using Bellwether.Core.Durable;
using Bellwether.Core.Model;
using Bellwether.Core.Relabel;
using Bellwether.Core.Telemetry;
using Microsoft.Extensions.Logging;
using Polly;
using Polly.Retry;

namespace Bellwether.Serve.RemoteWrite;

/// <summary>
/// Sends the queue to one upstream, in order: batches, retries of what may work later (network, 5xx, 429), and gives up what never will (other 4xx), splitting a
/// refused batch so that one bad sample does not take the others with it. One loop. Source: prometheus.io/docs/specs/prw/remote_write_spec/.
/// </summary>
internal sealed partial class Upstream : IDisposable
{
    private const int SplitRequestsMax = 64;
    private const int ErrorBodyMax = 512;
    private const int RelabelCacheMax = 200_000;
    private static readonly string[] s_written = [RemoteWriteReceiver.SamplesWritten, RemoteWriteReceiver.HistogramsWritten, RemoteWriteReceiver.ExemplarsWritten];
    private static readonly TimeSpan s_retryAfterMax = TimeSpan.FromMinutes(5);

    private readonly string _name;
    private readonly string _shown;
    private readonly RemoteWriteConfig _config;
    private readonly ForwardQueue _queue;
    private readonly HttpClient _client;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Labels _externalLabels;
    private readonly ResiliencePipeline<HttpStatusCode> _retry;
    private readonly WriteRequestReader _reader = new(new RemoteWriteReceiveOptions { SamplesMax = int.MaxValue });
    private readonly WriteRequestWriter _writer = new();
    private readonly WriteRequestV2Writer _writerV2;
    private readonly Dictionary<Labels, Labels?> _relabelled = [];
    private readonly Counter<long> _sent;
    private readonly Counter<long> _dropped;
    private readonly Counter<long> _sentExemplars;
    private readonly Counter<long> _droppedExemplars;
    private readonly Counter<long> _requests;
    private readonly KeyValuePair<string, object?> _tag;
    private readonly Func<IReadOnlyDictionary<string, MetricMetadata>> _metadata;
    private TimeSpan? _retryAfter;
    private bool _v2;
    private long _metadataSentMs;
    private long _cursor;
    private long _sentMs;

    public Upstream(string name, RemoteWriteConfig config, ForwardQueue queue, ForwardSurroundings around, TimeProvider time, Random random, ILogger logger)
    {
        _name = name;
        _shown = ShownName(config);
        _config = config;
        _queue = queue;
        _time = time;
        _logger = logger;
        _externalLabels = around.ExternalLabels;
        _metadata = around.Metadata;
        _client = new HttpClient(around.Handler(config), disposeHandler: true) { Timeout = Timeout.InfiniteTimeSpan };
        _writerV2 = new WriteRequestV2Writer(_metadata);
        _v2 = config.Message == RemoteWriteMessage.V2;
        _cursor = (long)queue.Cursor(name);
        _tag = new("upstream", _shown);
        _sent = around.Meter.CreateCounter<long>(MetricNames.ForwardSamplesSent, description: "Samples that an upstream took.");
        _dropped = around.Meter.CreateCounter<long>(MetricNames.ForwardSamplesDropped, description: "Samples that will not be sent.");
        _sentExemplars = around.Meter.CreateCounter<long>(MetricNames.ForwardExemplarsSent, description: "Exemplars that an upstream took.");
        _droppedExemplars = around.Meter.CreateCounter<long>(MetricNames.ForwardExemplarsDropped, description: "Exemplars that will not be sent.");
        _requests = around.Meter.CreateCounter<long>(MetricNames.ForwardRequests, description: "Requests to an upstream.");
        _retry = Pipeline(config, time, random);
    }

    /// <summary>How logs call it: its name if it has one, and its URL without user, password and parameters, which may be secrets.</summary>
    internal static string ShownName(RemoteWriteConfig config)
    {
        string url = Uri.TryCreate(config.Url, UriKind.Absolute, out Uri? uri) ? uri.GetComponents(UriComponents.Scheme | UriComponents.Host | UriComponents.Port | UriComponents.Path, UriFormat.UriEscaped) : "(no URL)";
        return config.Name.Length > 0 ? $"{config.Name} ({url})" : url;
    }

    /// <summary>The next frame to send.</summary>
    public ulong Cursor => (ulong)Volatile.Read(ref _cursor);

    /// <summary>Unix seconds of the last request that it took; 0: none yet.</summary>
    public Measurement<double> LastSuccess => new(Volatile.Read(ref _sentMs) / 1000.0, _tag);

    /// <summary>Sends until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        bool hasCursor = false;
        while (!cancellation.IsCancellationRequested)
        {
            try
            {
                // A new one gets what is queued from now on, also when it is not reached before the next start.
                if (!hasCursor)
                    _queue.SaveCursor(_name, Cursor);
                hasCursor = true;
                if (!await SendNextAsync(cancellation))
                    await Task.Delay(TimeSpan.FromMilliseconds(100), _time, cancellation);
            }
            catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                LogFailed(_shown, e);
                await Task.Delay(_config.Queue.MaxBackoff, _time, CancellationToken.None);
            }
        }
    }

    public void Dispose() => _client.Dispose();

    /// <summary>Sends one batch; false when there is nothing to send yet.</summary>
    private async Task<bool> SendNextAsync(CancellationToken cancellation)
    {
        var batch = new SampleBatch();
        (ulong next, bool more) = Fill(batch);
        if (next == Cursor)
            return false;
        // A batch that is not full waits for company, but no longer than the deadline.
        if (!more && batch.Samples.Count < _config.Queue.MaxSamplesPerSend)
        {
            long began = _time.GetTimestamp();
            double waitMs = Math.Min(_config.Queue.BatchSendDeadline.TotalMilliseconds, 1000);
            while (_time.GetElapsedTime(began).TotalMilliseconds < waitMs && batch.Samples.Count < _config.Queue.MaxSamplesPerSend)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(100), _time, cancellation);
                batch = new SampleBatch();
                (next, more) = Fill(batch);
                if (more)
                    break;
            }
        }
        await SendMetadataAsync(cancellation);
        await SendAllAsync(Prepare(batch.Samples), (writer, part) => writer.Add(CollectionsMarshal.AsSpan(part)), _sent, _dropped, cancellation);
        // Behind the samples: an upstream takes exemplars of series that it knows.
        if (_config.SendExemplars)
            await SendAllAsync(Prepare(batch.Exemplars), (writer, part) => writer.AddExemplars(CollectionsMarshal.AsSpan(part)), _sentExemplars, _droppedExemplars, cancellation);
        _queue.SaveCursor(_name, next);
        Volatile.Write(ref _cursor, (long)next);
        return true;
    }

    private (ulong Next, bool More) Fill(SampleBatch batch)
    {
        ulong next = Cursor;
        using LogReader reader = _queue.Read(next);
        while (true)
        {
            switch (reader.MoveNext())
            {
                case LogRead.End:
                    return (next, false);
                case LogRead.Lost:
                    LogLost(_shown, reader.Lost.FirstSequence, reader.Lost.NextSequence, reader.Lost.Reason);
                    next = Math.Max(next, reader.Lost.NextSequence);
                    continue;
            }
            ReadOnlySpan<byte> payload = reader.Payload;
            if (payload.Length < ForwardQueue.HeaderBytes)
                continue;
            int samples = (int)BinaryPrimitives.ReadUInt32LittleEndian(payload[8..]);
            if (batch.Samples.Count > 0 && batch.Samples.Count + samples > _config.Queue.MaxSamplesPerSend || batch.Exemplars.Count >= _config.Queue.MaxSamplesPerSend)
                return (next, true);
            if (reader.Sequence > next)
                LogSkipped(_shown, reader.Sequence - next);
            WriteRequestReport report = _reader.Read(payload[ForwardQueue.HeaderBytes..], batch);
            if (report.Malformed is not null)
                _dropped.Add(samples, _tag, new("reason", "unreadable"));
            next = reader.Sequence + 1;
        }
    }

    /// <summary>External labels, relabelling, age; samples of one series together and in time order.</summary>
    private List<SeriesSample> Prepare(List<SeriesSample> samples)
    {
        if (_relabelled.Count > RelabelCacheMax)
            _relabelled.Clear();
        long oldestMs = OldestMs();
        var bySeries = new Dictionary<Labels, List<SeriesSample>>();
        int old = 0;
        foreach (SeriesSample sample in samples)
        {
            if (sample.TimestampMs < oldestMs)
            {
                old++;
                continue;
            }
            if (sample.Histogram is not null && !_config.SendNativeHistograms)
                continue;
            if (Relabelled(sample.Labels) is not { } labels)
                continue;
            if (!bySeries.TryGetValue(labels, out List<SeriesSample>? list))
                bySeries[labels] = list = [];
            list.Add(sample with { Labels = list.Count > 0 ? list[0].Labels : labels });
        }
        if (old > 0)
            _dropped.Add(old, _tag, new("reason", "too_old"));
        var prepared = new List<SeriesSample>(samples.Count);
        foreach (List<SeriesSample> list in bySeries.Values)
            prepared.AddRange(list.OrderBy(s => s.TimestampMs));
        return prepared;
    }

    /// <summary>As with samples; those of one series together.</summary>
    private List<(Labels Labels, Exemplar Exemplar)> Prepare(List<(Labels Labels, Exemplar Exemplar)> exemplars)
    {
        long oldestMs = OldestMs();
        int old = exemplars.Count(e => e.Exemplar.TimestampMs < oldestMs);
        if (old > 0)
            _droppedExemplars.Add(old, _tag, new("reason", "too_old"));
        return [.. exemplars.Where(e => e.Exemplar.TimestampMs >= oldestMs)
            .Select(e => (Labels: Relabelled(e.Labels)!, e.Exemplar)).Where(e => e.Labels is not null)
            .GroupBy(e => e.Labels).SelectMany(g => g.OrderBy(e => e.Exemplar.TimestampMs).Select(e => (g.Key, e.Exemplar)))];
    }

    private long OldestMs() =>
        _config.Queue.SampleAgeLimit > TimeSpan.Zero ? _time.GetUtcNow().ToUnixTimeMilliseconds() - (long)_config.Queue.SampleAgeLimit.TotalMilliseconds : long.MinValue;

    /// <summary>Null: the rules drop it.</summary>
    private Labels? Relabelled(Labels labels)
    {
        if (!_relabelled.TryGetValue(labels, out Labels? known))
            _relabelled[labels] = known = Relabel(labels);
        return known;
    }

    private Labels? Relabel(Labels labels)
    {
        if (_externalLabels.Count > 0)
        {
            var builder = new LabelsBuilder(labels);
            foreach (ref readonly Label label in _externalLabels.AsSpan())
            {
                if (builder.Get(label.Name).Length == 0)
                    builder.Set(label.Name, label.Value);
            }
            labels = builder.Build();
        }
        Labels? kept = RelabelRules.Apply(_config.WriteRelabelConfigs, labels);
        return kept is { Count: > 0 } ? kept : null;
    }

    private async Task SendMetadataAsync(CancellationToken cancellation)
    {
        long nowMs = _time.GetUtcNow().ToUnixTimeMilliseconds();
        // 2.0 says it in line with each series.
        if (_v2 || !_config.Metadata.Send || nowMs - _metadataSentMs < _config.Metadata.SendInterval.TotalMilliseconds)
            return;
        _metadataSentMs = nowMs;
        foreach (KeyValuePair<string, MetricMetadata>[] part in _metadata().Chunk(_config.Metadata.MaxSamplesPerSend))
        {
            _writer.Clear();
            foreach ((string family, MetricMetadata metadata) in part)
                _writer.Add(family, metadata);
            await PostAsync(Compressed(_writer), cancellation);
        }
    }

    private async Task SendAllAsync<T>(List<T> items, Action<RequestWriter, List<T>> write, Counter<long> sent, Counter<long> dropped, CancellationToken cancellation)
    {
        for (int at = 0; at < items.Count; at += _config.Queue.MaxSamplesPerSend)
            await SendSplittingAsync(items.GetRange(at, Math.Min(_config.Queue.MaxSamplesPerSend, items.Count - at)), write, sent, dropped, cancellation);
    }

    private async Task SendSplittingAsync<T>(List<T> items, Action<RequestWriter, List<T>> write, Counter<long> sent, Counter<long> dropped, CancellationToken cancellation)
    {
        var parts = new Stack<List<T>>();
        parts.Push(items);
        int requests = 0;
        while (parts.TryPop(out List<T>? part))
        {
            RequestWriter writer = _v2 ? _writerV2 : _writer;
            writer.Clear();
            write(writer, part);
            HttpStatusCode status = await PostAsync(Compressed(writer), cancellation);
            requests++;
            if (status == HttpStatusCode.UnsupportedMediaType && _v2)
            {
                // Remembered until the configuration is read again: asking each time would double every request.
                _v2 = false;
                LogFallback(_shown);
                parts.Push(part);
                continue;
            }
            if ((int)status is >= 200 and < 300)
            {
                sent.Add(part.Count, _tag);
                continue;
            }
            // 400 is about single items: halve until they stand alone. Any other refusal is about all of them.
            if (status != HttpStatusCode.BadRequest || part.Count == 1 || requests + parts.Count >= SplitRequestsMax)
            {
                dropped.Add(part.Count, _tag, new("reason", ((int)status).ToString(CultureInfo.InvariantCulture)));
                continue;
            }
            int half = part.Count / 2;
            parts.Push(part.GetRange(half, part.Count - half));
            parts.Push(part.GetRange(0, half));
        }
    }

    private static byte[] Compressed(RequestWriter writer)
    {
        ReadOnlySpan<byte> plain = writer.Bytes;
        byte[] block = new byte[Snappy.MaxCompressedLength(plain.Length)];
        int length = Snappy.Compress(plain, block);
        return block[..length];
    }

    /// <summary>Posts until there is an answer that is not to be retried.</summary>
    private async Task<HttpStatusCode> PostAsync(byte[] body, CancellationToken cancellation) =>
        await _retry.ExecuteAsync(async token => await PostOnceAsync(body, token), cancellation);

    private async ValueTask<HttpStatusCode> PostOnceAsync(byte[] body, CancellationToken cancellation)
    {
        using var limit = new CancellationTokenSource(_config.RemoteTimeout, _time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellation);
        using var request = new HttpRequestMessage(HttpMethod.Post, _config.Url) { Content = new ByteArrayContent(body) };
        UpstreamHttp.AddHeaders(request, _config, _v2);
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/x-protobuf");
        if (_v2)
            request.Content.Headers.ContentType.Parameters.Add(new NameValueHeaderValue("proto", RemoteWriteReceiver.V2Message));
        request.Content.Headers.ContentEncoding.Add("snappy");
        try
        {
            using HttpResponseMessage response = await _client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, both.Token);
            _requests.Add(1, _tag, new("outcome", ((int)response.StatusCode).ToString(CultureInfo.InvariantCulture)));
            _retryAfter = RetryAfter(response);
            // A receiver of 1.0 only may take the body for an empty request of its own kind.
            if (_v2 && response.IsSuccessStatusCode && !s_written.Any(h => response.Headers.Contains(h)))
                return HttpStatusCode.UnsupportedMediaType;
            if (response.IsSuccessStatusCode)
                Volatile.Write(ref _sentMs, _time.GetUtcNow().ToUnixTimeMilliseconds());
            else
                LogRefused(_shown, (int)response.StatusCode, await ReasonAsync(response, both.Token));
            return response.StatusCode;
        }
        catch (Exception e) when (e is HttpRequestException or IOException || (e is OperationCanceledException && !cancellation.IsCancellationRequested))
        {
            _requests.Add(1, _tag, new("outcome", "network"));
            _retryAfter = null;
            LogUnreachable(_shown, e.Message);
            return HttpStatusCode.ServiceUnavailable;
        }
    }

    private TimeSpan? RetryAfter(HttpResponseMessage response)
    {
        TimeSpan? wait = response.Headers.RetryAfter switch
        {
            { Delta: { } delta } => delta,
            { Date: { } date } => date - _time.GetUtcNow(),
            _ => null,
        };
        return wait is { } w && w > TimeSpan.Zero ? (w < s_retryAfterMax ? w : s_retryAfterMax) : null;
    }

    private static async Task<string> ReasonAsync(HttpResponseMessage response, CancellationToken cancellation)
    {
        byte[] start = new byte[ErrorBodyMax];
        await using Stream stream = await response.Content.ReadAsStreamAsync(cancellation);
        int length = await stream.ReadAtLeastAsync(start, start.Length, throwOnEndOfStream: false, cancellation);
        return System.Text.Encoding.UTF8.GetString(start, 0, length).ReplaceLineEndings(" ").Trim();
    }

    private ResiliencePipeline<HttpStatusCode> Pipeline(RemoteWriteConfig config, TimeProvider time, Random random) =>
        new ResiliencePipelineBuilder<HttpStatusCode> { TimeProvider = time }.AddRetry(new RetryStrategyOptions<HttpStatusCode>
        {
            MaxRetryAttempts = int.MaxValue,
            BackoffType = DelayBackoffType.Exponential,
            UseJitter = true,
            Delay = config.Queue.MinBackoff,
            MaxDelay = config.Queue.MaxBackoff,
            Randomizer = random.NextDouble,
            DelayGenerator = _ => ValueTask.FromResult(_retryAfter),
            ShouldHandle = attempt => ValueTask.FromResult((int)attempt.Outcome.Result >= 500 || (attempt.Outcome.Result == HttpStatusCode.TooManyRequests && config.Queue.RetryOnHttp429)),
        }).Build();

    [LoggerMessage(EventId = 4201, Level = LogLevel.Warning, Message = "remote write to {Upstream} was answered {Status}: {Reason}")]
    private partial void LogRefused(string upstream, int status, string reason);

    [LoggerMessage(EventId = 4202, Level = LogLevel.Warning, Message = "remote write upstream {Upstream} cannot be reached, trying again: {Reason}")]
    private partial void LogUnreachable(string upstream, string reason);

    [LoggerMessage(EventId = 4203, Level = LogLevel.Error, Message = "remote write to {Upstream} failed, trying again")]
    private partial void LogFailed(string upstream, Exception error);

    [LoggerMessage(EventId = 4204, Level = LogLevel.Error, Message = "the queue of {Upstream} lost frames {First} to {Next}: {Reason}")]
    private partial void LogLost(string upstream, ulong first, ulong next, string reason);

    [LoggerMessage(EventId = 4206, Level = LogLevel.Warning, Message = "remote write upstream {Upstream} does not take 2.0: it is sent 1.0 from now on, without start times")]
    private partial void LogFallback(string upstream);

    [LoggerMessage(EventId = 4205, Level = LogLevel.Error, Message = "{Frames} frames for {Upstream} were dropped from the queue: it was full or they were too old")]
    private partial void LogSkipped(string upstream, ulong frames);
}
