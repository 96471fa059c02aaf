using System.Text;
using Bellwether.Core.Exposition;
using Bellwether.Core.Model;

namespace Bellwether.Core.Tests.Exposition;

public class TextfileMergeTests
{
    [Fact]
    public void One_family_may_be_spread_over_files_and_its_labels_are_filled_up()
    {
        List<ExposedFamily> families = Merge(out List<string> errors, ("a.prom", "# HELP jobs Jobs.\n# TYPE jobs gauge\njobs{host=\"x\"} 1\n"), ("b.prom", "# HELP jobs Jobs.\n# TYPE jobs gauge\njobs{zone=\"z\"} 2\n"));
        ExposedFamily jobs = families.Single(f => f.Name == "jobs");
        Assert.Equal(["host=,zone=z", "host=x,zone="], jobs.Samples.Select(s => string.Join(',', s.Labels.Select(l => $"{l.Name}={l.Value}"))).Order(StringComparer.Ordinal));
        Assert.Empty(errors);
        Assert.Equal(0, families.Single(f => f.Name == "node_textfile_scrape_error").Samples[0].Value);
        Assert.Equal(2, families.Single(f => f.Name == "node_textfile_mtime_seconds").Samples.Count);
    }

    [Theory]
    [InlineData("jobs 1 1700000000000\n")]
    [InlineData("jobs{ 1\n")]
    public void A_wrong_file_is_refused_whole_and_the_others_stand(string bad)
    {
        List<ExposedFamily> families = Merge(out List<string> errors, ("bad.prom", bad), ("good.prom", "ok 1\n"));
        Assert.Equal(["node_textfile_mtime_seconds", "node_textfile_scrape_error", "ok"], families.Select(f => f.Name));
        Assert.StartsWith("bad.prom: ", Assert.Single(errors), StringComparison.Ordinal);
        Assert.Equal(1, families[1].Samples[0].Value);
        Assert.Equal("Metric read from good.prom", families[2].Help);
    }

    [Fact]
    public void Where_help_differs_the_first_file_counts()
    {
        List<ExposedFamily> families = Merge(out List<string> errors, ("a.prom", "# HELP j One.\nj{f=\"a\"} 1\n"), ("b.prom", "# HELP j Two.\nj{f=\"b\"} 2\n"));
        ExposedFamily j = families.Single(f => f.Name == "j");
        Assert.Equal("One.", j.Help);
        Assert.Equal(new Label("f", "a"), Assert.Single(j.Samples).Labels[0]);
        Assert.Single(errors);
    }

    private static List<ExposedFamily> Merge(out List<string> errors, params (string Path, string Text)[] files) =>
        TextfileMerge.Merge([.. files.Select(f => new Textfile(f.Path, Encoding.UTF8.GetBytes(f.Text), 1))], failed: false, out errors);
}
