using System.Runtime.CompilerServices;
using Bellwether.Agent.Run;
using Bellwether.Kit;

namespace Bellwether.Agent.Tests.Run;

/// <summary>Garbage is looked for before it piles up, and everywhere once the start is over.</summary>
public sealed class SmallMemoryTests
{
    [Fact]
    public void Megabytes_of_garbage_are_collected_at_the_next_step()
    {
        var memory = new SmallMemory(new VirtualTime());
        memory.Step();
        WeakReference garbage = Garbage();
        memory.Step();
        Assert.False(garbage.IsAlive);
    }

    [Fact]
    public void Once_the_start_is_over_the_oldest_generation_is_collected()
    {
        var time = new VirtualTime();
        var memory = new SmallMemory(time);
        WeakReference old = OldGarbage();
        int before = GC.CollectionCount(2);
        time.Advance(TimeSpan.FromSeconds(21));
        memory.Step();
        Assert.True(GC.CollectionCount(2) > before);
        Assert.False(old.IsAlive);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference Garbage()
    {
        // Small objects: those of the large heap belong to the oldest generation from the start.
        byte[][] pieces = [.. Enumerable.Range(0, 4096).Select(_ => new byte[1024])];
        return new WeakReference(pieces[7]);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference OldGarbage()
    {
        byte[] piece = new byte[1024];
        GC.Collect();
        GC.Collect();
        var old = new WeakReference(piece);
        GC.KeepAlive(piece);
        return old;
    }
}
