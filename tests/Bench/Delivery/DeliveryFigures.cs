namespace Bellwether.Bench.Delivery;

/// <summary>What was measured of one subject; NaN: not measured.</summary>
internal sealed class DeliveryFigures
{
    public double CpuPerMillion20 { get; set; } = double.NaN;

    public double CpuPerMillion100 { get; set; } = double.NaN;

    public double RssMb20 { get; set; } = double.NaN;

    public double RssMb100 { get; set; } = double.NaN;

    public double WireBytesPerSample { get; set; } = double.NaN;

    public double SpoolBytesPerSample { get; set; } = double.NaN;

    public double RecoverySeconds { get; set; } = double.NaN;

    public double LostPerKill { get; set; } = double.NaN;

    public double LostDownKill { get; set; } = double.NaN;

    public double LostDownTerm { get; set; } = double.NaN;

    public double StopSeconds { get; set; } = double.NaN;

    public double Doubled { get; set; } = double.NaN;

    public double OutOfOrder { get; set; } = double.NaN;
}
