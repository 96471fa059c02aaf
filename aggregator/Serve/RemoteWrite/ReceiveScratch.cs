using Bellwether.Core.Codec;
using Bellwether.Core.Model;

namespace Bellwether.Serve.RemoteWrite;

/// <summary>What a request needs while it is received, kept for the next one: buffers, readers, the batch. Large arrays made for each request would let the collector walk the whole heap again and again.</summary>
internal sealed class ReceiveScratch(RemoteWriteReceiveOptions options, SeriesCache series)
{
    /// <summary>Larger buffers are not kept: they are rare.</summary>
    private const int KeptBytesMax = 4 << 20;

    /// <summary>A batch of more samples is not kept.</summary>
    private const int KeptSamplesMax = 50_000;
    private const int FirstBodyBytes = 64 << 10;
    private readonly WriteRequestReader _reader = new(options, series);
    private WriteRequestV2Reader? _readerV2;
    private byte[] _body = [];
    private byte[] _plain = [];

    public SampleBatch Batch { get; private set; } = new();

    public RequestReader ReaderOf(bool v2) => v2 ? _readerV2 ??= new WriteRequestV2Reader(options) : _reader;

    /// <summary>The buffer for the body, larger than what is in it; the bytes so far are kept.</summary>
    /// <param name="length">Bytes in it.</param>
    /// <param name="announced">How long the body will be, if that is known.</param>
    public Memory<byte> BodyRoom(int length, long? announced)
    {
        long max = options.BodyBytesMax + 1L, wanted = announced is { } told ? told + 1 : Math.Max(FirstBodyBytes, length * 4L);
        if (_body.Length <= length || (announced is not null && _body.Length < Math.Min(wanted, max)))
        {
            byte[] larger = GC.AllocateUninitializedArray<byte>((int)Math.Min(wanted, max));
            _body.AsSpan(0, length).CopyTo(larger);
            _body = larger;
        }
        return _body;
    }

    /// <summary>Inflates the body; gives why it cannot be, or null.</summary>
    public string? Inflate(int length, out ReadOnlyMemory<byte> message)
    {
        message = default;
        SnappyOutcome outcome = Snappy.TryGetLength(_body.AsSpan(0, length), options.InflatedBytesMax, out int plainLength);
        if (outcome == SnappyOutcome.Ok)
        {
            if (_plain.Length < plainLength)
                _plain = GC.AllocateUninitializedArray<byte>((int)Math.Min(options.InflatedBytesMax, plainLength + (plainLength / 4L)));
            outcome = Snappy.TryInflate(_body.AsSpan(0, length), _plain.AsSpan(0, plainLength));
        }
        if (outcome == SnappyOutcome.Ok)
        {
            message = _plain.AsMemory(0, plainLength);
            return null;
        }
        return outcome == SnappyOutcome.TooLarge
            ? $"the body declares more than it can hold or more than {options.InflatedBytesMax} bytes after inflation"
            : "the body is no snappy block (the framed format is not accepted)";
    }

    /// <summary>Somebody may still read the batch: the next request gets another one.</summary>
    public void ForgetBatch() => Batch = new SampleBatch();

    /// <summary>Makes it ready for the next request.</summary>
    public void Clear()
    {
        if (_body.Length > KeptBytesMax)
            _body = [];
        if (_plain.Length > KeptBytesMax)
            _plain = [];
        if (Batch.Samples.Capacity > KeptSamplesMax || Batch.Exemplars.Capacity > KeptSamplesMax || Batch.Metadata.Capacity > KeptSamplesMax)
            ForgetBatch();
        Batch.Samples.Clear();
        Batch.Exemplars.Clear();
        Batch.Metadata.Clear();
    }
}
