using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Bellwether.Core.Model;

namespace Bellwether.Evaluate.Kpi.Sla.Evidence;

/// <summary>Writes series as <c>series.txt</c> (docs/formats/evidence.md). Not thread-safe.</summary>
internal sealed class EvidenceSeriesWriter(TextWriter text)
{
    private bool _hasHead;

    public long Series { get; private set; }

    public long Samples { get; private set; }

    public void Add(Labels labels, SampleBuffer samples)
    {
        if (Samples + samples.Count > EvidenceFormat.SamplesMax || Series == EvidenceFormat.SeriesMax)
            throw new EvidenceException($"the numbers are made of more than {EvidenceFormat.SamplesMax} samples or {EvidenceFormat.SeriesMax} series; measure the promise on aggregated series");
        Head();
        text.Write("series ");
        text.Write(Text(labels));
        text.Write('\n');
        long last = 0, step = 0, start = 0;
        string? before = null;
        for (int i = 0; i < samples.Count; i++)
        {
            long delta = samples.Times[i] - last;
            if (i == 0 || delta != step)
                text.Write(string.Create(CultureInfo.InvariantCulture, $"{delta} "));
            bool isSame = i > 0 && IsSame(samples, i);
            string value = isSame ? before! : samples.HistogramAt(i) is { } histogram ? EvidenceHistogram.Text(histogram) : Text(samples.Values[i]);
            text.Write(isSame ? "=" : value);
            if (samples.StartTimeAt(i) != start)
                text.Write(string.Create(CultureInfo.InvariantCulture, $" @{start = samples.StartTimeAt(i)}"));
            text.Write('\n');
            (last, step, before) = (samples.Times[i], delta, value);
        }
        Series++;
        Samples += samples.Count;
    }

    public void Complete() => Head();

    private static bool IsSame(SampleBuffer samples, int i) => samples.HistogramAt(i) is { } histogram
        ? samples.HistogramAt(i - 1) is { } before && histogram.SameAs(before) && histogram.IsInteger == before.IsInteger
        : samples.HistogramAt(i - 1) is null && BitConverter.DoubleToUInt64Bits(samples.Values[i]) == BitConverter.DoubleToUInt64Bits(samples.Values[i - 1]);

    private void Head()
    {
        if (!_hasHead)
            text.Write(EvidenceFormat.SeriesFormat + "\n");
        _hasHead = true;
    }

    private static string Text(Labels labels)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            foreach (ref readonly Label label in labels.AsSpan())
                json.WriteString(label.Name, label.Value);
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(buffer.GetBuffer(), 0, (int)buffer.Length);
    }

    private static string Text(double value) => SpecialValues.IsStale(value) ? "stale"
        : double.IsNaN(value) ? $"nan:{BitConverter.DoubleToUInt64Bits(value):x16}"
        : double.IsFinite(value) ? value.ToString("R", CultureInfo.InvariantCulture)
        : value > 0 ? "+Inf" : "-Inf";
}

/// <summary>Series of a pack, to be asked as a store is. Thread-safe once it is read.</summary>
internal sealed class EvidenceSeries : ISeriesReader
{
    private readonly SortedDictionary<Labels, Columns> _series = [];

    public int Series => _series.Count;

    public long Samples { get; private set; }

    /// <summary>Reads <c>series.txt</c>. Throws <see cref="EvidenceException"/> with the line that is wrong.</summary>
    public static EvidenceSeries Read(TextReader text)
    {
        var all = new EvidenceSeries();
        Columns? columns = null;
        long line = 1;
        if (Line(text, line) != EvidenceFormat.SeriesFormat)
            throw new EvidenceException($"{EvidenceFormat.SeriesName}:1: is not '{EvidenceFormat.SeriesFormat}'");
        while (Line(text, ++line) is { } next)
        {
            if (next.StartsWith("series ", StringComparison.Ordinal))
            {
                columns = new Columns();
                if (all._series.Count == EvidenceFormat.SeriesMax || !all._series.TryAdd(LabelsOf(next[7..], line), columns))
                    throw Wrong(line, "the series is there twice, or there are too many");
            }
            else if (columns is null || !columns.TryAdd(next))
            {
                throw Wrong(line, $"'{(next.Length > 60 ? next[..60] : next)}' is no sample");
            }
            else if (++all.Samples > EvidenceFormat.SamplesMax)
            {
                throw Wrong(line, $"there are more than {EvidenceFormat.SamplesMax} samples");
            }
        }
        return all;
    }

    public ISeriesSet Select(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation)
    {
        var found = new List<(Labels, Columns, int, int)>();
        foreach ((Labels labels, Columns columns) in _series)
        {
            cancellation.ThrowIfCancellationRequested();
            if (matchers.All(m => m.Matches(labels)) && columns.Within(fromMs, toMs, out int from, out int to))
                found.Add((labels, columns, from, to));
        }
        return new Set(found);
    }

    public IReadOnlyList<string> LabelNames(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) =>
        Texts(fromMs, toMs, matchers, l => [.. l.AsSpan().ToArray().Select(x => x.Name)], cancellation);

    public IReadOnlyList<string> LabelValues(string name, long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) =>
        Texts(fromMs, toMs, matchers, l => l.TryGet(name, out string? value) ? [value] : [], cancellation);

    public MetricMetadata? Metadata(string family) => null;

    public IReadOnlyDictionary<string, MetricMetadata> AllMetadata() => new Dictionary<string, MetricMetadata>();

    private List<string> Texts(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, Func<Labels, string[]> texts, CancellationToken cancellation)
    {
        var found = new SortedSet<string>(Comparer<string>.Create(Utf8Order.Compare));
        using ISeriesSet set = Select(fromMs, toMs, matchers, cancellation);
        for (int i = 0; i < set.Count; i++)
            found.UnionWith(texts(set.LabelsAt(i)));
        return [.. found];
    }

    private static string? Line(TextReader text, long line)
    {
        var read = new StringBuilder();
        int c;
        while ((c = text.Read()) >= 0 && c != '\n')
        {
            if (read.Append((char)c).Length > EvidenceFormat.LineCharsMax)
                throw Wrong(line, $"is longer than {EvidenceFormat.LineCharsMax} characters");
        }
        return c < 0 && read.Length == 0 ? null : read.ToString();
    }

    private static EvidenceException Wrong(long line, string what) => new($"{EvidenceFormat.SeriesName}:{line.ToString(CultureInfo.InvariantCulture)}: {what}");

    private static Labels LabelsOf(string json, long line)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = 2, AllowDuplicateProperties = false });
            var labels = new LabelsBuilder();
            foreach (JsonProperty label in document.RootElement.EnumerateObject())
                labels.Set(label.Name, label.Value.GetString()!);
            return labels.Build();
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new EvidenceException($"{EvidenceFormat.SeriesName}:{line}: the labels cannot be read: {e.Message}", e);
        }
    }

    /// <summary>The samples of one series.</summary>
    private sealed class Columns
    {
        private readonly List<long> _times = [];
        private readonly List<double> _values = [];
        private readonly List<(int From, long StartMs)> _starts = [];
        private readonly Dictionary<int, NativeHistogram> _histograms = [];
        private long _step;

        public bool TryAdd(string line)
        {
            string[] words = line.Split(' ');
            int at = 0;
            if (words.Length > 1 && !words[1].StartsWith('@'))
            {
                if (!long.TryParse(words[at++], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out _step))
                    return false;
            }
            else if (_times.Count == 0)
            {
                return false;
            }
            long last = _times.Count > 0 ? _times[^1] : 0, time = unchecked(last + _step);
            if (Math.Abs((double)time) > 9e15 || (_times.Count > 0 && time <= last) || at >= words.Length)
                return false;
            string text = words[at++];
            NativeHistogram? histogram = EvidenceHistogram.IsOne(text) ? EvidenceHistogram.Read(text) : text == "=" ? _histograms.GetValueOrDefault(_times.Count - 1) : null;
            double value = 0;
            if (histogram is null && !TryValue(text, out value))
                return false;
            if (at < words.Length)
            {
                if (!words[at].StartsWith('@') || !long.TryParse(words[at++].AsSpan(1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long start) || at != words.Length)
                    return false;
                _starts.Add((_times.Count, start));
            }
            if (histogram is not null)
                _histograms.Add(_times.Count, histogram);
            _times.Add(time);
            _values.Add(value);
            return true;
        }

        public bool Within(long fromMs, long toMs, out int from, out int to)
        {
            from = At(fromMs);
            to = toMs == long.MaxValue ? _times.Count : At(toMs + 1);
            return from < to;
        }

        public void Read(int from, int to, SampleBuffer into)
        {
            into.Clear();
            int next = 0;
            long start = 0;
            for (int i = 0; i < to; i++)
            {
                if (next < _starts.Count && _starts[next].From == i)
                    start = _starts[next++].StartMs;
                if (i >= from && _histograms.Count > 0 && _histograms.TryGetValue(i, out NativeHistogram? histogram))
                    into.Add(_times[i], histogram, start);
                else if (i >= from && _starts.Count == 0)
                    into.Add(_times[i], _values[i]);
                else if (i >= from)
                    into.Add(_times[i], _values[i], start);
            }
        }

        private int At(long ms)
        {
            int at = _times.BinarySearch(ms);
            return at < 0 ? ~at : at;
        }

        private bool TryValue(string text, out double value)
        {
            value = text switch
            {
                "=" when _values.Count > 0 => _values[^1],
                "stale" => SpecialValues.StaleMarker,
                "+Inf" => double.PositiveInfinity,
                "-Inf" => double.NegativeInfinity,
                _ => 0,
            };
            if (text is "=" or "stale" or "+Inf" or "-Inf")
                return text != "=" || _values.Count > 0;
            if (text.StartsWith("nan:", StringComparison.Ordinal) && ulong.TryParse(text.AsSpan(4), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong bits))
            {
                value = BitConverter.UInt64BitsToDouble(bits);
                return double.IsNaN(value);
            }
            return double.TryParse(text, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent, CultureInfo.InvariantCulture, out value) && double.IsFinite(value);
        }
    }

    private sealed class Set(List<(Labels Labels, Columns Columns, int From, int To)> found) : ISeriesSet
    {
        public int Count => found.Count;

        public Labels LabelsAt(int index) => found[index].Labels;

        public void Read(int index, SampleBuffer into) => found[index].Columns.Read(found[index].From, found[index].To, into);

        public void Dispose()
        {
        }
    }
}
