using System.Buffers;
using Bellwether.Core.Grpc;
using FsCheck;
using FsCheck.Fluent;

namespace Bellwether.Core.Tests.Grpc;

/// <summary>Header text of the wire.</summary>
public sealed class GrpcTextTests
{
    [Theory]
    [InlineData("", "")]
    [InlineData("plain ~ text", "plain ~ text")]
    [InlineData("100 %", "100 %25")]
    [InlineData("a\nb\u007f", "a%0Ab%7F")]
    [InlineData("grün €", "gr%C3%BCn %E2%82%AC")]
    public void Messages_are_percent_encoded_utf8(string message, string encoded)
    {
        Assert.Equal(encoded, GrpcText.EncodeMessage(message));
        Assert.Equal(message, GrpcText.DecodeMessage(encoded));
    }

    [Theory]
    [InlineData("50%", "50%")]
    [InlineData("%4", "%4")]
    [InlineData("%zz", "%zz")]
    [InlineData("%41%", "A%")]
    [InlineData("%FF", "\ufffd")]
    public void A_broken_escape_does_not_hide_the_message(string encoded, string message) => Assert.Equal(message, GrpcText.DecodeMessage(encoded));

    [Fact]
    public void Every_message_survives_the_way_there_and_back() => Prop.ForAll(ArbMap.Default.ArbFor<string>(), text =>
    {
        string valid = System.Text.Encoding.UTF8.GetString(System.Text.Encoding.UTF8.GetBytes(text ?? ""));
        string encoded = GrpcText.EncodeMessage(valid);
        return GrpcText.DecodeMessage(encoded) == valid && !encoded.AsSpan().ContainsAnyExceptInRange(' ', '~');
    }).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData("1H", 36_000_000_000L)]
    [InlineData("2M", 1_200_000_000L)]
    [InlineData("3S", 30_000_000L)]
    [InlineData("4m", 40_000L)]
    [InlineData("5u", 50L)]
    [InlineData("600n", 6L)]
    [InlineData("1n", 1L)]
    [InlineData("0n", 0L)]
    [InlineData("99999999H", 3_599_999_964_000_000_000L)]
    public void Timeouts_are_read(string text, long ticks)
    {
        Assert.True(GrpcText.TryParseTimeout(text, out TimeSpan timeout));
        Assert.Equal(ticks, timeout.Ticks);
    }

    [Theory]
    [InlineData("")]
    [InlineData("1")]
    [InlineData("S")]
    [InlineData("1s")]
    [InlineData("-1S")]
    [InlineData("+1S")]
    [InlineData(" 1S")]
    [InlineData("123456789S")]
    public void What_is_no_timeout_is_refused(string text) => Assert.False(GrpcText.TryParseTimeout(text, out _));

    [Fact]
    public void A_written_timeout_is_never_shorter_than_meant_and_at_most_eight_digits() => Prop.ForAll(ArbMap.Default.ArbFor<long>(), seed =>
    {
        var timeout = TimeSpan.FromTicks(Math.Abs(seed % TimeSpan.FromDays(3650).Ticks) + 1);
        string text = GrpcText.EncodeTimeout(timeout);
        return text.Length <= 9 && GrpcText.TryParseTimeout(text, out TimeSpan back) && back >= timeout;
    }).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData("AAEC", new byte[] { 0, 1, 2 })]
    [InlineData("AAE", new byte[] { 0, 1 })]
    [InlineData("AAE=", new byte[] { 0, 1 })]
    [InlineData("AA", new byte[] { 0 })]
    [InlineData("", new byte[0])]
    public void Bytes_are_read_with_and_without_padding(string text, byte[] expected)
    {
        Assert.True(GrpcText.TryDecodeBytes(text, out byte[] bytes));
        Assert.Equal(expected, bytes);
    }

    [Theory]
    [InlineData("A")]
    [InlineData("A*==")]
    [InlineData("AAAAA")]
    public void What_is_no_base64_is_refused(string text) => Assert.False(GrpcText.TryDecodeBytes(text, out _));

    [Theory]
    [InlineData("Upper")]
    [InlineData("grpc-status")]
    [InlineData("")]
    [InlineData("with space")]
    [InlineData("x-bin")]
    public void A_key_that_the_wire_cannot_carry_is_refused(string key) => Assert.Throws<ArgumentException>(() => new GrpcMetadata().Add(key, "v"));

    [Fact]
    public void Metadata_has_a_limit()
    {
        var metadata = new GrpcMetadata();
        ArgumentException e = Assert.Throws<ArgumentException>(() => metadata.Add("k", new string('x', GrpcMetadata.MaxBytes)));
        Assert.Contains("GrpcMetadata.MaxBytes", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Frames_cut_anywhere_are_read_the_same() => Prop.ForAll(ArbMap.Default.ArbFor<byte[]>(), ArbMap.Default.ArbFor<int>(), (bytes, seed) =>
    {
        byte[] frame = [0, 0, 0, (byte)((bytes ?? []).Length >> 8), (byte)(bytes ?? []).Length, .. bytes ?? []];
        int cut = (int)((uint)seed % (uint)(frame.Length + 1));
        var part = new ReadOnlySequence<byte>(frame, 0, cut);
        FrameOutcome outcome = GrpcFrames.TryRead(ref part, 1 << 16, out _, out _);
        var whole = new ReadOnlySequence<byte>(frame);
        return (cut == frame.Length ? outcome == FrameOutcome.Message : outcome == FrameOutcome.NeedMore)
            && GrpcFrames.TryRead(ref whole, 1 << 16, out ReadOnlySequence<byte> message, out _) == FrameOutcome.Message && message.ToArray().AsSpan().SequenceEqual(bytes) && whole.IsEmpty;
    }).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData(new byte[] { 1, 0, 0, 0, 0 }, FrameOutcome.Compressed)]
    [InlineData(new byte[] { 2, 0, 0, 0, 0 }, FrameOutcome.BadFlag)]
    [InlineData(new byte[] { 0, 0x80, 0, 0, 0 }, FrameOutcome.TooLarge)]
    [InlineData(new byte[] { 0, 0, 0, 0, 11 }, FrameOutcome.TooLarge)]
    [InlineData(new byte[] { 0, 0, 0, 0, 10 }, FrameOutcome.NeedMore)]
    [InlineData(new byte[] { 0, 0, 0, 0 }, FrameOutcome.NeedMore)]
    internal void A_prefix_is_judged_before_anything_waits_for_its_message(byte[] bytes, FrameOutcome expected)
    {
        var sequence = new ReadOnlySequence<byte>(bytes);
        Assert.Equal(expected, GrpcFrames.TryRead(ref sequence, 10, out _, out _));
    }
}
