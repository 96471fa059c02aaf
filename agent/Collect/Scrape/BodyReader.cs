using System.IO.Compression;
using Bellwether.Core.Exposition;

namespace Bellwether.Agent.Collect.Scrape;

/// <summary>How reading a body ended.</summary>
/// <param name="Length">Bytes read into the parser's buffer.</param>
/// <param name="Error">Why it was refused, or null.</param>
/// <param name="TooLarge">Whether it broke a size limit.</param>
internal readonly record struct BodyOutcome(int Length, string? Error, bool TooLarge);

/// <summary>Reads a body into a parser's buffer, inflating gzip, with bounds on the inflated size and on the ratio. Stateless.</summary>
internal static class BodyReader
{
    // Real expositions compress 10 to 40 fold; what goes beyond 200 after the first MiB is a bomb.
    private const int RatioMax = 200;
    private const int RatioFloorBytes = 1 << 20;
    private const int FirstReadBytes = 16 * 1024;

    /// <summary>So much of an announced length is believed before the bytes are there.</summary>
    private const int BelievedBytesMax = 1 << 20;

    /// <summary>Reads it all.</summary>
    /// <param name="response">The answer, headers read.</param>
    /// <param name="parser">Whose buffer is filled.</param>
    /// <param name="sizeMax">Inflated bytes above which the body is refused.</param>
    /// <param name="cancellation">Ends the read.</param>
    public static async Task<BodyOutcome> ReadAsync(HttpResponseMessage response, ScrapeParser parser, long sizeMax, CancellationToken cancellation)
    {
        string encoding = string.Join(",", response.Content.Headers.ContentEncoding);
        bool gzip = encoding.Equals("gzip", StringComparison.OrdinalIgnoreCase);
        if (!gzip && encoding.Length > 0 && !encoding.Equals("identity", StringComparison.OrdinalIgnoreCase))
            return new BodyOutcome(0, $"the body has the encoding '{encoding}', which was not asked for", false);
        if (!gzip && response.Content.Headers.ContentLength > sizeMax)
            return TooLarge(sizeMax);
        await using var counted = new CountingStream(await response.Content.ReadAsStreamAsync(cancellation));
        await using System.IO.Stream body = gzip ? new GZipStream(counted, CompressionMode.Decompress) : counted;
        int length = 0;
        if (!gzip && response.Content.Headers.ContentLength is { } announced)
            parser.Grow((int)Math.Min(announced, BelievedBytesMax) + 1);
        while (true)
        {
            if (length == parser.Buffer.Length)
                parser.Grow((int)Math.Min(Math.Max(FirstReadBytes, length * 2L), Math.Min(sizeMax, int.MaxValue / 2) + 2));
            int read = await body.ReadAsync(parser.Buffer.AsMemory(length), cancellation);
            if (read == 0)
                return new BodyOutcome(length, null, false);
            length += read;
            if (length > sizeMax)
                return TooLarge(sizeMax);
            if (gzip && length > RatioFloorBytes && length / RatioMax > counted.BytesRead)
                return new BodyOutcome(length, $"the body inflates more than {RatioMax} fold: refused as a decompression bomb", true);
        }
    }

    private static BodyOutcome TooLarge(long sizeMax) => new(0, $"body size limit exceeded: more than {sizeMax} bytes (body_size_limit)", true);

    /// <summary>Counts what is read from a stream.</summary>
    private sealed class CountingStream(System.IO.Stream inner) : System.IO.Stream
    {
        public long BytesRead { get; private set; }

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => BytesRead;
            set => throw new NotSupportedException();
        }

        public override int Read(byte[] buffer, int offset, int count)
        {
            int read = inner.Read(buffer, offset, count);
            BytesRead += read;
            return read;
        }

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            int read = await inner.ReadAsync(buffer, cancellationToken);
            BytesRead += read;
            return read;
        }

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            if (disposing)
                inner.Dispose();
            base.Dispose(disposing);
        }
    }
}
