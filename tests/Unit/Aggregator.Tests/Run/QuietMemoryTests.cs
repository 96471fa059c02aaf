using Bellwether.Aggregator.Run;
using Bellwether.Kit;

namespace Bellwether.Aggregator.Tests.Run;

/// <summary>The heap is compacted when a load is over, not during one and not again without another.</summary>
public sealed class QuietMemoryTests
{
    private const long Much = 200 << 20;
    private long _allocated;
    private TimeSpan _cpu;
    private long _inUse = 300 << 20;

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
        for (int i = 0; i < 3; i++)
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
        Step(memory, 20 << 20, 1);
        for (int i = 0; i < 30; i++)
            Assert.False(Step(memory, 1 << 20, 0));
    }

    [Fact]
    public void What_is_allocated_evenly_is_no_load_however_long_it_goes_on()
    {
        QuietMemory memory = Make();
        Step(memory, Much, 1);
        int compacted = 0;
        for (int i = 0; i < 10_000; i++)
            compacted += Step(memory, i % 30 == 0 ? 20 << 20 : 7 << 20, 0.1) ? 1 : 0;
        Assert.Equal(1, compacted);
    }

    [Theory]
    [InlineData(500L << 20)]
    [InlineData(2L << 30)]
    public void A_heap_that_is_large_beside_the_garbage_or_too_large_to_hold_threads_up_is_left_alone(long inUse)
    {
        _inUse = inUse;
        QuietMemory memory = Make();
        Step(memory, Much, 1);
        for (int i = 0; i < 5; i++)
            Assert.False(Step(memory, 0, 0));
    }

    private QuietMemory Make() => new(new VirtualTime(), () => (_allocated, _cpu, _inUse));

    private bool Step(QuietMemory memory, long bytes, double cpu)
    {
        _allocated += bytes;
        _cpu += TimeSpan.FromSeconds(cpu);
        return memory.Step();
    }
}
