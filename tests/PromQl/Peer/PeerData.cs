using System.Globalization;
using System.Text;
using Bellwether.Core.Model;
using Bellwether.Kit.PromQl;

namespace Bellwether.PromQl.Tests.Peer;

/// <summary>
/// Data for both sides of a comparison: counters with resets, gauges, numbers that are none, gaps, classic histograms. No sample lies at a whole second, and so none
/// at the edge of a window: there Prometheus 2 and 3 differ.
/// </summary>
internal static class PeerData
{
    public const long StartMs = 1_700_000_000_000;

    /// <summary>Seconds that the data cover.</summary>
    public const int Seconds = 3600;

    public static MemorySeries Make(Random random)
    {
        var data = new MemorySeries();
        for (int s = 0; s < 4; s++)
        {
            string[] labels = ["job", s % 2 == 0 ? "a" : "b", "s", s.ToString(CultureInfo.InvariantCulture)];
            double counter = 1e6 + random.Next(1000), gauge = 0;
            Run(data, random, ["__name__", "c_total", .. labels], () => counter = random.Next(30) == 0 ? 1e6 + random.Next(3) : counter + Math.Round(random.NextDouble() * 20, 3));
            Run(data, random, ["__name__", "g", .. labels], () => gauge = Math.Round((random.NextDouble() - 0.5) * 200, 3));
            if (s < 3)
                Run(data, random, ["__name__", "odd", .. labels], () => random.Next(8) switch { 0 => double.NaN, 1 => double.PositiveInfinity, 2 => double.NegativeInfinity, 3 => 0, _ => random.Next(7) - 3 });
        }
        Run(data, random, ["__name__", "one", "job", "a"], () => 1);
        Run(data, random, ["__name__", "info", "job", "b", "version", "1.2"], () => 1);
        foreach (string job in (string[])["a", "b"])
            Histogram(data, random, job);
        return data;
    }

    /// <summary>The data as OpenMetrics, for promtool.</summary>
    public static string Text(MemorySeries data)
    {
        var text = new StringBuilder();
        using ISeriesSet set = data.Select(long.MinValue / 2, long.MaxValue / 2, [], default);
        var buffer = new SampleBuffer();
        for (int i = 0; i < set.Count; i++)
        {
            set.Read(i, buffer);
            Labels labels = set.LabelsAt(i);
            string inside = string.Join(",", labels.AsSpan().ToArray().Where(l => l.Name != "__name__").Select(l => $"{l.Name}=\"{l.Value}\""));
            for (int k = 0; k < buffer.Count; k++)
                text.Append(CultureInfo.InvariantCulture, $"{labels.MetricName}{{{inside}}} {Number(buffer.Values[k])} {buffer.Times[k] / 1000}.{buffer.Times[k] % 1000:000}\n");
        }
        return text.Append("# EOF\n").ToString();
    }

    private static string Number(double value) => double.IsNaN(value) ? "NaN" : double.IsInfinity(value) ? value > 0 ? "+Inf" : "-Inf" : value.ToString("R", CultureInfo.InvariantCulture);

    private static void Run(MemorySeries data, Random random, string[] labels, Func<double> next)
    {
        Labels series = Labels.Of(labels);
        int interval = 10_000 + (1000 * random.Next(50));
        for (long time = StartMs + (random.Next(4) == 0 ? random.Next(900) * 1000 : 0); time < StartMs + (Seconds * 1000L); time += interval)
        {
            double value = next();
            if (random.Next(60) == 0)
                time += random.Next(600) * 1000;
            if (random.Next(20) > 0)
                data.Add(series, time + 1 + random.Next(998), value);
        }
    }

    private static void Histogram(MemorySeries data, Random random, string job)
    {
        string[] bounds = ["-0.5", "0.1", "1", "2.5", "+Inf"];
        double[] counts = [];
        double sum = 0;
        for (long time = StartMs; time < StartMs + (Seconds * 1000L); time += 15_000)
        {
            // Far from zero, as the counters: extrapolation towards it has changed.
            if (time == StartMs || random.Next(60) == 0)
                counts = [10_000, 20_000, 30_000, 40_000, 50_000];
            long at = time + 1 + random.Next(998);
            for (int n = random.Next(5); n > 0; n--)
            {
                int first = random.Next(bounds.Length);
                for (int b = first; b < bounds.Length; b++)
                    counts[b]++;
                sum += first;
            }
            for (int b = 0; b < bounds.Length; b++)
                data.Add(Labels.Of("__name__", "h_bucket", "job", job, "le", bounds[b]), at, counts[b]);
            data.Add(Labels.Of("__name__", "h_count", "job", job), at, counts[^1]);
            data.Add(Labels.Of("__name__", "h_sum", "job", job), at, sum);
        }
    }
}
