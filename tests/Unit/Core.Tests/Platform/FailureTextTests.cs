using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using Bellwether.Core.Platform;
using Bellwether.Kit;

namespace Bellwether.Core.Tests.Platform;

public sealed class FailureTextTests
{
    [Fact]
    public void The_cause_is_told_and_no_key_of_a_text_that_is_not_there()
    {
        var refused = new HttpRequestException(HttpRequestError.ConnectionError, "net_http_client_execution_error", new SocketException((int)SocketError.ConnectionRefused));
        Assert.Equal(new SocketException((int)SocketError.ConnectionRefused).Message, FailureText.Of(refused));
        Assert.Equal("the response ended prematurely", FailureText.Of(new HttpRequestException("net_http_client_execution_error", new HttpIOException(HttpRequestError.ResponseEnded, "net_http_invalid_response_premature_eof"))));
        Assert.Equal("the TLS handshake failed", FailureText.Of(new AuthenticationException("net_auth_SSPI")));
        Assert.Equal("the compressed data are not valid", FailureText.Of(new InvalidDataException("UnsupportedCompressionMethod_")));
        Assert.Equal("it took too long", FailureText.Of(new TaskCanceledException("net_http_request_timedout, 5", new TimeoutException())));
        Assert.Equal("it failed (HttpRequestException)", FailureText.Of(new HttpRequestException("net_http_key")));
        Assert.Equal("a plain text", FailureText.Of(new IOException("a plain text")));
    }

    [Fact]
    public void A_certificate_that_is_refused_is_named_with_what_is_wrong()
    {
        using var certificates = new TestCertificates();
        Assert.True(FailureText.CheckServerCertificate(this, certificates.Server, null, SslPolicyErrors.None));
        AuthenticationException refusal = Assert.Throws<AuthenticationException>(() => FailureText.CheckServerCertificate(this, certificates.Server, null, SslPolicyErrors.RemoteCertificateNameMismatch));
        Assert.Contains("CN=localhost", refusal.Message, StringComparison.Ordinal);
        Assert.Contains("it is not for the name", refusal.Message, StringComparison.Ordinal);
    }
}
