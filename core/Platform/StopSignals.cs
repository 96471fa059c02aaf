using System.Runtime.InteropServices;

namespace Bellwether.Core.Platform;

/// <summary>
/// SIGTERM and SIGINT as the word to stop. Made in a program's first line: a service manager may stop what it has just started, and without a handler the signal itself ends the process (exit
/// code 143), which looks like a failure. Thread-safe.
/// </summary>
public sealed class StopSignals : IDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly PosixSignalRegistration _term;
    private readonly PosixSignalRegistration _interrupt;

    /// <summary>Listens from now on.</summary>
    public StopSignals()
    {
        _term = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        _interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
    }

    /// <summary>Is cancelled by the first of the signals, and stays so.</summary>
    public CancellationToken Token => _stop.Token;

    /// <summary>Listens no longer: the signals end the process again. What was asked before stays asked.</summary>
    public void Dispose()
    {
        _term.Dispose();
        _interrupt.Dispose();
    }

    private void Stop(PosixSignalContext context)
    {
        context.Cancel = true;
        _stop.Cancel();
    }
}
