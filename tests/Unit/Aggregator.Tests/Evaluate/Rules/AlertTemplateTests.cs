using Bellwether.Core.Model;
using Bellwether.Evaluate.Rules.Templates;
using Bellwether.Kit;

namespace Bellwether.Aggregator.Tests.Evaluate.Rules;

public sealed class AlertTemplateTests
{
    private static readonly Labels s_labels = Labels.Of("shop", "berlin", "path", "/pay?x=1&y=2", "instance", "web7.shop.example:9100");

    [Theory]
    [InlineData("{{ if gt $value 10.0 }}high{{ else if gt $value 5.0 }}middle{{ else }}low{{ end }}", "middle")]
    [InlineData("{{ range $i, $s := query \"orders\" }}{{ if $i }}, {{ end }}{{ $s.Labels.kind }}={{ $s.Value }}{{ end }}", "a=1.5, b=2")]
    [InlineData("{{ range query \"none\" }}x{{ else }}nothing{{ end }}", "nothing")]
    [InlineData("{{ range query \"orders\" }}{{ .Value }}{{ break }}{{ end }}", "1.5")]
    [InlineData("{{ define \"t\" }}<{{ . }}>{{ end }}{{ template \"t\" $labels.shop }}", "<berlin>")]
    [InlineData("{{ with $s := query \"orders\" | first }}{{ $s.Value }}{{ end }}", "1.5")]
    [InlineData("{{ $a := 1 }}{{ if true }}{{ $a = 2 }}{{ end }}{{ $a }}", "2")]
    [InlineData("a {{/* not seen */ -}} b", "a b")]
    [InlineData("{{ printf \"%5.1f|%-4s|%+d|%q|%x|%t|%%\" 2.25 \"ab\" 3 \"q\" 255 true }}", "  2.2|ab  |+3|\"q\"|ff|true|%")]
    [InlineData("{{ printf \"%x %d %o\" 0x8000000000000000 0x8000000000000000 -8 }}", "-8000000000000000 -9223372036854775808 -10")]
    [InlineData("{{ printf \"%d\" \"text\" }}", "%!d(string=text)")]
    [InlineData("{{ printf \"%s %s\" \"one\" }}", "one %!s(MISSING)")]
    [InlineData("{{ $value | humanize }} {{ $value | humanize1024 }} {{ humanizeDuration 93784 }}", "7.5 7.5 1d 2h 3m 4s")]
    [InlineData("{{ humanizeDuration 0.25 }} {{ humanizeDuration -61 }} {{ humanize 1234567 }} {{ humanizePercentage 0.0123 }}", "250ms -1m 1s 1.235M 1.23%")]
    [InlineData("{{ humanizeTimestamp 1700000000.5 }}", "2023-11-14 22:13:20.5 +0000 UTC")]
    [InlineData("{{ stripDomain $labels.instance }} {{ stripPort $labels.instance }} {{ stripDomain \"10.0.0.1:80\" }}", "web7:9100 web7.shop.example 10.0.0.1:80")]
    [InlineData("{{ graphLink \"sum(x) > 1\" }}", "/graph?g0.expr=sum%28x%29+%3E+1&g0.tab=0")]
    [InlineData("{{ reReplaceAll \"(?P<w>[a-z]+)7\" \"${w}-\" \"web7\" }}", "web-")]
    [InlineData("{{ html \"<a&b>\" }} {{ len \"\\u00fc\" }} {{ index (args \"x\" 5) \"arg1\" }}", "&lt;a&amp;b&gt; 2 5")]
    [InlineData("{{ eq $labels.shop \"paris\" \"berlin\" }} {{ ne 1 2 }} {{ le 2 2 }} {{ not \"\" }} {{ and 1 0 }} {{ or 0 3 }}", "true true true true 0 3")]
    [InlineData("{{ (query \"orders\" | first).Value }}", "1.5")]
    [InlineData("{{ 1000000.0 }} {{ 0.00001 }} {{ 1e100 }} {{ -0.5 }}", "1e+06 1e-05 1e+100 -0.5")]
    public void Templates_expand(string template, string expected) => Assert.Equal(expected, Expand(template, out _));

    [Fact]
    public void Templates_that_call_each_other_deeply_do_not_end_the_program()
    {
        string opens = string.Concat(Enumerable.Repeat("{{ with 1 }}", 60)), closes = string.Concat(Enumerable.Repeat("{{ end }}", 60));
        string text = "";
        var small = new Thread(() => text = Expand($"{{{{ define \"t\" }}}}{opens}{{{{ template \"t\" }}}}{closes}{{{{ end }}}}{{{{ template \"t\" }}}}", out _), 256 * 1024);
        small.Start();
        small.Join();
        Assert.Contains("too deep", text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{{ end }}")]
    [InlineData("{{ if true }}")]
    [InlineData("{{ $nope }}")]
    [InlineData("{{ nope }}")]
    [InlineData("{{ \"open }}")]
    [InlineData("{{ break }}")]
    [InlineData("{{ 1 | 2 }}")]
    [InlineData("{{ (1 }}")]
    [InlineData("{{ }}")]
    [InlineData("{{ template nope }}")]
    public void Wrong_templates_are_refused_when_they_are_loaded(string template)
    {
        Assert.Null(AlertTemplate.TryParse(template, out string? error));
        Assert.StartsWith("line 1:", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{{ query \"none\" | first }}")]
    [InlineData("{{ index $labels 1 }}")]
    [InlineData("{{ template \"nope\" }}")]
    [InlineData("{{ eq 1 \"1\" }}")]
    [InlineData("{{ toUpper 1 }}")]
    [InlineData("{{ match \"(\" \"x\" }}")]
    [InlineData("{{ query \"wrong(\" }}")]
    [InlineData("{{ define \"t\" }}{{ template \"t\" }}{{ end }}{{ template \"t\" }}")]
    [InlineData("{{ range $i := 100000 }}{{ range 100000 }}{{ end }}{{ end }}")]
    [InlineData("{{ range 100000 }}{{ range 100000 }}x{{ end }}{{ end }}")]
    public void What_goes_wrong_while_expanding_stands_in_the_text(string template)
    {
        Assert.StartsWith("<error expanding template: ", Expand(template, out string? error), StringComparison.Ordinal);
        Assert.NotNull(error);
    }

    [Fact]
    public void Nesting_has_a_limit() =>
        Assert.Null(AlertTemplate.TryParse("{{ " + new string('(', 5000) + "1" + new string(')', 5000) + " }}", out _));

    private static string Expand(string template, out string? error)
    {
        AlertTemplate? parsed = AlertTemplate.TryParse(template, out error);
        Assert.True(parsed is not null, error);
        var context = new TemplateContext(Labels.Empty, "http://b.example/x", Ask, new VirtualTime());
        return parsed.Expand(context, s_labels, 7.5, out error);
    }

    private static IReadOnlyList<(Labels Labels, double Value)> Ask(string query) => query switch
    {
        "orders" => [(Labels.Of("kind", "a"), 1.5), (Labels.Of("kind", "b"), 2)],
        "none" => [],
        _ => throw new FormatException($"query {query}: parse error"),
    };
}
