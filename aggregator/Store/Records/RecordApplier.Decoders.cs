using Bellwether.Core.Codec;

namespace Bellwether.Store.Records;

// Decoders of open segments are bounded in number, and per agent in bytes: the one that was idle for longest goes, and its segment must be sent again.
internal sealed partial class RecordApplier
{
    private const int EntriesPerDecoder = 16;
    private readonly Dictionary<string, long> _decoderBytes = [];
    private int _decoders;
    private bool _isLive;

    private void Start(OpenSegment open)
    {
        if (open.Decoder is null)
            _decoders++;
        open.Decoder = new SegmentDecoder();
        // During replay none is given up: frames that need it may follow.
        while (_isLive && _decoders > _options.MaxOpenSegments)
            DropOldestDecoder(open);
        if (_isLive && _open.Count > _options.MaxOpenSegments * EntriesPerDecoder)
            _open.Remove(_open.Values.Where(o => o != open && o.Decoder is null).MinBy(o => o.LastUse)!.Key);
    }

    private void DropOldestDecoder(OpenSegment? except)
    {
        OpenSegment? oldest = _open.Values.Where(o => o.Decoder is not null && o != except).MinBy(o => o.LastUse);
        if (oldest is not null)
            Drop(oldest);
    }

    // The bound on the number of decoders says nothing of their size, which the sender has in its hand.
    private void Weigh(OpenSegment open)
    {
        string agent = open.Key.Agent;
        long bytes = open.Decoder?.MemoryBytes ?? 0;
        long sum = _decoderBytes.GetValueOrDefault(agent) + bytes - open.DecoderBytes;
        open.DecoderBytes = bytes;
        _decoderBytes[agent] = sum;
        while (_decoderBytes.GetValueOrDefault(agent) > _options.MaxDecoderBytesPerAgent
            && _open.Values.Where(o => o.Decoder is not null && o != open && o.Key.Agent == agent).MinBy(o => o.LastUse) is { } oldest)
        {
            Drop(oldest);
        }
    }

    private void Drop(OpenSegment open)
    {
        if (open.DecoderBytes > 0 && (_decoderBytes[open.Key.Agent] -= open.DecoderBytes) == 0)
            _decoderBytes.Remove(open.Key.Agent);
        open.DecoderBytes = 0;
        if (open.Decoder is not null)
            _decoders--;
        open.Decoder = null;
        open.Waits = false;
    }
}
