using Bellwether.Core.Platform;

namespace Bellwether.Core.Durable;

/// <summary>
/// Reads a file of which the disk cannot read some places: these come as zeros, so that what stands before and behind them is read, and they are no whole frame. Each place is tried
/// several times: a disk that errs for a moment must not cost what it gives at the next attempt. Not thread-safe.
/// </summary>
internal sealed class SalvagedFile(IDiskFile file) : IDiskFile
{
    /// <summary>Places that a file may lose; a disk that fails altogether would be asked for ever.</summary>
    public const int LostPagesMax = 64;

    private const int PageBytes = 4096;
    private const int Attempts = 3;
    private int _lost;

    /// <summary>Where the last of the places ends that came as zeros; 0: none did.</summary>
    public long LostTo { get; private set; }

    /// <inheritdoc/>
    public long Length => file.Length;

    /// <inheritdoc/>
    public int Read(long offset, Span<byte> into)
    {
        try
        {
            return file.Read(offset, into);
        }
        catch (IOException error) when (DiskErrors.IsBadSector(error))
        {
            return PageByPage(offset, into);
        }
    }

    /// <inheritdoc/>
    public void Write(long offset, ReadOnlySpan<byte> bytes) => file.Write(offset, bytes);

    /// <inheritdoc/>
    public void SetLength(long length) => file.SetLength(length);

    /// <inheritdoc/>
    public void Sync() => file.Sync();

    /// <inheritdoc/>
    public void Dispose() => file.Dispose();

    private int PageByPage(long offset, Span<byte> into)
    {
        int count = (int)Math.Clamp(file.Length - offset, 0, into.Length);
        for (int done = 0; done < count;)
        {
            int bytes = (int)Math.Min(count - done, PageBytes - ((offset + done) % PageBytes));
            Span<byte> page = into.Slice(done, bytes);
            done += bytes;
            if (TryRead(offset + done - bytes, page))
                continue;
            page.Clear();
            LostTo = Math.Max(LostTo, offset + done);
        }
        return count;
    }

    private bool TryRead(long offset, Span<byte> page)
    {
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                return file.Read(offset, page) == page.Length;
            }
            catch (IOException error) when (DiskErrors.IsBadSector(error) && (attempt < Attempts || _lost < LostPagesMax))
            {
                if (attempt < Attempts)
                    continue;
                _lost++;
                return false;
            }
        }
    }
}
