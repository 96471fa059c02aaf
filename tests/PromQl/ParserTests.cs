using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.PromQl.Tests;

public sealed class ParserTests
{
    private static readonly ParserOptions _all = new() { Experimental = true };

    [Theory]
    [InlineData("a + fill(0) b", "fill modifier is experimental and must be enabled with evaluation.experimental: true", 4)]
    [InlineData("a + on (x) group_left fill_right (0) b", "fill_right modifier is experimental and must be enabled with evaluation.experimental: true", 22)]
    [InlineData("a smoothed", "smoothed modifier is experimental and must be enabled with evaluation.experimental: true", 2)]
    [InlineData("limitk(1, a)", "limitk() is experimental and must be enabled with evaluation.experimental: true", 0)]
    [InlineData("sort_by_label(a, \"x\")", "function \"sort_by_label\" is not enabled: it is experimental and must be enabled with evaluation.experimental: true", 0)]
    [InlineData("a </ 3", "operator \"</\" is experimental and must be enabled with evaluation.experimental: true", 2)]
    [InlineData("a[5m+1m]", "experimental duration expression is not enabled: it must be enabled with evaluation.experimental: true", 4)]
    public void What_is_experimental_names_the_switch_that_turns_it_on(string query, string error, int at)
    {
        ParseResult off = PromQlParser.Parse(query, ParserOptions.Default);
        Assert.Equal((error, at), (off.Errors[0].Message, off.Errors[0].Span.Start));
        Assert.NotNull(PromQlParser.Parse(query, _all).Expr);
    }

    [Theory]
    [InlineData("a + fill")]
    [InlineData("fill / fill_left")]
    [InlineData("anchored + smoothed")]
    [InlineData("rate(a[5m] anchored)")]
    public void Words_of_experimental_parts_are_names_of_metrics_elsewhere(string query) => Assert.NotNull(PromQlParser.Parse(query, ParserOptions.Default).Expr);

    [Theory]
    [InlineData("1 + 2 * 3 ^ 2", "1 + 2 * 3 ^ 2")]
    [InlineData("SUM(foo) BY (job)", "sum by (job) (foo)")]
    [InlineData("rate(foo{a='b'}[90s] offset -5m)", "rate(foo{a=\"b\"}[1m30s] offset -5m)")]
    [InlineData("foo @ 12.5 offset 1h", "foo @ 12.500 offset 1h")]
    [InlineData("a / on(x) group_left(y) b", "a / on (x) group_left (y) b")]
    [InlineData("{\"my metric\", \"odd label\"=~\"x.*\"}", "{\"my metric\",\"odd label\"=~\"x.*\"}")]
    [InlineData("max_over_time(sum(x)[1h:] @ end())", "max_over_time(sum(x)[1h:] @ end())")]
    [InlineData("sum[5m:1m]", "sum[5m:1m]")]
    [InlineData("0x1F + 010", "31 + 8")]
    [InlineData("sum by ('inf', \"NaN\", on) (x{inf='1'}) / on ('nan') y", "sum by (\"inf\", \"NaN\", on) (x{inf=\"1\"}) / on (\"nan\") y")]
    public void An_expression_prints_canonically_and_the_print_parses_to_itself(string query, string printed)
    {
        ParseResult first = PromQlParser.Parse(query, _all);
        Assert.Empty(first.Errors);
        Assert.Equal(printed, first.Expr!.ToString());
        Assert.Equal(printed, PromQlParser.Parse(printed, _all).Expr!.ToString());
    }

    [Theory]
    [InlineData("", "1:1: parse error: no expression found in input")]
    [InlineData("foo bar", "1:5: parse error: unexpected identifier \"bar\"")]
    [InlineData("rate(foo)", "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector")]
    [InlineData("1 > 2", "1:3: parse error: comparisons between scalars must use BOOL modifier")]
    [InlineData("{a=\"\"}", "1:1: parse error: vector selector must contain at least one non-empty matcher")]
    [InlineData("foo[5m", "1:7: parse error: unexpected end of input in range selector, expected \"]\"")]
    [InlineData("sum by (inf) (x)", "1:9: parse error: unexpected number \"inf\" in grouping opts, expected label")]
    [InlineData("a / on (x, NaN) b", "1:12: parse error: unexpected number \"NaN\" in grouping opts, expected label")]
    [InlineData("foo inf", "1:5: parse error: unexpected number \"inf\"")]
    [InlineData("nope(1)", "1:1: parse error: unknown function with name \"nope\"")]
    public void A_bad_expression_is_refused_with_its_place(string query, string error)
    {
        ParseResult result = PromQlParser.Parse(query);
        Assert.Null(result.Expr);
        Assert.Equal(error, result.Errors[0].ToString());
    }

    [Fact]
    public void Nesting_deeper_than_the_limit_is_refused()
    {
        ParseResult result = PromQlParser.Parse(new string('(', 100) + "1" + new string(')', 100));
        Assert.Contains("limit of 64", result.Errors[0].Message, StringComparison.Ordinal);
    }
}
