namespace Bellwether.Bench;

/// <summary>One benchmark: our shipped programs beside their peers, in one run.</summary>
internal interface IBench
{
    /// <summary>The word that starts it: <c>scripts/bench NAME</c>.</summary>
    string Name { get; }

    /// <summary>What it measures, in one line.</summary>
    string Description { get; }

    /// <summary>Measures, and prints a table.</summary>
    /// <param name="quick">A short run: fewer repetitions and shorter waits.</param>
    /// <param name="tell">Progress and results, line by line.</param>
    /// <param name="cancel">Ends it early.</param>
    Task RunAsync(bool quick, Action<string> tell, CancellationToken cancel);
}
