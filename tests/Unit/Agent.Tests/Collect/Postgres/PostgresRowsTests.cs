using System.Data;
using Bellwether.Agent.Collect;
using Bellwether.Agent.Collect.Postgres;
using Bellwether.Core.Codec;
using Bellwether.Core.Model;

namespace Bellwether.Agent.Tests.Collect.Postgres;

public sealed class PostgresRowsTests
{
    private static readonly PostgresQuery s_query = new()
    {
        Name = "own",
        Sql = "",
        Labels = [new PostgresQueryLabel("a"), new PostgresQueryLabel("b")],
        Metrics = [new PostgresQueryMetric("v", "own_v", MetricType.Gauge, "")],
    };

    private readonly SeriesTable _series = new("pg", TimeSpan.FromSeconds(1), Labels.Empty, seriesMax: 10);
    private readonly SourceTick _tick = new();

    [Fact]
    public void Rows_that_never_come_again_are_not_remembered_beyond_the_series()
    {
        var part = new PostgresRowsPart(_series, s_query);
        for (int tick = 0; tick < 100; tick++)
        {
            using IDataReader reader = Rows([.. Enumerable.Range(0, 20).Select(i => ($"{tick}-{i}", "x", i % 4 == 0 ? null : "1"))]);
            Read(part, (System.Data.Common.DbDataReader)reader, tick);
        }
        Assert.Equal(10, _series.Table.Count);
        Assert.Equal(10, part.RowsRemembered);
    }

    [Fact]
    public void Rows_whose_labels_differ_only_in_where_they_are_cut_are_two_series()
    {
        var part = new PostgresRowsPart(_series, s_query);
        using IDataReader reader = Rows([("a\u0001", "b", "1"), ("a", "\u0001b", "2")]);
        Read(part, (System.Data.Common.DbDataReader)reader, 1);
        Assert.Equal(2, _series.Table.Count);
    }

    private void Read(PostgresRowsPart part, System.Data.Common.DbDataReader reader, int tick)
    {
        _series.Begin(_tick, tick * 1000);
        part.Begin(tick * 1000);
        Assert.Null(part.Bind(reader));
        while (reader.Read())
            part.Row(reader);
        part.Set(_series);
        _tick.Complete();
    }

    private static DataTableReader Rows((string A, string B, string? V)[] rows)
    {
        using var table = new DataTable();
        foreach (string name in (string[])["a", "b", "v"])
            table.Columns.Add(name, typeof(string));
        foreach ((string a, string b, string? v) in rows)
            table.Rows.Add(a, b, v);
        return table.CreateDataReader();
    }
}
