using Bellwether.Core.Telemetry;
using Bellwether.Kit;

namespace Bellwether.Core.Tests.Telemetry;

public sealed class RepeatedLinesTests
{
    [Fact]
    public void Of_the_same_lines_one_a_minute_is_told_with_the_count_of_those_between()
    {
        var time = new VirtualTime();
        var lines = new RepeatedLines<string>(time);
        Assert.True(lines.IsDue("a", out _));
        Assert.False(lines.IsDue("a", out _));
        Assert.True(lines.IsDue("b", out _));
        time.Advance(TimeSpan.FromMinutes(1));
        Assert.True(lines.IsDue("a", out long untold));
        Assert.Equal(1, untold);
    }

    [Fact]
    public void Lines_stay_bounded_though_no_two_are_the_same()
    {
        var time = new VirtualTime();
        var lines = new RepeatedLines<int>(time);
        Assert.Equal(RepeatedLines<int>.LinesMax, Enumerable.Range(0, 5000).Count(i => lines.IsDue(i, out _)));
        time.Advance(TimeSpan.FromMinutes(1));
        Assert.True(lines.IsDue(-1, out long untold));
        Assert.Equal(5000 - RepeatedLines<int>.LinesMax, untold);
    }
}
