using System.Globalization;
using Bellwether.Core.Model;

namespace Bellwether.Core.Tests.Model;

/// <summary>Sets of the same names share them, and are what they would be with names of their own.</summary>
public sealed class LabelShapesTests
{
    [Fact]
    public void Sets_of_the_same_names_share_them_and_differ_by_their_values()
    {
        Labels[] sets = [.. Enumerable.Range(0, 100).Select(i => Labels.Of("shape_" + "b", Text(i), "shape_" + "a", "x"))];
        for (int i = 0; i < sets.Length; i++)
        {
            Assert.Equal(Text(i), sets[i].Get("shape_b"));
            Assert.Equal([new Label("shape_a", "x"), new Label("shape_b", Text(i))], sets[i].AsSpan().ToArray());
            Assert.Equal(sets[i], Labels.Of("shape_a", "x", "shape_b", Text(i)));
            Assert.Equal(sets.Length, sets.Distinct().Count());
        }
        Assert.Contains(sets.Skip(1), s => ReferenceEquals(s[0].Name, sets[0][0].Name));
    }

    [Fact]
    public void More_kinds_of_names_than_are_remembered_stay_what_they_are()
    {
        var sets = new List<Labels>();
        for (int pass = 0; pass < 2; pass++)
        {
            for (int i = 0; i < 5_000; i++)
                sets.Add(Labels.Of("a" + Text(i), "1", "b" + Text(i), "2"));
        }
        for (int i = 0; i < 5_000; i++)
        {
            Assert.Equal(sets[i], sets[i + 5_000]);
            Assert.Equal(0, sets[i].CompareTo(sets[i + 5_000]));
            Assert.Equal(("1", "2"), (sets[i].Get("a" + Text(i)), sets[i].Get("b" + Text(i))));
            Assert.Equal("", sets[i].Get("a" + Text(i + 1)));
        }
        Assert.Equal(5_000, sets.Distinct().Count());
    }

    [Fact]
    public void What_is_wrong_is_refused_also_when_its_names_are_known()
    {
        Labels.Of("known_a", "1", "known_b", "2");
        Assert.Throws<ArgumentException>(() => Labels.FromSorted([new Label("known_a", "1"), new Label("known_b", "")]));
        Assert.Throws<ArgumentException>(() => Labels.FromSorted([new Label("known_b", "1"), new Label("known_a", "2")]));
        Assert.Throws<ArgumentException>(() => Labels.FromSorted([new Label("known_a", "1"), new Label("known_a", "2")]));
        Assert.Throws<ArgumentException>(() => Labels.FromSorted([new Label("", "1")]));
        Assert.Same(Labels.Empty, Labels.FromSorted([]));
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
