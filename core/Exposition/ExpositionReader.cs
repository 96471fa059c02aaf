using System.Buffers;
using System.Text;
using System.Text.Unicode;
using Bellwether.Core.Model;

namespace Bellwether.Core.Exposition;

/// <summary>What <see cref="ExpositionReader.Next"/> found.</summary>
public enum EntryKind
{
    /// <summary>The end of the body.</summary>
    End,
    /// <summary>HELP: <see cref="ExpositionReader.FamilyName"/> and <see cref="ExpositionReader.MetaText"/>.</summary>
    Help,
    /// <summary>TYPE: name and <see cref="ExpositionReader.Type"/>.</summary>
    Type,
    /// <summary>UNIT (OpenMetrics): name and text.</summary>
    Unit,
    /// <summary>A comment of the Prometheus text format.</summary>
    Comment,
    /// <summary>A sample.</summary>
    Sample,
    /// <summary>The body is malformed: <see cref="ExpositionReader.Error"/>. Nothing more can be read.</summary>
    Error,
}

/// <summary>
/// Reads text exposition line by line, as strictly and as laxly as Prometheus 3 does when it scrapes (prometheus.io/docs/instrumenting/exposition_formats/,
/// OpenMetrics 1.0). Works on the bytes in place: what it gives out is valid until the buffer changes. Reusable; not thread-safe. Allocates only what the
/// methods that return strings return, and for errors.
/// </summary>
public sealed class ExpositionReader
{
    private const int LabelsMax = 1024;

    private static readonly SearchValues<byte> ValueEnd = SearchValues.Create(" \t\n{"u8);

    private readonly List<LabelSpan> _labels = [];
    private readonly List<LabelSpan> _exemplarLabels = [];
    private byte[] _text = [];
    private int _end;
    private int _at;
    private bool _openMetrics;
    private int _nameStart;
    private int _nameLength;
    private bool _nameQuoted;
    private int _metaStart;
    private int _metaLength;

    /// <summary>Refuse what Prometheus tolerates beyond OpenMetrics 1.0: quoted names and trailing commas.</summary>
    public bool StrictOpenMetrics { get; init; }

    /// <summary>Where the next entry starts.</summary>
    public int Position => _at;

    /// <summary>The type of a TYPE entry.</summary>
    public MetricType Type { get; private set; }

    /// <summary>Where the series text (name and labels) of a sample starts.</summary>
    public int SeriesStart { get; private set; }

    /// <summary>How long the series text is.</summary>
    public int SeriesLength { get; private set; }

    /// <summary>Where the value of a sample starts.</summary>
    public int ValueStart { get; private set; }

    /// <summary>How long the value's text is.</summary>
    public int ValueLength { get; private set; }

    /// <summary>The sample's value; a NaN is always the ordinary one.</summary>
    public double Value { get; private set; }

    /// <summary>Whether the sample has a time of its own.</summary>
    public bool HasTimestamp { get; private set; }

    /// <summary>That time, Unix ms.</summary>
    public long TimestampMs { get; private set; }

    /// <summary>That time as it is written.</summary>
    public ReadOnlySpan<byte> TimestampText => _text.AsSpan(_timestampStart, _timestampLength);

    /// <summary>Whether the sample has an exemplar.</summary>
    public bool HasExemplar { get; private set; }

    /// <summary>Its value.</summary>
    public double ExemplarValue { get; private set; }

    /// <summary>Its time, Unix ms; null when it has none.</summary>
    public long? ExemplarTimestampMs { get; private set; }

    /// <summary>The exemplar's time as it is written; empty when it has none.</summary>
    public ReadOnlySpan<byte> ExemplarTimestampText => ExemplarTimestampMs is null ? default : _text.AsSpan(_exemplarTimeStart, _exemplarTimeLength);

    /// <summary>What is wrong, after <see cref="EntryKind.Error"/>.</summary>
    public ExpositionError? Error { get; private set; }

    private int _timestampStart;
    private int _timestampLength;
    private int _exemplarTimeStart;
    private int _exemplarTimeLength;

    /// <summary>Starts on a body.</summary>
    /// <param name="text">The bytes; may be longer than the body.</param>
    /// <param name="length">The body's length.</param>
    /// <param name="format">One of the text formats.</param>
    /// <param name="position">Where to start: 0 or the start of a line.</param>
    public void Reset(byte[] text, int length, ExpositionFormat format, int position = 0)
    {
        _text = text;
        _end = length;
        _at = position;
        _openMetrics = format == ExpositionFormat.OpenMetricsText;
        Error = null;
    }

    /// <summary>Goes to the next entry.</summary>
    public EntryKind Next()
    {
        while (true)
        {
            if (_at >= _end)
                return _openMetrics ? Fail(_end, "data does not end with '# EOF'") : EntryKind.End;
            byte c = _text[_at];
            if (!_openMetrics && (c is (byte)' ' or (byte)'\t' or (byte)'\n'))
            {
                _at++;
                continue;
            }
            if (c == '#')
                return _openMetrics ? ReadOpenMetricsMeta() : ReadTextMeta();
            if (c == '{' || IsNameStart(c))
                return ReadSample();
            return Fail(_at, $"expected a metric name, '{{' or '#', got {Show(_at)}");
        }
    }

    /// <summary>Reads again from the value of a sample on, whose series is known: value, timestamp, exemplar. The position is then after the line's end.</summary>
    public EntryKind ReadTail(int valueStart)
    {
        // OpenMetrics checks the one blank before the value.
        _at = _openMetrics ? valueStart - 1 : valueStart;
        return ReadValueAndRest();
    }

    /// <summary>The family that a metadata entry names.</summary>
    public string FamilyName => Unescape(_text.AsSpan(_nameStart, _nameLength), _nameQuoted);

    /// <summary>The text of a HELP or UNIT entry, unescaped.</summary>
    public string MetaText => UnescapeHelp(_text.AsSpan(_metaStart, _metaLength));

    /// <summary>The metric name of a sample.</summary>
    public string MetricName => Unescape(_text.AsSpan(_nameStart, _nameLength), _nameQuoted);

    /// <summary>Adds the labels of a sample as they are written, without the metric name; values may be empty, names may be doubled.</summary>
    public void CopyLabels(List<Label> into) => Copy(_labels, into);

    /// <summary>Adds the labels of the exemplar as they are written.</summary>
    public void CopyExemplarLabels(List<Label> into) => Copy(_exemplarLabels, into);

    /// <summary>An error at a byte offset of the body, with line and column.</summary>
    public ExpositionError ErrorAt(int offset, string reason)
    {
        ReadOnlySpan<byte> before = _text.AsSpan(0, Math.Min(offset, _end));
        return new ExpositionError(before.Count((byte)'\n') + 1, before.Length - before.LastIndexOf((byte)'\n'), reason);
    }

    private EntryKind ReadTextMeta()
    {
        int p = _at + 1;
        int word = SkipBlanks(p);
        bool help = word > p && StartsWithWord(word, "HELP"u8);
        if (!help && !(word > p && StartsWithWord(word, "TYPE"u8)))
        {
            _at = Math.Min(LineEnd(_at) + 1, _end);
            return EntryKind.Comment;
        }
        p = SkipBlanks(word + 4);
        if (!ReadMetaName(ref p, out EntryKind bad))
            return bad;
        if (p < _end && _text[p] is not ((byte)' ' or (byte)'\t' or (byte)'\n'))
        {
            if (!help)
                return Fail(p, $"expected a blank after the metric name, got {Show(p)}");
            // Prometheus takes a HELP with an odd name for a comment in effect; so do we.
            _at = Math.Min(LineEnd(_at) + 1, _end);
            return EntryKind.Comment;
        }
        _metaStart = SkipBlanks(p);
        int end = LineEnd(_metaStart);
        _metaLength = end - _metaStart;
        _at = Math.Min(end + 1, _end);
        if (help)
            return Utf8.IsValid(_text.AsSpan(_metaStart, _metaLength)) ? EntryKind.Help : Fail(_metaStart, "HELP text is not valid UTF-8");
        MetricType? type = TypeOf(_text.AsSpan(_metaStart, _metaLength), openMetrics: false);
        if (type is null)
            return Fail(_metaStart, $"invalid metric type '{Printable(_text.AsSpan(_metaStart, _metaLength))}': counter, gauge, histogram, summary or untyped");
        Type = type.Value;
        return EntryKind.Type;
    }

    private EntryKind ReadOpenMetricsMeta()
    {
        int p = _at + 2;
        ReadOnlySpan<byte> rest = p <= _end ? _text.AsSpan(p, _end - p) : default;
        if (p > _end || _text[_at + 1] != ' ')
            return Fail(_at, "a '#' must be followed by one blank and HELP, TYPE, UNIT or EOF");
        if (rest.StartsWith("EOF"u8) && (rest.Length == 3 || rest[3] == '\n'))
        {
            if (rest.Length > 4)
                return Fail(p + 4, "data after '# EOF'");
            _at = _end;
            return EntryKind.End;
        }
        EntryKind kind = rest.StartsWith("HELP "u8) ? EntryKind.Help : rest.StartsWith("TYPE "u8) ? EntryKind.Type : rest.StartsWith("UNIT "u8) ? EntryKind.Unit : EntryKind.Error;
        if (kind == EntryKind.Error)
            return Fail(p, "expected 'HELP ', 'TYPE ', 'UNIT ' or 'EOF' after '# ': OpenMetrics has no comments");
        p += 5;
        if (!ReadMetaName(ref p, out EntryKind bad))
            return bad;
        if (p >= _end || _text[p] != ' ')
            return Fail(p, $"expected one blank and a text after the metric name, got {Show(p)}");
        _metaStart = p + 1;
        int end = LineEnd(_metaStart);
        if (end == _end)
            return Fail(_end, "data does not end with '# EOF'");
        _metaLength = end - _metaStart;
        _at = end + 1;
        return CheckOpenMetricsMeta(kind);
    }

    private EntryKind CheckOpenMetricsMeta(EntryKind kind)
    {
        ReadOnlySpan<byte> text = _text.AsSpan(_metaStart, _metaLength);
        if (kind == EntryKind.Help)
            return Utf8.IsValid(text) ? kind : Fail(_metaStart, "HELP text is not valid UTF-8");
        if (kind == EntryKind.Type)
        {
            MetricType? type = TypeOf(text, openMetrics: true);
            if (type is null)
                return Fail(_metaStart, $"invalid metric type '{Printable(text)}': counter, gauge, histogram, gaugehistogram, summary, info, stateset or unknown");
            Type = type.Value;
            return kind;
        }
        ReadOnlySpan<byte> name = _text.AsSpan(_nameStart, _nameLength);
        bool suffix = text.IsEmpty || (name.EndsWith(text) && name.Length > text.Length && name[name.Length - text.Length - 1] == '_');
        return suffix ? kind : Fail(_metaStart, $"unit '{Printable(text)}' is not a suffix of the metric name '{Printable(name)}'");
    }

    private bool ReadMetaName(ref int p, out EntryKind bad)
    {
        bad = EntryKind.Error;
        _nameQuoted = p < _end && _text[p] == '"' && !StrictOpenMetrics;
        if (_nameQuoted)
        {
            int close = QuoteEnd(p, allowNewline: false);
            if (close < 0 || close == p + 1 || !Utf8.IsValid(_text.AsSpan(p + 1, close - p - 1)))
            {
                bad = Fail(p, "expected a metric name in double quotes");
                return false;
            }
            _nameStart = p + 1;
            _nameLength = close - p - 1;
            p = close + 1;
            return true;
        }
        _nameStart = p;
        if (p < _end && IsNameStart(_text[p]))
            p = NameEnd(p);
        _nameLength = p - _nameStart;
        if (_nameLength > 0)
            return true;
        bad = Fail(p, $"expected a metric name, got {Show(p)}");
        return false;
    }

    private EntryKind ReadSample()
    {
        SeriesStart = _at;
        _labels.Clear();
        _nameStart = -1;
        _nameQuoted = false;
        int p = _at;
        if (_text[p] != '{')
        {
            _nameStart = p;
            p = NameEnd(p);
            _nameLength = p - _nameStart;
        }
        int brace = _openMetrics ? p : SkipBlanks(p);
        if (brace < _end && _text[brace] == '{')
        {
            p = brace + 1;
            if (!ReadLabels(ref p, _labels, isExemplar: false))
                return EntryKind.Error;
        }
        if (_nameStart < 0)
            return Fail(SeriesStart, "a metric name is missing before or inside the braces");
        SeriesLength = p - SeriesStart;
        _at = p;
        return ReadValueAndRest();
    }

    /// <summary>Reads labels from after the opening brace to after the closing one.</summary>
    private bool ReadLabels(ref int p, List<LabelSpan> into, bool isExemplar)
    {
        while (true)
        {
            p = SkipLabelBlanks(p);
            if (p >= _end)
                return Refuse(p, "the label set has no closing brace");
            if (_text[p] == '}')
            {
                p++;
                return true;
            }
            bool quoted = _text[p] == '"';
            int start = p, length;
            if (quoted)
            {
                int close = QuoteEnd(p, allowNewline: false);
                if (close < 0 || StrictOpenMetrics)
                    return Refuse(p, StrictOpenMetrics ? "label names are not quoted in OpenMetrics 1.0" : "a quoted name has no end");
                start = p + 1;
                length = close - start;
                p = close + 1;
            }
            else
            {
                while (p < _end && (IsLabelStart(_text[p]) || (p > start && char.IsAsciiDigit((char)_text[p]))))
                    p++;
                length = p - start;
            }
            if (length == 0 || (quoted && !Utf8.IsValid(_text.AsSpan(start, length))))
                return Refuse(start, $"expected a label name, got {Show(start)}");
            p = SkipLabelBlanks(p);
            if (quoted && p < _end && (_text[p] is (byte)',' or (byte)'}'))
            {
                if (!TakeQuotedName(start, length, isExemplar))
                    return false;
            }
            else if (!ReadLabelValue(ref p, into, start, length, quoted))
            {
                return false;
            }
            if (!ReadSeparator(ref p))
                return false;
        }
    }

    private bool TakeQuotedName(int start, int length, bool isExemplar)
    {
        if (isExemplar)
            return Refuse(start, "expected '=' after the label name");
        if (_nameStart >= 0)
            return Refuse(start, "the metric name is given twice");
        _nameStart = start;
        _nameLength = length;
        _nameQuoted = true;
        return true;
    }

    private bool ReadLabelValue(ref int p, List<LabelSpan> into, int start, int length, bool quoted)
    {
        if (p >= _end || _text[p] != '=')
            return Refuse(p, $"expected '=' after the label name, got {Show(p)}");
        p = SkipLabelBlanks(p + 1);
        int close = p < _end && _text[p] == '"' ? QuoteEnd(p, allowNewline: !_openMetrics) : -1;
        if (close < 0)
            return Refuse(p, "expected a label value in double quotes");
        if (!Utf8.IsValid(_text.AsSpan(p + 1, close - p - 1)))
            return Refuse(p, "the label value is not valid UTF-8");
        if (into.Count == LabelsMax)
            return Refuse(start, $"more than {LabelsMax} labels on one sample");
        into.Add(new LabelSpan(start, length, quoted, p + 1, close - p - 1));
        p = close + 1;
        return true;
    }

    private bool ReadSeparator(ref int p)
    {
        p = SkipLabelBlanks(p);
        if (p < _end && _text[p] == ',')
        {
            p++;
            return !StrictOpenMetrics || p >= _end || _text[p] != '}' || Refuse(p, "a comma before the closing brace");
        }
        // The text format's lexer in Prometheus takes labels without a comma between them; OpenMetrics' does not.
        return !_openMetrics || (p < _end && _text[p] == '}') || Refuse(p, $"expected ',' or '}}', got {Show(p)}");
    }

    private EntryKind ReadValueAndRest()
    {
        int p = _at;
        if (_openMetrics)
        {
            if (p >= _end || _text[p] != ' ')
                return Fail(p, $"expected one blank and a value, got {Show(p)}");
            p++;
        }
        else
        {
            p = SkipBlanks(p);
        }
        ValueStart = p;
        if (!ReadFloat(ref p, "value", out double value))
            return EntryKind.Error;
        ValueLength = p - ValueStart;
        Value = double.IsNaN(value) ? BitConverter.UInt64BitsToDouble(SpecialValues.NormalNaNBits) : value;
        HasTimestamp = false;
        HasExemplar = false;
        return _openMetrics ? ReadOpenMetricsRest(p) : ReadTextRest(p);
    }

    private EntryKind ReadTextRest(int p)
    {
        p = SkipBlanks(p);
        if (p < _end && _text[p] != '\n')
        {
            _timestampStart = p;
            while (p < _end && char.IsAsciiDigit((char)_text[p]))
                p++;
            _timestampLength = p - _timestampStart;
            if (_timestampLength == 0 || !long.TryParse(TimestampText, System.Globalization.NumberStyles.None, null, out long ms))
                return Fail(_timestampStart, $"expected a timestamp in ms or the end of the line, got {Show(_timestampStart)}");
            TimestampMs = ms;
            HasTimestamp = true;
            p = SkipBlanks(p);
            if (p < _end && _text[p] != '\n')
                return Fail(p, $"expected the end of the line after the timestamp, got {Show(p)}");
        }
        _at = Math.Min(p + 1, _end);
        return EntryKind.Sample;
    }

    private EntryKind ReadOpenMetricsRest(int p)
    {
        if (p < _end - 1 && _text[p] == ' ' && _text[p + 1] != '#')
        {
            p++;
            _timestampStart = p;
            if (!ReadSeconds(ref p, out long ms))
                return EntryKind.Error;
            _timestampLength = p - _timestampStart;
            TimestampMs = ms;
            HasTimestamp = true;
        }
        if (p < _end && _text[p] == ' ' && !ReadExemplar(ref p))
            return EntryKind.Error;
        if (p >= _end)
            return Fail(p, "data does not end with '# EOF'");
        if (_text[p] != '\n')
            return Fail(p, $"expected the end of the line, got {Show(p)}");
        _at = p + 1;
        return EntryKind.Sample;
    }

    private bool ReadExemplar(ref int p)
    {
        if (!_text.AsSpan(p, _end - p).StartsWith(" # {"u8))
            return Refuse(p, "expected ' # {' and an exemplar, or the end of the line");
        p += 4;
        _exemplarLabels.Clear();
        if (!ReadLabels(ref p, _exemplarLabels, isExemplar: true))
            return false;
        if (p >= _end || _text[p] != ' ')
            return Refuse(p, $"expected one blank and the exemplar's value, got {Show(p)}");
        p++;
        if (!ReadFloat(ref p, "exemplar value", out double value))
            return false;
        ExemplarValue = value;
        ExemplarTimestampMs = null;
        HasExemplar = true;
        if (p >= _end || _text[p] != ' ')
            return true;
        p++;
        _exemplarTimeStart = p;
        if (!ReadSeconds(ref p, out long ms))
            return false;
        _exemplarTimeLength = p - _exemplarTimeStart;
        ExemplarTimestampMs = ms;
        return true;
    }

    private bool ReadFloat(ref int p, string what, out double value)
    {
        int start = p;
        p = TokenEnd(p);
        return FloatText.TryParse(_text.AsSpan(start, p - start), out value)
            || Refuse(start, p == start ? $"expected a {what}, got {Show(p)}" : $"'{Printable(_text.AsSpan(start, p - start))}' is not a {what}: expected a decimal number, +Inf, -Inf or NaN");
    }

    private bool ReadSeconds(ref int p, out long ms)
    {
        int start = p;
        p = TokenEnd(p);
        ms = 0;
        if (!FloatText.TryParse(_text.AsSpan(start, p - start), out double seconds) || !double.IsFinite(seconds))
            return Refuse(start, $"'{Printable(_text.AsSpan(start, p - start))}' is not a timestamp: expected seconds since 1970");
        double scaled = seconds * 1000;
        ms = scaled >= long.MaxValue ? long.MaxValue : scaled <= long.MinValue ? long.MinValue : (long)scaled;
        return true;
    }

    private int TokenEnd(int p)
    {
        if (_openMetrics)
        {
            int n = _text.AsSpan(p, _end - p).IndexOfAny((byte)' ', (byte)'\n');
            return n < 0 ? _end : p + n;
        }
        int m = _text.AsSpan(p, _end - p).IndexOfAny(ValueEnd);
        return m < 0 ? _end : p + m;
    }

    private static MetricType? TypeOf(ReadOnlySpan<byte> text, bool openMetrics)
    {
        if (text.SequenceEqual("counter"u8))
            return MetricType.Counter;
        if (text.SequenceEqual("gauge"u8))
            return MetricType.Gauge;
        if (text.SequenceEqual("histogram"u8))
            return MetricType.Histogram;
        if (text.SequenceEqual("summary"u8))
            return MetricType.Summary;
        if (!openMetrics)
            return text.SequenceEqual("untyped"u8) ? MetricType.Unknown : null;
        if (text.SequenceEqual("gaugehistogram"u8))
            return MetricType.GaugeHistogram;
        if (text.SequenceEqual("info"u8))
            return MetricType.Info;
        if (text.SequenceEqual("stateset"u8))
            return MetricType.StateSet;
        return text.SequenceEqual("unknown"u8) ? MetricType.Unknown : null;
    }

    private bool StartsWithWord(int p, ReadOnlySpan<byte> word) =>
        _end - p > word.Length && _text.AsSpan(p).StartsWith(word) && (_text[p + word.Length] is (byte)' ' or (byte)'\t');

    private int SkipBlanks(int p)
    {
        while (p < _end && (_text[p] is (byte)' ' or (byte)'\t'))
            p++;
        return p;
    }

    private int SkipLabelBlanks(int p) => _openMetrics ? p : SkipBlanks(p);

    private int LineEnd(int p)
    {
        int n = _text.AsSpan(p, _end - p).IndexOf((byte)'\n');
        return n < 0 ? _end : p + n;
    }

    private int NameEnd(int p)
    {
        while (p < _end && (IsNameStart(_text[p]) || char.IsAsciiDigit((char)_text[p])))
            p++;
        return p;
    }

    /// <summary>The closing quote's position, or -1.</summary>
    private int QuoteEnd(int open, bool allowNewline)
    {
        for (int p = open + 1; p < _end; p++)
        {
            byte c = _text[p];
            if (c == '"')
                return p;
            if (c == '\n' && !allowNewline)
                return -1;
            if (c == '\\' && (++p >= _end || _text[p] == '\n'))
                return -1;
        }
        return -1;
    }

    private static bool IsNameStart(byte c) => char.IsAsciiLetter((char)c) || c is (byte)'_' or (byte)':';

    private static bool IsLabelStart(byte c) => char.IsAsciiLetter((char)c) || c == '_';

    private void Copy(List<LabelSpan> from, List<Label> into)
    {
        foreach (LabelSpan l in from)
            into.Add(new Label(Unescape(_text.AsSpan(l.NameStart, l.NameLength), l.Quoted), Unescape(_text.AsSpan(l.ValueStart, l.ValueLength), true)));
    }

    private static string Unescape(ReadOnlySpan<byte> text, bool quoted) =>
        quoted && text.Contains((byte)'\\') ? UnescapeSlow(text, quotes: true) : RecentStrings.Of(text);

    private string UnescapeHelp(ReadOnlySpan<byte> text) => text.Contains((byte)'\\') ? UnescapeSlow(text, quotes: _openMetrics) : Encoding.UTF8.GetString(text);

    /// <summary>Unknown escapes stay as they are, as in Prometheus.</summary>
    private static string UnescapeSlow(ReadOnlySpan<byte> text, bool quotes)
    {
        byte[] plain = new byte[text.Length];
        int n = 0;
        for (int i = 0; i < text.Length; i++)
        {
            byte next = text[i] == '\\' && i + 1 < text.Length ? text[i + 1] : (byte)0;
            if (next == '\\' || (next == '"' && quotes))
                plain[n++] = text[++i];
            else if (next == 'n')
                plain[n++] = text[++i] == 'n' ? (byte)'\n' : text[i];
            else
                plain[n++] = text[i];
        }
        return Encoding.UTF8.GetString(plain, 0, n);
    }

    private string Show(int p) => p >= _end ? "the end" : _text[p] == '\n' ? "the end of the line" : $"'{Printable(_text.AsSpan(p, Math.Min(20, LineEnd(p) - p)))}'";

    private static string Printable(ReadOnlySpan<byte> text) => Encoding.UTF8.GetString(text.Length > 50 ? text[..50] : text);

    private EntryKind Fail(int offset, string reason)
    {
        Error = ErrorAt(offset, reason);
        _at = _end;
        return EntryKind.Error;
    }

    private bool Refuse(int offset, string reason)
    {
        Fail(offset, reason);
        return false;
    }

    private readonly record struct LabelSpan(int NameStart, int NameLength, bool Quoted, int ValueStart, int ValueLength);
}
