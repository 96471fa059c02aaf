using Bellwether.Core.Grpc;
using Bellwether.V1;
using Google.Protobuf.Collections;

namespace Bellwether.Ingest;

/// <summary>What a hello must be to be answered. Pure.</summary>
internal static class HelloRules
{
    /// <summary>The record format that this aggregator reads.</summary>
    public const string Format = "format/1";

    /// <summary>The refusal, or null when the hello is fine.</summary>
    public static GrpcStatus? Check(Hello hello, string identity, IngestOptions options)
    {
        if (CheckName(hello.AgentId, identity, options) is { } name)
            return name;
        if (hello.Capabilities.Count > 0 && !hello.Capabilities.Contains(Format))
            return new GrpcStatus(GrpcStatusCode.FailedPrecondition, $"the agent speaks [{Cut(string.Join(", ", hello.Capabilities))}], this aggregator reads {Format}: update the older of the two");
        if (hello.OpenSegments.Count + hello.DroppedSegments.Count > options.MaxAnnouncedSegments)
            return new GrpcStatus(GrpcStatusCode.ResourceExhausted, $"{hello.OpenSegments.Count} announced segments are above the limit of {options.MaxAnnouncedSegments} (IngestOptions.MaxAnnouncedSegments)");
        if (hello.Version.Length > options.MaxTextLength || hello.ProcessId.Length > options.MaxTextLength)
            return new GrpcStatus(GrpcStatusCode.InvalidArgument, $"version and process_id are at most {options.MaxTextLength} characters long");
        return CheckLabels(hello.Labels, options);
    }

    /// <summary>The same for what an agent says of itself when it registers.</summary>
    public static GrpcStatus? Check(RegisterRequest request, string identity, IngestOptions options)
    {
        if (CheckName(request.AgentId, identity, options) is { } name)
            return name;
        if (request.Version.Length > options.MaxTextLength)
            return new GrpcStatus(GrpcStatusCode.InvalidArgument, $"version is at most {options.MaxTextLength} characters long");
        return CheckLabels(request.Labels, options);
    }

    private static GrpcStatus? CheckName(string agentId, string identity, IngestOptions options)
    {
        if (agentId.Length == 0 || agentId.Length > options.MaxTextLength || agentId == "*" || agentId.AsSpan().ContainsAnyExceptInRange('!', '~'))
            return new GrpcStatus(GrpcStatusCode.InvalidArgument, $"agent_id must be 1 to {options.MaxTextLength} characters of printable ASCII without spaces, and not '*'");
        if (identity != "*" && identity != agentId)
            return new GrpcStatus(GrpcStatusCode.PermissionDenied, $"the credential belongs to agent '{identity}', the hello says '{agentId}'");
        return null;
    }

    private static GrpcStatus? CheckLabels(MapField<string, string> labels, IngestOptions options)
    {
        if (labels.Count > options.MaxLabels)
            return new GrpcStatus(GrpcStatusCode.InvalidArgument, $"{labels.Count} labels are above the limit of {options.MaxLabels} (IngestOptions.MaxLabels)");
        foreach ((string name, string value) in labels)
        {
            if (name.Length == 0 || name.Length > options.MaxTextLength || value.Length > options.MaxTextLength)
                return new GrpcStatus(GrpcStatusCode.InvalidArgument, $"label '{Cut(name)}': name and value are at most {options.MaxTextLength} characters long, the name at least 1");
        }
        return null;
    }

    private static string Cut(string text) => text.Length <= 100 ? text : text[..100] + "...";
}
