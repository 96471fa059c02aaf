using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace Bellwether.Agent.Collect.Host;

/// <summary>
/// Asks file systems for their sizes on a thread of its own and waits a bounded time. A file system that does not answer keeps its thread (no call can be taken back from
/// the kernel), is told as an error, and is not asked again until that thread has come back. Used by one collector at a time.
/// </summary>
internal sealed class MountProbe : IDisposable
{
    /// <summary>So many hung file systems hold a thread each; when as many hang, no other one is asked.</summary>
    public const int HungMax = 16;

    private const string TimeoutText = "timeout";
    private readonly Func<FilePath, MountAnswer> _ask;
    private readonly ConcurrentDictionary<string, bool> _hung = new();
    private Round? _round;

    /// <summary>Asks the kernel.</summary>
    public MountProbe() : this(StatVfs)
    {
    }

    /// <summary>Asks something else (tests).</summary>
    public MountProbe(Func<FilePath, MountAnswer> ask) => _ask = ask;

    /// <summary>How many file systems hang now.</summary>
    public int HungCount => _hung.Count;

    /// <summary>Asks each mount and stores its answer in it.</summary>
    /// <param name="mounts">Mounts to ask.</param>
    /// <param name="timeout">How long one may take.</param>
    public void Ask(List<Mount> mounts, TimeSpan timeout)
    {
        int next = 0;
        while (next < mounts.Count)
        {
            if (_hung.Count >= HungMax || _hung.ContainsKey(mounts[next].MountPoint))
            {
                mounts[next++].Answer = new MountAnswer(false, TimeoutText, 0, 0, 0, 0, 0);
                continue;
            }
            _round ??= new Round(this);
            if (_round.Run(mounts, next, timeout, out next))
                continue;
            // The round's thread is stuck at mounts[next]; it is left behind and a new round goes on after it.
            mounts[next++].Answer = new MountAnswer(false, TimeoutText, 0, 0, 0, 0, 0);
            _round = null;
        }
    }

    /// <summary>Ends the thread; one that hangs in the kernel ends when it comes back.</summary>
    public void Dispose()
    {
        _round?.Stop();
        _round = null;
    }

    private static MountAnswer StatVfs(FilePath path)
    {
        Libc.StatVfsResult result;
        while (Libc.StatVfs(path.Utf8Z, out result) != 0)
        {
            int error = Marshal.GetLastPInvokeError();
            if (error != Libc.ErrorInterrupted)
                return new MountAnswer(false, ErrorTexts.Of(error), 0, 0, 0, 0, 0);
        }
        // f_blocks counts fragments (POSIX); on all but some FUSE file systems the two sizes are equal.
        double unit = result.FragmentSize != 0 ? result.FragmentSize : result.BlockSize;
        return new MountAnswer(true, null, result.Blocks * unit, result.BlocksFree * unit, result.BlocksAvailable * unit, result.Files, result.FilesFree);
    }

    /// <summary>A thread that asks mounts in turn; kept from tick to tick as long as it comes back.</summary>
    private sealed class Round
    {
        private const int StackBytes = 256 << 10;

        private readonly MountProbe _probe;
        private readonly object _gate = new();
        private List<Mount> _mounts = [];
        private int _at;
        private int _end;
        private bool _abandoned;

        public Round(MountProbe probe)
        {
            _probe = probe;
            // Not a pool thread: a hung mount would take that from the rest of the agent.
            new Thread(Work, StackBytes) { IsBackground = true, Name = "mounts" }.Start();
        }

        /// <summary>Asks from an index until the end, or a mount that hangs. False: it hangs at <paramref name="next"/>, and this object must not be used again.</summary>
        public bool Run(List<Mount> mounts, int from, TimeSpan timeout, out int next)
        {
            lock (_gate)
            {
                _mounts = mounts;
                _at = from;
                _end = from;
                while (_end < mounts.Count && !_probe._hung.ContainsKey(mounts[_end].MountPoint))
                    _end++;
                Monitor.PulseAll(_gate);
                while (_at < _end)
                {
                    int before = _at;
                    if (Monitor.Wait(_gate, timeout) || _at > before)
                        continue;
                    _abandoned = true;
                    _probe._hung[mounts[_at].MountPoint] = true;
                    next = _at;
                    return false;
                }
                next = _at;
                return true;
            }
        }

        /// <summary>Ends the thread.</summary>
        public void Stop()
        {
            lock (_gate)
            {
                _abandoned = true;
                Monitor.PulseAll(_gate);
            }
        }

        private void Work()
        {
            while (true)
            {
                Mount mount;
                lock (_gate)
                {
                    while (_at >= _end && !_abandoned)
                        Monitor.Wait(_gate);
                    if (_abandoned)
                        return;
                    mount = _mounts[_at];
                }
                MountAnswer answer = _probe._ask(mount.Path);
                lock (_gate)
                {
                    if (_abandoned)
                    {
                        _probe._hung.TryRemove(mount.MountPoint, out _);
                        return;
                    }
                    mount.Answer = answer;
                    _at++;
                    Monitor.PulseAll(_gate);
                }
            }
        }
    }
}

/// <summary>Texts of error numbers, made once each: they become label values.</summary>
internal static class ErrorTexts
{
    private static readonly ConcurrentDictionary<int, string> Known = new();

    /// <summary>The text, the same object for the same number.</summary>
    public static string Of(int error) => Known.GetOrAdd(error, static e => Marshal.GetPInvokeErrorMessage(e));
}
