using System.Security.Cryptography;
using Bellwether.Agent.Configuration;
using Bellwether.Core.Bundles;

namespace Bellwether.Agent.Bundles;

/// <summary>Reads the keys that section <c>bundle</c> names. Every method throws <see cref="IOException"/> or <see cref="CryptographicException"/> that names the setting and what to do.</summary>
internal static class BundleKeyFiles
{
    public static BundleIdentity Identity(AgentConfig config, string version)
    {
        if (config.Bundle.KeyFile.Length == 0)
            throw new IOException("bundle.key_file is not set in the configuration; make a key with 'bellwether-agent bundle keygen -o agent' and name it there");
        ECDsa key = BundleKeys.Read(File.ReadAllText(config.Bundle.KeyFile), config.Bundle.KeyFile);
        try
        {
            return new BundleIdentity(config.Agent.Id, version, key, config.Bundle.RecipientFile.Length == 0 ? null : BundleKeys.Read(File.ReadAllText(config.Bundle.RecipientFile), config.Bundle.RecipientFile));
        }
        catch
        {
            key.Dispose();
            throw;
        }
    }

    public static ECDsa ReceiptKey(AgentConfig config) => config.Bundle.ReceiptKeyFile.Length == 0
        ? throw new IOException("bundle.receipt_key_file is not set in the configuration; name the aggregator's public key there, so that a receipt can be trusted")
        : BundleKeys.Read(File.ReadAllText(config.Bundle.ReceiptKeyFile), config.Bundle.ReceiptKeyFile);
}
