namespace Bellwether.Store.Upkeep;

/// <summary>Something that is not whole.</summary>
/// <param name="File">Its path within the store's folder.</param>
/// <param name="Offset">Where in the file; -1: the file as a whole.</param>
/// <param name="What">What is wrong.</param>
/// <param name="Cost">What that costs: which samples are missing, or that nothing is.</param>
public sealed record StoreDamage(string File, long Offset, string What, string Cost)
{
    /// <inheritdoc/>
    public override string ToString() => $"{File}{(Offset < 0 ? "" : $", byte {Offset}")}: {What}; {Cost}";
}

/// <summary>What a check of a store's folder found. See <see cref="StoreVerifier"/>.</summary>
public sealed class StoreReport
{
    /// <summary>Damage of which no more is listed, only counted.</summary>
    public const int MaxListed = 1000;

    private readonly List<StoreDamage> _damage = [];

    /// <summary>The store's id; empty: the file is missing or damaged.</summary>
    public string StoreId { get; internal set; } = "";

    /// <summary>Chunk files that open.</summary>
    public int ChunkFiles { get; internal set; }

    /// <summary>Bytes of all chunk files.</summary>
    public long ChunkFileBytes { get; internal set; }

    /// <summary>Whole chunks.</summary>
    public long Chunks { get; internal set; }

    /// <summary>Samples in whole chunks.</summary>
    public long Samples { get; internal set; }

    /// <summary>Oldest and newest sample in chunk files, Unix ms.</summary>
    public (long OldestMs, long NewestMs) Range { get; internal set; } = (long.MaxValue, long.MinValue);

    /// <summary>Files of the log with frames.</summary>
    public int LogFiles { get; internal set; }

    /// <summary>Whole frames of the log.</summary>
    public long LogFrames { get; internal set; }

    /// <summary>Bytes of writes at the end of the log that were not finished: nothing that was ever acknowledged.</summary>
    public long TornLogBytes { get; internal set; }

    /// <summary>Whole checkpoints: 0 to 2.</summary>
    public int Checkpoints { get; internal set; }

    /// <summary>Files that lie in quarantine already.</summary>
    public int Quarantined { get; internal set; }

    /// <summary>How much is damaged.</summary>
    public long DamageCount { get; private set; }

    /// <summary>What is damaged; at most <see cref="MaxListed"/>.</summary>
    public IReadOnlyList<StoreDamage> Damage => _damage;

    /// <summary>Nothing is damaged.</summary>
    public bool IsGood => DamageCount == 0;

    internal void Add(string file, long offset, string what, string cost)
    {
        DamageCount++;
        if (_damage.Count < MaxListed)
            _damage.Add(new StoreDamage(file, offset, what, cost));
    }
}
