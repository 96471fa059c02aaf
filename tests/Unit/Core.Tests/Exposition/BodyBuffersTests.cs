using Bellwether.Core.Exposition;

namespace Bellwether.Core.Tests.Exposition;

/// <summary>Buffers that go from target to target: each has one owner, none is much too large, and few lie about.</summary>
public sealed class BodyBuffersTests
{
    [Fact]
    public void A_buffer_that_was_given_back_is_taken_again_once()
    {
        var buffers = new BodyBuffers();
        byte[] first = buffers.Take(70_000);
        buffers.Return(first);
        Assert.Same(first, buffers.Take(69_000));
        Assert.NotSame(first, buffers.Take(69_000));
    }

    [Fact]
    public void A_small_body_does_not_get_a_huge_buffer()
    {
        var buffers = new BodyBuffers();
        buffers.Return(buffers.Take(900_000));
        Assert.InRange(buffers.Take(10_000).Length, 10_000, 20_000);
    }

    [Fact]
    public void What_lies_about_is_bounded()
    {
        var buffers = new BodyBuffers();
        var kept = new WeakReference[40];
        Fill(buffers, kept);
        GC.Collect();
        Assert.InRange(kept.Count(k => k.IsAlive), 1, BodyBuffers.SpareBytesMax / 200_000);
        GC.KeepAlive(buffers);
    }

    [Fact]
    public void Targets_that_share_buffers_keep_their_own_bodies()
    {
        var buffers = new BodyBuffers();
        Bodies[] targets = [.. Enumerable.Range(0, 8).Select(_ => new Bodies(buffers: buffers))];
        for (int scrape = 1; scrape <= 5; scrape++)
        {
            for (int t = 0; t < targets.Length; t++)
            {
                Assert.Null(targets[t].Scrape($"of_target {t}\nscrape {scrape}\n{new string('#', t * 500)}\n").Error);
                Assert.Equal([$"of_target {t}", $"scrape {scrape}"], targets[t].Shown());
            }
        }
    }

    [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
    private static void Fill(BodyBuffers buffers, WeakReference[] kept)
    {
        for (int i = 0; i < kept.Length; i++)
        {
            byte[] buffer = new byte[200_000];
            kept[i] = new WeakReference(buffer);
            buffers.Return(buffer);
        }
    }
}
