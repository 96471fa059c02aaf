using Bellwether.Core.Text;

namespace Bellwether.Core.Tests.Text;

public sealed class VisibleTextTests
{
    [Theory]
    [InlineData("", "")]
    [InlineData("Käse 5 €, 😀", "Käse 5 €, 😀")]
    [InlineData("got '\0\u001b[2J\r\nx\u009b'", "got '\\x00\\x1b[2J\\x0d\\x0ax\\x9b'")]
    [InlineData("a\u202eb", "a\\u202eb")]
    public void What_steers_a_terminal_is_written_out_and_all_else_stays(string text, string shown) => Assert.Equal(shown, VisibleText.Of(text));
}
