using FsCheck;
using FsCheck.Fluent;

namespace Bellwether.Agent.Tests.Stream;

/// <summary>Both ends of a session, state machine against state machine, over a link that delays and cuts.</summary>
public sealed class SessionJourneyTests
{
    [Fact]
    public void Whatever_is_cut_restarted_or_full_everything_arrives_exactly_once() =>
        Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            using var journey = new Journey(seed);
            for (int i = 0; i < 600; i++)
                journey.RandomStep();
            journey.Settle();
            journey.AssertEverythingArrivedOnce();
            return journey.Sessions > 0 && journey.Spool.All.Count > 0;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(150));
}
