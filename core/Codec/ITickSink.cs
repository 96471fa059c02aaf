namespace Bellwether.Core.Codec;

/// <summary>Takes completed ticks, one at a time. The tick is valid during the call only.</summary>
public interface ITickSink
{
    /// <summary>Takes a tick whose <see cref="SourceTick.Complete"/> was called.</summary>
    void Take(SourceTick tick);
}
