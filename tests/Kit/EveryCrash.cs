namespace Bellwether.Kit;

/// <summary>Work on a disk that is cut short at every of its changes in turn; made anew for each cut.</summary>
public interface ICrashScript
{
    /// <summary>What is there before; not cut.</summary>
    void Prepare(FaultyDisk disk);

    /// <summary>The work. It ends by a <see cref="PowerCutException"/>, which it lets through.</summary>
    void Work(FaultyDisk disk);

    /// <summary>Opens what is there, asserts what must hold, and closes it. May itself be cut, and is called again then.</summary>
    void Verify(FaultyDisk disk);
}

/// <summary>Cuts the power at every change that a piece of work makes on the disk, with each way in which a disk may come back, and every few times again while what is there is opened.</summary>
public static class EveryCrash
{
    private const int SecondCutEvery = 3;

    /// <summary>Runs it. Returns how many crashes were recovered from; throws what a script's <see cref="ICrashScript.Verify"/> throws, with the place of the cut.</summary>
    public static int Run(Func<ICrashScript> make)
    {
        (long first, long last) = Count(make());
        int crashes = 0;
        for (long at = first + 1; at <= last; at++)
        {
            foreach (CrashKeeps keeps in Enum.GetValues<CrashKeeps>())
            {
                ICrashScript script = make();
                try
                {
                    crashes += Cut(script, at, keeps);
                }
                catch (Exception e) when (e is not OutOfMemoryException)
                {
                    throw new InvalidOperationException($"cut at change {at} of {first + 1} to {last}, and the disk kept {keeps}: {e.Message}", e);
                }
                finally
                {
                    (script as IDisposable)?.Dispose();
                }
            }
        }
        return crashes;
    }

    private static (long First, long Last) Count(ICrashScript script)
    {
        try
        {
            var disk = new FaultyDisk(new Random(0));
            script.Prepare(disk);
            long first = disk.Changes;
            script.Work(disk);
            return (first, disk.Changes);
        }
        finally
        {
            (script as IDisposable)?.Dispose();
        }
    }

    private static int Cut(ICrashScript script, long at, CrashKeeps keeps)
    {
        var disk = new FaultyDisk(new Random((int)at));
        script.Prepare(disk);
        disk.PowerCutAt = at;
        try
        {
            script.Work(disk);
            throw new InvalidOperationException("the work is not the same each time: it ended before the cut");
        }
        catch (PowerCutException)
        {
            disk.Crash(keeps);
        }
        int crashes = 1;
        if (at % SecondCutEvery == 0)
        {
            disk.PowerCutAt = disk.Changes + 1 + (at / SecondCutEvery % 7);
            try
            {
                script.Verify(disk);
                disk.PowerCutAt = long.MaxValue;
            }
            catch (PowerCutException)
            {
                disk.Crash(keeps);
                crashes++;
            }
        }
        script.Verify(disk);
        return crashes;
    }
}
