using Bellwether.Core.Codec;
using Bellwether.Core.Model;

namespace Bellwether.Agent.Tests.Spool;

/// <summary>Two sources in turn, each tick with a time and a value of its own; also the clock.</summary>
internal sealed class SpoolTicks : TimeProvider
{
    private readonly SourceTable[] _tables = [new("a", 1000), new("b", 1000)];
    private readonly SourceTick[] _each = [new(), new()];
    private DateTimeOffset _now = DateTimeOffset.FromUnixTimeMilliseconds(1_700_000_000_000);
    private int _count;
    private TimeSpan _stepped;

    public SpoolTicks()
    {
        foreach (SourceTable table in _tables)
        {
            for (int i = 0; i < 10; i++)
                table.Add(Labels.Of("__name__", "m" + i));
        }
    }

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override DateTimeOffset GetUtcNow() => _now + _stepped;

    public override long GetTimestamp() => _now.UtcTicks;

    public void Advance(TimeSpan by) => _now += by;

    /// <summary>Sets the wall clock; no time passes.</summary>
    public void Step(TimeSpan by) => _stepped += by;

    public SourceTick Next()
    {
        int which = _count++ % 2;
        _now += TimeSpan.FromMilliseconds(7);
        SourceTick tick = _each[which];
        tick.Begin(_tables[which], _now.ToUnixTimeMilliseconds());
        for (int i = 0; i < 10; i++)
            tick.Set(i, i == 0 ? _count * 0.5 : i < 5 ? (_count * 977L) % (i * 1000) : i);
        tick.Complete();
        return tick;
    }
}
