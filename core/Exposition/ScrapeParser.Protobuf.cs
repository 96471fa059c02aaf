using Bellwether.Core.Codec;
using Bellwether.Core.Model;

namespace Bellwether.Core.Exposition;

/// <content>Protobuf bodies: decoded whole, series looked up by their labels.</content>
public sealed partial class ScrapeParser
{
    private readonly Dictionary<Labels, int> _exposedSlots = [];
    private readonly Dictionary<int, (long ToldMs, long StartMs)> _exposedStarts = [];

    private int ParseProtobuf(SourceTick tick)
    {
        _error = ProtobufFamilies.Read(_current.AsSpan(0, _length), out List<ExposedFamily> families);
        int scraped = 0;
        foreach (ExposedFamily family in families)
        {
            _metaFamily = family.Name;
            (_metaHelp, _metaUnit, _metaType) = (family.Help, family.Unit, family.Type);
            FlushMetadata();
            foreach (ExposedSample sample in family.Samples)
            {
                scraped++;
                int slot = _error is null ? SlotOfExposed(sample) : -1;
                if (_error is not null)
                    return scraped;
                if (slot >= 0)
                    Take(tick, slot, sample);
            }
        }
        return scraped;
    }

    private int SlotOfExposed(ExposedSample sample)
    {
        _builder.Reset().Set(LabelNames.MetricName, sample.Name);
        foreach (Label label in sample.Labels)
        {
            if (_builder.Get(label.Name).Length > 0)
            {
                _error = $"label name '{label.Name}' is not unique in {sample.Name}";
                return -1;
            }
            _builder.Set(label.Name, label.Value);
        }
        Labels exposed = _builder.Build();
        if (_exposedSlots.TryGetValue(exposed, out int slot))
            return slot;
        MapOutcome outcome = _mapper.Map(exposed, out Labels kept, out string? reason);
        if (outcome == MapOutcome.Refuse)
            _error = reason;
        if (_error is null && outcome == MapOutcome.Keep && _kept >= _sampleLimit)
        {
            _kept++;
            return -1;
        }
        slot = outcome == MapOutcome.Keep ? SlotFor(kept) : -1;
        if (_error is null)
            _exposedSlots.Add(exposed, slot);
        return slot;
    }

    private void Take(SourceTick tick, int slot, ExposedSample sample)
    {
        _kept++;
        if (!SourceTick.IsSet(_seen, slot) && !SourceTick.IsSet(tick.Present, slot))
            _added++;
        long? time = _options.HonorTimestamps && sample.TimestampSeconds is { } seconds && Math.Abs(seconds) < 1e12m ? (long)(seconds * 1000) : null;
        if (sample.Histogram is not null)
        {
            tick.Histograms.Add(new SlotHistogram(slot, sample.Histogram, time ?? 0));
        }
        else if (time is { } own)
        {
            tick.Timed.Add(new TimedSample(slot, own, sample.Value));
            MarkTimed(slot);
        }
        else if (SourceTick.IsSet(tick.Present, slot))
        {
            _duplicates++;
        }
        else
        {
            tick.Set(slot, Canonical(sample.Value));
        }
        if (sample.StartMs != 0)
        {
            bool isKnown = _exposedStarts.TryGetValue(slot, out (long ToldMs, long StartMs) start) && start.ToldMs == sample.StartMs;
            if (!isKnown)
                _exposedStarts[slot] = start = (sample.StartMs, InTick(tick, sample.StartMs));
            if (!isKnown || !_startsKnown)
                tick.Starts.Add(new SlotStart(slot, start.StartMs));
        }
        if (sample.Exemplar is { } e)
            tick.Exemplars.Add(new SlotExemplar(slot, new Exemplar(Labels.From([.. e.Labels]), e.Value, e.TimestampSeconds is { } at ? (long)(at * 1000) : null)));
    }
}
