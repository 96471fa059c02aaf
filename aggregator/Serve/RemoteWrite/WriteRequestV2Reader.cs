using Bellwether.Core.Model;

namespace Bellwether.Serve.RemoteWrite;

/// <summary>
/// Decodes <c>io.prometheus.write.v2.Request</c> (remote write 2.0-rc.4) by hand over the bytes. A reference outside the symbols or an odd number of them refuses its series; the others go on.
/// Source: prometheus.io/docs/specs/prw/remote_write_spec_2_0/.
/// </summary>
internal sealed class WriteRequestV2Reader(RemoteWriteReceiveOptions options) : RequestReader(options)
{
    private const int SymbolsKeptMax = 64 * 1024;
    private readonly List<string?> _symbols = [];
    private readonly List<uint> _refs = [];

    /// <inheritdoc/>
    public override WriteRequestReport Read(ReadOnlySpan<byte> bytes, SampleBatch into)
    {
        Begin();
        // Symbols may stand behind the series that use them: read them first.
        if (ReadSymbols(bytes) is { } wrong)
            return Malformed(wrong);
        var reader = new WireReader(bytes);
        while (!reader.AtEnd)
        {
            if (!reader.TryField(out int field, out int type))
                return Malformed("a field key");
            if (field == 5 && type == 2)
            {
                if (!reader.TryBytes(out ReadOnlySpan<byte> part) || !Series(part, into))
                    return Malformed("a time series");
                if (OverLimit(into) is { } over)
                    return over;
            }
            else if (!reader.TrySkip(type))
            {
                return Malformed($"field {field}");
            }
        }
        if (_symbols.Capacity > SymbolsKeptMax)
            _symbols.Capacity = 0;
        return Report();
    }

    private WriteRequestReport Malformed(string where)
    {
        _symbols.Clear();
        return new($"the body is no io.prometheus.write.v2.Request: {where} is not valid", 0, 0, null);
    }

    private string? ReadSymbols(ReadOnlySpan<byte> bytes)
    {
        _symbols.Clear();
        bool series = false;
        var reader = new WireReader(bytes);
        while (!reader.AtEnd)
        {
            if (!reader.TryField(out int field, out int type))
                return "a field key";
            if (field == 4 && type == 2)
            {
                if (!reader.TryBytes(out ReadOnlySpan<byte> text))
                    return "a symbol";
                if (_symbols.Count == Options.SymbolsMax)
                    return $"a symbol table of more than {Options.SymbolsMax} texts";
                _symbols.Add(Texts.TryGet(text, out string symbol) ? symbol : null);
            }
            else if (!reader.TrySkip(type))
            {
                return $"field {field}";
            }
            series |= field == 5;
        }
        return series && (_symbols.Count == 0 || _symbols[0] is not "") ? "symbols[0], which must be the empty string," : null;
    }

    private bool Series(ReadOnlySpan<byte> bytes, SampleBatch into)
    {
        if (!TryRefs(bytes))
            return false;
        Labels? labels = Resolve(out string? invalid);
        if (labels is not null && labels.MetricName.Length == 0)
        {
            invalid = $"series {labels} has no metric name";
            labels = null;
        }
        if (labels is not null && HasBothKinds(bytes))
        {
            invalid = $"series {labels} has samples and histograms; one time series has one kind";
            labels = null;
        }
        var reader = new WireReader(bytes);
        while (!reader.AtEnd)
        {
            if (!reader.TryField(out int field, out int type))
                return false;
            if (type != 2)
            {
                if (!reader.TrySkip(type))
                    return false;
                continue;
            }
            if (!reader.TryBytes(out ReadOnlySpan<byte> part))
                return false;
            bool ok = field switch
            {
                2 => Sample(part, labels, invalid, into),
                3 => Histogram(part, labels, invalid, into),
                4 => ReadExemplar(part, labels, into),
                5 => Metadata(part, labels, into),
                _ => true,
            };
            if (!ok)
                return false;
        }
        return true;
    }

    private static bool HasBothKinds(ReadOnlySpan<byte> series)
    {
        bool samples = false, histograms = false;
        var reader = new WireReader(series);
        while (!reader.AtEnd && reader.TryField(out int field, out int type) && reader.TrySkip(type))
        {
            samples |= field == 2;
            histograms |= field == 3;
        }
        return samples && histograms;
    }

    private bool ReadExemplar(ReadOnlySpan<byte> bytes, Labels? labels, SampleBatch into)
    {
        if (!TryRefs(bytes) || !TryPoint(bytes, out double value, out long timestamp, out _, valueField: 2))
            return false;
        Labels? own = Resolve(out string? invalid);
        if (labels is null)
            return true;
        if (own is null || timestamp == 0)
            Refuse($"an exemplar of {labels}: {invalid ?? "it has no time"}");
        else
            into.Exemplars.Add((labels, new Exemplar(own, value, timestamp)));
        return true;
    }

    private bool Metadata(ReadOnlySpan<byte> bytes, Labels? labels, SampleBatch into)
    {
        ulong kind = 0, help = 0, unit = 0;
        var reader = new WireReader(bytes);
        while (!reader.AtEnd)
        {
            if (!reader.TryField(out int field, out int type))
                return false;
            if (type != 0)
            {
                if (!reader.TrySkip(type))
                    return false;
                continue;
            }
            if (!reader.TryVarint(out ulong raw))
                return false;
            kind = field == 1 ? raw : kind;
            help = field == 3 ? raw : help;
            unit = field == 4 ? raw : unit;
        }
        if (help >= (ulong)_symbols.Count || unit >= (ulong)_symbols.Count)
        {
            Refuse($"the metadata of {labels} refers to symbol {Math.Max(help, unit)} of {_symbols.Count}");
            return true;
        }
        if (labels is not null && (kind | help | unit) != 0)
            Describe(Family(labels.MetricName, kind), kind, _symbols[(int)help], _symbols[(int)unit], into);
        return true;
    }

    /// <summary>The family that a series belongs to: 2.0 describes series, the classic ones of histograms and summaries by their own names.</summary>
    private static string Family(string name, ulong kind)
    {
        if ((MetricType)kind is not (MetricType.Histogram or MetricType.GaugeHistogram or MetricType.Summary))
            return name;
        foreach (string suffix in (ReadOnlySpan<string>)["_bucket", "_count", "_sum", "_gcount", "_gsum"])
        {
            if (name.Length > suffix.Length && name.EndsWith(suffix, StringComparison.Ordinal))
                return name[..^suffix.Length];
        }
        return name;
    }

    /// <summary>Reads field 1 of a message, packed or not, as references. False: malformed.</summary>
    private bool TryRefs(ReadOnlySpan<byte> message)
    {
        _refs.Clear();
        var reader = new WireReader(message);
        while (!reader.AtEnd)
        {
            if (!reader.TryField(out int field, out int type))
                return false;
            if (field == 1 && type == 0)
            {
                if (!reader.TryVarint(out ulong single))
                    return false;
                Keep(single);
            }
            else if (field == 1 && type == 2)
            {
                if (!reader.TryBytes(out ReadOnlySpan<byte> packed))
                    return false;
                var inner = new WireReader(packed);
                while (!inner.AtEnd)
                {
                    if (!inner.TryVarint(out ulong raw))
                        return false;
                    Keep(raw);
                }
            }
            else if (!reader.TrySkip(type))
            {
                return false;
            }
        }
        return true;
    }

    private void Keep(ulong raw)
    {
        // One pair beyond the limit is enough to refuse the series; a series may claim millions of them.
        if (_refs.Count < (2 * Options.LabelsMax) + 2)
            _refs.Add(raw > uint.MaxValue ? uint.MaxValue : (uint)raw);
    }

    private Labels? Resolve(out string? invalid)
    {
        invalid = _refs.Count % 2 != 0 ? $"labels_refs has {_refs.Count} references, an odd number" : null;
        Builder.Reset();
        for (int i = 0; i + 1 < _refs.Count && invalid is null; i += 2)
        {
            uint name = _refs[i], value = _refs[i + 1];
            if (name >= _symbols.Count || value >= _symbols.Count)
                invalid = $"labels_refs names symbol {Math.Max(name, value)} of {_symbols.Count}";
            else
                invalid = Take(_symbols[(int)name], _symbols[(int)value], (i / 2) + 1);
        }
        return invalid is null ? Builder.Build() : null;
    }
}
