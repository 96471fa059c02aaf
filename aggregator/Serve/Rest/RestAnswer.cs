using System.Buffers;
using System.Security.Cryptography;
using System.Text.Encodings.Web;
using System.Text.Json;
using Microsoft.AspNetCore.Http;

namespace Bellwether.Serve.Rest;

/// <summary>
/// An answer of the REST API: JSON with an ETag (304 when the client has it already), or a problem. Source of the latter: RFC 9457.
/// </summary>
internal sealed class RestAnswer
{
    private static readonly JsonWriterOptions s_json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private RestAnswer(int status, string contentType, Action<Utf8JsonWriter> body)
    {
        Status = status;
        ContentType = contentType;
        Body = body;
    }

    public int Status { get; }

    private string ContentType { get; }

    private Action<Utf8JsonWriter> Body { get; }

    public static RestAnswer Ok(Action<Utf8JsonWriter> body) => new(StatusCodes.Status200OK, "application/json", body);

    /// <summary>A problem: what is wrong, and what would be right.</summary>
    public static RestAnswer Problem(int status, string title, string detail, string parameter = "") => new(status, "application/problem+json", json =>
    {
        json.WriteStartObject();
        json.WriteString("type", "about:blank");
        json.WriteString("title", title);
        json.WriteNumber("status", status);
        json.WriteString("detail", detail);
        if (parameter.Length > 0)
            json.WriteString("parameter", parameter);
        json.WriteEndObject();
    });

    public static RestAnswer BadParameter(string name, string detail) => Problem(StatusCodes.Status400BadRequest, "a parameter is wrong", $"{name}: {detail}", name);

    /// <summary>Sends it.</summary>
    public async Task SendAsync(HttpContext context)
    {
        var buffer = new ArrayBufferWriter<byte>(4096);
        await using (var writer = new Utf8JsonWriter(buffer, s_json))
            Body(writer);
        HttpResponse response = context.Response;
        if (Status == StatusCodes.Status200OK)
        {
            string tag = $"\"{Convert.ToHexStringLower(SHA256.HashData(buffer.WrittenSpan).AsSpan(0, 16))}\"";
            response.Headers.ETag = tag;
            response.Headers.CacheControl = "no-cache";
            if (Has(context.Request.Headers.IfNoneMatch, tag))
            {
                response.StatusCode = StatusCodes.Status304NotModified;
                return;
            }
        }
        response.StatusCode = Status;
        response.ContentType = ContentType;
        response.ContentLength = buffer.WrittenCount;
        if (!HttpMethods.IsHead(context.Request.Method))
            await response.BodyWriter.WriteAsync(buffer.WrittenMemory, context.RequestAborted);
    }

    private static bool Has(IEnumerable<string?> headers, string tag) => headers
        .SelectMany(h => (h ?? "").Split(','))
        .Select(h => h.Trim())
        .Any(h => h == "*" || h == tag || h == "W/" + tag);
}
