namespace Bellwether.Store.Wal;

/// <summary>Where the samples of a batch's frame have come to; what the next one shares with the one before is not written (docs/formats/wal.md).</summary>
/// <param name="TimeMs">The time of the sample before; 0 at the start of a frame.</param>
/// <param name="StepMs">The last step forward in time.</param>
/// <param name="Number">The series' number of the sample before, plus one.</param>
internal readonly record struct BatchPlace(long TimeMs, long StepMs, int Number)
{
    /// <summary>In a head: a number follows.</summary>
    public const int NumberGiven = 4;

    /// <summary>In a head: a time follows.</summary>
    public const int TimeGiven = 8;

    /// <summary>Instead of a head: a start time follows, then the head.</summary>
    public const byte Start = 0xF1;

    /// <summary>The number that a sample of a time has if none is given: later samples are of the same series, as in history; of the same time, of the series behind it, as in a scrape.</summary>
    public int Expected(long timeMs) => timeMs > TimeMs && Number > 0 ? Number - 1 : Number;

    /// <summary>The place behind a sample.</summary>
    public BatchPlace To(long timeMs, int number) => new(timeMs, timeMs > TimeMs && Number > 0 ? timeMs - TimeMs : StepMs, number + 1);
}
