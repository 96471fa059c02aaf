using System.Diagnostics.Metrics;
using System.Globalization;
using Bellwether.Core.Exposition;
using Bellwether.Core.Model;

namespace Bellwether.Core.Telemetry;

/// <summary>
/// Collects what the instruments of one meter measure, in memory, as metric families. The number of series is bounded: what comes beyond is refused and counted.
/// Thread-safe.
/// </summary>
public sealed class SelfMetrics : IDisposable
{
    /// <summary>Series of one process above which new ones are refused.</summary>
    public const int SeriesMax = 5000;

    private static readonly double[] DefaultBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

    private readonly Lock _gate = new();
    private readonly List<InstrumentState> _instruments = [];
    private readonly MeterListener _listener;
    private readonly Func<IEnumerable<ExposedFamily>>? _more;
    private int _series;
    private long _refused;

    /// <summary>Listens to the meters of one name, from now on and for instruments made later.</summary>
    /// <param name="meterName">The name of the meters, usually <see cref="MetricNames.Meter"/>.</param>
    /// <param name="more">Further families for each collection, e.g. <see cref="ProcessMetrics.Collect"/>; null: none.</param>
    public SelfMetrics(string meterName, Func<IEnumerable<ExposedFamily>>? more = null)
        : this(instrument => instrument.Meter.Name == meterName, more)
    {
    }

    /// <summary>Listens to one meter only, for several in one process (tests).</summary>
    public SelfMetrics(Meter meter, Func<IEnumerable<ExposedFamily>>? more = null)
        : this(instrument => ReferenceEquals(instrument.Meter, meter), more)
    {
    }

    private SelfMetrics(Func<Instrument, bool> wanted, Func<IEnumerable<ExposedFamily>>? more)
    {
        _more = more;
        _listener = new MeterListener
        {
            InstrumentPublished = (instrument, listener) =>
            {
                if (wanted(instrument))
                    listener.EnableMeasurementEvents(instrument, Register(instrument));
            },
        };
        _listener.SetMeasurementEventCallback<long>((_, value, tags, state) => Record(state, value, tags));
        _listener.SetMeasurementEventCallback<int>((_, value, tags, state) => Record(state, value, tags));
        _listener.SetMeasurementEventCallback<double>((_, value, tags, state) => Record(state, value, tags));
        _listener.SetMeasurementEventCallback<float>((_, value, tags, state) => Record(state, value, tags));
        _listener.SetMeasurementEventCallback<short>((_, value, tags, state) => Record(state, value, tags));
        _listener.SetMeasurementEventCallback<byte>((_, value, tags, state) => Record(state, value, tags));
        _listener.Start();
    }

    /// <summary>All families as they stand, by name; observable instruments are asked now.</summary>
    public IReadOnlyList<ExposedFamily> Collect()
    {
        var families = new List<ExposedFamily>();
        lock (_gate)
        {
            foreach (InstrumentState state in _instruments)
                state.BeginObservation();
        }
        _listener.RecordObservableInstruments();
        lock (_gate)
        {
            foreach (InstrumentState state in _instruments)
                families.Add(state.ToFamily());
            if (_refused > 0)
            {
                families.Add(new ExposedFamily(MetricNames.TelemetrySeriesRefused, MetricType.Counter, "Measurements of own metrics refused because there are too many series.", "",
                    [new ExposedSample(MetricNames.TelemetrySeriesRefused, [], _refused)]));
            }
        }
        if (_more is not null)
            families.AddRange(_more());
        families.Sort((a, b) => string.CompareOrdinal(a.Name, b.Name));
        return families;
    }

    /// <inheritdoc/>
    public void Dispose() => _listener.Dispose();

    private InstrumentState Register(Instrument instrument)
    {
        var state = new InstrumentState(instrument);
        lock (_gate)
        {
            // Two components may make the same instrument: they add up in one family.
            InstrumentState? same = _instruments.Find(i => i.Name == state.Name);
            if (same is not null)
                return same;
            _instruments.Add(state);
        }
        return state;
    }

    private void Record(object? state, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        var instrument = (InstrumentState)state!;
        lock (_gate)
        {
            if (!instrument.Record(value, tags, _series < SeriesMax, out bool added))
                _refused++;
            else if (added)
                _series++;
        }
    }

    private enum Kind
    {
        Sum,
        Level,
        Distribution,
    }

    private sealed class InstrumentState
    {
        private readonly MetricType _type;
        private readonly Kind _kind;
        private readonly bool _observable;
        private readonly string _help;
        private readonly string _unit;
        private readonly double[] _bounds;
        private readonly List<Series> _series = [];
        private int _observation;

        public InstrumentState(Instrument instrument)
        {
            Name = Sanitize(instrument.Name);
            _help = instrument.Description ?? "";
            _unit = instrument.Unit is { Length: > 0 } unit && Name.EndsWith("_" + unit, StringComparison.Ordinal) ? unit : "";
            _observable = instrument.IsObservable;
            string definition = instrument.GetType().GetGenericTypeDefinition().Name;
            (_type, _kind) = definition switch
            {
                "Counter`1" => (MetricType.Counter, Kind.Sum),
                "ObservableCounter`1" => (MetricType.Counter, Kind.Level),
                "UpDownCounter`1" => (MetricType.Gauge, Kind.Sum),
                "Histogram`1" => (MetricType.Histogram, Kind.Distribution),
                _ => (MetricType.Gauge, Kind.Level),
            };
            _bounds = (instrument as Histogram<double>)?.Advice?.HistogramBucketBoundaries?.ToArray()
                ?? (instrument as Histogram<long>)?.Advice?.HistogramBucketBoundaries?.Select(b => (double)b).ToArray()
                ?? DefaultBounds;
            // A counter without labels is there from the start, at 0: a rate over its first increase needs that.
            if (_kind == Kind.Sum)
                _series.Add(new Series([], 0, 0));
        }

        public string Name { get; }

        public void BeginObservation() => _observation++;

        public bool Record(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags, bool room, out bool added)
        {
            added = false;
            int hash = HashOf(tags);
            Series? series = null;
            foreach (Series s in _series)
            {
                if (s.Hash == hash && s.Matches(tags))
                {
                    series = s;
                    break;
                }
            }
            if (series is null)
            {
                if (!room)
                    return false;
                series = new Series(LabelsOf(tags), hash, _kind == Kind.Distribution ? _bounds.Length + 1 : 0);
                _series.Add(series);
                added = true;
            }
            series.Seen = _observation;
            series.Touched = true;
            switch (_kind)
            {
                case Kind.Sum:
                    series.Value += value;
                    break;
                case Kind.Level:
                    series.Value = value;
                    break;
                default:
                    series.Observe(value, _bounds);
                    break;
            }
            return true;
        }

        public ExposedFamily ToFamily()
        {
            var samples = new List<ExposedSample>();
            bool labelled = _series.Count > 1 || (_series.Count == 1 && _series[0].Labels.Length > 0);
            foreach (Series s in _series)
            {
                // A label set that its observable instrument no longer reports is gone; the unlabelled zero gives way to labelled series.
                if ((_observable && s.Seen != _observation) || (labelled && !s.Touched))
                    continue;
                if (_kind == Kind.Distribution)
                    s.AddDistribution(samples, Name, _bounds);
                else
                    samples.Add(new ExposedSample(Name, s.Labels, s.Value));
            }
            return new ExposedFamily(Name, _type, _help, _unit, samples);
        }

        private static string Sanitize(string name)
        {
            if (Labels.IsLegacyMetricName(name))
                return name;
            return string.Concat(name.Select((c, i) => char.IsAsciiLetter(c) || c is '_' or ':' || (i > 0 && char.IsAsciiDigit(c)) ? c : '_'));
        }

        private static int HashOf(ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            int hash = 0;
            foreach (KeyValuePair<string, object?> tag in tags)
                hash = HashCode.Combine(hash, tag.Key, tag.Value);
            return hash;
        }

        private static Label[] LabelsOf(ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            var labels = new Label[tags.Length];
            for (int i = 0; i < tags.Length; i++)
                labels[i] = new Label(tags[i].Key, TextOf(tags[i].Value));
            return labels;
        }
    }

    private static string TextOf(object? value) => value as string ?? Convert.ToString(value, CultureInfo.InvariantCulture) ?? "";

    private sealed class Series(Label[] labels, int hash, int buckets)
    {
        private readonly long[] _buckets = buckets == 0 ? [] : new long[buckets];
        private long _count;

        public Label[] Labels { get; } = labels;

        public int Hash { get; } = hash;

        public double Value { get; set; }

        public int Seen { get; set; }

        public bool Touched { get; set; }

        public bool Matches(ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            if (tags.Length != Labels.Length)
                return false;
            for (int i = 0; i < tags.Length; i++)
            {
                if (tags[i].Key != Labels[i].Name || TextOf(tags[i].Value) != Labels[i].Value)
                    return false;
            }
            return true;
        }

        public void Observe(double value, double[] bounds)
        {
            int i = 0;
            while (i < bounds.Length && value > bounds[i])
                i++;
            _buckets[i]++;
            _count++;
            Value += value;
        }

        public void AddDistribution(List<ExposedSample> samples, string name, double[] bounds)
        {
            long cumulative = 0;
            for (int i = 0; i < _buckets.Length; i++)
            {
                cumulative += _buckets[i];
                string bound = i < bounds.Length ? FloatText.ToBoundText(bounds[i]) : "+Inf";
                samples.Add(new ExposedSample(name + "_bucket", [.. Labels, new Label(LabelNames.Bucket, bound)], cumulative));
            }
            samples.Add(new ExposedSample(name + "_sum", Labels, Value));
            samples.Add(new ExposedSample(name + "_count", Labels, _count));
        }
    }
}
