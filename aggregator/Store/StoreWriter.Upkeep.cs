using Bellwether.Core.Model;
using Bellwether.Store.Wal;
using Microsoft.Extensions.Logging;

namespace Bellwether.Store;

// What goes on beside the writer's thread: cuts, saves of the head, deletions, snapshots (one after the other, by the gate), and merges. What they need of the writer's thread are short steps, between
// which data are taken and acknowledged.
public sealed partial class StoreWriter
{
    /// <summary>Deletes samples for good, from memory, log and chunk files. Throws <see cref="IOException"/> when the disk does not take it: some may be deleted, ask again.</summary>
    public async Task<DeletionResult> DeleteAsync(SeriesDeletion deletion, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(deletion);
        await CutAllAsync(deletion, null, cancellation).ConfigureAwait(false);
        return await Task.Run(() => _engine.DeleteFromFiles(deletion, cancellation), cancellation).ConfigureAwait(false);
    }

    /// <summary>Copies the store as it is into a folder that is empty or not there. Throws <see cref="IOException"/>.</summary>
    public async Task SnapshotAsync(string folder, CancellationToken cancellation)
    {
        StoreSnapshot? snapshot = null;
        try
        {
            await CutAllAsync(null, engine => snapshot = engine.TakeSnapshot(), cancellation).ConfigureAwait(false);
            await Task.Run(() => snapshot!.CopyTo(folder, _options.MinFreeBytes, cancellation), cancellation).ConfigureAwait(false);
        }
        finally
        {
            snapshot?.Dispose();
        }
    }

    // Everything in memory goes into chunk files, but for what is deleted before.
    private async Task CutAllAsync(SeriesDeletion? deletion, Action<StoreEngine>? published, CancellationToken cancellation)
    {
        await _cutGate.WaitAsync(cancellation).ConfigureAwait(false);
        CutJob cut;
        Task finish;
        try
        {
            if (deletion is not null)
            {
                MemoryDeletion going = await OnWriterAsync(engine => engine.BeginDelete(deletion), cancellation).ConfigureAwait(false);
                while (await OnWriterAsync(engine => engine.DeleteSome(going), CancellationToken.None).ConfigureAwait(false))
                {
                }
            }
            (cut, finish) = await OnWriterAsync(engine => Start(engine.BeginCutAll(dropsLog: deletion is not null), published), CancellationToken.None).ConfigureAwait(false);
        }
        catch
        {
            _cutGate.Release();
            throw;
        }
        await finish.ConfigureAwait(false);
        if (cut.Problem is { } problem)
            throw problem;
    }

    // On the writer's thread. Files are written beside it; publishing and dropping come back to it.
    private void Maintain()
    {
        // Else a cut is under way, or a deletion or snapshot waits to begin: the next maintenance looks again.
        bool mayCut = _cutGate.Wait(0);
        if (_engine.BeginMaintain(mayCut) is { } cut)
            Start(cut, null);
        else if (mayCut)
            _cutGate.Release();
    }

    // On the writer's thread; its end gives the gate back.
    private (CutJob Cut, Task Finish) Start(CutJob cut, Action<StoreEngine>? published)
    {
        _cutWritten = Task.Run(() => _engine.WriteCut(cut, _closing.Token));
        Task finish = FinishCutAsync(cut, published);
        Volatile.Write(ref _cutting, finish);
        return (cut, finish);
    }

    private async Task FinishCutAsync(CutJob cut, Action<StoreEngine>? published)
    {
        try
        {
            Exception? defect = null;
            try
            {
                await _cutWritten.ConfigureAwait(false);
            }
            catch (Exception e)
            {
                // It ends the writer, as a defect on its own thread does.
                defect = e;
            }
            bool isMore = await OnWriterAsync(engine =>
            {
                if (defect is not null)
                    throw new InvalidOperationException("chunk files could not be written because of a defect", defect);
                engine.PublishCut(cut);
                if (cut.Problem is null)
                    Tell(engine, cut, published);
                return true;
            }, CancellationToken.None).ConfigureAwait(false);
            while (isMore)
                isMore = await OnWriterAsync(engine => engine.DropCut(cut), CancellationToken.None).ConfigureAwait(false);
        }
        catch (StoreUnavailableException e)
        {
            LogCutStopped(_log, e.Message);
        }
        finally
        {
            _cutGate.Release();
        }
    }

    // What the caller cannot do with it must not keep the cut from its end.
    private static void Tell(StoreEngine engine, CutJob cut, Action<StoreEngine>? published)
    {
        try
        {
            published?.Invoke(engine);
        }
        catch (IOException e)
        {
            cut.UseFailed = e;
        }
    }

    // On the writer's thread, between groups: the head is written beside it like a cut.
    private void SaveIfDue()
    {
        if (_closing.IsCancellationRequested || !_cutGate.Wait(0))
            return;
        HeadSaver? saver = null;
        try
        {
            saver = _engine.IsSaveDue ? _engine.BeginSave() : null;
        }
        catch (IOException e)
        {
            LogSaveNotBegun(_log, e);
        }
        if (saver is null)
            _cutGate.Release();
        else
            Volatile.Write(ref _cutting, SaveAsync(saver));
    }

    private async Task SaveAsync(HeadSaver saver)
    {
        try
        {
            Exception? defect = null;
            try
            {
                await Task.Run(() => _engine.WriteSave(saver, _closing.Token)).ConfigureAwait(false);
            }
            catch (Exception e)
            {
                // It ends the writer, as a defect on its own thread does.
                defect = e;
            }
            await OnWriterAsync(engine =>
            {
                if (defect is not null)
                    throw new InvalidOperationException("the head could not be saved because of a defect", defect);
                engine.EndSave(saver);
                return true;
            }, CancellationToken.None).ConfigureAwait(false);
            await Task.Run(() => StoreEngine.PutSaved(saver)).ConfigureAwait(false);
            await OnWriterAsync(engine =>
            {
                engine.FinishSave(saver);
                return true;
            }, CancellationToken.None).ConfigureAwait(false);
        }
        catch (StoreUnavailableException e)
        {
            LogCutStopped(_log, e.Message);
        }
        finally
        {
            saver.Writer?.Dispose();
            _cutGate.Release();
        }
    }

    private void MergeBeside()
    {
        if (Interlocked.Exchange(ref _isMerging, 1) != 0)
            return;
        try
        {
            _engine.MergeFiles(_closing.Token);
        }
        catch (OperationCanceledException e)
        {
            LogMergeStopped(_log, e.Message);
        }
        finally
        {
            Volatile.Write(ref _isMerging, 0);
        }
    }

    [LoggerMessage(EventId = 5713, Level = LogLevel.Debug, Message = "a merge of chunk files ends with the store: {Reason}")]
    private static partial void LogMergeStopped(ILogger log, string reason);

    [LoggerMessage(EventId = 5714, Level = LogLevel.Debug, Message = "a cut ends with the store: {Reason}")]
    private static partial void LogCutStopped(ILogger log, string reason);

    [LoggerMessage(EventId = 5715, Level = LogLevel.Error, Message = "the head could not be saved: what it holds could not be made durable in the log, or the disk does not say how much room there is")]
    private static partial void LogSaveNotBegun(ILogger log, Exception error);
}
