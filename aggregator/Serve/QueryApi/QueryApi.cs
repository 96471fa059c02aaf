using System.Diagnostics.Metrics;
using System.Globalization;
using System.IO.Compression;
using System.IO.Pipelines;
using System.Text.Encodings.Web;
using System.Text.Json;
using Bellwether.Core.Telemetry;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Logging;

namespace Bellwether.Serve.QueryApi;

/// <summary>
/// Prometheus' HTTP API: <c>/api/v1/*</c>, <c>/metrics</c>, <c>/-/healthy</c>, <c>/-/ready</c>, <c>/-/reload</c>. Thread-safe.
/// Source: prometheus.io/docs/prometheus/latest/querying/api/.
/// </summary>
public sealed partial class QueryApi : IDisposable
{
    private const int FlushBytes = 64 * 1024;
    private static readonly JsonWriterOptions s_json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true };

    private const int FormValuesMax = 1024;
    private readonly QueryApiSources _sources;
    private readonly QueryApiOptions _options;
    private readonly QuerySlots _slots;
    private readonly ILogger _logger;
    private readonly Counter<long> _requests;
    private readonly QueryEndpoints _queries;
    private readonly SeriesEndpoints _series;
    private readonly ExemplarEndpoint _exemplars;
    private readonly FederateEndpoint _federate;
    private readonly RuleEndpoints _rules;
    private readonly StatusEndpoints _status;
    private readonly TargetMetadataEndpoint _targetMetadata;

    /// <summary>An API over what the host hands over.</summary>
    public QueryApi(QueryApiSources sources, QueryApiOptions options, TimeProvider time, Meter meter, ILogger logger)
    {
        _sources = sources;
        _options = options;
        _logger = logger;
        _slots = new QuerySlots(options.ConcurrentMax, options.WaitingMax);
        _queries = new QueryEndpoints(sources, options, _slots, time);
        _series = new SeriesEndpoints(sources, options);
        _exemplars = new ExemplarEndpoint(sources);
        _federate = new FederateEndpoint(sources, options, time);
        _rules = new RuleEndpoints(sources);
        _status = new StatusEndpoints(sources, options, time);
        _targetMetadata = new TargetMetadataEndpoint(sources, time);
        _requests = meter.CreateCounter<long>(MetricNames.ServeRequests, description: "Requests of the query API.");
    }

    /// <summary>Maps all endpoints.</summary>
    public void Map(IEndpointRouteBuilder routes)
    {
        Both(routes, "query", (p, _, c) => _queries.InstantAsync(p, c));
        Both(routes, "query_range", (p, _, c) => _queries.RangeAsync(p, c));
        Both(routes, "query_exemplars", (p, _, c) => Task.FromResult(_exemplars.Answer(p, c)));
        Both(routes, "format_query", (p, _, _) => Task.FromResult(_queries.Format(p)));
        Both(routes, "parse_query", (p, _, _) => Task.FromResult(_queries.ParseTree(p)));
        Both(routes, "series", (p, _, c) => Task.FromResult(_series.Series(p, c)));
        Both(routes, "labels", (p, _, c) => Task.FromResult(_series.Names(p, c)));
        Get(routes, "label/{name}/values", (p, h, c) => Task.FromResult(_series.Values((string)h.Request.RouteValues["name"]!, p, c)));
        Get(routes, "metadata", (p, _, _) => Task.FromResult(_series.Metadata(p)));
        Get(routes, "rules", (p, _, _) => Task.FromResult(_rules.Rules(p)));
        Get(routes, "alerts", (_, _, _) => Task.FromResult(_rules.Alerts()));
        Get(routes, "targets", (p, _, _) => Task.FromResult(_status.Targets(p)));
        Get(routes, "scrape_pools", (_, _, _) => Task.FromResult(_status.Pools()));
        Get(routes, "targets/metadata", (p, _, c) => Task.FromResult(_targetMetadata.Answer(p, c)));
        Get(routes, "alertmanagers", (_, _, _) => Task.FromResult(StatusEndpoints.Alertmanagers()));
        Get(routes, "status/buildinfo", (_, _, _) => Task.FromResult(_status.Build()));
        Get(routes, "status/runtimeinfo", (_, _, _) => Task.FromResult(_status.Runtime()));
        Get(routes, "status/walreplay", (_, _, _) => Task.FromResult(StatusEndpoints.WalReplay()));
        Get(routes, "notifications", (_, _, _) => Task.FromResult(StatusEndpoints.Notifications()));
        Get(routes, "status/config", (_, _, _) => Task.FromResult(_status.Config()));
        Get(routes, "status/flags", (_, _, _) => Task.FromResult(_status.Flags()));
        Get(routes, "status/tsdb", (p, _, c) => Task.FromResult(_status.Store(p, c)));
        var admin = new AdminEndpoints(_sources.Admin);
        Change(routes, "delete_series", admin.DeleteAsync);
        Change(routes, "clean_tombstones", (_, _) => Task.FromResult(admin.Clean()));
        Change(routes, "snapshot", async (_, c) => await admin.SnapshotAsync(c));
        routes.MapMethods("/federate", ["GET", "HEAD"], (HttpContext h) => _federate.AnswerAsync(h));
        routes.MapNotTaken();
        routes.MapMethods("/-/healthy", ["GET", "HEAD"], (HttpContext h) => TextAsync(h, 200, "Bellwether is Healthy.\n"));
        routes.MapMethods("/-/ready", ["GET", "HEAD"], (HttpContext h) => _sources.Ready?.Invoke() ?? true
            ? TextAsync(h, 200, "Bellwether is Ready.\n")
            : TextAsync(h, StatusCodes.Status503ServiceUnavailable, "Service Unavailable\n"));
        routes.MapMethods("/-/reload", ["POST", "PUT"], ReloadAsync);
        if (_sources.Metrics is not null)
            routes.MapMethods("/metrics", ["GET", "HEAD"], MetricsAsync);
    }

    /// <inheritdoc/>
    public void Dispose() => _slots.Dispose();

    private void Get(IEndpointRouteBuilder routes, string path, Func<ApiParameters, HttpContext, CancellationToken, Task<ApiAnswer>> handler) =>
        routes.MapMethods("/api/v1/" + path, ["GET", "HEAD"], (HttpContext h) => AnswerAsync(h, path, handler));

    private void Both(IEndpointRouteBuilder routes, string path, Func<ApiParameters, HttpContext, CancellationToken, Task<ApiAnswer>> handler) =>
        routes.MapMethods("/api/v1/" + path, ["GET", "HEAD", "POST"], (HttpContext h) => AnswerAsync(h, path, handler));

    // Null: done, without content. Asked by POST or PUT only, so that no link or image can do it.
    private void Change(IEndpointRouteBuilder routes, string name, Func<ApiParameters, CancellationToken, Task<ApiAnswer?>> handler) =>
        routes.MapMethods("/api/v1/admin/tsdb/" + name, ["POST", "PUT"], (HttpContext h) => AnswerAsync(h, "admin/tsdb/" + name, async (p, _, c) => await handler(p, c) ?? ApiAnswer.NoContent));

    private async Task AnswerAsync(HttpContext context, string path, Func<ApiParameters, HttpContext, CancellationToken, Task<ApiAnswer>> handler)
    {
        // Routing takes it for the path without it.
        if (context.Request.Path.Value is [.., '/'])
        {
            await TextAsync(context, StatusCodes.Status404NotFound, "404 page not found\n");
            return;
        }
        ApiAnswer answer;
        try
        {
            answer = await ReadFormAsync(context.Request, context.RequestAborted) is (var form, null) read
                ? await handler(new ApiParameters(context.Request.Query, read.Form), context, context.RequestAborted)
                : ApiAnswer.BadData($"error parsing form values: the form is not valid, larger than {_options.FormBytesMax} bytes, or has more than {FormValuesMax} values");
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            answer = ApiAnswer.Canceled("the client went away");
        }
        catch (Exception e)
        {
            LogFailed(path, e);
            answer = ApiAnswer.Internal($"{path} failed; the log says why");
        }
        _requests.Add(1, new("endpoint", path), new("status", answer.Status.ToString(CultureInfo.InvariantCulture)));
        if (!context.RequestAborted.IsCancellationRequested)
            await WriteAsync(context, answer);
    }

    private async Task<(IFormCollection? Form, string? Error)> ReadFormAsync(HttpRequest request, CancellationToken cancellation)
    {
        if (!HttpMethods.IsPost(request.Method) || !request.HasFormContentType)
            return (null, null);
        if (request.ContentLength > _options.FormBytesMax)
            return (null, "too large");
        try
        {
            var limits = new Microsoft.AspNetCore.Http.Features.FormOptions { BufferBodyLengthLimit = _options.FormBytesMax, ValueLengthLimit = _options.FormBytesMax, KeyLengthLimit = 2048, ValueCountLimit = FormValuesMax };
            request.HttpContext.Features.Set<Microsoft.AspNetCore.Http.Features.IFormFeature>(new Microsoft.AspNetCore.Http.Features.FormFeature(request, limits));
            return (await request.ReadFormAsync(cancellation), null);
        }
        catch (Exception e) when (e is InvalidDataException or BadHttpRequestException or IOException)
        {
            return (null, e.Message);
        }
    }

    internal static async Task WriteAsync(HttpContext context, ApiAnswer answer)
    {
        context.Response.StatusCode = answer.Status;
        if (answer.Status == StatusCodes.Status204NoContent)
            return;
        context.Response.ContentType = "application/json";
        if (HttpMethods.IsHead(context.Request.Method))
            return;
        bool gzip = context.Request.Headers.AcceptEncoding.ToString().Contains("gzip", StringComparison.OrdinalIgnoreCase);
        if (!gzip)
        {
            WriteJson(context.Response.BodyWriter, answer);
            await context.Response.BodyWriter.FlushAsync(context.RequestAborted);
            return;
        }
        context.Response.Headers.ContentEncoding = "gzip";
        context.Response.Headers.Vary = "Accept-Encoding";
        await using var zip = new GZipStream(context.Response.Body, CompressionLevel.Fastest, leaveOpen: true);
        PipeWriter writer = PipeWriter.Create(zip, new StreamPipeWriterOptions(minimumBufferSize: FlushBytes, leaveOpen: true));
        WriteJson(writer, answer);
        await writer.CompleteAsync();
    }

    private static void WriteJson(PipeWriter writer, ApiAnswer answer)
    {
        using var json = new Utf8JsonWriter(writer, s_json);
        answer.Write(json);
        json.Flush();
    }

    private async Task ReloadAsync(HttpContext context)
    {
        if (!_options.EnableReload || _sources.Reload is null)
        {
            await TextAsync(context, StatusCodes.Status403Forbidden, "reload is not enabled\n");
            return;
        }
        IReadOnlyList<string> errors = await _sources.Reload(context.RequestAborted);
        if (errors.Count > 0)
            await TextAsync(context, StatusCodes.Status500InternalServerError, "failed to reload config, the running one stays in force:\n" + string.Join('\n', errors) + "\n");
    }

    private async Task MetricsAsync(HttpContext context)
    {
        (string contentType, Func<Stream, CancellationToken, Task> write) = _sources.Metrics!(context.Request.Headers.Accept.ToString());
        context.Response.ContentType = contentType;
        await write(context.Response.Body, context.RequestAborted);
    }

    internal static Task TextAsync(HttpContext context, int status, string text)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "text/plain; charset=utf-8";
        return HttpMethods.IsHead(context.Request.Method) ? Task.CompletedTask : context.Response.WriteAsync(text, context.RequestAborted);
    }

    [LoggerMessage(EventId = 4101, Level = LogLevel.Error, Message = "API endpoint {Path} failed")]
    private partial void LogFailed(string path, Exception error);
}

/// <summary>Mapping in one line.</summary>
public static class QueryApiRoutes
{
    /// <summary>Maps the whole query API.</summary>
    public static void MapQueryApi(this IEndpointRouteBuilder routes, QueryApi api) => api.Map(routes);
}
