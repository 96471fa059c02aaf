using System.Globalization;

namespace Bellwether.Bench.Store;

/// <summary>The series of a load on the store: a hundred metrics of so many instances; a third constant, a third counters, a third noise of two decimals.</summary>
internal sealed class LoadSeries
{
    private const int Metrics = 100;
    private readonly double[] _values;
    private readonly Random _random = new(11);

    public LoadSeries(int count)
    {
        _values = new double[count];
        for (int s = 0; s < count; s++)
            _values[s] = s;
        Next();
    }

    public int Count => _values.Length;

    public ReadOnlySpan<double> Values => _values;

    public static string Name(int series) => string.Create(CultureInfo.InvariantCulture, $"bench_node_metric_{series % Metrics}_total");

    public static string Instance(int series)
    {
        int instance = series / Metrics;
        return string.Create(CultureInfo.InvariantCulture, $"10.{instance / 250 % 250}.{instance % 250}.17:9100");
    }

    public static (string Name, string Value)[] LabelsOf(int series) =>
        [("cluster", "eu-central-1"), ("env", "production"), ("instance", Instance(series)), ("job", "bench"), ("unit", string.Create(CultureInfo.InvariantCulture, $"u{series % Metrics}"))];

    /// <summary>The values of the next tick.</summary>
    public void Next()
    {
        for (int s = 0; s < _values.Length; s++)
        {
            if (s % 3 == 1)
                _values[s] += _random.Next(200);
            else if (s % 3 == 2)
                _values[s] = _random.Next(10_000) / 100.0;
        }
    }
}
