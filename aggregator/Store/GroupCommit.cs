using Bellwether.Core.Model;
using Microsoft.Extensions.Logging;

namespace Bellwether.Store;

/// <summary>One group of writes after the other, without a thread: begin, apply what there is, end; only then is anything of the group answered. The writer's thread only.</summary>
internal sealed partial class GroupCommit(StoreEngine engine, StoreOptions options, ILogger log)
{
    private bool _isFull;

    /// <summary>Begins a group: what could not be written before must be written before anything new is taken. Not null: nothing that adds data may be applied, and why.</summary>
    public StoreUnavailableException? Begin()
    {
        bool full;
        try
        {
            if (engine.PendingBytes > 0)
                engine.Commit();
            full = !engine.HasRoom();
        }
        catch (IOException e)
        {
            return Failed(e);
        }
        if (full != _isFull)
        {
            _isFull = full;
            if (full)
                LogFull(log, options.MinFreeBytes);
            else
                LogHasRoom(log, options.MinFreeBytes);
        }
        return full ? new StoreUnavailableException($"the disk has less than {options.MinFreeBytes} bytes free") : null;
    }

    /// <summary>Whether the group takes one more.</summary>
    public bool HasRoomFor(int count) => engine.PendingBytes < options.MaxGroupBytes && count < options.MaxQueued;

    /// <summary>Makes the group durable. Not null: it is not, and nothing of it may be acknowledged.</summary>
    public StoreUnavailableException? End()
    {
        try
        {
            engine.Commit();
            return null;
        }
        catch (IOException e)
        {
            return Failed(e);
        }
    }

    private StoreUnavailableException Failed(IOException e)
    {
        LogCommitFailed(log, e);
        return new StoreUnavailableException("the store could not write to its disk: " + e.Message, e);
    }

    [LoggerMessage(EventId = 5711, Level = LogLevel.Error, Message = "the store's log could not be written")]
    private static partial void LogCommitFailed(ILogger log, Exception error);

    [LoggerMessage(EventId = 5712, Level = LogLevel.Error, Message = "the store's disk is full (less than {MinFreeBytes} bytes free, limits.min_free_disk): new data are refused until there is room, agents keep theirs; queries go on")]
    private static partial void LogFull(ILogger log, long minFreeBytes);

    [LoggerMessage(EventId = 5716, Level = LogLevel.Information, Message = "the store's disk has room again (at least {MinFreeBytes} bytes free): new data are taken")]
    private static partial void LogHasRoom(ILogger log, long minFreeBytes);
}
