using System.Buffers.Text;
using System.Text;
using Bellwether.Core.Exposition;
using Bellwether.Core.Model;

namespace Bellwether.Store.Exchange;

/// <summary>
/// Writes samples as OpenMetrics text with timestamps, metric by metric, ended by <c># EOF</c>. Values are written so that reading gives the same bits. The format has no place for
/// native histograms, stale markers and start times: these are left out, the first two counted. In memory: the names and the series of one metric.
/// </summary>
public sealed class OpenMetricsExport : IDisposable
{
    private const int BufferBytes = 1 << 16;
    private const string NameLabel = "__name__";
    private readonly Stream _output;
    private readonly SampleBuffer _samples = new();
    private readonly byte[] _buffer = new byte[BufferBytes + 256];
    private int _length;

    /// <summary>Writes to a stream, which it does not close.</summary>
    public OpenMetricsExport(Stream output) => _output = output;

    /// <summary>Counts.</summary>
    public ExportResult Result { get; } = new();

    /// <summary>Writes everything that is selected. Throws <see cref="IOException"/>.</summary>
    /// <param name="reader">The store.</param>
    /// <param name="range">What is exported.</param>
    /// <param name="progress">Metrics done, of how many.</param>
    /// <param name="cancellation">Ends it early; the file is not whole then, and says so by having no <c># EOF</c>.</param>
    public void Write(ISeriesReader reader, ExportRange range, Action<long, long> progress, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(reader);
        ArgumentNullException.ThrowIfNull(range);
        ArgumentNullException.ThrowIfNull(progress);
        var names = new SortedSet<string>(Comparer<string>.Create(Utf8Order.Compare));
        foreach (IReadOnlyList<LabelMatcher> selector in range.Selectors.Count == 0 ? [[]] : range.Selectors)
            names.UnionWith(reader.LabelValues(NameLabel, range.FromMs, range.ToMs, selector, cancellation));
        long done = 0;
        foreach (string name in names)
        {
            ExportSelection.ForEach(reader, range, new LabelMatcher(Core.Model.MatchType.Equal, NameLabel, name), WriteSeries, cancellation);
            progress(++done, names.Count);
        }
        ExportSelection.ForEach(reader, range, new LabelMatcher(Core.Model.MatchType.Equal, NameLabel, ""), (_, _) => Result.NamelessLeftOut++, cancellation);
        Append("# EOF\n"u8);
        Flush();
    }

    /// <inheritdoc/>
    public void Dispose() => _output.Flush();

    /// <summary>Unix ms as seconds, so that a reader that multiplies by 1,000 and cuts, as Prometheus does, gets the same ms.</summary>
    internal static string TimeText(long ms)
    {
        long seconds = Math.DivRem(Math.Abs(ms), 1000, out long rest);
        string sign = ms < 0 ? "-" : "";
        string text = rest == 0 ? $"{sign}{seconds}" : $"{sign}{seconds}.{rest:D3}";
        // Half a microsecond more (in size) is enough to be above the whole, and no other ms.
        return Cut(text) == ms ? text : $"{sign}{seconds}.{rest:D3}0005";
    }

    private static long Cut(string seconds) => (long)(double.Parse(seconds, System.Globalization.CultureInfo.InvariantCulture) * 1000);

    private void WriteSeries(ISeriesSet set, int index)
    {
        ExportSelection.Read(set, index, _samples, Result);
        byte[] series = Encoding.UTF8.GetBytes(SeriesText(set.LabelsAt(index)));
        long before = Result.Samples;
        for (int i = 0; i < _samples.Count; i++)
        {
            if (_samples.HistogramAt(i) is not null)
            {
                Result.HistogramsLeftOut++;
                continue;
            }
            if (SpecialValues.IsStale(_samples.Values[i]))
            {
                Result.StaleMarkersLeftOut++;
                continue;
            }
            Append(series);
            _length += FloatText.Format(_samples.Values[i], _buffer.AsSpan(_length));
            _buffer[_length++] = (byte)' ';
            long ms = _samples.Times[i];
            if (ms >= 0 && ms % 1000 == 0 && Utf8Formatter.TryFormat(ms / 1000, _buffer.AsSpan(_length), out int digits))
                _length += digits;
            else
                _length += Encoding.ASCII.GetBytes(TimeText(ms), _buffer.AsSpan(_length));
            _buffer[_length++] = (byte)'\n';
            Result.Samples++;
        }
        if (Result.Samples > before)
            Result.Series++;
    }

    private static string SeriesText(Labels labels)
    {
        var text = new StringBuilder();
        string name = labels.MetricName;
        bool isClassic = IsClassic(name, isMetric: true), hasLabels = false;
        if (isClassic)
            text.Append(name);
        foreach (ref readonly Label label in labels.AsSpan())
        {
            if (label.Name == NameLabel)
                continue;
            text.Append(hasLabels ? ',' : '{');
            if (!hasLabels && !isClassic)
                text.Append('"').Append(Escaped(name)).Append("\",");
            hasLabels = true;
            if (IsClassic(label.Name, isMetric: false))
                text.Append(label.Name);
            else
                text.Append('"').Append(Escaped(label.Name)).Append('"');
            text.Append("=\"").Append(Escaped(label.Value)).Append('"');
        }
        if (!hasLabels && !isClassic)
            text.Append("{\"").Append(Escaped(name)).Append('"');
        if (hasLabels || !isClassic)
            text.Append('}');
        return text.Append(' ').ToString();
    }

    private static bool IsClassic(string name, bool isMetric)
    {
        for (int i = 0; i < name.Length; i++)
        {
            char c = name[i];
            if (!(char.IsAsciiLetter(c) || c == '_' || (c == ':' && isMetric) || (i > 0 && char.IsAsciiDigit(c))))
                return false;
        }
        return name.Length > 0;
    }

    private static string Escaped(string text) => text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal);

    private void Append(ReadOnlySpan<byte> bytes)
    {
        if (_length + bytes.Length > BufferBytes)
            Flush();
        if (bytes.Length > BufferBytes)
        {
            _output.Write(bytes);
            return;
        }
        bytes.CopyTo(_buffer.AsSpan(_length));
        _length += bytes.Length;
    }

    private void Flush()
    {
        _output.Write(_buffer.AsSpan(0, _length));
        _length = 0;
    }
}
