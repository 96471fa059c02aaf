namespace Bellwether.Core.Configuration;

/// <summary>The reading of one file: its place, its errors, and what the values may refer to. Not thread-safe.</summary>
public sealed class ConfigReading
{
    /// <summary>The most errors reported of one file.</summary>
    public const int MaxErrors = 200;

    private readonly List<ConfigError> _errors;
    private readonly List<ConfigError> _warnings = [];

    /// <summary>Starts reading. Relative paths in the file are relative to the file's own folder.</summary>
    /// <param name="file">The file as errors name it.</param>
    /// <param name="environment">Gives a variable's value or null; null = the process environment.</param>
    /// <param name="errors">Where errors go; shared by a file and the files that it includes.</param>
    public ConfigReading(string file, Func<string, string?>? environment = null, List<ConfigError>? errors = null)
    {
        File = file;
        Folder = Path.GetDirectoryName(Path.GetFullPath(file)) ?? "/";
        Environment = environment ?? System.Environment.GetEnvironmentVariable;
        _errors = errors ?? [];
    }

    private ConfigReading(string file, ConfigReading by)
        : this(file, by.Environment, by._errors)
    {
        _warnings = by._warnings;
        CheckFiles = by.CheckFiles;
    }

    /// <summary>The file as errors name it.</summary>
    public string File { get; }

    /// <summary>The absolute folder that relative paths start from.</summary>
    public string Folder { get; }

    /// <summary>Gives a variable's value, or null.</summary>
    public Func<string, string?> Environment { get; }

    /// <summary>Whether files that the file names must be there now (a full check), or may come later. Default: later.</summary>
    public bool CheckFiles { get; init; }

    /// <summary>What is wrong so far.</summary>
    public IReadOnlyList<ConfigError> Errors => _errors;

    /// <summary>The reading of a file that this one includes: what is wrong there is told with what is wrong here.</summary>
    public ConfigReading Include(string file) => new(file, this);

    /// <summary>Reads the text and gives its root section; missing sections read as their defaults.</summary>
    public ConfigSection Root(string text)
    {
        ConfigNode? root = YamlReader.Read(text, File, _errors);
        if (root is { Kind: not ConfigNodeKind.Mapping, IsNull: false })
        {
            Error(root, "", $"the file must be a section of keys, not {root.Describe()}");
            root = null;
        }
        return new ConfigSection(this, root is { IsNull: true } ? null : root, "");
    }

    /// <summary>Notes an error at a node.</summary>
    public void Error(ConfigNode? at, string path, string message) => Error(new ConfigError(File, at?.Line ?? 0, at?.Column ?? 0, path, message));

    /// <summary>Notes an error.</summary>
    public void Error(ConfigError error)
    {
        if (_errors.Count < MaxErrors)
            _errors.Add(error);
    }

    /// <summary>Notes what is good and yet probably not what was meant; at most <see cref="MaxErrors"/> are told.</summary>
    public void Warn(ConfigNode at, string path, string message)
    {
        if (_warnings.Count < MaxErrors)
            _warnings.Add(new ConfigError(File, at.Line, at.Column, path, message));
    }

    /// <summary>The result: the configuration unless something was wrong.</summary>
    public ConfigResult<T> Result<T>(T value)
        where T : class =>
        _errors.Count == 0 ? new ConfigResult<T>(value) { Warnings = InFileOrder(_warnings) } : new ConfigResult<T>(InFileOrder(_errors));

    private List<ConfigError> InFileOrder(List<ConfigError> told) => [.. told.OrderBy(e => e.File == File ? 0 : 1).ThenBy(e => e.Line).ThenBy(e => e.Column)];

    /// <summary>A path made absolute; an empty one stays empty.</summary>
    public string Resolve(string path) => path.Length == 0 ? "" : Path.GetFullPath(Path.Combine(Folder, path));

    /// <summary>Reads a file's text, or gives the error result.</summary>
    public static bool TryReadFile(string path, out string text, out ConfigError? error)
    {
        text = "";
        error = null;
        try
        {
            text = System.IO.File.ReadAllText(path);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            error = new ConfigError(path, 0, 0, "", $"cannot be read: {e.Message}");
            return false;
        }
    }
}
