using Bellwether.Store.Head;

namespace Bellwether.Aggregator.Tests.Store;

/// <summary>Pieces of memory keep what is in them, never overlap, and what is given back is used again.</summary>
public sealed class PieceMemoryTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void Pieces_that_come_and_go_keep_their_content(int seed)
    {
        var random = new Random(seed);
        var memory = new PieceMemory();
        var held = new List<(uint Piece, byte[] Content)>();
        for (int step = 0; step < 40_000; step++)
        {
            // It fills and empties in turns.
            bool isFilling = step / 5_000 % 2 == 0;
            if (held.Count > 0 && random.Next(4) < (isFilling ? 1 : 3))
            {
                int at = random.Next(held.Count);
                (uint piece, byte[] content) = held[at];
                Assert.Equal(content, memory[piece][..content.Length].ToArray());
                memory.Return(piece);
                held[at] = held[^1];
                held.RemoveAt(held.Count - 1);
                continue;
            }
            byte[] bytes = new byte[random.Next(50) == 0 ? random.Next(20_000) : random.Next(200)];
            random.NextBytes(bytes);
            uint taken = memory.Take(bytes.Length);
            Assert.NotEqual(0u, taken);
            // All of it may be written to, whatever was asked for.
            memory[taken].Fill(0xA5);
            bytes.CopyTo(memory[taken]);
            held.Add((taken, bytes));
        }
        foreach ((uint piece, byte[] content) in held)
            Assert.Equal(content, memory[piece][..content.Length].ToArray());
        Assert.InRange(memory.TakenBytes, held.Sum(h => (long)h.Content.Length), memory.Bytes);
        foreach ((uint piece, _) in held)
            memory.Return(piece);
        Assert.Equal(0, memory.TakenBytes);
        Assert.InRange(memory.Bytes, 0, 1 << 18);
    }

    [Fact]
    public void Holes_that_touch_become_one_that_a_larger_piece_fits_into()
    {
        var memory = new PieceMemory();
        // As when the blocks of all series join at one tick.
        uint[] small = [.. Enumerable.Range(0, 10_000).Select(_ => memory.Take(36))];
        long before = memory.Bytes;
        for (int i = 0; i < small.Length; i++)
        {
            uint larger = memory.Take(76);
            memory.Return(small[i]);
            small[i] = larger;
        }
        Assert.InRange(memory.Bytes, before, (long)(memory.TakenBytes * 1.3) + (1 << 18));
    }

    [Fact]
    public void Memory_that_is_cleared_begins_anew()
    {
        var memory = new PieceMemory();
        for (int i = 0; i < 10_000; i++)
            memory.Take(100);
        memory.Clear();
        Assert.Equal((0L, 0L), (memory.Bytes, memory.TakenBytes));
        memory[memory.Take(8)][0] = 1;
        Assert.Equal(16, memory.TakenBytes);
        Assert.Throws<ArgumentOutOfRangeException>(() => memory.Take(PieceMemory.MaxBytes + 1));
    }
}
