using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Globalization;
using Bellwether.Core.Model;
using Bellwether.Core.Telemetry;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Bellwether.Serve.RemoteWrite;

/// <summary>Limits of the receiver. Immutable.</summary>
public sealed record RemoteWriteReceiveOptions
{
    /// <summary>Bytes of a body as sent. Default 16 MiB.</summary>
    public int BodyBytesMax { get; init; } = 16 << 20;

    /// <summary>Bytes of a body after inflation; checked from the block's header before anything is reserved. Default 32 MiB.</summary>
    public int InflatedBytesMax { get; init; } = 32 << 20;

    /// <summary>Requests at once; more are answered 503 with Retry-After. Default 8.</summary>
    public int ConcurrentMax { get; init; } = 8;

    /// <summary>Samples in one request. Default 500,000.</summary>
    public int SamplesMax { get; init; } = 500_000;

    /// <summary>Exemplars in one request. Default 100,000.</summary>
    public int ExemplarsMax { get; init; } = 100_000;

    /// <summary>Descriptions of metric families in one request. Default 100,000.</summary>
    public int MetadataMax { get; init; } = 100_000;

    /// <summary>Characters of all label names and values in one request, those of 2.0 spelled out. Default 256 Mi.</summary>
    public long LabelCharsMax { get; init; } = 256L << 20;

    /// <summary>Labels of a series. Default 128.</summary>
    public int LabelsMax { get; init; } = 128;

    /// <summary>Characters of a label name. Default 1,024.</summary>
    public int LabelNameMax { get; init; } = 1024;

    /// <summary>Characters of a label value. Default 8,192.</summary>
    public int LabelValueMax { get; init; } = 8192;

    /// <summary>Texts in the symbol table of a 2.0 request. Default 1,000,000.</summary>
    public int SymbolsMax { get; init; } = 1_000_000;

    /// <summary>Characters of a help text. Default 8,192.</summary>
    public int HelpMax { get; init; } = 8192;

    /// <summary>What a sender is told to wait when the store cannot take data. Default 5 s.</summary>
    public TimeSpan RetryAfter { get; init; } = TimeSpan.FromSeconds(5);
}

/// <summary>
/// <c>POST /api/v1/write</c>: remote write 1.0 and 2.0. Answers 2xx only after what was sent is durable; 400 with the reason when something is not valid (the rest is
/// stored); 503 with Retry-After when the store can take nothing. 2.0 is told how much
/// was written. Thread-safe. Source: prometheus.io/docs/specs/prw/remote_write_spec/ and remote_write_spec_2_0/.
/// </summary>
public sealed class RemoteWriteReceiver : IDisposable
{
    internal const string V2Message = "io.prometheus.write.v2.Request";
    internal const string SamplesWritten = "X-Prometheus-Remote-Write-Samples-Written";
    internal const string HistogramsWritten = "X-Prometheus-Remote-Write-Histograms-Written";
    internal const string ExemplarsWritten = "X-Prometheus-Remote-Write-Exemplars-Written";
    private const string V1Message = "prometheus.WriteRequest";

    private readonly ISampleAppender _appender;
    private readonly RemoteWriteReceiveOptions _options;
    private readonly SemaphoreSlim _slots;
    private readonly ConcurrentStack<ReceiveScratch> _scratch = [];
    private readonly SeriesCache _series;
    private readonly Counter<long> _requests;
    private readonly Counter<long> _samples;

    /// <summary>A receiver that appends to a store.</summary>
    public RemoteWriteReceiver(ISampleAppender appender, RemoteWriteReceiveOptions options, Meter meter)
    {
        _appender = appender;
        _options = options;
        _slots = new SemaphoreSlim(options.ConcurrentMax);
        _series = new SeriesCache(appender.Known);
        _requests = meter.CreateCounter<long>(MetricNames.ReceiveRequests, description: "Remote write requests received.");
        _samples = meter.CreateCounter<long>(MetricNames.ReceiveSamples, description: "Samples received by remote write.");
    }

    /// <summary>Maps the endpoint.</summary>
    public void Map(IEndpointRouteBuilder routes) => routes.MapPost("/api/v1/write", HandleAsync);

    /// <inheritdoc/>
    public void Dispose() => _slots.Dispose();

    private async Task HandleAsync(HttpContext context)
    {
        string? refused = Unsupported(context.Request, out bool v2);
        if (refused is not null)
        {
            await AnswerAsync(context, StatusCodes.Status415UnsupportedMediaType, refused);
            return;
        }
        if (context.Request.ContentLength > _options.BodyBytesMax)
        {
            await AnswerAsync(context, StatusCodes.Status413PayloadTooLarge, $"the body is larger than {_options.BodyBytesMax} bytes: send smaller batches");
            return;
        }
        if (!await _slots.WaitAsync(TimeSpan.Zero, context.RequestAborted))
        {
            await RetryAsync(context, $"{_options.ConcurrentMax} requests are under way already");
            return;
        }
        try
        {
            await ReceiveAsync(context, v2);
        }
        finally
        {
            _slots.Release();
        }
    }

    private async Task ReceiveAsync(HttpContext context, bool v2)
    {
        // The one used last is in the processor's caches; what a request that was cut off may still use is not used again.
        if (!_scratch.TryPop(out ReceiveScratch? scratch))
            scratch = new ReceiveScratch(_options, _series);
        if (await ReadBodyAsync(context, scratch) is { } length)
        {
            if (scratch.Inflate(length, out ReadOnlyMemory<byte> message) is { } refused)
                await AnswerAsync(context, StatusCodes.Status400BadRequest, refused);
            else
                await StoreAsync(context, scratch, message, v2);
        }
        scratch.Clear();
        _scratch.Push(scratch);
    }

    /// <summary>The length of the body; null: it is too long, and that is answered.</summary>
    private async Task<int?> ReadBodyAsync(HttpContext context, ReceiveScratch scratch)
    {
        int length = 0;
        Memory<byte> room = scratch.BodyRoom(0, context.Request.ContentLength);
        while (true)
        {
            int read = await context.Request.Body.ReadAsync(room[length..], context.RequestAborted);
            if (read == 0)
                return length;
            length += read;
            if (length > _options.BodyBytesMax)
            {
                await AnswerAsync(context, StatusCodes.Status413PayloadTooLarge, $"the body is larger than {_options.BodyBytesMax} bytes: send smaller batches");
                return null;
            }
            if (length == room.Length)
                room = scratch.BodyRoom(length, null);
        }
    }

    private async Task StoreAsync(HttpContext context, ReceiveScratch scratch, ReadOnlyMemory<byte> message, bool v2)
    {
        SampleBatch batch = scratch.Batch;
        WriteRequestReport report = scratch.ReaderOf(v2).Read(message.Span, batch);
        if (report.Malformed is not null)
        {
            await AnswerAsync(context, StatusCodes.Status400BadRequest, report.Malformed);
            return;
        }
        AppendResult result;
        try
        {
            result = await _appender.AppendAsync(batch, context.RequestAborted);
        }
        catch (StoreUnavailableException e)
        {
            // The batch may wait in the store still.
            scratch.ForgetBatch();
            await RetryAsync(context, e.Message);
            return;
        }
        Count(result, report.InvalidSamples);
        if (v2)
            TellWritten(context.Response.Headers, batch, result);
        int refused = report.InvalidSamples + result.Refused;
        if (refused == 0)
        {
            _requests.Add(1, new KeyValuePair<string, object?>("outcome", "ok"));
            context.Response.StatusCode = StatusCodes.Status204NoContent;
            return;
        }
        string reason = report.FirstInvalid ?? result.FirstError ?? "refused";
        await AnswerAsync(context, StatusCodes.Status400BadRequest, $"{refused} of {batch.Samples.Count + report.InvalidSamples} samples were refused, the others are stored; the first: {reason}");
    }

    /// <summary>What was there already counts as written: the sender need not send it again.</summary>
    private static void TellWritten(IHeaderDictionary headers, SampleBatch batch, AppendResult result)
    {
        int histograms = batch.Samples.Count(s => s.Histogram is not null);
        headers[SamplesWritten] = (batch.Samples.Count - histograms - (result.Refused - result.RefusedHistograms)).ToString(CultureInfo.InvariantCulture);
        headers[HistogramsWritten] = (histograms - result.RefusedHistograms).ToString(CultureInfo.InvariantCulture);
        headers[ExemplarsWritten] = batch.Exemplars.Count.ToString(CultureInfo.InvariantCulture);
    }

    private void Count(AppendResult result, int invalid)
    {
        foreach (AppendOutcome outcome in Enum.GetValues<AppendOutcome>())
        {
            int count = result[outcome] + (outcome == AppendOutcome.Invalid ? invalid : 0);
            if (count > 0)
                _samples.Add(count, new KeyValuePair<string, object?>("outcome", outcome.ToString()));
        }
    }

    private static string? Unsupported(HttpRequest request, out bool v2)
    {
        v2 = false;
        string encoding = request.Headers.ContentEncoding.ToString();
        if (encoding.Length > 0 && !encoding.Equals("snappy", StringComparison.OrdinalIgnoreCase))
            return $"content encoding '{encoding}' is not supported: send snappy (block format)";
        string[] parts = (request.ContentType ?? "application/x-protobuf").Split(';', StringSplitOptions.TrimEntries);
        if (!parts[0].Equals("application/x-protobuf", StringComparison.OrdinalIgnoreCase))
            return $"content type '{request.ContentType}' is not supported: send application/x-protobuf";
        string? message = parts.Skip(1).Where(p => p.StartsWith("proto=", StringComparison.OrdinalIgnoreCase)).Select(p => p[6..].Trim('"')).FirstOrDefault();
        v2 = message == V2Message;
        return message is null or V1Message or V2Message ? null : $"message '{message}' is not known: send {V1Message} or {V2Message}";
    }

    private Task RetryAsync(HttpContext context, string reason)
    {
        context.Response.Headers.RetryAfter = ((int)Math.Ceiling(_options.RetryAfter.TotalSeconds)).ToString(CultureInfo.InvariantCulture);
        return AnswerAsync(context, StatusCodes.Status503ServiceUnavailable, reason);
    }

    private Task AnswerAsync(HttpContext context, int status, string reason)
    {
        _requests.Add(1, new KeyValuePair<string, object?>("outcome", status.ToString(CultureInfo.InvariantCulture)));
        context.Response.StatusCode = status;
        context.Response.ContentType = "text/plain; charset=utf-8";
        return context.Response.WriteAsync(reason + "\n", context.RequestAborted);
    }
}
