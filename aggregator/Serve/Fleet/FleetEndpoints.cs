using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Bellwether.Serve.Fleet;

/// <summary><c>GET /api/v1/agents</c>: the fleet, in the envelope of the Prometheus API.</summary>
public static class FleetEndpoints
{
    /// <summary>Maps the endpoint.</summary>
    public static void MapFleet(this IEndpointRouteBuilder routes, IFleetSource fleet) =>
        routes.MapMethods("/api/v1/agents", ["GET", "HEAD"], (HttpContext context) => WriteAsync(context, fleet.Agents()));

    private static async Task WriteAsync(HttpContext context, IReadOnlyList<FleetAgent> agents)
    {
        context.Response.ContentType = "application/json";
        await using var json = new Utf8JsonWriter(context.Response.BodyWriter);
        json.WriteStartObject();
        json.WriteString("status", "success");
        json.WriteStartObject("data");
        json.WriteStartArray("agents");
        foreach (FleetAgent agent in agents)
            WriteAgent(json, agent);
        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteEndObject();
        await json.FlushAsync(context.RequestAborted);
    }

    private static void WriteAgent(Utf8JsonWriter json, FleetAgent agent)
    {
        json.WriteStartObject();
        json.WriteString("id", agent.Id);
        json.WriteString("version", agent.Version);
        json.WriteStartObject("labels");
        foreach ((string name, string value) in agent.Labels.OrderBy(l => l.Key, StringComparer.Ordinal))
            json.WriteString(name, value);
        json.WriteEndObject();
        json.WriteBoolean("connected", agent.Connected);
        json.WriteNumber("lastSeenMs", agent.LastSeenMs);
        json.WriteNumber("newestMs", agent.NewestMs);
        json.WriteNumber("clockOffsetMs", agent.ClockOffsetMs);
        if (agent.Coverage is { } coverage)
            json.WriteNumber("coverage", coverage);
        else
            json.WriteNull("coverage");
        json.WriteNumber("series", agent.Series);
        json.WriteNumber("samples", agent.Samples);
        json.WriteNumber("spoolRecords", agent.SpoolRecords);
        json.WriteNumber("spoolBytes", agent.SpoolBytes);
        json.WriteStartArray("sources");
        foreach (FleetSource source in agent.Sources)
        {
            json.WriteStartObject();
            json.WriteString("name", source.Name);
            json.WriteNumber("intervalMs", source.IntervalMs);
            json.WriteNumber("newestMs", source.NewestMs);
            json.WriteNumber("received", source.Received);
            json.WriteNumber("due", source.Due);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }
}
