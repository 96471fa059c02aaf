using System.Runtime.InteropServices;

namespace Bellwether.Core.Platform;

/// <summary>
/// SIGHUP as the word to take a new configuration, also where the process was started with it ignored (<c>nohup</c> and some supervisors do that): the runtime leaves a SIGHUP that was
/// ignored at the start ignored, and a reload would never come.
/// </summary>
public static class ReloadSignal
{
    private const int Hangup = 1;
    private const nint Default = 0;
    private const nint Ignore = 1;
    private const nint Failed = -1;

    /// <summary>Calls <paramref name="reload"/> at each SIGHUP, on a thread of the pool, until it is disposed. Null on Windows, which has no such signal.</summary>
    public static IDisposable? Listen(Action reload)
    {
        if (OperatingSystem.IsWindows())
            return null;
        nint before = Libc.Signal(Hangup, Default);
        // Somebody's own handler stays.
        if (before is not (Default or Ignore or Failed))
            _ = Libc.Signal(Hangup, before);
        return PosixSignalRegistration.Create(PosixSignal.SIGHUP, context =>
        {
            context.Cancel = true;
            reload();
        });
    }
}
