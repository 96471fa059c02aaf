using System.Globalization;
using Bellwether.Core.Model;

namespace Bellwether.Evaluate.PromQl.Syntax;

/// <summary>One expanded item of a series line: nothing at this step, a number (perhaps the stale marker), or a histogram.</summary>
/// <param name="IsMissing">No sample at this step.</param>
/// <param name="Value">The number; for start timestamps ms relative to the sample.</param>
/// <param name="Histogram">The histogram, or null.</param>
/// <param name="NamesHint">Whether the text named a counter reset hint.</param>
public readonly record struct SeriesItem(bool IsMissing, double Value, NativeHistogram? Histogram = null, bool NamesHint = false);

/// <summary>A series with its values.</summary>
/// <param name="Labels">The series.</param>
/// <param name="Items">The values, one per step.</param>
/// <param name="IsStartTimes">Whether these are start timestamps (<c>series@st</c>) of the line that follows.</param>
public sealed record SeriesLine(Labels Labels, IReadOnlyList<SeriesItem> Items, bool IsStartTimes);

/// <summary>
/// The notation of series with values in test scripts and rule unit tests: <c>metric{a="b"} 1+1x5 _ stale {{schema:0 count:2}}x3</c>.
/// Source: prometheus.io, "Unit testing for rules", "Series".
/// </summary>
public sealed class SeriesNotation
{
    /// <summary>Most items that one line may expand to.</summary>
    public const int MaxItems = 1_000_000;

    private readonly string _text;
    private readonly List<SeriesItem> _items = [];
    private int _at;
    private string _error = "";

    private SeriesNotation(string text) => _text = text;

    /// <summary>Reads a line; null with an error text when it is not valid.</summary>
    public static SeriesLine? Parse(string line, out string error)
    {
        var reader = new SeriesNotation(line);
        Labels? labels = reader.ReadLabels(out bool startTimes);
        if (labels is not null)
            reader.ReadItems(startTimes);
        error = reader._error;
        return error.Length == 0 && labels is not null ? new SeriesLine(labels, reader._items, startTimes) : null;
    }

    /// <summary>Reads a series alone, such as <c>up{job="a"}</c>; null with an error text when it is not valid.</summary>
    public static Labels? ParseLabels(string text, out string error)
    {
        var reader = new SeriesNotation(text);
        Labels? labels = reader.ReadLabels(out _);
        if (labels is not null && reader._at < text.TrimEnd().Length)
            reader._error = $"unexpected text after the series: {text[reader._at..]}";
        error = reader._error;
        return error.Length == 0 ? labels : null;
    }

    private Labels? ReadLabels(out bool startTimes)
    {
        startTimes = false;
        var lexer = new Lexer(_text);
        var builder = new LabelsBuilder();
        Token token = lexer.Next(true);
        if (token.Kind == TokenKind.Identifier)
        {
            builder.Set(LabelNames.MetricName, token.Value);
            _at = token.Span.End;
            token = lexer.Next(false);
        }
        else if (token is not { Kind: TokenKind.Symbol, Value: "{" })
        {
            _error = $"expected a metric name or '{{' in '{_text}'";
            return null;
        }
        if (token is { Kind: TokenKind.Symbol, Value: "{" } && (token.Span.Start == _at || _text.AsSpan(_at, token.Span.Start - _at).IsWhiteSpace()) && !IsHistogramStart(token.Span.Start)
            && !ReadBraces(lexer, builder))
            return null;
        if (string.CompareOrdinal(_text, _at, "@st", 0, 3) == 0)
        {
            startTimes = true;
            _at += 3;
        }
        return builder.Build();
    }

    private bool IsHistogramStart(int at) => string.CompareOrdinal(_text, at, "{{", 0, 2) == 0;

    private bool ReadBraces(Lexer lexer, LabelsBuilder builder)
    {
        Token token = lexer.Next(false);
        while (token is not { Kind: TokenKind.Symbol, Value: "}" })
        {
            if (token.Kind is not (TokenKind.Identifier or TokenKind.Text))
                return Refuse($"expected a label name in '{_text}'");
            string name = token.Value;
            bool quoted = token.Kind == TokenKind.Text;
            token = lexer.Next(false);
            if (token is { Kind: TokenKind.Symbol, Value: "=" })
            {
                token = lexer.Next(false);
                if (token.Kind != TokenKind.Text)
                    return Refuse($"expected a quoted value of label '{name}' in '{_text}'");
                builder.Set(name, token.Value);
                token = lexer.Next(false);
            }
            else if (quoted)
            {
                builder.Set(LabelNames.MetricName, name);
            }
            else
            {
                return Refuse($"expected '=' after label '{name}' in '{_text}'");
            }
            if (token is { Kind: TokenKind.Symbol, Value: "," })
                token = lexer.Next(false);
            else if (token is not { Kind: TokenKind.Symbol, Value: "}" })
                return Refuse($"expected ',' or '}}' in '{_text}'");
        }
        _at = token.Span.End;
        return true;
    }

    private bool Refuse(string error)
    {
        _error = error;
        return false;
    }

    private void ReadItems(bool startTimes)
    {
        while (_error.Length == 0)
        {
            while (_at < _text.Length && char.IsWhiteSpace(_text[_at]))
                _at++;
            if (_at >= _text.Length)
                return;
            int start = _at;
            int end = EndOfItem(start);
            _at = end;
            string item = _text[start..end];
            bool ok = item.StartsWith('_') ? Gap(item) : startTimes ? StartTimes(item) : item.StartsWith("{{", StringComparison.Ordinal) ? Histograms(item) : Numbers(item);
            if (!ok && _error.Length == 0)
                _error = $"'{item}' is not a value";
            if (_items.Count > MaxItems)
                _error = $"the line expands to more than {MaxItems} values";
        }
    }

    private int EndOfItem(int p)
    {
        while (p < _text.Length && !char.IsWhiteSpace(_text[p]))
        {
            if (IsHistogramStart(p))
            {
                int close = _text.IndexOf("}}", p, StringComparison.Ordinal);
                p = close < 0 ? _text.Length : close + 2;
            }
            else
            {
                p++;
            }
        }
        return p;
    }

    private bool Gap(string item)
    {
        int times = 1;
        if (item.Length > 1 && (item[1] != 'x' || !TryTimes(item.AsSpan(2), out times)))
            return false;
        for (int i = 0; i < times; i++)
            _items.Add(new SeriesItem(true, 0));
        return true;
    }

    private static bool TryTimes(ReadOnlySpan<char> text, out int times) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out times) && times <= MaxItems;

    private bool Numbers(string item)
    {
        if (item == "stale")
        {
            _items.Add(new SeriesItem(false, SpecialValues.StaleMarker));
            return true;
        }
        // 0x5 is zero, five times more; only what cannot be read so is hexadecimal.
        if (Split(item, out string first, out string step, out int times)
            && NumberText.TryParse(first, out double value)
            && (step.Length == 0 || NumberText.TryParse(step, out _)))
            return Repeat(value, step.Length == 0 ? 0 : Number(step), times, step.Length > 0);
        if (!NumberText.TryParse(item, out double single))
            return false;
        _items.Add(new SeriesItem(false, single));
        return true;
    }

    private static double Number(string text) => NumberText.TryParse(text, out double value) ? value : 0;

    private bool Repeat(double value, double step, int times, bool add)
    {
        for (int i = 0; i <= times; i++)
        {
            _items.Add(new SeriesItem(false, value));
            if (add)
                value += step;
        }
        return true;
    }

    /// <summary>Cuts <c>a+bxn</c> into its parts; the step keeps its sign.</summary>
    private static bool Split(string item, out string first, out string step, out int times)
    {
        (first, step, times) = (item, "", 0);
        int x = item.LastIndexOf('x');
        if (x <= 0 || !TryTimes(item.AsSpan(x + 1), out times))
            return false;
        string head = item[..x];
        // The sign that starts the step: not the first character, not the sign of an exponent.
        int sign = -1;
        for (int i = 1; i < head.Length; i++)
        {
            bool exponent = head[i - 1] is 'e' or 'E' && !head.StartsWith("0x", StringComparison.OrdinalIgnoreCase);
            if (head[i] is '+' or '-' && !exponent)
            {
                sign = i;
                break;
            }
        }
        first = sign < 0 ? head : head[..sign];
        step = sign < 0 ? "" : head[sign..];
        return true;
    }

    private bool StartTimes(string item)
    {
        if (TryOffset(item, out double single))
        {
            _items.Add(new SeriesItem(false, single));
            return true;
        }
        return Split(item, out string first, out string step, out int times)
            && TryOffset(first, out double value)
            && TryOffset(step.Length == 0 ? "0" : step, out double delta)
            && Repeat(value, delta, times, step.Length > 0);
    }

    private static bool TryOffset(string text, out double ms)
    {
        bool minus = text.StartsWith('-');
        bool ok = DurationText.TryParse(text.AsSpan(minus || text.StartsWith('+') ? 1 : 0), out long value);
        ms = minus ? -value : value;
        return ok;
    }

    private bool Histograms(string item)
    {
        int close = item.IndexOf("}}", StringComparison.Ordinal);
        if (close < 0)
            return Refuse("'{{' without '}}'");
        NativeHistogram? value = ReadHistogram(item[2..close], out bool namesHint);
        if (value is null)
            return false;
        string rest = item[(close + 2)..];
        NativeHistogram? step = null;
        bool minus = false;
        if (rest.Length > 0 && rest[0] is '+' or '-')
        {
            minus = rest[0] == '-';
            int end = rest.IndexOf("}}", StringComparison.Ordinal);
            if (end < 0 || !rest.AsSpan(1).StartsWith("{{"))
                return false;
            step = ReadHistogram(rest[3..end], out _);
            if (step is null)
                return false;
            rest = rest[(end + 2)..];
        }
        int times = 0;
        if (rest.Length > 0 ? rest[0] != 'x' || !TryTimes(rest.AsSpan(1), out times) : step is not null)
            return false;
        for (int i = 0; i <= times; i++)
        {
            _items.Add(new SeriesItem(false, 0, value, namesHint));
            if (step is null || i == times)
                continue;
            NativeHistogram? next = minus ? value.Subtract(step, out _, out _) : value.Add(step, out _, out _);
            if (next is null)
                return Refuse("the two histograms cannot be added");
            value = next.WithHint(value.ResetHint).Compact();
        }
        return true;
    }

    private NativeHistogram? ReadHistogram(string body, out bool namesHint)
    {
        int schema = 0, offset = 0, negativeOffset = 0;
        double sum = 0, count = 0, zero = 0, zeroWidth = 0;
        double[] buckets = [], negative = [], bounds = [];
        CounterResetHint hint = CounterResetHint.Unknown;
        namesHint = false;
        foreach ((string key, string value) in Pairs(body))
        {
            bool ok = key switch
            {
                "schema" => int.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out schema),
                "offset" => int.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out offset),
                "n_offset" => int.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out negativeOffset),
                "sum" => NumberText.TryParse(value, out sum),
                "count" => NumberText.TryParse(value, out count),
                "z_bucket" => NumberText.TryParse(value, out zero),
                "z_bucket_w" => NumberText.TryParse(value, out zeroWidth),
                "buckets" => TryNumbers(value, out buckets),
                "n_buckets" => TryNumbers(value, out negative),
                "custom_values" => TryNumbers(value, out bounds),
                "counter_reset_hint" => namesHint = TryHint(value, out hint),
                _ => false,
            };
            if (!ok)
            {
                _error = $"histogram: '{key}:{value}' is not valid";
                return null;
            }
        }
        return new NativeHistogram
        {
            Schema = schema,
            Sum = sum,
            Count = count,
            ZeroCount = zero,
            ZeroThreshold = zeroWidth,
            PositiveSpans = buckets.Length == 0 ? [] : [new BucketSpan(offset, buckets.Length)],
            PositiveBuckets = buckets,
            NegativeSpans = negative.Length == 0 ? [] : [new BucketSpan(negativeOffset, negative.Length)],
            NegativeBuckets = negative,
            CustomValues = bounds,
            ResetHint = hint,
        };
    }

    private static bool TryHint(string text, out CounterResetHint hint)
    {
        hint = text switch { "reset" => CounterResetHint.Reset, "not_reset" => CounterResetHint.NotReset, "gauge" => CounterResetHint.Gauge, _ => CounterResetHint.Unknown };
        return hint != CounterResetHint.Unknown || text == "unknown";
    }

    private static bool TryNumbers(string text, out double[] numbers)
    {
        string[] parts = text.Trim('[', ']').Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        numbers = new double[parts.Length];
        for (int i = 0; i < parts.Length; i++)
        {
            if (!NumberText.TryParse(parts[i], out numbers[i]))
                return false;
        }
        return text.StartsWith('[') && text.EndsWith(']');
    }

    private static IEnumerable<(string Key, string Value)> Pairs(string body)
    {
        int p = 0;
        while (true)
        {
            while (p < body.Length && char.IsWhiteSpace(body[p]))
                p++;
            if (p >= body.Length)
                yield break;
            int colon = body.IndexOf(':', p);
            if (colon < 0)
            {
                yield return (body[p..], "");
                yield break;
            }
            int end = colon + 1;
            bool list = end < body.Length && body[end] == '[';
            while (end < body.Length && (list ? body[end] != ']' : !char.IsWhiteSpace(body[end])))
                end++;
            if (list && end < body.Length)
                end++;
            yield return (body[p..colon], body[(colon + 1)..end]);
            p = end;
        }
    }
}
