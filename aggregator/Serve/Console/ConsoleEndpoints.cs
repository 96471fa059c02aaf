using System.Reflection;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Net.Http.Headers;

namespace Bellwether.Serve.Console;

/// <summary>
/// The web console at <c>/</c>: a page built by Vite (sources in <c>web/</c>, built files in <c>dist/</c>, embedded). Scripts and styles come from here alone;
/// the content security policy says so, with a nonce for the styles that the component library writes.
/// </summary>
public static class ConsoleEndpoints
{
    private const string ResourcePrefix = "console/";
    private static readonly string[] s_read = [HttpMethods.Get, HttpMethods.Head];

    /// <summary>Maps <c>/</c> and <c>/assets/*</c>.</summary>
    public static void MapConsole(this IEndpointRouteBuilder routes)
    {
        string page = Encoding.UTF8.GetString(Read("index.html") ?? throw new InvalidOperationException("the console's page is not embedded"));
        routes.MapMethods("/", s_read, (HttpContext context) => WritePageAsync(context, page));
        routes.MapMethods("/assets/{name}", s_read, WriteAssetAsync);
    }

    private static Task WritePageAsync(HttpContext context, string page)
    {
        string nonce = Convert.ToBase64String(RandomNumberGenerator.GetBytes(16));
        IHeaderDictionary headers = context.Response.Headers;
        headers.ContentSecurityPolicy =
            $"default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
        headers.CacheControl = "no-store";
        AddCommonHeaders(headers);
        context.Response.ContentType = "text/html; charset=utf-8";
        return HttpMethods.IsHead(context.Request.Method) ? Task.CompletedTask : context.Response.WriteAsync(page.Replace("__NONCE__", nonce, StringComparison.Ordinal), context.RequestAborted);
    }

    private static async Task WriteAssetAsync(HttpContext context, string name)
    {
        byte[]? body = Read("assets/" + name);
        AddCommonHeaders(context.Response.Headers);
        if (body is null)
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return;
        }
        // The name carries the content's hash.
        context.Response.Headers.CacheControl = "public, max-age=31536000, immutable";
        context.Response.ContentType = Path.GetExtension(name) switch
        {
            ".js" => "text/javascript; charset=utf-8",
            ".css" => "text/css; charset=utf-8",
            ".svg" => "image/svg+xml",
            _ => "application/octet-stream",
        };
        context.Response.ContentLength = body.Length;
        if (!HttpMethods.IsHead(context.Request.Method))
            await context.Response.Body.WriteAsync(body, context.RequestAborted);
    }

    private static void AddCommonHeaders(IHeaderDictionary headers)
    {
        headers[HeaderNames.XContentTypeOptions] = "nosniff";
        headers["Referrer-Policy"] = "no-referrer";
    }

    private static byte[]? Read(string path)
    {
        using Stream? stream = Assembly.GetExecutingAssembly().GetManifestResourceStream(ResourcePrefix + path);
        if (stream is null)
            return null;
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }
}
