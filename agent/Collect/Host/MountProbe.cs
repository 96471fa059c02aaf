using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace Bellwether.Agent.Collect.Host;

/// <summary>
/// Asks file systems for their sizes on a pool thread and waits a bounded time. A file system that does not answer keeps its thread (no call can be taken back from
/// the kernel), is told as an error, and is not asked again until that thread has come back. Used by one collector at a time.
/// </summary>
internal sealed class MountProbe
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

    private static unsafe MountAnswer StatVfs(FilePath path)
    {
        Libc.StatVfsResult result;
        fixed (byte* name = path.Utf8Z)
        {
            while (Libc.StatVfs(name, &result) != 0)
            {
                int error = Marshal.GetLastPInvokeError();
                if (error != Libc.ErrorInterrupted)
                    return new MountAnswer(false, ErrorTexts.Of(error), 0, 0, 0, 0, 0);
            }
        }
        // f_blocks counts fragments (POSIX); on all but some FUSE file systems the two sizes are equal.
        double unit = result.FragmentSize != 0 ? result.FragmentSize : result.BlockSize;
        return new MountAnswer(true, null, result.Blocks * unit, result.BlocksFree * unit, result.BlocksAvailable * unit, result.Files, result.FilesFree);
    }

    /// <summary>A run over mounts on a pool thread; reused as long as it comes back.</summary>
    private sealed class Round(MountProbe probe) : IThreadPoolWorkItem
    {
        private readonly object _gate = new();
        private List<Mount> _mounts = [];
        private int _at;
        private int _end;
        private bool _abandoned;

        /// <summary>Asks from an index until the end, or a mount that hangs. False: it hangs at <paramref name="next"/>, and this object must not be used again.</summary>
        public bool Run(List<Mount> mounts, int from, TimeSpan timeout, out int next)
        {
            lock (_gate)
            {
                _mounts = mounts;
                _at = from;
                _end = from;
                while (_end < mounts.Count && !probe._hung.ContainsKey(mounts[_end].MountPoint))
                    _end++;
                ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
                while (_at < _end)
                {
                    int before = _at;
                    if (Monitor.Wait(_gate, timeout) || _at > before)
                        continue;
                    _abandoned = true;
                    probe._hung[mounts[_at].MountPoint] = true;
                    next = _at;
                    return false;
                }
                next = _at;
                return true;
            }
        }

        /// <summary>On the pool thread.</summary>
        public void Execute()
        {
            while (true)
            {
                Mount mount;
                lock (_gate)
                    mount = _mounts[_at];
                MountAnswer answer = probe._ask(mount.Path);
                lock (_gate)
                {
                    if (_abandoned)
                    {
                        probe._hung.TryRemove(mount.MountPoint, out _);
                        return;
                    }
                    mount.Answer = answer;
                    bool last = ++_at >= _end;
                    Monitor.Pulse(_gate);
                    if (last)
                        return;
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
