using Bellwether.GrpcHealth.V1;
using Bellwether.V1;

namespace Bellwether.Core.Grpc;

/// <summary>The methods of <c>proto/</c>, by hand: the generator for services cannot be had (docs/decisions/0002).</summary>
public static class WireMethods
{
    /// <summary>The aggregator's service.</summary>
    public const string AggregatorService = "bellwether.v1.Aggregator";

    /// <summary>The standard health service.</summary>
    public const string HealthService = "grpc.health.v1.Health";

    /// <summary>The agents' session; both directions stream.</summary>
    public static GrpcMethod<AgentMessage, AggregatorMessage> Stream { get; } = new(AggregatorService, "Stream", AgentMessage.Parser, AggregatorMessage.Parser);

    /// <summary>Makes an agent known; unary.</summary>
    public static GrpcMethod<RegisterRequest, RegisterResponse> Register { get; } = new(AggregatorService, "Register", RegisterRequest.Parser, RegisterResponse.Parser);

    /// <summary>Asks once; unary.</summary>
    public static GrpcMethod<HealthCheckRequest, HealthCheckResponse> HealthCheck { get; } = new(HealthService, "Check", HealthCheckRequest.Parser, HealthCheckResponse.Parser);

    /// <summary>Tells every change; the server streams.</summary>
    public static GrpcMethod<HealthCheckRequest, HealthCheckResponse> HealthWatch { get; } = new(HealthService, "Watch", HealthCheckRequest.Parser, HealthCheckResponse.Parser);
}
