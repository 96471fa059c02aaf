using Bellwether.Agent.Collect.Postgres;
using Npgsql;

namespace Bellwether.Agent.Tests.Collect.Postgres;

public sealed class PostgresTextTests
{
    [Theory]
    [InlineData("", "", 1)]
    [InlineData("B", "_bytes", 1)]
    [InlineData("8kB", "_bytes", 8192)]
    [InlineData("16MB", "_bytes", 16777216)]
    [InlineData("ms", "_seconds", 0.001)]
    [InlineData("min", "_seconds", 60)]
    [InlineData("s", "_seconds", 1)]
    public void Units_of_settings_become_base_units(string unit, string suffix, double scale) => Assert.Equal((suffix, scale), PostgresText.UnitOf(unit));

    [Theory]
    [InlineData("12.5", 12.5)]
    [InlineData("-1", -1)]
    [InlineData("t", 1)]
    [InlineData("off", 0)]
    [InlineData("NaN", double.NaN)]
    [InlineData("2026-01-02 03:04:05+00", 1767323045)]
    [InlineData("2026-01-02 03:04:05.25", 1767323045.25)]
    public void Texts_of_columns_become_numbers(string text, double expected)
    {
        Assert.True(PostgresText.TryNumber(text, out double value));
        Assert.Equal(expected, value);
    }

    [Theory]
    [InlineData("")]
    [InlineData("abc")]
    [InlineData("1 day")]
    public void Other_texts_are_no_numbers(string text) => Assert.False(PostgresText.TryNumber(text, out _));

    [Fact]
    public void Milliseconds_are_divided_not_multiplied() => Assert.Equal(26979 / 1000.0, PostgresText.Scaled(26979, 0.001));

    [Fact]
    public void A_uri_is_read_with_its_escapes()
    {
        NpgsqlConnectionStringBuilder read = PostgresConnection.Parse("postgresql://me%40here:p%3Aw@db.example:5433/my%20shop?sslmode=verify-full&sslrootcert=/etc/ca.pem");
        Assert.Equal(("me@here", "p:w", "db.example", 5433, "my shop", SslMode.VerifyFull, "/etc/ca.pem"),
            (read.Username, read.Password, read.Host, read.Port, read.Database, read.SslMode, read.RootCertificate));
    }

    [Theory]
    [InlineData("postgresql://u:secret@h/d?sslmod=disable", "sslmod")]
    [InlineData("postgresql://u:secret@h/d?sslmode=on", "verify-full")]
    public void A_wrong_uri_is_refused_without_showing_the_password(string uri, string named)
    {
        ArgumentException error = Assert.Throws<ArgumentException>(() => PostgresConnection.Parse(uri));
        Assert.Contains(named, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", error.Message, StringComparison.Ordinal);
    }
}
