namespace Bellwether.Core.Model;

/// <summary>What a reader may tell about changes, so that results can be kept until late data comes. Thread-safe.</summary>
public interface IChangeLog
{
    /// <summary>A mark: what a later read sees and a read before it did not see is a change since the mark.</summary>
    long TakeMark();

    /// <summary>Unix ms of the oldest sample that was added, replaced or removed since a mark; <see cref="long.MaxValue"/>: none; <see cref="long.MinValue"/>: anything may have changed.</summary>
    long OldestChangeSince(long mark);

    /// <summary>Whether all changes of what the matchers select are told. False where values are made when they are read.</summary>
    bool Covers(IReadOnlyList<LabelMatcher> matchers);
}
