using Bellwether.Serve.QueryApi;
using Bellwether.Serve.Rest;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Routing.Template;
using Microsoft.Extensions.DependencyInjection;

namespace Bellwether.Serve;

/// <summary>
/// What no endpoint below <c>/api/</c> takes: a path that is none, in Prometheus' words, or one that is not asked like that. The latter is told as the path tells its other errors:
/// a problem (RFC 9457) where it answers those, else Prometheus' envelope.
/// </summary>
internal static class NotTaken
{
    /// <summary>Marks endpoints whose errors are problems.</summary>
    public static TBuilder WithProblems<TBuilder>(this TBuilder endpoint)
        where TBuilder : IEndpointConventionBuilder => endpoint.WithMetadata(ProblemMark.Instance);

    /// <summary>Maps the rest of <c>/api/</c>.</summary>
    public static void MapNotTaken(this IEndpointRouteBuilder routes) => routes.Map("/api/{**rest}", AnswerAsync);

    private static Task AnswerAsync(HttpContext context)
    {
        var methods = new SortedSet<string>(StringComparer.Ordinal);
        var values = new RouteValueDictionary();
        bool asProblem = false;
        foreach (RouteEndpoint endpoint in context.RequestServices.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>())
        {
            if (endpoint.Metadata.GetMetadata<IHttpMethodMetadata>() is not { HttpMethods.Count: > 0 } asked || !new TemplateMatcher(new RouteTemplate(endpoint.RoutePattern), values).TryMatch(context.Request.Path, values))
                continue;
            methods.UnionWith(asked.HttpMethods);
            asProblem |= endpoint.Metadata.GetMetadata<ProblemMark>() is not null;
        }
        if (methods.Count == 0)
            return QueryApi.QueryApi.TextAsync(context, StatusCodes.Status404NotFound, "404 page not found\n");
        string allowed = string.Join(", ", methods);
        string told = $"{context.Request.Path} does not take {context.Request.Method}; it takes {allowed}";
        context.Response.Headers.Allow = allowed;
        return asProblem
            ? RestAnswer.Problem(StatusCodes.Status405MethodNotAllowed, "the method is not taken", told).SendAsync(context)
            : QueryApi.QueryApi.WriteAsync(context, ApiAnswer.NotAllowed(told));
    }

    private sealed class ProblemMark
    {
        public static ProblemMark Instance { get; } = new();
    }
}
