using System.Text;
using Bellwether.Core.Model;

namespace Bellwether.Core.Exposition;

/// <summary>
/// What OpenMetrics 1.0 forbids beyond syntax: name clashes, samples that do not fit their family's type, broken groups, times that go back, histograms that do not
/// add up, exemplars in wrong places. One for each body. Source: prometheus.io/docs/specs/om/open_metrics_spec/.
/// </summary>
internal sealed class OpenMetricsCheck
{
    private const int ExemplarRunesMax = 128;
    private const string InfiniteBound = "+Inf";

    private readonly HashSet<string> _names = [];
    private readonly HashSet<string> _groups = [];
    private readonly HashSet<string> _series = [];
    private FamilyDraft? _family;
    private string? _group;
    private decimal? _time;

    /// <summary>Takes a sample into its family; what is wrong with it, or null.</summary>
    public string? Add(FamilyDraft family, ExposedSample sample)
    {
        if (!ReferenceEquals(_family, family))
        {
            _family = family;
            _groups.Clear();
            _group = null;
        }
        string suffix = sample.Name[family.Name.Length..];
        return CheckLabels(family, sample, suffix) ?? CheckValue(family, sample, suffix) ?? CheckExemplar(family, sample, suffix) ?? CheckGroup(family, sample, suffix);
    }

    /// <summary>Ends a family; what is wrong with it as a whole, or null.</summary>
    public string? Close(FamilyDraft family)
    {
        if (family.Unit.Length > 0 && family.Type is MetricType.Info or MetricType.StateSet && family.Unit.Length > 0)
            return $"{family.Name}: a family of type {family.Type} has no unit";
        var own = new HashSet<string> { family.Name };
        foreach (string suffix in FamilyDraft.Suffixes(family.Type, openMetrics: true))
            own.Add(family.Name + suffix);
        foreach (string name in own)
        {
            if (!_names.Add(name))
                return $"the name '{name}' clashes with that of a family before";
        }
        return family.Type is MetricType.Histogram or MetricType.GaugeHistogram ? CheckHistograms(family) : null;
    }

    private static string? CheckLabels(FamilyDraft family, ExposedSample sample, string suffix)
    {
        switch (family.Type)
        {
            case MetricType.Histogram or MetricType.GaugeHistogram when suffix == "_bucket":
                string? le = Get(sample, LabelNames.Bucket);
                if (le is null || !FloatText.TryParse(Encoding.UTF8.GetBytes(le), out double bound) || double.IsNaN(bound))
                    return $"{sample.Name}: a bucket needs a label le with a number";
                return double.IsPositiveInfinity(bound) && le != InfiniteBound ? $"{sample.Name}: the infinite bound is written le=\"+Inf\", not le=\"{le}\"" : null;
            case MetricType.Summary when suffix.Length == 0:
                string? quantile = Get(sample, LabelNames.Quantile);
                bool good = quantile is not null && FloatText.TryParse(Encoding.UTF8.GetBytes(quantile), out double q) && q is >= 0 and <= 1;
                return good ? null : $"{sample.Name}: a summary's sample needs a label quantile from 0 to 1";
            case MetricType.StateSet:
                return Get(sample, family.Name) is null ? $"{sample.Name}: a state needs a label named as its family" : null;
            default:
                return null;
        }
    }

    private static string? CheckValue(FamilyDraft family, ExposedSample sample, string suffix)
    {
        double value = sample.Value;
        if (family.Type == MetricType.StateSet && value is not (0 or 1))
            return $"{sample.Name}: a state is 0 or 1";
        if (family.Type == MetricType.Info && value != 1)
            return $"{sample.Name}: the value of an info is 1";
        bool counterLike = suffix is "_total" or "_sum" or "_count" or "_bucket" or "_gcount" or "_gsum";
        if (counterLike && double.IsNaN(value))
            return $"{sample.Name}: cannot be NaN";
        return counterLike && suffix != "_gsum" && value < 0 ? $"{sample.Name}: cannot be negative" : null;
    }

    private static string? CheckExemplar(FamilyDraft family, ExposedSample sample, string suffix)
    {
        if (sample.Exemplar is not { } exemplar)
            return null;
        bool allowed = (family.Type == MetricType.Counter && suffix == "_total") || (family.Type is MetricType.Histogram or MetricType.GaugeHistogram && suffix == "_bucket");
        if (!allowed)
            return $"{sample.Name}: only counters' _total and histograms' _bucket have exemplars";
        int runes = exemplar.Labels.Sum(l => l.Name.EnumerateRunes().Count() + l.Value.EnumerateRunes().Count());
        return runes > ExemplarRunesMax ? $"{sample.Name}: the exemplar's labels have {runes} characters, at most {ExemplarRunesMax} are allowed" : null;
    }

    private string? CheckGroup(FamilyDraft family, ExposedSample sample, string suffix)
    {
        // The samples of an info cannot be told apart into metrics: all of them are one group.
        string group = family.Type == MetricType.Info ? "" : KeyOf(sample, OwnLabel(family, suffix));
        decimal? time = sample.TimestampSeconds;
        if (group != _group)
        {
            if (!_groups.Add(group))
                return $"{sample.Name}: the samples of one metric stand together";
            _series.Clear();
        }
        else if (time is null != _time is null)
        {
            return $"{sample.Name}: either all samples of a metric have timestamps or none";
        }
        else if (time < _time && family.Type != MetricType.Info)
        {
            return $"{sample.Name}: timestamps of a metric do not go back";
        }
        else if (time != _time)
        {
            _series.Clear();
        }
        _group = group;
        _time = time;
        if (_series.Add(sample.Name + "\n" + KeyOf(sample, null)))
            return family.Add(sample);
        // With one timestamp (to the nanosecond) the later sample is the same point again.
        return time is null ? $"{sample.Name}: the same sample twice without timestamps" : null;
    }

    private static string? OwnLabel(FamilyDraft family, string suffix) => family.Type switch
    {
        MetricType.Histogram or MetricType.GaugeHistogram when suffix == "_bucket" => LabelNames.Bucket,
        MetricType.Summary when suffix.Length == 0 => LabelNames.Quantile,
        MetricType.StateSet => family.Name,
        _ => null,
    };

    private static string KeyOf(ExposedSample sample, string? without) =>
        string.Join('\u0001', sample.Labels.Where(l => l.Name != without).OrderBy(l => l.Name, StringComparer.Ordinal).Select(l => $"{l.Name}\u0002{l.Value}"));

    private static string? Get(ExposedSample sample, string name)
    {
        foreach (Label label in sample.Labels)
        {
            if (label.Name == name)
                return label.Value;
        }
        return null;
    }

    private static string? CheckHistograms(FamilyDraft family)
    {
        var points = new Dictionary<(string, decimal?), HistogramPoint>();
        foreach (ExposedSample sample in family.Samples)
        {
            string suffix = sample.Name[family.Name.Length..];
            (string, decimal?) key = (KeyOf(sample, suffix == "_bucket" ? LabelNames.Bucket : null), sample.TimestampSeconds);
            if (!points.TryGetValue(key, out HistogramPoint? point))
                points.Add(key, point = new HistogramPoint());
            if (point.Add(suffix, sample) is { } bad)
                return $"{sample.Name}: {bad}";
        }
        foreach (HistogramPoint point in points.Values)
        {
            if (point.Close(family.Type) is { } bad)
                return $"{family.Name}: {bad}";
        }
        return null;
    }

    /// <summary>One histogram at one time.</summary>
    private sealed class HistogramPoint
    {
        private double? _bound;
        private double _last;
        private double? _count;
        private double? _sum;
        private bool _negativeBuckets;

        public string? Add(string suffix, ExposedSample sample)
        {
            switch (suffix)
            {
                case "_count" or "_gcount":
                    _count = sample.Value;
                    return null;
                case "_sum" or "_gsum":
                    _sum = sample.Value;
                    return null;
                case "_bucket":
                    _ = FloatText.TryParse(Encoding.UTF8.GetBytes(Get(sample, LabelNames.Bucket)!), out double bound);
                    if (bound <= _bound)
                        return "buckets stand in the order of le";
                    if (sample.Value < _last && _bound is not null)
                        return "buckets are cumulative: a later one is not smaller";
                    _negativeBuckets |= bound < 0;
                    _bound = bound;
                    _last = sample.Value;
                    return null;
                default:
                    return null;
            }
        }

        public string? Close(MetricType type)
        {
            if (_bound != double.PositiveInfinity)
                return "the bucket le=\"+Inf\" is missing";
            if (_count is { } count && count != _last)
                return "the count is not that of the bucket le=\"+Inf\"";
            if (_sum is null != _count is null)
                return "a sum and a count come together";
            if (_sum is not null && _negativeBuckets && type == MetricType.Histogram)
                return "a histogram with negative buckets has no sum";
            return _sum < 0 && !_negativeBuckets ? "a sum cannot be negative without negative buckets" : null;
        }
    }
}
