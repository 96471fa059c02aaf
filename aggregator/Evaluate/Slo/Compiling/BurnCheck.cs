using System.Globalization;
using Bellwether.Core.Configuration;

namespace Bellwether.Evaluate.Slo.Compiling;

/// <summary>Finds burn-rate alerts that can never fire: an error ratio is at most 1, so a factor × budget of 1 or more is never exceeded.</summary>
internal static class BurnCheck
{
    public static IReadOnlyList<ConfigError> Warnings(SloDefinition slo, BurnWindows table, TimeSpan period)
    {
        var warnings = new List<ConfigError>();
        if (slo.Alerting.Disabled || (slo.Members.Count > 0 && slo.Method == BudgetingMethod.Occurrences))
            return warnings;
        if (slo.Policies.Count > 0)
            return OfPolicies(slo);
        if (slo.ObjectivePercent == 100)
            warnings.Add(Warning(slo, "an objective of 100 % leaves no error budget: one bad event fires every alert, and burn rates divide by zero"));
        Check("page", slo.Page, table.Page);
        Check("ticket", slo.Ticket, table.Ticket);
        return warnings;

        void Check(string severity, SloAlert alert, IReadOnlyList<BurnWindow> pairs)
        {
            foreach (BurnWindow pair in alert.Disabled ? [] : pairs)
            {
                double factor = pair.Factor(period), budget = (double)(100 - slo.ObjectivePercent) / 100;
                if (factor * budget >= 1)
                    warnings.Add(Warning(slo, NeverFires(severity, pair, factor, budget)));
            }
        }
    }

    private static List<ConfigError> OfPolicies(SloDefinition slo)
    {
        double budget = (double)(100 - slo.ObjectivePercent) / 100;
        return [.. slo.Policies.Where(p => p.WhenBreaching && p.Operator is ">" or ">=" && p.Threshold * budget >= (p.Operator == ">" ? 1 : 1.000000001)).Select(p => Warning(slo, string.Create(CultureInfo.InvariantCulture,
            $"the alert policy '{p.Name}' can never fire: a burn rate of {p.Threshold:0.####} needs an error ratio above {p.Threshold * budget:0.####}, and a ratio is at most 1")))];
    }

    private static string NeverFires(string severity, BurnWindow pair, double factor, double budget) => string.Create(CultureInfo.InvariantCulture,
        $"the {severity} alert over {BurnWindows.Text(pair.Long)} and {BurnWindows.Text(pair.Short)} can never fire: it needs an error ratio above {factor:0.####} × {budget:0.######} = {factor * budget:0.####}, and a ratio is at most 1; an objective above {100 * (1 - (1 / factor)):0.##} % can fire it");

    private static ConfigError Warning(SloDefinition slo, string message) => new(slo.Place.File, slo.Place.Line, slo.Place.Column, slo.Place.Path, message);
}
