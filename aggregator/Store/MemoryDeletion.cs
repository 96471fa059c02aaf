namespace Bellwether.Store;

/// <summary>A deletion on its way through memory, some series at a time. The writer's thread only.</summary>
/// <param name="Deletion">What goes.</param>
/// <param name="References">Series with this number or a higher one came after it was asked for.</param>
internal sealed record MemoryDeletion(SeriesDeletion Deletion, int References)
{
    /// <summary>The number of the series with which it goes on.</summary>
    public int Next { get; set; }
}
