using System.Net;
using System.Net.Sockets;
using Bellwether.Core.Codec;
using Bellwether.Core.Configuration.Prometheus;
using Bellwether.Core.Exposition;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Core.Relabel;

namespace Bellwether.Agent.Collect.Scrape;

/// <summary>How a target's last scrape went; for status and the targets page.</summary>
/// <param name="Health"><c>unknown</c> before the first scrape, then <c>up</c> or <c>down</c>.</param>
/// <param name="LastError">Why it is down, or empty.</param>
/// <param name="LastScrapeMs">When the last scrape was due, Unix ms; 0: none yet.</param>
/// <param name="LastDuration">How long it took.</param>
/// <param name="Samples">Samples after relabelling.</param>
public sealed record ScrapeStatus(string Health, string LastError, long LastScrapeMs, TimeSpan LastDuration, int Samples);

/// <summary>
/// Scrapes one target: fetch, parse, relabel, and the series that Prometheus writes about a scrape (up, scrape_*). Whatever the target does costs its own
/// scrape only. Not thread-safe, but for <see cref="Status"/>.
/// </summary>
public sealed class ScrapeCollector : ICollector
{
    /// <summary>The longest body where body_size_limit is not set: 64 MiB inflated.</summary>
    public const long BodyBytesMax = 64L << 20;

    private readonly ScrapeConfig _job;
    private readonly ScrapeHttp _http;
    private readonly TimeProvider _time;
    private readonly ScrapeMetrics _metrics;
    private readonly ScrapeParser _parser;
    private readonly Uri _url;
    private readonly long _bodyBytesMax;
    private readonly ExpositionFormat? _fallback;
    private readonly Labels[] _reports;
    private readonly int[] _reportSlots;
    private SourceTable? _reportTable;

    /// <summary>Makes a collector.</summary>
    /// <param name="name">The source's name; see <see cref="SourceName"/>.</param>
    /// <param name="job">The job's configuration.</param>
    /// <param name="target">The target, after relabelling.</param>
    /// <param name="http">The job's client; the caller disposes it after its last collector.</param>
    /// <param name="time">The clock for durations and timeouts.</param>
    /// <param name="metrics">The agent's scrape instruments.</param>
    /// <param name="bodies">Buffers that all collectors share; null: its own.</param>
    public ScrapeCollector(string name, ScrapeConfig job, ScrapeTarget target, ScrapeHttp http, TimeProvider time, ScrapeMetrics metrics, BodyBuffers? bodies = null)
    {
        Name = name;
        Target = target;
        _job = job;
        _http = http;
        _time = time;
        _metrics = metrics;
        _url = new Uri(target.Url);
        _bodyBytesMax = job.BodySizeLimit.Bytes > 0 ? job.BodySizeLimit.Bytes : BodyBytesMax;
        _fallback = job.FallbackScrapeProtocol is { } protocol ? ExpositionContent.FromProtocol(ScrapeHttp.ProtocolName(protocol)) : null;
        var options = new ScrapeParserOptions
        {
            HonorTimestamps = job.HonorTimestamps,
            TrackTimestampsStaleness = job.TrackTimestampsStaleness,
            SampleLimit = job.SampleLimit,
            InferStartTimes = job.InferStartTimes,
        };
        _parser = new ScrapeParser(name, (int)target.Interval.TotalMilliseconds, new TargetSeriesMapper(job, target.Labels), options, bodies);
        string[] names = ["up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling", "scrape_series_added"];
        string[] extra = job.ExtraScrapeMetrics ? ["scrape_timeout_seconds", "scrape_sample_limit", "scrape_body_size_bytes"] : [];
        _reports = [.. names.Concat(extra).Select(n => target.Labels.With(LabelNames.MetricName, n))];
        _reportSlots = new int[_reports.Length];
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public TimeSpan Interval => Target.Interval;

    /// <summary>The job that it is of.</summary>
    public string JobName => _job.JobName;

    /// <summary>What is scraped.</summary>
    public ScrapeTarget Target { get; }

    /// <summary>How the last scrape went. Thread-safe.</summary>
    public ScrapeStatus Status { get; private set; } = new("unknown", "", 0, TimeSpan.Zero, 0);

    /// <summary>The name of a target's source: the job, then the URL. Two targets of a job with one URL need something more.</summary>
    public static string SourceName(ScrapeConfig job, ScrapeTarget target) => $"{job.JobName}/{target.Url}";

    /// <inheritdoc/>
    public async ValueTask CollectAsync(SourceTick tick, long timestampMs, CancellationToken cancellation)
    {
        long started = _time.GetTimestamp();
        Begin(tick, timestampMs);
        Fetched fetched = default;
        ScrapeResult result;
        try
        {
            fetched = await FetchAsync(cancellation);
            result = new ScrapeResult(fetched.Error, 0, 0, 0, 0);
            if (fetched.Error is null)
                result = _parser.Parse(fetched.Length, fetched.Format, tick, cancellation);
            else
                _parser.Fail(tick);
        }
        catch (Exception e)
        {
            // Whatever it was (out of memory too), it is this scrape's: the tick still says that the target is down, and why.
            _parser.Abandon(tick);
            if (e is OperationCanceledException && cancellation.IsCancellationRequested)
                throw;
            result = new ScrapeResult(e is OutOfMemoryException ? "out of memory: the body is too large for this agent (body_size_limit, sample_limit)" : $"{e.GetType().Name}: {e.Message}", 0, 0, 0, 0);
        }
        TimeSpan took = _time.GetElapsedTime(started);
        Report(tick, result, took, fetched);
        tick.Complete();
        _metrics.Bytes.Add(fetched.Length);
        if (result.Duplicates > 0)
            _metrics.Duplicates.Add(result.Duplicates);
        if (result.Error is not null)
            _metrics.Failed.Add(1);
        Status = new ScrapeStatus(result.Error is null ? "up" : "down", result.Error ?? "", timestampMs, took, result.Kept);
    }

    /// <inheritdoc/>
    public void End(SourceTick tick, long timestampMs)
    {
        if (_reportTable is null)
            Begin(tick, timestampMs);
        else
            tick.Begin(_reportTable, timestampMs);
        if (ReferenceEquals(_reportTable, _parser.Table))
            _parser.Fail(tick);
        tick.Complete();
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private void Begin(SourceTick tick, long timestampMs)
    {
        if (!ReferenceEquals(_reportTable, _parser.Table))
        {
            for (int i = 0; i < _reports.Length; i++)
                _reportSlots[i] = _parser.SlotFor(_reports[i]);
            _reportTable = _parser.Table;
        }
        tick.Begin(_parser.Table, timestampMs);
    }

    private void Report(SourceTick tick, ScrapeResult result, TimeSpan took, Fetched fetched)
    {
        tick.Set(_reportSlots[0], result.Error is null ? 1 : 0);
        tick.Set(_reportSlots[1], took.TotalSeconds);
        tick.Set(_reportSlots[2], result.Scraped);
        tick.Set(_reportSlots[3], result.Kept);
        tick.Set(_reportSlots[4], result.SeriesAdded);
        if (_reports.Length == 5)
            return;
        tick.Set(_reportSlots[5], Target.Timeout.TotalSeconds);
        tick.Set(_reportSlots[6], _job.SampleLimit);
        tick.Set(_reportSlots[7], fetched.TooLarge ? -1 : fetched.Length);
    }

    private async Task<Fetched> FetchAsync(CancellationToken cancellation)
    {
        using var timeout = new CancellationTokenSource(Target.Timeout, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellation);
        try
        {
            using HttpResponseMessage response = await _http.GetAsync(_url, Target.Timeout, either.Token);
            if (response.StatusCode != HttpStatusCode.OK)
                return Fetched.Failed($"server returned HTTP status {(int)response.StatusCode} {response.ReasonPhrase}");
            BodyOutcome body = await BodyReader.ReadAsync(response, _parser, _bodyBytesMax, either.Token);
            if (body.Error is not null)
                return new Fetched(0, default, body.Error, body.TooLarge);
            string? type = response.Content.Headers.TryGetValues("Content-Type", out IEnumerable<string>? values) ? string.Join(",", values) : null;
            // An empty body is an empty scrape, whatever it calls itself.
            ExpositionFormat? format = body.Length == 0 ? ExpositionFormat.PrometheusText : ExpositionContent.FromContentType(type) ?? _fallback;
            return format is { } known
                ? new Fetched(body.Length, known, null, false)
                : Fetched.Failed(string.IsNullOrEmpty(type)
                    ? "the target sends no Content-Type, and the job has no fallback_scrape_protocol"
                    : $"the target sends the Content-Type '{type}', which is no exposition format, and the job has no fallback_scrape_protocol");
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return Fetched.Failed($"no answer within {Target.Timeout.TotalSeconds} s (scrape_timeout)");
        }
        catch (Exception e) when (e is HttpRequestException or IOException or InvalidDataException or SocketException or UnauthorizedAccessException or System.Security.Authentication.AuthenticationException)
        {
            return Fetched.Failed(FailureText.Of(e));
        }
    }

    private readonly record struct Fetched(int Length, ExpositionFormat Format, string? Error, bool TooLarge)
    {
        public static Fetched Failed(string error) => new(0, default, error, false);
    }
}
