using Bellwether.Core.Configuration;

namespace Bellwether.Evaluate.Slo.Reading;

/// <summary>Reads OpenSLO's documents about alerts: AlertPolicy, AlertCondition, AlertNotificationTarget.</summary>
internal static class OpenSloAlertReader
{
    private static readonly string[] s_policyFlags = ["alertWhenNoData", "alertWhenResolved", "alertWhenBreaching"];

    public static void ReadTarget(SloReading reading, ConfigSection spec, string name, OpenSloLibrary library)
    {
        spec.RequiredText("target");
        library.AddTarget(name);
    }

    public static OpenSloPolicyUse? ReadPolicyUse(SloReading reading, ConfigSection spec, ConfigNode node, string path)
    {
        if (node.Kind == ConfigNodeKind.Scalar && spec.CheckScalar(node, path))
        {
            if (!OpenSloReader.Name.IsMatch(node.Text))
                spec.Reading.Error(node, path, $"'{node.Text}' is no name: {OpenSloReader.NameForm}");
            return new OpenSloPolicyUse(new OpenSloRef(node.Text, new SloPlace(spec.Reading.File, node.Line, node.Column, path)), null);
        }
        foreach (ConfigSection section in spec.Sections("alertPolicies").Where(s => s.Node == node))
        {
            if (section.Has("alertPolicyRef"))
                return new OpenSloPolicyUse(OpenSloReader.ReadRef(section, "alertPolicyRef"), null);
            section.Find("kind");
            string name = OpenSloReader.ReadMetadata(reading, section);
            ConfigSection own = section.Section("spec");
            if (!own.IsPresent)
                section.Error("spec", "is missing");
            return own.IsPresent ? new OpenSloPolicyUse(null, ReadPolicySpec(reading, own, name)) : null;
        }
        return null;
    }

    public static void ReadPolicy(SloReading reading, ConfigSection spec, string name, OpenSloLibrary library) => library.Add(ReadPolicySpec(reading, spec, name));

    private static OpenSloPolicy ReadPolicySpec(SloReading reading, ConfigSection spec, string name)
    {
        foreach (string flag in s_policyFlags.Where(f => !spec.Has(f)))
            spec.Error(flag, "is missing; write true or false");
        OpenSloRef? condition = null;
        SloAlertPolicy? inline = null;
        int conditions = 0;
        foreach (ConfigSection each in spec.Sections("conditions"))
        {
            if (conditions++ > 0)
            {
                each.Error("is one too many; a policy has one condition");
                break;
            }
            condition = OpenSloReader.ReadRef(each, "conditionRef");
            if (condition is null)
                inline = ReadInlineCondition(reading, each);
            reading.WarnOfUnknown(each, "operator", "kind", "metadata", "spec");
        }
        if (conditions == 0)
            spec.Error("conditions", "is missing: a list with one condition");
        List<OpenSloRef> targets = [.. spec.Sections("notificationTargets").Select(t => ReadPolicyTarget(reading, t)).OfType<OpenSloRef>()];
        if (targets.Count == 0 && (!spec.Has("notificationTargets") || spec.Find("notificationTargets") is { Items.Count: 0 }))
            spec.Error("notificationTargets", "is missing: a list with at least one target");
        var frame = new SloAlertPolicy
        {
            Name = name,
            Description = OpenSloReader.Description(spec),
            Severity = "",
            Operator = ">",
            WhenNoData = spec.Flag("alertWhenNoData", false),
            WhenResolved = spec.Flag("alertWhenResolved", false),
            WhenBreaching = spec.Flag("alertWhenBreaching", true),
        };
        return new OpenSloPolicy(frame, condition, inline, targets, SloReading.PlaceOf(spec));
    }

    private static OpenSloRef? ReadPolicyTarget(SloReading reading, ConfigSection target)
    {
        if (target.Has("targetRef"))
            return OpenSloReader.ReadRef(target, "targetRef");
        target.Find("kind");
        if (!target.Has("metadata") || !target.Has("spec"))
        {
            target.Error("names no target; write 'targetRef', or 'kind', 'metadata' and 'spec' of one");
            return null;
        }
        string name = OpenSloReader.ReadMetadata(reading, target);
        target.Section("spec").RequiredText("target");
        return new OpenSloRef(name, SloReading.PlaceOf(target));
    }

    private static SloAlertPolicy? ReadInlineCondition(SloReading reading, ConfigSection holder)
    {
        if (!holder.Has("kind") || !holder.Has("metadata") || !holder.Has("spec"))
        {
            holder.Error("is no condition; write 'conditionRef', or 'kind', 'metadata' and 'spec' of one");
            return null;
        }
        return ReadConditionSpec(reading, holder.Section("spec"), OpenSloReader.ReadMetadata(reading, holder), isOwnDocument: false);
    }

    public static void ReadCondition(SloReading reading, ConfigSection spec, string name, OpenSloLibrary library)
    {
        if (ReadConditionSpec(reading, spec, name, isOwnDocument: true) is { } condition)
            library.AddCondition(condition);
    }

    private static SloAlertPolicy? ReadConditionSpec(SloReading reading, ConfigSection spec, string name, bool isOwnDocument)
    {
        string severity = spec.RequiredText("severity");
        ConfigSection condition = spec.Section("condition");
        if (!condition.IsPresent)
        {
            spec.Error("condition", "is missing: kind, op, threshold, lookbackWindow, alertAfter");
            return null;
        }
        condition.Word("kind", 0, [("burnrate", 0)]);
        if (isOwnDocument && !condition.Has("op"))
            condition.Error("op", "is missing; there are: lt, lte, gt, gte");
        if (!condition.Has("threshold"))
            condition.Error("threshold", "is missing: the burn rate to compare with");
        if (isOwnDocument && !condition.Has("alertAfter"))
            condition.Error("alertAfter", "is missing: how long the condition must hold, for example 5m");
        var read = new SloAlertPolicy
        {
            Name = name,
            Description = OpenSloReader.Description(spec),
            Severity = severity,
            Operator = condition.Has("op") ? condition.Word("op", ">", OpenSloReader.Operators) : ">",
            Threshold = condition.Number("threshold", 1),
            Lookback = OpenSloReader.Shorthand(condition, "lookbackWindow")?.Length ?? TimeSpan.FromHours(1),
            After = condition.Has("alertAfter") ? OpenSloReader.Shorthand(condition, "alertAfter", zeroAllowed: true)?.Length ?? TimeSpan.Zero : TimeSpan.Zero,
        };
        reading.WarnOfUnknown(condition);
        reading.WarnOfUnknown(spec);
        return read;
    }
}
