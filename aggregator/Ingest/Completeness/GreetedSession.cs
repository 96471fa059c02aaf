namespace Bellwether.Ingest.Completeness;

/// <summary>What a session's hello says, as far as completeness needs it.</summary>
/// <param name="Agent">Who.</param>
/// <param name="ProcessId">Random per process start.</param>
/// <param name="Epoch">Of its spool.</param>
/// <param name="Announced">The segments that it holds.</param>
/// <param name="NextNumber">The number of its next segment; 0: it does not say.</param>
public sealed record Greeting(string Agent, string ProcessId, ulong Epoch, IReadOnlyList<(ulong Epoch, ulong Number)> Announced, ulong NextNumber = 0);

/// <summary>What is remembered of a session until its missing segments are judged. Not thread-safe: the book's gate guards it.</summary>
internal sealed class GreetedSession(Greeting hello)
{
    public Greeting Hello => hello;

    public long LiveMs { get; set; }

    public ulong LiveNumber { get; set; }

    public ulong? HeldTo { get; init; }

    public bool IsSameProcess { get; init; }

    public long NewestMs { get; init; }

    public bool IsJudged { get; set; }

    public long DroppedBefore { get; init; }
}
