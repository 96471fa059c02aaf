using System.Text;
using System.Text.RegularExpressions;

namespace Bellwether.Agent.Collect.Host;

/// <summary>
/// Sizes of mounted file systems. Mounts are read from pid 1 (the host's view), else from this process. The system call that asks a file system can block for
/// ever (a dead NFS server): <see cref="MountProbe"/> makes it on another thread.
/// </summary>
internal sealed class FileSystemPart : HostPart
{
    private const int MountsMax = 5_000;

    private readonly HostContext _context;
    private readonly MountProbe _probe;
    private readonly FilePath _initMounts;
    private readonly FilePath _ownMounts;
    private readonly Regex _mountPointExclude;
    private readonly Regex _typeExclude;
    private readonly MetricFamily _size;
    private readonly MetricFamily _free;
    private readonly MetricFamily _available;
    private readonly MetricFamily _files;
    private readonly MetricFamily _filesFree;
    private readonly MetricFamily _readOnly;
    private readonly MetricFamily _deviceError;
    private readonly MetricFamily _mountInfo;
    private readonly List<Mount> _mounts = [];
    private byte[] _text = [];

    public FileSystemPart(HostContext context, MountProbe probe)
    {
        _context = context;
        _probe = probe;
        _initMounts = context.Files.Proc("1/mountinfo");
        _ownMounts = context.Files.Proc("self/mountinfo");
        _mountPointExclude = new Regex(context.Options.MountPointExclude, RegexOptions.CultureInvariant);
        _typeExclude = new Regex(context.Options.FileSystemTypeExclude, RegexOptions.CultureInvariant);
        _size = context.Gauge("node_filesystem_size_bytes", "Filesystem size in bytes.");
        _free = context.Gauge("node_filesystem_free_bytes", "Filesystem free space in bytes.");
        _available = context.Gauge("node_filesystem_avail_bytes", "Filesystem space available to non-root users in bytes.");
        _files = context.Gauge("node_filesystem_files", "Filesystem total file nodes.");
        _filesFree = context.Gauge("node_filesystem_files_free", "Filesystem total free file nodes.");
        _readOnly = context.Gauge("node_filesystem_readonly", "Filesystem read-only status.");
        _deviceError = context.Gauge("node_filesystem_device_error", "Whether an error occurred while getting statistics for the given device.");
        _mountInfo = context.Gauge("node_filesystem_mount_info", "Filesystem mount information.");
    }

    /// <inheritdoc/>
    public override bool Collect()
    {
        if (!_context.Files.TryRead(_initMounts, out ReadOnlySpan<byte> text) && !_context.Files.TryRead(_ownMounts, out text))
            return false;
        if (!text.SequenceEqual(_text))
        {
            _text = text.ToArray();
            ReadMounts(Encoding.UTF8.GetString(text));
        }
        _probe.Ask(_mounts, _context.Options.MountTimeout);
        foreach (Mount mount in _mounts)
            Set(mount);
        return true;
    }

    private void Set(Mount mount)
    {
        MountAnswer answer = mount.Answer;
        _deviceError.Set(mount.Slot(0, _deviceError), answer.IsOk ? 0 : 1);
        _readOnly.Set(mount.Slot(1, _readOnly), mount.IsReadOnly ? 1 : 0);
        mount.SetInfo(_mountInfo);
        if (!answer.IsOk)
            return;
        _size.Set(mount.Slot(2, _size), answer.SizeBytes);
        _free.Set(mount.Slot(3, _free), answer.FreeBytes);
        _available.Set(mount.Slot(4, _available), answer.AvailableBytes);
        _files.Set(mount.Slot(5, _files), answer.Files);
        _filesFree.Set(mount.Slot(6, _filesFree), answer.FilesFree);
    }

    /// <summary>Keeps the mounts that are still there (with their slots), drops the others, adds new ones. The last of several mounts on one place wins.</summary>
    private void ReadMounts(string text)
    {
        var known = new Dictionary<(string, string, string), Mount>();
        foreach (Mount mount in _mounts)
            known[(mount.Device, mount.MountPoint, mount.Type)] = mount;
        var found = new Dictionary<(string, string, string), Mount>();
        foreach (string line in text.Split('\n'))
        {
            if (found.Count >= MountsMax || !TryParse(line, out MountLine parsed) || _typeExclude.IsMatch(parsed.Type))
                continue;
            string mountPoint = StripRoot(parsed.MountPoint);
            if (_mountPointExclude.IsMatch(mountPoint))
                continue;
            (string, string, string) key = (parsed.Device, mountPoint, parsed.Type);
            if (!known.TryGetValue(key, out Mount? mount))
                mount = new Mount(parsed.Device, mountPoint, parsed.Type, _context.Files.Root(mountPoint.TrimStart('/')));
            mount.IsReadOnly = parsed.IsReadOnly;
            mount.DeviceNumber = parsed.DeviceNumber;
            found[key] = mount;
        }
        _mounts.Clear();
        _mounts.AddRange(found.Values);
    }

    private string StripRoot(string mountPoint)
    {
        string root = _context.Options.RootPath.TrimEnd('/');
        if (root.Length == 0 || !mountPoint.StartsWith(root, StringComparison.Ordinal))
            return mountPoint;
        string stripped = mountPoint[root.Length..];
        return stripped.Length == 0 ? "/" : stripped;
    }

    private readonly record struct MountLine(string Device, string MountPoint, string Type, string DeviceNumber, bool IsReadOnly);

    /// <summary>proc_pid_mountinfo(5): id parent major:minor root mount-point options [optional...] - type source super-options.</summary>
    private static bool TryParse(string line, out MountLine mount)
    {
        mount = default;
        string[] fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        int dash = Array.IndexOf(fields, "-", Math.Min(6, fields.Length));
        if (dash < 0 || dash + 3 >= fields.Length)
            return false;
        bool readOnly = HasOption(fields[5], "ro") || HasOption(fields[dash + 3], "ro");
        mount = new MountLine(Unescape(fields[dash + 2]), Unescape(fields[4]), fields[dash + 1], fields[2], readOnly);
        return true;
    }

    private static bool HasOption(string options, string option) => options.Split(',').Contains(option, StringComparer.Ordinal);

    /// <summary>The kernel writes blanks, tabs, line ends and backslashes as three octal digits.</summary>
    private static string Unescape(string text) =>
        text.Replace("\\040", " ", StringComparison.Ordinal).Replace("\\011", "\t", StringComparison.Ordinal).Replace("\\012", "\n", StringComparison.Ordinal)
            .Replace("\\134", "\\", StringComparison.Ordinal);
}

/// <summary>A mounted file system, its series and its last answer.</summary>
internal sealed class Mount(string device, string mountPoint, string type, FilePath path)
{
    private readonly int[] _slots = new int[7];
    private string _errorLabel = "";
    private int _infoSlot = -1;
    private string _infoNumber = "";

    /// <summary>Device as mounted.</summary>
    public string Device { get; } = device;

    /// <summary>Where, in the host's view.</summary>
    public string MountPoint { get; } = mountPoint;

    /// <summary>File system type.</summary>
    public string Type { get; } = type;

    /// <summary>Where, in this process' view.</summary>
    public FilePath Path { get; } = path;

    /// <summary>major:minor.</summary>
    public string DeviceNumber { get; set; } = "";

    /// <summary>Whether it is mounted read-only.</summary>
    public bool IsReadOnly { get; set; }

    /// <summary>What it said last.</summary>
    public MountAnswer Answer { get; set; }

    /// <summary>The slot of one of its series; the text of an error is a label, so that it makes another series.</summary>
    public int Slot(int index, MetricFamily family)
    {
        string error = Answer.ErrorText ?? "";
        if (error != _errorLabel)
        {
            _errorLabel = error;
            Array.Clear(_slots);
        }
        ref int slot = ref _slots[index];
        if (slot == 0)
            slot = family.Add("device", Device, "mountpoint", MountPoint, "fstype", Type, "device_error", _errorLabel) + 1;
        return slot - 1;
    }

    /// <summary>Sets the info series.</summary>
    public void SetInfo(MetricFamily family)
    {
        if (_infoSlot < 0 || _infoNumber != DeviceNumber)
        {
            _infoNumber = DeviceNumber;
            int colon = DeviceNumber.IndexOf(':', StringComparison.Ordinal);
            _infoSlot = family.Add("device", Device, "mountpoint", MountPoint, "major", DeviceNumber[..Math.Max(colon, 0)], "minor", DeviceNumber[(colon + 1)..]);
        }
        family.Set(_infoSlot, 1);
    }
}

/// <summary>The answer of one file system.</summary>
internal readonly record struct MountAnswer(bool IsOk, string? ErrorText, double SizeBytes, double FreeBytes, double AvailableBytes, double Files, double FilesFree);
