namespace Bellwether.Evaluate.PromQl;

/// <summary>What one query asks for beside the engine's settings. Any but the default is evaluated by itself: nothing of it is taken from other queries or kept for them.</summary>
/// <param name="Lookback">How far back its instant selectors look; null: as the engine's.</param>
/// <param name="CountsSamples">Whether its samples are counted (<see cref="QueryResult.Samples"/>).</param>
public readonly record struct AskOptions(TimeSpan? Lookback = null, bool CountsSamples = false);
