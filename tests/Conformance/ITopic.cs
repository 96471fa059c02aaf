namespace Bellwether.Conformance;

/// <summary>One topic of a conformance folder: a path below the folder, such as <c>promql/promqltest</c>.</summary>
internal interface ITopic
{
    /// <summary>The topic's path below the conformance folder.</summary>
    string Name { get; }

    /// <summary>Runs every case and tells the report. A case that throws is a failed case of that topic; the others still run.</summary>
    void Run(string folder, TopicReport report);
}
