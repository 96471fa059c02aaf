namespace Bellwether.Ingest.Completeness;

/// <summary>How facts change with what happens. Pure; lists stay within <see cref="CompletenessOptions"/>.</summary>
internal static class FactChanges
{
    /// <summary>An event is noted.</summary>
    public static AgentFacts Noted(this AgentFacts agent, FleetEvent what, CompletenessOptions options)
    {
        // The same refusal again and again is one event.
        if (agent.Events.Count > 0 && agent.Events[^1] is var last && last.Kind == what.Kind && last.Detail == what.Detail && what.Kind == FleetEvents.Refused)
            return agent with { Events = [.. agent.Events.SkipLast(1), last with { TimeMs = what.TimeMs, ToMs = what.ToMs }] };
        IEnumerable<FleetEvent> events = agent.Events;
        // A one-way gate brings a bundle every few minutes: what else happened must not leave the list for that.
        if (what.Kind == FleetEvents.Carried && agent.Events.Count(e => e.Kind == FleetEvents.Carried) >= options.MaxCarriedEvents)
        {
            FleetEvent oldest = agent.Events.First(e => e.Kind == FleetEvents.Carried);
            events = events.Where(e => !ReferenceEquals(e, oldest));
        }
        return agent with { Events = [.. events.Append(what).TakeLast(options.MaxEvents)] };
    }

    /// <summary>It is back as another process.</summary>
    public static AgentFacts Restarted(this AgentFacts agent, long nowMs, CompletenessOptions options)
    {
        bool planned = agent.Presence == AgentPresence.Stopped;
        FleetEvent what = planned
            ? new FleetEvent(nowMs, FleetEvents.Started, "back after a planned stop", agent.LastHeardMs, nowMs)
            : new FleetEvent(nowMs, FleetEvents.Died, "back as a new process: the one before ended without a goodbye; what was due after its end was not collected", agent.LastHeardMs, nowMs);
        var absence = new Absence(agent.LastHeardMs, nowMs, planned ? MissingReasons.PlannedStop : MissingReasons.AgentDown);
        return agent.Noted(what, options) with { Absences = [.. agent.Absences.Append(absence).TakeLast(options.MaxAbsences)] };
    }

    /// <summary>It tells how its run before this one ended: the end marker in the spool says more than a goodbye that nobody heard.</summary>
    public static AgentFacts Explained(this AgentFacts agent, bool? plannedStop)
    {
        if (plannedStop != true || agent.Absences.Count == 0 || agent.Absences[^1].Reason != MissingReasons.AgentDown)
            return agent;
        return agent with
        {
            Absences = [.. agent.Absences.SkipLast(1), agent.Absences[^1] with { Reason = MissingReasons.PlannedStop }],
            Events = [.. agent.Events.Select(e => e.Kind == FleetEvents.Died && e.ToMs == agent.Absences[^1].ToMs ? e with { Kind = FleetEvents.Started, Detail = "back after a planned stop, as its end marker says" } : e)],
        };
    }

    /// <summary>Segments of it are lost.</summary>
    public static AgentFacts Lost(this AgentFacts agent, LostSegments loss, CompletenessOptions options)
    {
        List<LostSegments> losses = [.. agent.Losses, loss];
        if (losses.Count > options.MaxLosses)
        {
            LostSegments a = losses[0], b = losses[1];
            losses[1] = b with { First = a.Epoch == b.Epoch ? Math.Min(a.First, b.First) : b.First, FromMs = Math.Min(a.FromMs, b.FromMs) };
            losses.RemoveAt(0);
        }
        string detail = $"segments {loss.First} to {loss.Last} of epoch {loss.Epoch} are neither here nor at the agent ({loss.Reason})";
        return agent.Noted(new FleetEvent(loss.FoundMs, FleetEvents.Lost, detail, loss.FromMs, loss.ToMs), options) with { Losses = losses };
    }

    /// <summary>Something was heard of it: an open session that falls silent and speaks again (a stopped process) is present again; one that said goodbye or was retired is not.</summary>
    public static AgentFacts HeardAt(this AgentFacts agent, long nowMs) => agent with
    {
        LastHeardMs = Math.Max(agent.LastHeardMs, nowMs),
        Presence = agent.Presence is AgentPresence.Silent or AgentPresence.Expected or AgentPresence.Carried ? AgentPresence.Present : agent.Presence,
    };
}
