using System.Text.Json;
using Bellwether.Ingest.Completeness;
using Bellwether.Serve.Fleet;
using Bellwether.Store;

namespace Bellwether.Aggregator.Run;

/// <summary>Writes what ingest knows of completeness for the faces (docs/completeness.md).</summary>
internal sealed class CompletenessJson(FleetBook book, ILedgerSource ledger, string storeId) : ICompletenessSource
{
    public void Write(Utf8JsonWriter json, CompletenessQuery query)
    {
        IReadOnlyList<AgentFacts> all = book.Agents();
        json.WriteStartObject();
        json.WriteString("storeId", storeId);
        json.WriteNumber("nowMs", query.NowMs);
        json.WriteNumber("fromMs", query.FromMs);
        json.WriteNumber("toMs", query.ToMs);
        json.WriteStartObject("fleet");
        foreach (AgentPresence presence in Enum.GetValues<AgentPresence>())
            json.WriteNumber(Word(presence), all.Count(a => a.Presence == presence));
        json.WriteEndObject();
        json.WriteStartArray("agents");
        List<AgentFacts> asked = [.. all.Where(a => (query.Agent.Length == 0 || a.Id == query.Agent) && string.CompareOrdinal(a.Id, query.After) > 0).Take(query.Limit + 1)];
        foreach (AgentFacts agent in asked.Take(query.Limit))
            WriteAgent(json, CompletenessView.Of(agent, ledger.Ledgers(agent.Id) is [var own, ..] ? own : null, query.FromMs, query.ToMs, query.NowMs), query);
        json.WriteEndArray();
        if (asked.Count > query.Limit)
            json.WriteString("next", asked[query.Limit - 1].Id);
        else
            json.WriteNull("next");
        json.WriteStartArray("strangers");
        foreach (FleetEvent each in book.Strangers())
            WriteEvent(json, each);
        json.WriteEndArray();
        json.WriteEndObject();
    }

    /// <summary>The word of a presence in the API and in metrics.</summary>
    public static string Word(AgentPresence presence) => presence switch
    {
        AgentPresence.Expected => "expected",
        AgentPresence.Present => "present",
        AgentPresence.Silent => "silent",
        AgentPresence.Stopped => "stopped",
        AgentPresence.Carried => "carried",
        _ => "retired",
    };

    private void WriteAgent(Utf8JsonWriter json, AgentCompleteness agent, CompletenessQuery query)
    {
        AgentFacts facts = agent.Facts;
        json.WriteStartObject();
        json.WriteString("id", facts.Id);
        json.WriteString("state", Word(facts.Presence));
        json.WriteNumber("sinceMs", facts.SinceMs);
        json.WriteNumber("registeredMs", facts.RegisteredMs);
        json.WriteNumber("lastHeardMs", facts.LastHeardMs);
        json.WriteString("processId", facts.ProcessId);
        json.WriteNumber("epoch", facts.Epoch);
        WriteNumber(json, "coverage", agent.Coverage);
        json.WriteStartObject("ledger");
        WriteLedger(json, agent);
        json.WriteEndObject();
        json.WriteStartArray("sources");
        foreach (SourceCompleteness source in agent.Sources)
            WriteSource(json, source, query.GapLimit);
        json.WriteEndArray();
        WriteSegments(json, facts.Id);
        json.WriteStartArray("lost");
        foreach (LostSegments loss in facts.Losses)
            WriteLoss(json, loss);
        json.WriteEndArray();
        json.WriteStartArray("announced");
        foreach (LostSegments missing in facts.Announced)
            WriteLoss(json, missing);
        json.WriteEndArray();
        json.WriteStartArray("absences");
        foreach (Absence absence in facts.Absences)
        {
            json.WriteStartObject();
            WriteRange(json, absence.FromMs, absence.ToMs);
            json.WriteString("reason", absence.Reason);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteStartArray("events");
        foreach (FleetEvent each in facts.Events)
            WriteEvent(json, each);
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void WriteLedger(Utf8JsonWriter json, AgentCompleteness agent)
    {
        AgentFacts facts = agent.Facts;
        json.WriteStartObject("stored");
        json.WriteNumber("records", agent.Stored.Records);
        json.WriteNumber("samples", agent.Stored.Samples);
        json.WriteNumber("samplesRefused", agent.Stored.SamplesRefused);
        json.WriteNumber("recordsRefused", agent.Stored.RecordsRefused);
        json.WriteEndObject();
        WriteNumber(json, "produced", facts.ReportedMs == 0 ? null : facts.Reported.Sum(s => s.Produced));
        WriteNumber(json, "buffered", facts.ReportedMs == 0 ? null : facts.Reported.Sum(s => s.Buffered));
        WriteDrops(json, facts.Reported.SelectMany(s => s.Dropped));
        json.WriteNumber("reportedMs", facts.ReportedMs);
        json.WriteNumber("spoolRecords", facts.SpoolRecords);
        json.WriteNumber("spoolBytes", facts.SpoolBytes);
        json.WriteNumber("spoolOldestMs", facts.SpoolOldestMs);
    }

    private static void WriteSource(Utf8JsonWriter json, SourceCompleteness source, int limit)
    {
        json.WriteStartObject();
        json.WriteString("name", source.Stored.Name);
        json.WriteNumber("intervalMs", source.Stored.IntervalMs);
        json.WriteStartObject("stored");
        json.WriteNumber("records", source.Stored.Records);
        json.WriteNumber("samples", source.Stored.Samples);
        json.WriteNumber("samplesRefused", source.Stored.SamplesRefused);
        json.WriteEndObject();
        WriteNumber(json, "produced", source.Reported?.Produced);
        WriteNumber(json, "buffered", source.Reported?.Buffered);
        WriteDrops(json, source.Reported?.Dropped ?? []);
        json.WriteNumber("received", source.Received);
        json.WriteNumber("due", source.Due);
        json.WriteBoolean("ended", source.HasEnded);
        json.WriteStartArray("ranges");
        foreach (TickRange range in source.Ranges.TakeLast(limit))
        {
            json.WriteStartObject();
            WriteRange(json, range.FirstMs, range.LastMs);
            json.WriteNumber("ticks", range.Ticks);
            json.WriteNumber("due", range.Due);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteStartArray("gaps");
        foreach (SourceGap gap in source.Gaps.TakeLast(limit))
        {
            json.WriteStartObject();
            WriteRange(json, gap.FromMs, gap.ToMs);
            json.WriteNumber("due", gap.Due);
            json.WriteString("reason", gap.Reason);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteNumber("leftOut", Math.Max(0, source.Ranges.Count - limit) + Math.Max(0, source.Gaps.Count - limit));
        json.WriteEndObject();
    }

    private void WriteSegments(Utf8JsonWriter json, string agent)
    {
        json.WriteStartArray("segments");
        foreach (EpochSegments epoch in ledger.SegmentsOf(agent))
        {
            json.WriteStartObject();
            json.WriteNumber("epoch", epoch.Epoch);
            json.WriteStartArray("held");
            foreach ((ulong first, ulong last) in epoch.Held.TakeLast(100))
            {
                json.WriteStartArray();
                json.WriteNumberValue(first);
                json.WriteNumberValue(last);
                json.WriteEndArray();
            }
            json.WriteEndArray();
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private static void WriteLoss(Utf8JsonWriter json, LostSegments loss)
    {
        json.WriteStartObject();
        json.WriteNumber("epoch", loss.Epoch);
        json.WriteNumber("firstSegment", loss.First);
        json.WriteNumber("lastSegment", loss.Last);
        WriteRange(json, loss.FromMs, loss.ToMs);
        json.WriteString("reason", loss.Reason);
        json.WriteNumber("foundMs", loss.FoundMs);
        json.WriteEndObject();
    }

    private static void WriteEvent(Utf8JsonWriter json, FleetEvent what)
    {
        json.WriteStartObject();
        json.WriteNumber("timeMs", what.TimeMs);
        json.WriteString("kind", what.Kind);
        json.WriteString("detail", what.Detail);
        WriteRange(json, what.FromMs, what.ToMs);
        json.WriteEndObject();
    }

    private static void WriteRange(Utf8JsonWriter json, long fromMs, long toMs)
    {
        json.WriteNumber("fromMs", fromMs);
        json.WriteNumber("toMs", toMs);
    }

    private static void WriteDrops(Utf8JsonWriter json, IEnumerable<ReportedDrop> drops)
    {
        json.WriteStartObject("dropped");
        foreach (IGrouping<string, ReportedDrop> drop in drops.GroupBy(d => d.Reason, StringComparer.Ordinal).OrderBy(d => d.Key, StringComparer.Ordinal))
            json.WriteNumber(drop.Key, drop.Sum(d => d.Samples));
        json.WriteEndObject();
    }

    private static void WriteNumber(Utf8JsonWriter json, string name, double? value)
    {
        if (value is { } number)
            json.WriteNumber(name, number);
        else
            json.WriteNull(name);
    }
}
