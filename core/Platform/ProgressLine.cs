using System.Globalization;

namespace Bellwether.Core.Platform;

/// <summary>A bar that grows in a terminal; where the output is no terminal, a line at each tenth. Not thread-safe.</summary>
public sealed class ProgressLine(TextWriter output, bool? terminal = null)
{
    private const int Width = 30;
    private readonly bool _terminal = terminal ?? !Console.IsErrorRedirected;
    private int _shown = -1;

    /// <summary>Shows how far it is.</summary>
    /// <param name="done">Bytes done.</param>
    /// <param name="of">Of how many; 0 counts as done.</param>
    public void Show(long done, long of)
    {
        int percent = of <= 0 ? 100 : (int)Math.Clamp(done * 100.0 / of, 0, 100);
        int step = _terminal ? percent : percent / 10;
        if (step == _shown)
            return;
        _shown = step;
        (double unit, string name) = of < 1_000_000 ? (1e3, "kB") : (1e6, "MB");
        string bytes = string.Create(CultureInfo.InvariantCulture, $"{done / unit:f1} of {of / unit:f1} {name}");
        if (_terminal)
            output.Write($"\r[{new string('#', percent * Width / 100).PadRight(Width)}] {percent,3} %  {bytes}");
        else
            output.WriteLine($"{percent} %, {bytes}");
    }

    /// <summary>Ends the line, if there is one.</summary>
    public void End()
    {
        if (_terminal && _shown >= 0)
            output.WriteLine();
        _shown = -1;
    }
}
