using System.Globalization;
using Bellwether.Core.Model;
using Bellwether.Store.Head;

namespace Bellwether.Aggregator.Tests.Store;

public sealed class SeriesTableTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Series_that_come_and_go_are_found_by_labels_and_number_and_no_others(int seed)
    {
        var random = new Random(seed);
        var table = new SeriesTable();
        var there = new Dictionary<Labels, HeadSeries>();
        for (int step = 0; step < 60_000; step++)
        {
            Labels labels = Labels.Of("__name__", "m", "i", random.Next(8_000).ToString(CultureInfo.InvariantCulture));
            Assert.Same(there.GetValueOrDefault(labels), table.Find(labels));
            if (there.Remove(labels, out HeadSeries? gone))
            {
                table.Remove(gone);
                Assert.Null(table.At(gone.Reference));
                continue;
            }
            var series = new HeadSeries(labels, (uint)table.Next);
            table.Add(series);
            there.Add(labels, series);
            Assert.Same(series, table.At(series.Reference));
        }
        Assert.Equal(there.Count, table.Count);
        Assert.Equal(there.Values.OrderBy(s => s.Reference), table.All());
        Assert.Null(table.At((uint)table.Next));
        Assert.Throws<ArgumentException>(() => table.Add(new HeadSeries(Labels.Of("a", "b"), 0)));
        table.Clear();
        Assert.Equal((0, 0), (table.Count, table.Next));
        Assert.All(there.Keys, l => Assert.Null(table.Find(l)));
        Assert.Empty(table.All());
    }
}
