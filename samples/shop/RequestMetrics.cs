namespace Bellwether.Samples.Shop;

/// <summary>Counts and times every request by method, route and status.</summary>
internal sealed class RequestMetrics(RequestDelegate next, ShopMetrics metrics, TimeProvider time)
{
    public async Task InvokeAsync(HttpContext context)
    {
        long start = time.GetTimestamp();
        try
        {
            await next(context);
        }
        catch (Exception e) when (e is Npgsql.NpgsqlException or InvalidOperationException)
        {
            context.Response.StatusCode = StatusCodes.Status500InternalServerError;
        }
        string route = (context.GetEndpoint() as RouteEndpoint)?.RoutePattern.RawText ?? "unmatched";
        if (route is "/metrics" or "/health" or "/load/{action}")
            return;
        string status = context.Response.StatusCode.ToString(System.Globalization.CultureInfo.InvariantCulture);
        metrics.Requests.Add(1, context.Request.Method, route, status);
        metrics.RequestDuration.Observe(time.GetElapsedTime(start).TotalSeconds, 0, context.Request.Method, route, status);
    }
}
