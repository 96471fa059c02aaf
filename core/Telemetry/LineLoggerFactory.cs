using System.Globalization;
using System.Text;
using Bellwether.Core.Text;
using Microsoft.Extensions.Logging;

namespace Bellwether.Core.Telemetry;

/// <summary>
/// Logs one line per event to a writer (standard error of our programs): time, level, category, message. Lines of one event that repeat within
/// <see cref="RepeatWindow"/> beyond <see cref="RepeatMax"/> are held back; the next one says how many. Thread-safe.
/// </summary>
public sealed class LineLoggerFactory : ILoggerFactory
{
    /// <summary>Window in which repeated lines of one event are counted.</summary>
    public static readonly TimeSpan RepeatWindow = TimeSpan.FromSeconds(10);

    /// <summary>Lines of one event written per window.</summary>
    public const int RepeatMax = 10;

    private const int EventsTrackedMax = 1024;
    private readonly Lock _gate = new();
    private readonly Dictionary<(string Category, int Event), (long Since, int Count)> _recent = [];
    private readonly TextWriter _output;
    private readonly TimeProvider _time;

    /// <summary>A factory that writes to <paramref name="output"/>.</summary>
    public LineLoggerFactory(TextWriter output, TimeProvider time, LogLevel minimum = LogLevel.Information)
    {
        _output = output;
        _time = time;
        Minimum = minimum;
    }

    /// <summary>The lowest level that is written; may change while running.</summary>
    public LogLevel Minimum { get; set; }

    /// <inheritdoc/>
    public ILogger CreateLogger(string categoryName) => new LineLogger(this, categoryName[(categoryName.LastIndexOf('.') + 1)..]);

    /// <summary>Not supported: there is one output.</summary>
    public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException("the line logger has one output");

    /// <inheritdoc/>
    public void Dispose() => _output.Flush();

    private void Write(LogLevel level, string category, int eventId, string message, Exception? exception)
    {
        lock (_gate)
        {
            int suppressed = 0;
            if (eventId != 0 && !Admit((category, eventId), out suppressed))
                return;
            var line = new StringBuilder(128);
            line.Append(_time.GetUtcNow().ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture));
            line.Append(' ').Append(Name(level)).Append(' ').Append(category).Append(": ").Append(VisibleText.Of(message.ReplaceLineEndings(" ")));
            if (suppressed > 0)
                line.Append(CultureInfo.InvariantCulture, $" ({suppressed} suppressed)");
            if (exception is not null)
                line.Append(" [").Append(VisibleText.Of(exception.ToString().ReplaceLineEndings(" | "))).Append(']');
            _output.WriteLine(line.ToString());
        }
    }

    private bool Admit((string, int) key, out int suppressed)
    {
        long now = _time.GetTimestamp();
        suppressed = 0;
        if (!_recent.TryGetValue(key, out (long Since, int Count) seen) || _time.GetElapsedTime(seen.Since, now) > RepeatWindow)
        {
            suppressed = Math.Max(0, seen.Count - RepeatMax);
            if (_recent.Count >= EventsTrackedMax)
                _recent.Clear();
            _recent[key] = (now, 1);
            return true;
        }
        _recent[key] = (seen.Since, seen.Count + 1);
        return seen.Count < RepeatMax;
    }

    private static string Name(LogLevel level) => level switch
    {
        LogLevel.Trace => "trace",
        LogLevel.Debug => "debug",
        LogLevel.Information => "info",
        LogLevel.Warning => "warn",
        LogLevel.Error => "error",
        _ => "fatal",
    };

    private sealed class LineLogger(LineLoggerFactory factory, string category) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= factory.Minimum && logLevel != LogLevel.None;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
                factory.Write(logLevel, category, eventId.Id, formatter(state, exception), exception);
        }
    }
}
