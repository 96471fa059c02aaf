using System.Text;
using System.Text.RegularExpressions;
using Bellwether.Core.Text;

namespace Bellwether.Core.Tests.Text;

/// <summary>Patterns mean what RE2 means, not what .NET means.</summary>
public sealed class Re2PatternTests
{
    [Theory]
    [InlineData("foo", "foo", true)]
    [InlineData("foo", "foo\n", false)]
    [InlineData("^foo$", "foo", true)]
    [InlineData("^foo$", "foo\n", false)]
    [InlineData(".", "😀", true)]
    [InlineData("..", "😀", false)]
    [InlineData(".+.+", "😀", false)]
    [InlineData("(.*)(.)", "😀", true)]
    [InlineData(".", "\n", true)]
    [InlineData("(?-s:.)", "\n", false)]
    [InlineData(@"\d", "٣", false)]
    [InlineData(@"\w", "é", false)]
    [InlineData(@"\W", "é", true)]
    [InlineData(@"\s", "\u00A0", false)]
    [InlineData(@"\s", "\v", false)]
    [InlineData("[[:space:]]", "\v", true)]
    [InlineData("[[:alpha:]]+", "abc", true)]
    [InlineData("[[:alpha:]]", ":", false)]
    [InlineData("[[:^alpha:]]", "1", true)]
    [InlineData("[a-z-[aeiou]]", "b]", true)]
    [InlineData("[a-z-[aeiou]]", "b", false)]
    [InlineData("[]a]", "]", true)]
    [InlineData("[^]a]", "]", false)]
    [InlineData("[^a]", "\n", true)]
    [InlineData("[^a]", "😀", true)]
    [InlineData(@"\pL", "é", true)]
    [InlineData(@"\PL", "é", false)]
    [InlineData(@"\PN", "x", true)]
    [InlineData(@"\p{Greek}+", "αβγ", true)]
    [InlineData(@"\p{^Greek}", "a", true)]
    [InlineData(@"\p{Han}", "測", true)]
    [InlineData(@"[\p{Lu}\d]+", "A1", true)]
    [InlineData("(?P<n>a+)b", "aab", true)]
    [InlineData("(?<n>a+)b", "aab", true)]
    [InlineData(@"\Qa.b\E", "a.b", true)]
    [InlineData(@"\Qa.b\E", "axb", false)]
    [InlineData(@"\x{1F600}", "😀", true)]
    [InlineData(@"[\x{1F600}-\x{1F64F}]", "😃", true)]
    [InlineData(@"[\x{1F600}-\x{1F64F}]", "🚀", false)]
    [InlineData("(?U)a+", "aaa", true)]
    [InlineData(@"\D", "٣", true)]
    [InlineData(@"\S", "\u00A0", true)]
    [InlineData(@"\d", "7", true)]
    [InlineData("^.$", "😀", true)]
    [InlineData("^.{2}$", "😀", false)]
    [InlineData("[^\\d]", "😀", true)]
    [InlineData("[[:digit:][:upper:]]+", "A1", true)]
    [InlineData("a.*$", "ab\n", true)]
    [InlineData("ab$", "ab\n", false)]
    [InlineData(@"\p{Greek}", "a", false)]
    [InlineData(@"\pZ", " ", true)]
    [InlineData("x{1000}", "x", false)]
    [InlineData("(?i)straSSe", "STRASSE", true)]
    [InlineData("(?i)k", "\u212A", true)]
    [InlineData("(?i)s", "ſ", true)]
    [InlineData("(?i)i", "İ", false)]
    [InlineData("(?i)[^k]", "K", false)]
    [InlineData("(?i)σ", "ς", true)]
    [InlineData("a(?i)b|c", "aB", true)]
    [InlineData("(?i:a)b", "aB", false)]
    [InlineData("(?m)a$\n^b", "a\nb", true)]
    [InlineData(@"\bfoo\b.*", "foo bar", true)]
    [InlineData(@".*\bé", "aé", true)]
    [InlineData("a{,2}", "a{,2}", true)]
    [InlineData("x{2,3}", "xxx", true)]
    [InlineData("x{2,3}", "xxxx", false)]
    [InlineData(@"\101\x41\n", "AA\n", true)]
    [InlineData("a||b", "", true)]
    [InlineData("", "", true)]
    [InlineData("foo.*", "foo\nbar", true)]
    [InlineData(".*foo", "xfo", false)]
    [InlineData(".*foo.*", "afoob", true)]
    [InlineData("foo.+foo", "foofoo", false)]
    [InlineData("foo.*foo", "foo", false)]
    [InlineData(".+", "", false)]
    public void Matches_as_RE2(string pattern, string text, bool expected) => Assert.Equal(expected, Re2Pattern.CompileAnchored(pattern).IsMatch(text));

    [Theory]
    [InlineData("a(b", "missing closing", 2)]
    [InlineData("a)", "unexpected", 2)]
    [InlineData("[a", "missing closing", 1)]
    [InlineData("*a", "missing argument", 1)]
    [InlineData("a**", "nested repetition", 3)]
    [InlineData("a{2}{3}", "nested repetition", 5)]
    [InlineData("a{1001}", "repeat count", 2)]
    [InlineData("(a{100}){100}", "repeat count", 9)]
    [InlineData("(?#x)a", "group", 1)]
    [InlineData("(?=a)", "group", 1)]
    [InlineData("(?<=a)", "group", 1)]
    [InlineData("(?<!a)", "group", 1)]
    [InlineData("(?>a)", "group", 1)]
    [InlineData(@"(a)\1", "invalid escape|backreference", 4)]
    [InlineData("a++", "nested repetition", 3)]
    [InlineData(@"\C", "one byte", 1)]
    [InlineData(@"\Z", "invalid escape", 1)]
    [InlineData(@"\p{Nope}", "category or script", 1)]
    [InlineData("[b-a]", "range", 2)]
    [InlineData("[[:nope:]]", "range", 2)]
    [InlineData("(?P<n>a)(?P<n>b)", "twice", 9)]
    [InlineData(@"\", "trailing backslash", 1)]
    [InlineData(@"\x{110000}", @"invalid \\x", 1)]
    public void Refuses_what_RE2_refuses_with_the_position(string pattern, string message, int position)
    {
        FormatException e = Assert.Throws<FormatException>(() => Re2Pattern.CompileAnchored(pattern));
        Assert.Matches(message, e.Message);
        Assert.EndsWith($"at position {position}", e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("(a)(b)?", "a", "$1-$2-", "a--")]
    [InlineData("(?U)(a+)(a*)", "aaa", "$1-$2", "a-aa")]
    [InlineData("(a+)(a*)", "aaa", "$1-$2", "aaa-")]
    [InlineData("(a)", "a", "$1x", "")]
    [InlineData("(a)", "a", "${1}x", "ax")]
    [InlineData("(?P<v>a)", "a", "<${v}|$v>", "<a|a>")]
    [InlineData("(a)", "a", "$$1 $ ${", "$1 $ ${")]
    [InlineData("(.*)", "a", "$0$9", "a")]
    [InlineData("(.*)", "any", "$1", "any")]
    [InlineData("foo|bar", "bar", "x$0", "xbar")]
    [InlineData("foo|bar", "bar", "fixed", "fixed")]
    public void Replacements_expand_as_in_Go(string pattern, string text, string replacement, string expected) =>
        Assert.Equal(expected, Re2Pattern.CompileAnchored(pattern).Replace(text, replacement));

    [Fact]
    public void A_text_that_does_not_match_is_not_replaced()
    {
        Assert.Null(Re2Pattern.CompileAnchored("a(.)").Replace("b1", "$1"));
        Assert.Null(Re2Pattern.CompileAnchored("a.*").Replace("b1", "x"));
    }

    [Fact]
    public void Literal_alternatives_are_known()
    {
        Assert.Equal(["a", "b.c", ""], Re2Pattern.CompileAnchored(@"a|b\.c|").LiteralAlternatives);
        Assert.Null(Re2Pattern.CompileAnchored("a|b.").LiteralAlternatives);
        Assert.Null(Re2Pattern.CompileAnchored("(?i)a|b").LiteralAlternatives);
    }

    [Fact]
    public void An_unanchored_pattern_finds_its_match_anywhere()
    {
        Assert.True(Re2Pattern.Compile("b+").IsMatch("abc"));
        Assert.False(Re2Pattern.Compile("^b+").IsMatch("abc"));
        Assert.False(Re2Pattern.Compile("a.c").IsMatch("a\nc"));
        Assert.True(Re2Pattern.Compile(@"\bb\b").IsMatch("a b c"));
    }

    [Fact]
    public void Hostile_patterns_are_refused_or_stay_linear()
    {
        Assert.Throws<FormatException>(() => Re2Pattern.CompileAnchored(new string('(', 100_000)));
        Assert.Throws<FormatException>(() => Re2Pattern.CompileAnchored(new string('(', 300) + new string(')', 300)));
        Assert.Throws<FormatException>(() => Re2Pattern.CompileAnchored(new string('a', Re2Pattern.MaxLength + 1)));
        Assert.False(Re2Pattern.CompileAnchored("(a*)*(a*)*b").IsMatch(new string('a', 2_000)));
        Assert.False(Re2Pattern.CompileAnchored(@"(?:a?){50}\b!").IsMatch(new string('a', 50)));
    }

    [Fact]
    public void A_pattern_whose_automaton_would_be_exponential_is_matched_in_linear_time_and_memory()
    {
        Re2Pattern pattern = Re2Pattern.CompileAnchored(".*a.{200}");
        string text = string.Concat(Enumerable.Range(0, 10_000).Select(i => (i * 7 % 11) < 5 ? 'a' : 'b'));
        pattern.IsMatch(text);
        long before = GC.GetAllocatedBytesForCurrentThread();
        bool matches = pattern.IsMatch(text);
        Assert.Equal(text[^201] == 'a', matches);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
    }

    [Fact]
    public void Beyond_ten_thousand_nodes_it_is_refused_or_matched_and_never_throws_later()
    {
        // .NET throws NotSupportedException for these when it makes the automaton.
        foreach (string pattern in (string[])["(?:a{100}b?){10}", "(?:[ab]{1,100}c?){10}", "(?:(?:a|b){1,30}){30}"])
        {
            try
            {
                Assert.False(Re2Pattern.CompileAnchored(pattern).IsMatch(new string('a', 5_000) + "!"), pattern);
            }
            catch (FormatException e)
            {
                Assert.Contains("position", e.Message, StringComparison.Ordinal);
            }
        }
    }

    [Fact]
    public void Both_engines_and_the_shapes_agree_on_random_patterns()
    {
        var random = new Random(20261121);
        int compared = 0;
        for (int n = 0; n < 150; n++)
        {
            string pattern = Pattern(random, 3);
            (Re2Node root, IReadOnlyList<string?> names) = Re2Parser.Parse(pattern, dotAll: true);
            Re2Pattern ours = Re2Pattern.CompileAnchored(pattern);
            var machine = new Re2Machine(root, names.Count);
            for (int i = 0; i < 8; i++)
            {
                string text = Text(random);
                int[]? reference = machine.Match(text, whole: true);
                Assert.True(reference is not null == ours.IsMatch(text), $"{pattern} on '{text}': the machine says {reference is not null}");
                compared++;
            }
        }
        Assert.Equal(1_200, compared);
    }

    [Fact]
    public void Without_foreign_syntax_the_framework_agrees()
    {
        var random = new Random(7);
        for (int n = 0; n < 100; n++)
        {
            string pattern = Pattern(random, 3, plain: true);
            var theirs = new Regex($@"\A(?s:{pattern})\z", RegexOptions.CultureInvariant | RegexOptions.NonBacktracking);
            string text = Text(random, plain: true);
            Assert.True(theirs.IsMatch(text) == Re2Pattern.CompileAnchored(pattern).IsMatch(text), $"{pattern} on '{text}'");
        }
    }

    private static string Pattern(Random random, int depth, bool plain = false)
    {
        string[] atoms = plain ? ["a", "b", "ab", ".", "[ab]", "[^a]"] : ["a", "b", "ab", ".", "[ab]", "[^a]", "😀", @"\w", @"\pL", "(?i:A)", @"\b", "^", "$", @"[\x{1F600}-\x{1F610}]"];
        if (depth == 0)
            return atoms[random.Next(atoms.Length)];
        string item = Pattern(random, depth - 1, plain);
        return random.Next(7) switch
        {
            0 => $"(?:{item})*",
            1 => $"(?:{item})+",
            2 => $"({item})?",
            3 => $"(?:{item}){{1,2}}",
            4 => $"(?:{item}|{Pattern(random, depth - 1, plain)})",
            _ => item + Pattern(random, depth - 1, plain),
        };
    }

    private static string Text(Random random, bool plain = false)
    {
        string[] parts = plain ? ["a", "b", "\n"] : ["a", "b", "A", "😀", "é", "\n", " "];
        var text = new StringBuilder();
        for (int i = random.Next(5); i > 0; i--)
            text.Append(parts[random.Next(parts.Length)]);
        return text.ToString();
    }
}
