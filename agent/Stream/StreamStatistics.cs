using System.Diagnostics.Metrics;
using Bellwether.Core.Telemetry;

namespace Bellwether.Agent.Stream;

/// <summary>How the stream stands, for <c>status</c> and as metrics. Thread-safe: one writer, any number of readers.</summary>
internal sealed class StreamStatistics
{
    private long _connected;
    private long _sessions;
    private long _failures;
    private long _recordsSent;
    private long _bytesSent;
    private long _recordsRefused;
    private long _underWayBytes;
    private double _clockOffsetMs;
    private volatile string _lastError = "";
    private volatile string _address = "";
    private volatile string _storeId = "";

    /// <summary>Makes the instruments.</summary>
    public StreamStatistics(Meter meter)
    {
        meter.CreateObservableGauge(MetricNames.StreamConnected, () => Volatile.Read(ref _connected), description: "1 while a session with an aggregator stands.");
        meter.CreateObservableCounter(MetricNames.StreamSessions, () => Volatile.Read(ref _sessions), description: "Sessions that an aggregator answered.");
        meter.CreateObservableCounter(MetricNames.StreamFailures, () => Volatile.Read(ref _failures), description: "Connection attempts and sessions that failed.");
        meter.CreateObservableCounter(MetricNames.StreamRecordsSent, () => Volatile.Read(ref _recordsSent), description: "Records sent, repeated ones included.");
        meter.CreateObservableCounter(MetricNames.StreamBytesSent, () => Volatile.Read(ref _bytesSent), unit: "bytes", description: "Payload bytes of them.");
        meter.CreateObservableCounter(MetricNames.StreamRecordsRefused, () => Volatile.Read(ref _recordsRefused), description: "Records that the aggregator refused for good.");
        meter.CreateObservableGauge(MetricNames.StreamUnderWayBytes, () => Volatile.Read(ref _underWayBytes), unit: "bytes", description: "Payload bytes sent and not yet acknowledged.");
        meter.CreateObservableGauge(MetricNames.StreamClockOffsetSeconds, () => Volatile.Read(ref _clockOffsetMs) / 1000, unit: "seconds", description: "The aggregator's clock minus ours.");
    }

    /// <summary>Whether a session stands.</summary>
    public bool Connected => Volatile.Read(ref _connected) != 0;

    /// <summary>Sessions answered so far.</summary>
    public long Sessions => Volatile.Read(ref _sessions);

    /// <summary>Attempts and sessions that failed so far.</summary>
    public long Failures => Volatile.Read(ref _failures);

    /// <summary>Records sent so far, repeated ones included.</summary>
    public long RecordsSent => Volatile.Read(ref _recordsSent);

    /// <summary>Payload bytes sent so far.</summary>
    public long BytesSent => Volatile.Read(ref _bytesSent);

    /// <summary>Records refused for good so far.</summary>
    public long RecordsRefused => Volatile.Read(ref _recordsRefused);

    /// <summary>The aggregator's clock minus ours, ms.</summary>
    public double ClockOffsetMs => Volatile.Read(ref _clockOffsetMs);

    /// <summary>Why the last session or attempt ended; empty: none has.</summary>
    public string LastError => _lastError;

    /// <summary>The address of the last session.</summary>
    public string Address => _address;

    /// <summary>The store of the last session.</summary>
    public string StoreId => _storeId;

    internal void Began(Uri address, StreamSession session)
    {
        _address = address.ToString();
        _storeId = session.StoreId ?? "";
        Volatile.Write(ref _clockOffsetMs, session.ClockOffsetMs);
        Volatile.Write(ref _sessions, _sessions + 1);
        Volatile.Write(ref _connected, 1);
    }

    internal void Ended(string? failure)
    {
        Volatile.Write(ref _connected, 0);
        Volatile.Write(ref _underWayBytes, 0);
        if (failure is null)
            return;
        _lastError = failure;
        Volatile.Write(ref _failures, _failures + 1);
    }

    internal void Moved(long records, long bytes, long refused, long underWay)
    {
        Volatile.Write(ref _recordsSent, _recordsSent + records);
        Volatile.Write(ref _bytesSent, _bytesSent + bytes);
        Volatile.Write(ref _recordsRefused, _recordsRefused + refused);
        Volatile.Write(ref _underWayBytes, underWay);
    }
}
