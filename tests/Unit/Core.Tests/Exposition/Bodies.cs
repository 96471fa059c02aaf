using System.Text;
using Bellwether.Core.Codec;
using Bellwether.Core.Exposition;

namespace Bellwether.Core.Tests.Exposition;

/// <summary>Drives a <see cref="ScrapeParser"/> as a collector does.</summary>
internal sealed class Bodies(ScrapeParserOptions? options = null, ISeriesMapper? mapper = null, BodyBuffers? buffers = null)
{
    private long _now = 1_000_000;

    public ScrapeParser Parser { get; } = new("test", 15_000, mapper ?? new IdentityMapper(), options ?? new ScrapeParserOptions(), buffers);

    public SourceTick Tick { get; } = new();

    public ScrapeResult Scrape(string body, ExpositionFormat format = ExpositionFormat.PrometheusText) => Scrape(Encoding.UTF8.GetBytes(body), format);

    public ScrapeResult Scrape(byte[] body, ExpositionFormat format = ExpositionFormat.PrometheusText)
    {
        _now += 15_000;
        Parser.Grow(body.Length + 1);
        body.CopyTo(Parser.Buffer, 0);
        Tick.Begin(Parser.Table, _now);
        ScrapeResult result = Parser.Parse(body.Length, format, Tick);
        Tick.Complete();
        return result;
    }

    public void Fail()
    {
        _now += 15_000;
        Tick.Begin(Parser.Table, _now);
        Parser.Fail(Tick);
        Tick.Complete();
    }

    /// <summary>The tick's samples as lines: series and value, or series and "ended", sorted.</summary>
    public List<string> Shown()
    {
        var lines = new List<string>();
        for (int slot = 0; slot < Tick.Table.Count; slot++)
        {
            if (SourceTick.IsSet(Tick.Present, slot))
                lines.Add($"{Tick.Table[slot]} {FloatText.ToText(Tick.Values[slot])}");
            if (SourceTick.IsSet(Tick.Ended, slot))
                lines.Add($"{Tick.Table[slot]} ended");
        }
        foreach (TimedSample t in Tick.Timed)
            lines.Add($"{Tick.Table[t.Slot]} {FloatText.ToText(t.Value)} @{t.TimestampMs}");
        lines.Sort(StringComparer.Ordinal);
        return lines;
    }

    /// <summary>Slots whose value is new or changed.</summary>
    public List<string> Changed()
    {
        var lines = new List<string>();
        for (int slot = 0; slot < Tick.Table.Count; slot++)
        {
            if (SourceTick.IsSet(Tick.Changed, slot))
                lines.Add(Tick.Table[slot].ToString());
        }
        lines.Sort(StringComparer.Ordinal);
        return lines;
    }
}
