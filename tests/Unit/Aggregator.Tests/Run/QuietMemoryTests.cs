using Bellwether.Aggregator.Run;
using Bellwether.Kit;

namespace Bellwether.Aggregator.Tests.Run;

/// <summary>The heap is compacted when a load is over, not during one and not again without another.</summary>
public sealed class QuietMemoryTests
{
    // More than half of what the tests beside these may have in use.
    private const long Much = 1L << 40;
    private long _allocated;
    private TimeSpan _cpu;

    [Fact]
    public void After_a_load_the_heap_is_compacted_once()
    {
        QuietMemory memory = Make();
        Assert.False(Step(memory, Much, 1));
        Assert.False(Step(memory, 0, 0));
        int before = GC.CollectionCount(2);
        Assert.True(Step(memory, 1_000, 0.01));
        Assert.True(GC.CollectionCount(2) > before);
        for (int i = 0; i < 10; i++)
            Assert.False(Step(memory, 1_000, 0.01));
        Assert.False(Step(memory, Much, 1));
        Assert.False(Step(memory, 0, 0));
        Assert.True(Step(memory, 0, 0));
    }

    [Theory]
    [InlineData(100 << 20, 0)]
    [InlineData(0, 0.5)]
    public void While_much_is_allocated_or_computed_it_is_not(long bytes, double cpu)
    {
        QuietMemory memory = Make();
        Step(memory, Much, 1);
        for (int i = 0; i < 10; i++)
        {
            Assert.False(Step(memory, 0, 0));
            Assert.False(Step(memory, bytes, cpu));
        }
    }

    [Fact]
    public void Little_garbage_is_left_to_the_collector()
    {
        QuietMemory memory = Make();
        for (int i = 0; i < 60; i++)
            Assert.False(Step(memory, 1 << 20, 0));
    }

    private QuietMemory Make() => new(new VirtualTime(), () => (_allocated, _cpu));

    private bool Step(QuietMemory memory, long bytes, double cpu)
    {
        _allocated += bytes;
        _cpu += TimeSpan.FromSeconds(cpu);
        return memory.Step();
    }
}
