using System.CommandLine;
using Bellwether.Conformance;
using Bellwether.Conformance.Configuration;
using Bellwether.Conformance.Relabel;
using Bellwether.Conformance.Rules;
using Bellwether.Conformance.Serve;
using Bellwether.Conformance.Slo;

// Every topic that can be run, one line each.
ITopic[] topics =
[
    new ExpositionTopic(),
    new OpenMetricsTopic(),
    new NodeExporterTopic(),
    new PostgresExporterTopic(),
    new PrometheusConfigTopic(),
    new PromQlTestTopic(),
    new PromQlReferenceTopic(),
    new ComplianceQueriesTopic(),
    new DashboardsTopic(),
    new RelabelTopic(),
    new AlertTemplatesTopic(),
    new RuleFilesTopic(),
    new RuleCorporaTopic(),
    new HttpApiTopic(),
    new RemoteWriteTopic(),
    new SlothTopic(),
    new OpenSloTopic(),
    new PyrraTopic(),
];

var folder = new Argument<DirectoryInfo>("DIR") { Description = "A folder laid out as the conformance data: one folder per topic." };
var names = new Argument<string[]>("TOPIC") { Description = "Topics to run, e.g. promql/promqltest; a parent runs all below it. Default: all that the folder has.", Arity = ArgumentArity.ZeroOrMore };
var failures = new Option<int>("--failures") { Description = "Failures shown per topic.", DefaultValueFactory = _ => 50 };
var root = new RootCommand("Runs conformance topics and prints 'TOPIC: N passed, M failed' for each.") { folder, names, failures };
root.SetAction(parse =>
{
    string dir = parse.GetRequiredValue(folder).FullName;
    if (!Directory.Exists(dir))
    {
        Console.Error.WriteLine($"{dir}: no such folder");
        return 2;
    }
    string[] wanted = parse.GetValue(names) ?? [];
    foreach (string name in wanted)
    {
        if (!topics.Any(t => IsUnder(t.Name, name)))
        {
            Console.Error.WriteLine($"no topic '{name}'; there are: {string.Join(", ", topics.Select(t => t.Name))}");
            return 2;
        }
    }
    bool failed = false;
    foreach (ITopic topic in topics)
    {
        if (wanted.Length > 0 ? !wanted.Any(w => IsUnder(topic.Name, w)) : !Directory.Exists(Path.Combine(dir, topic.Name)))
            continue;
        var report = new TopicReport(Console.Out, parse.GetValue(failures));
        report.Case(topic.Name, 0, "the topic as a whole", () => topic.Run(Path.Combine(dir, topic.Name), report));
        Console.WriteLine($"{topic.Name}: {report.Passed} passed, {report.Failed} failed");
        failed |= report.Failed > 0;
    }
    return failed ? 1 : 0;
});
return root.Parse(args).Invoke();

static bool IsUnder(string topic, string wanted) => topic == wanted || topic.StartsWith(wanted.TrimEnd('/') + "/", StringComparison.Ordinal);
