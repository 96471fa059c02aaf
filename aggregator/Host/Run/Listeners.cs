using System.Net;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Bellwether.Aggregator.Configuration;
using Bellwether.Core.Grpc.Server;
using Bellwether.Core.Platform;
using Bellwether.Core.Telemetry;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;

namespace Bellwether.Aggregator.Run;

/// <summary>Makes the web applications' listeners as the configuration has them: plain text, or TLS whose certificates are read again when their files change.</summary>
internal sealed partial class Listeners(TimeProvider time, LineLoggerFactory loggers)
{
    private readonly ILogger _log = loggers.CreateLogger<Listeners>();
    private readonly RepeatedLines<string> _refused = new(time);

    /// <summary>A builder with Kestrel and nothing else.</summary>
    public WebApplicationBuilder NewBuilder()
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ApplicationName = "bellwether-aggregator" });
        builder.Services.Replace(ServiceDescriptor.Singleton<ILoggerFactory>(new QuietFrameworkLoggers(loggers)));
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration();
        return builder;
    }

    /// <summary>Adds a listener.</summary>
    public void Listen(KestrelServerOptions kestrel, ListenerSection listener, HttpProtocols protocols)
    {
        void Configure(ListenOptions options)
        {
            options.Protocols = protocols;
            if (listener.Tls is { } tls)
                options.UseHttps(HttpsOf(tls));
            else if (protocols == HttpProtocols.Http1AndHttp2)
                options.Protocols = HttpProtocols.Http1;
        }
        if (listener.Host == "localhost")
            kestrel.ListenLocalhost(listener.Port, Configure);
        else
            kestrel.Listen(IPAddress.Parse(listener.Host), listener.Port, Configure);
    }

    private HttpsConnectionAdapterOptions HttpsOf(ServerTlsSection tls)
    {
        var own = new WatchedFiles<X509Certificate2>([tls.CertFile, tls.KeyFile], () => ReadCertificate(tls), time, CertificatesChanged);
        var options = new HttpsConnectionAdapterOptions
        {
            // Asked at each handshake: a renewed certificate counts without a restart.
            ServerCertificateSelector = (_, _) => own.Current,
            SslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
        };
        if (tls.ClientCaFile.Length > 0)
        {
            var authorities = new WatchedFiles<X509Certificate2Collection>([tls.ClientCaFile], () => ReadAuthorities(tls.ClientCaFile), time, CertificatesChanged);
            options.ClientCertificateMode = ClientCertificateMode.AllowCertificate;
            options.ClientCertificateValidation = (certificate, _, errors) =>
            {
                if ((errors & SslPolicyErrors.RemoteCertificateNotAvailable) == 0 && IsSignedBy(certificate, authorities.Current))
                    return true;
                if (_refused.IsDue(certificate.Thumbprint, out long untold))
                    CertificateRefused(_log, CertificateText.Of(certificate), certificate.Issuer, certificate.NotAfter.ToUniversalTime(), untold);
                return false;
            };
        }
        return options;
    }

    private static X509Certificate2 ReadCertificate(ServerTlsSection tls)
    {
        using X509Certificate2 pem = X509Certificate2.CreateFromPemFile(tls.CertFile, tls.KeyFile);
        // Through PKCS #12 and back: on Windows a key read from PEM is not usable for TLS.
        return X509CertificateLoader.LoadPkcs12(pem.Export(X509ContentType.Pkcs12), null);
    }

    private static X509Certificate2Collection ReadAuthorities(string file)
    {
        var authorities = new X509Certificate2Collection();
        authorities.ImportFromPemFile(file);
        return authorities;
    }

    private void CertificatesChanged(string files, string? error)
    {
        if (error is null)
            CertificatesTaken(_log, files);
        else
            CertificatesWrong(_log, files, error);
    }

    private static bool IsSignedBy(X509Certificate2 certificate, X509Certificate2Collection authorities)
    {
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(authorities);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        return chain.Build(certificate);
    }

    [LoggerMessage(5009, LogLevel.Information, "certificates read again: {Files}")]
    private static partial void CertificatesTaken(ILogger log, string files);

    [LoggerMessage(5010, LogLevel.Error, "changed certificates cannot be taken, the old ones stay: {Files}: {Reason}")]
    private static partial void CertificatesWrong(ILogger log, string files, string reason);

    [LoggerMessage(5007, LogLevel.Warning, "a client was refused: no authority of client_ca_file has signed its certificate ({Certificate}, issued by '{Issuer}'), or it is out of its time (ends {NotAfter:u}); {Untold} such attempts since the last line")]
    private static partial void CertificateRefused(ILogger log, string certificate, string issuer, DateTime notAfter, long untold);
}
