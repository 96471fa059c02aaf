using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using Google.Protobuf;

namespace Bellwether.Core.Grpc;

/// <summary>What stood at the head of the bytes.</summary>
internal enum FrameOutcome
{
    /// <summary>A whole message.</summary>
    Message,
    /// <summary>More bytes are needed.</summary>
    NeedMore,
    /// <summary>The flag says compressed; we never agree to that (an inflated length is not bounded by the frame's).</summary>
    Compressed,
    /// <summary>The flag is neither 0 nor 1.</summary>
    BadFlag,
    /// <summary>The declared length is above the limit.</summary>
    TooLarge,
}

/// <summary>Length-prefixed messages: one flag byte, four bytes of length (big-endian), the message.</summary>
internal static class GrpcFrames
{
    /// <summary>Bytes before a message.</summary>
    public const int PrefixBytes = 5;

    /// <summary>Writes a message with its prefix. The caller has checked <paramref name="size"/> against its limit.</summary>
    public static void Write(IBufferWriter<byte> into, IMessage message, int size)
    {
        Span<byte> prefix = into.GetSpan(PrefixBytes);
        prefix[0] = 0;
        BinaryPrimitives.WriteUInt32BigEndian(prefix[1..], (uint)size);
        into.Advance(PrefixBytes);
        message.WriteTo(into);
    }

    /// <summary>Takes one message from the head of <paramref name="bytes"/>, which is moved behind it. The length is checked before anything waits for, or allocates, that much.</summary>
    public static FrameOutcome TryRead(ref ReadOnlySequence<byte> bytes, int maxMessageBytes, out ReadOnlySequence<byte> message, out uint length)
    {
        message = default;
        length = 0;
        if (bytes.Length < PrefixBytes)
            return FrameOutcome.NeedMore;
        Span<byte> prefix = stackalloc byte[PrefixBytes];
        bytes.Slice(0, PrefixBytes).CopyTo(prefix);
        length = BinaryPrimitives.ReadUInt32BigEndian(prefix[1..]);
        if (prefix[0] != 0)
            return prefix[0] == 1 ? FrameOutcome.Compressed : FrameOutcome.BadFlag;
        if (length > (uint)maxMessageBytes)
            return FrameOutcome.TooLarge;
        if (bytes.Length < PrefixBytes + (long)length)
            return FrameOutcome.NeedMore;
        message = bytes.Slice(PrefixBytes, length);
        bytes = bytes.Slice(PrefixBytes + (long)length);
        return FrameOutcome.Message;
    }

    /// <summary>
    /// Reads one message; null at a clean end. Throws <see cref="GrpcStatusException"/> when the peer broke the protocol or a limit, and whatever the transport throws.
    /// </summary>
    public static async ValueTask<T?> ReadAsync<T>(PipeReader reader, MessageParser<T> parser, int maxMessageBytes, GrpcStatusCode compressed, CancellationToken cancellation) where T : class, IMessage<T>
    {
        while (true)
        {
            ReadResult result = await reader.ReadAsync(cancellation);
            if (result.IsCanceled)
                throw new OperationCanceledException("The read was cancelled.");
            ReadOnlySequence<byte> rest = result.Buffer;
            FrameOutcome outcome = TryRead(ref rest, maxMessageBytes, out ReadOnlySequence<byte> message, out uint length);
            if (outcome == FrameOutcome.Message)
            {
                T parsed = Parse(parser, message);
                reader.AdvanceTo(rest.Start);
                return parsed;
            }
            if (outcome != FrameOutcome.NeedMore)
            {
                reader.AdvanceTo(result.Buffer.Start);
                throw new GrpcStatusException(Refusal(outcome, length, maxMessageBytes, compressed));
            }
            // Everything was examined: without saying so, a message larger than the flow-control window would never arrive.
            reader.AdvanceTo(result.Buffer.Start, result.Buffer.End);
            if (!result.IsCompleted)
                continue;
            if (result.Buffer.IsEmpty)
                return null;
            throw new GrpcStatusException(new GrpcStatus(GrpcStatusCode.Internal, $"the stream ended within a message ({result.Buffer.Length} bytes of it came)"));
        }
    }

    private static T Parse<T>(MessageParser<T> parser, ReadOnlySequence<byte> message) where T : class, IMessage<T>
    {
        try
        {
            return parser.ParseFrom(message);
        }
        catch (InvalidProtocolBufferException e)
        {
            throw new GrpcStatusException(new GrpcStatus(GrpcStatusCode.Internal, "the message is not valid protobuf"), e);
        }
    }

    private static GrpcStatus Refusal(FrameOutcome outcome, uint length, int max, GrpcStatusCode compressed) => outcome switch
    {
        FrameOutcome.Compressed => new(compressed, "compressed messages are not taken; grpc-accept-encoding is identity"),
        FrameOutcome.TooLarge => new(GrpcStatusCode.ResourceExhausted, $"a message of {length} bytes is above the limit of {max}"),
        _ => new(GrpcStatusCode.Internal, "the flag before a message is neither 0 nor 1"),
    };
}
