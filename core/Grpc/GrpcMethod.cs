using Google.Protobuf;

namespace Bellwether.Core.Grpc;

/// <summary>A method: where it is and how its messages are read. The same object serves the client and the server. Immutable.</summary>
public sealed class GrpcMethod<TRequest, TResponse>
    where TRequest : class, IMessage<TRequest>
    where TResponse : class, IMessage<TResponse>
{
    /// <summary>Describes a method.</summary>
    /// <param name="service">Full name of the service, e.g. <c>bellwether.v1.Aggregator</c>.</param>
    /// <param name="name">The method, e.g. <c>Stream</c>.</param>
    /// <param name="requests">Reads requests.</param>
    /// <param name="responses">Reads responses.</param>
    public GrpcMethod(string service, string name, MessageParser<TRequest> requests, MessageParser<TResponse> responses)
    {
        Path = $"/{service}/{name}";
        Requests = requests;
        Responses = responses;
    }

    /// <summary><c>/service/method</c>.</summary>
    public string Path { get; }

    /// <summary>Reads requests.</summary>
    public MessageParser<TRequest> Requests { get; }

    /// <summary>Reads responses.</summary>
    public MessageParser<TResponse> Responses { get; }
}
