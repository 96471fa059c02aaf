using System.Buffers;
using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Globalization;
using Bellwether.Core.Codec;
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
    /// <summary>Larger buffers are not kept for the next request: they are rare, and a pool would hold one of each size per thread.</summary>
    private const int PooledBytesMax = 1 << 20;
    private const int FirstReadBytes = 64 << 10;
    internal const string V2Message = "io.prometheus.write.v2.Request";
    internal const string SamplesWritten = "X-Prometheus-Remote-Write-Samples-Written";
    internal const string HistogramsWritten = "X-Prometheus-Remote-Write-Histograms-Written";
    internal const string ExemplarsWritten = "X-Prometheus-Remote-Write-Exemplars-Written";
    private const string V1Message = "prometheus.WriteRequest";

    private readonly ISampleAppender _appender;
    private readonly RemoteWriteReceiveOptions _options;
    private readonly SemaphoreSlim _slots;
    private readonly ConcurrentBag<WriteRequestReader> _readers = [];
    private readonly ConcurrentBag<WriteRequestV2Reader> _readersV2 = [];
    private readonly Counter<long> _requests;
    private readonly Counter<long> _samples;

    /// <summary>A receiver that appends to a store.</summary>
    public RemoteWriteReceiver(ISampleAppender appender, RemoteWriteReceiveOptions options, Meter meter)
    {
        _appender = appender;
        _options = options;
        _slots = new SemaphoreSlim(options.ConcurrentMax);
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
        byte[] body = Rent((int)Math.Min(context.Request.ContentLength + 1 ?? FirstReadBytes, _options.BodyBytesMax + 1L));
        byte[]? plain = null;
        try
        {
            int length = 0;
            while (true)
            {
                int read = await context.Request.Body.ReadAsync(body.AsMemory(length), context.RequestAborted);
                if (read == 0)
                    break;
                length += read;
                if (length > _options.BodyBytesMax)
                {
                    await AnswerAsync(context, StatusCodes.Status413PayloadTooLarge, $"the body is larger than {_options.BodyBytesMax} bytes: send smaller batches");
                    return;
                }
                if (length == body.Length)
                    body = Grow(body, (int)Math.Min(length * 4L, _options.BodyBytesMax + 1L));
            }
            SnappyOutcome outcome = Snappy.TryGetLength(body.AsSpan(0, length), _options.InflatedBytesMax, out int plainLength);
            if (outcome == SnappyOutcome.Ok)
            {
                plain = Rent(plainLength);
                outcome = Snappy.TryInflate(body.AsSpan(0, length), plain.AsSpan(0, plainLength));
            }
            if (outcome != SnappyOutcome.Ok)
            {
                await AnswerAsync(context, StatusCodes.Status400BadRequest, outcome == SnappyOutcome.TooLarge
                    ? $"the body declares more than it can hold or more than {_options.InflatedBytesMax} bytes after inflation"
                    : "the body is no snappy block (the framed format is not accepted)");
                return;
            }
            await StoreAsync(context, plain.AsMemory(0, plainLength), v2);
        }
        finally
        {
            Return(body);
            if (plain is not null)
                Return(plain);
        }
    }

    private async Task StoreAsync(HttpContext context, ReadOnlyMemory<byte> message, bool v2)
    {
        var batch = new SampleBatch();
        WriteRequestReport report = v2
            ? Read(_readersV2, static options => new WriteRequestV2Reader(options), message.Span, batch)
            : Read(_readers, static options => new WriteRequestReader(options), message.Span, batch);
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

    private WriteRequestReport Read<T>(ConcurrentBag<T> readers, Func<RemoteWriteReceiveOptions, T> make, ReadOnlySpan<byte> message, SampleBatch batch) where T : RequestReader
    {
        if (!readers.TryTake(out T? reader))
            reader = make(_options);
        WriteRequestReport report = reader.Read(message, batch);
        readers.Add(reader);
        return report;
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

    private static byte[] Grow(byte[] body, int size)
    {
        byte[] larger = Rent(size);
        body.CopyTo(larger, 0);
        Return(body);
        return larger;
    }

    private static byte[] Rent(int size) => size > PooledBytesMax ? GC.AllocateUninitializedArray<byte>(size) : ArrayPool<byte>.Shared.Rent(size);

    private static void Return(byte[] buffer)
    {
        if (buffer.Length <= PooledBytesMax)
            ArrayPool<byte>.Shared.Return(buffer);
    }
}
