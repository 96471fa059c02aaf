using Bellwether.Store.Blocks;
using Bellwether.Store.Head;
using Bellwether.Store.Wal;

namespace Bellwether.Store;

/// <summary>
/// Partitions on their way from memory into chunk files. Samples keep coming meanwhile: those that belong into these partitions and come after the begin stay in memory, and in the log behind
/// the checkpoint, which says how the store stood at the begin.
/// </summary>
internal sealed class CutJob
{
    /// <summary>Samples before it go into files. A border of partitions, unless everything goes.</summary>
    public required long BoundaryMs { get; init; }

    /// <summary>What will be written when the files are there.</summary>
    public required Checkpoint Checkpoint { get; init; }

    /// <summary>The same for the other of the two files.</summary>
    public Checkpoint Second => Checkpoint with { Number = Checkpoint.Number + 1 };

    /// <summary>The content of the checkpoint, as of the begin.</summary>
    public required byte[] State { get; init; }

    /// <summary>Series with this number or a higher one came after the begin.</summary>
    public required int References { get; init; }

    /// <summary>Samples behind the boundary before the begin: they wait again if it fails.</summary>
    public long Behind { get; init; }

    /// <summary>Begins of the partitions that get a file: something lay in them when writing began. What comes for others since goes into files with the next cut; else history that is loaded
    /// meanwhile would be followed, and written twice, since it stays in memory.</summary>
    public SortedSet<long> Partitions { get; } = [];

    /// <summary>Where samples before the boundary came since the begin.</summary>
    public required TouchedPartitions Touched { get; init; }

    public List<BlockFile> Written { get; } = [];

    /// <summary>Why the files could not be written: nothing is published then.</summary>
    public Exception? Failed { get; set; }

    /// <summary>Why the checkpoint could not be written: the files count all the same, the log stays.</summary>
    public IOException? CheckpointFailed { get; set; }

    /// <summary>Its files and its checkpoint count.</summary>
    public bool IsDone { get; set; }

    /// <summary>Why who asked for it could not use what was published.</summary>
    public IOException? UseFailed { get; set; }

    /// <summary>Why it is not done; null: it is.</summary>
    public IOException? Problem => IsDone ? UseFailed : Failed as IOException ?? CheckpointFailed ?? new IOException("the store was closed before it was done");

    /// <summary>Nothing of the log before its begin may stay: what was deleted stands there. Open segments of agents are sent again from their start.</summary>
    public bool DropsLog { get; set; }

    /// <summary>What else is due follows when it is done; not behind a failure.</summary>
    public bool EndsMaintenance { get; set; }

    public long Samples { get; set; }

    public int Series { get; set; }

    /// <summary>The number of the series with which dropping goes on.</summary>
    public int NextDropped { get; set; }

    /// <summary>Oldest sample of the series that were looked at and of what they hold still.</summary>
    public long OldestMs { get; set; } = long.MaxValue;

    /// <summary>Series that held nothing more when they were looked at.</summary>
    public List<HeadSeries> Empty { get; } = [];
}
