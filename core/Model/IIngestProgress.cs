namespace Bellwether.Core.Model;

/// <summary>How far event time has come: what the rule scheduler knows of the streams (docs/ARCHITECTURE.md, idea 5). Thread-safe.</summary>
public interface IIngestProgress
{
    /// <summary>
    /// Unix ms up to which every connected source has delivered: no sample at or before it will still come by a live stream. <see cref="long.MaxValue"/> when nothing is connected.
    /// </summary>
    long PassedMs { get; }
}
