using System.Security.Cryptography;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Bellwether.Serve.Rest;

/// <summary><c>GET /api/v1/openapi.json</c>: what the REST API answers, checked against its answers by a test. The document is <c>openapi.json</c> beside this file.</summary>
public static class OpenApiEndpoint
{
    private static readonly byte[] s_document = Read();
    private static readonly string s_tag = $"\"{Convert.ToHexStringLower(SHA256.HashData(s_document).AsSpan(0, 16))}\"";

    /// <summary>Maps the endpoint.</summary>
    public static void MapOpenApi(this IEndpointRouteBuilder routes) => routes.MapMethods("/api/v1/openapi.json", ["GET", "HEAD"], AnswerAsync).WithProblems();

    private static async Task AnswerAsync(HttpContext context)
    {
        context.Response.Headers.ETag = s_tag;
        if (context.Request.Headers.IfNoneMatch.Contains(s_tag))
        {
            context.Response.StatusCode = StatusCodes.Status304NotModified;
            return;
        }
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = s_document.Length;
        if (!HttpMethods.IsHead(context.Request.Method))
            await context.Response.BodyWriter.WriteAsync(s_document, context.RequestAborted);
    }

    private static byte[] Read()
    {
        using Stream stream = typeof(OpenApiEndpoint).Assembly.GetManifestResourceStream("rest/openapi.json") ?? throw new InvalidOperationException("openapi.json is not embedded");
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }
}
