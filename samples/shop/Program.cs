namespace Bellwether.Samples.Shop;

internal static class Program
{
    private static int Main() => 0;
}
