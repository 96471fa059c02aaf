namespace Bellwether.Core.Grpc;

/// <summary>The status codes of gRPC. Values are the wire's (grpc/grpc doc/statuscodes.md).</summary>
public enum GrpcStatusCode
{
    /// <summary>Success.</summary>
    Ok = 0,
    /// <summary>Cancelled, mostly by the caller.</summary>
    Cancelled = 1,
    /// <summary>An error that nothing more is known of.</summary>
    Unknown = 2,
    /// <summary>The caller said something wrong.</summary>
    InvalidArgument = 3,
    /// <summary>The deadline passed first.</summary>
    DeadlineExceeded = 4,
    /// <summary>What was asked for is not there.</summary>
    NotFound = 5,
    /// <summary>What was to be made is there already.</summary>
    AlreadyExists = 6,
    /// <summary>Known, but not allowed.</summary>
    PermissionDenied = 7,
    /// <summary>A limit stands against it.</summary>
    ResourceExhausted = 8,
    /// <summary>The state does not allow it; do not try again as it is.</summary>
    FailedPrecondition = 9,
    /// <summary>Given up; try again at a higher level.</summary>
    Aborted = 10,
    /// <summary>Past the valid range.</summary>
    OutOfRange = 11,
    /// <summary>The method, or what it would need, is not there.</summary>
    Unimplemented = 12,
    /// <summary>An invariant broke.</summary>
    Internal = 13,
    /// <summary>Not reachable now; try again with backoff.</summary>
    Unavailable = 14,
    /// <summary>Lost or damaged for good.</summary>
    DataLoss = 15,
    /// <summary>No valid credentials.</summary>
    Unauthenticated = 16,
}

/// <summary>How a call ended.</summary>
/// <param name="Code">The code.</param>
/// <param name="Message">For people; may hold any text, empty when there is nothing to say.</param>
/// <param name="Details">The bytes of <c>grpc-status-details-bin</c> (a serialized google.rpc.Status by convention); empty: none. At most <see cref="MaxDetailsBytes"/> are sent.</param>
public readonly record struct GrpcStatus(GrpcStatusCode Code, string Message = "", ReadOnlyMemory<byte> Details = default)
{
    /// <summary>Trailers must fit a peer's header limits (8 KiB by default in grpcio): 4 KiB of details.</summary>
    public const int MaxDetailsBytes = 4096;

    /// <summary>Longest message in UTF-16 units; what is longer is cut.</summary>
    public const int MaxMessageLength = 1024;

    /// <summary>Success.</summary>
    public static GrpcStatus Ok { get; } = new(GrpcStatusCode.Ok);

    /// <summary>Whether the call succeeded.</summary>
    public bool IsOk => Code == GrpcStatusCode.Ok;

    /// <inheritdoc/>
    public override string ToString() => Message.Length == 0 ? Code.ToString() : $"{Code}: {Message}";
}

/// <summary>A call ended with this status. Thrown by writes to a call that has ended, and by a server's read when the client broke the protocol.</summary>
public sealed class GrpcStatusException : Exception
{
    /// <summary>With a status.</summary>
    public GrpcStatusException(GrpcStatus status) : base(status.ToString()) => Status = status;

    /// <summary>With a status and its cause.</summary>
    public GrpcStatusException(GrpcStatus status, Exception inner) : base(status.ToString(), inner) => Status = status;

    /// <summary>Unknown.</summary>
    public GrpcStatusException() : this(new GrpcStatus(GrpcStatusCode.Unknown)) { }

    /// <summary>Unknown, with a message.</summary>
    public GrpcStatusException(string message) : this(new GrpcStatus(GrpcStatusCode.Unknown, message)) { }

    /// <summary>Unknown, with a message and its cause.</summary>
    public GrpcStatusException(string message, Exception inner) : this(new GrpcStatus(GrpcStatusCode.Unknown, message), inner) { }

    /// <summary>How the call ended.</summary>
    public GrpcStatus Status { get; }
}
