using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using Bellwether.Core.Codec;
using Bellwether.Core.Model;

namespace Bellwether.Serve.RemoteWrite;

/// <summary>
/// Appends to a running aggregator by remote write 2.0. What it cannot take now is sent again after a pause. Exemplars are not sent. One batch at a time.
/// Source: prometheus.io/docs/specs/prw/remote_write_spec_2_0/.
/// </summary>
public sealed class RemoteAppender : ISampleAppender, IDisposable
{
    private const int MaxTries = 12;
    private const int MaxReasonLength = 500;
    private static readonly TimeSpan s_maxPause = TimeSpan.FromSeconds(15);
    private readonly HttpClient _client;
    private readonly Uri _url;
    private readonly TimeProvider _time;
    private readonly Action<string> _waits;
    private readonly Dictionary<string, MetricMetadata> _metadata = [];
    private readonly WriteRequestV2Writer _writer;
    private byte[] _body = [];

    /// <summary>Sends to an address such as <c>http://127.0.0.1:9090</c>.</summary>
    /// <param name="address">Of the aggregator.</param>
    /// <param name="handler">Makes the connections; disposed with this.</param>
    /// <param name="time">The clock of the pauses.</param>
    /// <param name="waits">Is told once for each batch that has to wait why it does.</param>
    public RemoteAppender(Uri address, HttpMessageHandler handler, TimeProvider time, Action<string> waits)
    {
        ArgumentNullException.ThrowIfNull(address);
        _url = new Uri(address.ToString().TrimEnd('/') + "/api/v1/write");
        _client = new HttpClient(handler, disposeHandler: true) { Timeout = TimeSpan.FromMinutes(2) };
        _time = time;
        _waits = waits;
        _writer = new WriteRequestV2Writer(() => _metadata);
    }

    /// <inheritdoc/>
    /// <remarks>What was stored and what was there already cannot be told apart: both count as stored.</remarks>
    public async ValueTask<AppendResult> AppendAsync(SampleBatch batch, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(batch);
        foreach ((string family, MetricMetadata metadata) in batch.Metadata)
            _metadata[family] = metadata;
        var result = new AppendResult();
        if (batch.Samples.Count == 0)
            return result;
        int length = Encode(batch);
        for (int tries = 1; ; tries++)
        {
            string failure;
            try
            {
                using HttpResponseMessage answer = await SendAsync(length, cancellation);
                if (answer.IsSuccessStatusCode || answer.StatusCode == HttpStatusCode.BadRequest)
                {
                    await CountAsync(answer, batch.Samples.Count, result, cancellation);
                    return result;
                }
                failure = $"{(int)answer.StatusCode} {await ReasonAsync(answer, cancellation)}";
                if ((int)answer.StatusCode < 500 && answer.StatusCode != HttpStatusCode.TooManyRequests)
                    throw new StoreUnavailableException($"{_url}: {failure}");
            }
            catch (HttpRequestException e)
            {
                failure = e.Message;
            }
            if (tries == MaxTries)
                throw new StoreUnavailableException($"{_url}: {failure}; given up after {MaxTries} tries");
            if (tries == 1)
                _waits($"{_url}: {failure}; it is tried {MaxTries - 1} times more");
            await Task.Delay(TimeSpan.FromSeconds(Math.Min(s_maxPause.TotalSeconds, Math.Pow(2, tries - 2))), _time, cancellation);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _client.Dispose();

    private int Encode(SampleBatch batch)
    {
        _writer.Clear();
        _writer.Add(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(batch.Samples));
        ReadOnlySpan<byte> message = _writer.Bytes;
        if (_body.Length < Snappy.MaxCompressedLength(message.Length))
            _body = new byte[Snappy.MaxCompressedLength(message.Length)];
        return Snappy.Compress(message, _body);
    }

    private async Task<HttpResponseMessage> SendAsync(int length, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, _url) { Content = new ByteArrayContent(_body, 0, length) };
        request.Content.Headers.ContentType = MediaTypeHeaderValue.Parse("application/x-protobuf;proto=" + RemoteWriteReceiver.V2Message);
        request.Content.Headers.ContentEncoding.Add("snappy");
        request.Headers.TryAddWithoutValidation("X-Prometheus-Remote-Write-Version", "2.0.0");
        return await _client.SendAsync(request, cancellation);
    }

    private static async Task CountAsync(HttpResponseMessage answer, int samples, AppendResult result, CancellationToken cancellation)
    {
        int written = Math.Min(samples, Written(answer, RemoteWriteReceiver.SamplesWritten) + Written(answer, RemoteWriteReceiver.HistogramsWritten));
        for (int i = 0; i < written; i++)
            result.Add(AppendOutcome.Stored);
        string? reason = written == samples ? null : await ReasonAsync(answer, cancellation);
        for (int i = written; i < samples; i++)
            result.Add(AppendOutcome.Invalid, reason);
    }

    private static int Written(HttpResponseMessage answer, string header) =>
        answer.Headers.TryGetValues(header, out IEnumerable<string>? values) && int.TryParse(values.First(), NumberStyles.None, CultureInfo.InvariantCulture, out int count) ? count : 0;

    private static async Task<string> ReasonAsync(HttpResponseMessage answer, CancellationToken cancellation)
    {
        string text = (await answer.Content.ReadAsStringAsync(cancellation)).Trim();
        return text.Length > MaxReasonLength ? text[..MaxReasonLength] : text;
    }
}
