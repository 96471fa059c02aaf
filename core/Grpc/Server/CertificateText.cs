using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Bellwether.Core.Grpc.Server;

/// <summary>A certificate in words, for refusals: enough to find it at its owner's, or to name it in a configuration.</summary>
public static class CertificateText
{
    /// <summary>The most characters of a subject that are told: whoever shows a certificate chooses them.</summary>
    public const int MaxSubjectLength = 200;

    /// <summary>Subject, serial number and SHA-256 of the certificate as <c>certificate_sha256</c> takes it.</summary>
    public static string Of(X509Certificate2 certificate)
    {
        string subject = certificate.Subject;
        string told = subject.Length <= MaxSubjectLength ? subject : subject[..MaxSubjectLength] + "...";
        return $"subject '{told}', serial {certificate.SerialNumber}, SHA-256 {certificate.GetCertHashString(HashAlgorithmName.SHA256).ToLowerInvariant()}";
    }
}
