using Bellwether.Core.Codec;

namespace Bellwether.Core.Exposition;

/// <content>Protobuf bodies.</content>
public sealed partial class ScrapeParser
{
    private int ParseProtobuf(SourceTick tick)
    {
        _ = tick;
        _error = "protobuf bodies are not read by this build: offer text or OpenMetrics in scrape_protocols";
        return 0;
    }
}
