using Bellwether.Core.Model;

namespace Bellwether.Store.Exchange;

/// <summary>Samples that are brought into a store from outside, in batches, in bounded memory. Not thread-safe.</summary>
public interface IImportSource : IDisposable
{
    /// <summary>Names what is imported, so that an import that was broken off is recognised.</summary>
    string Key { get; }

    /// <summary>For people.</summary>
    string Name { get; }

    /// <summary>Everything before it was handed out; another source of the same key may go on there. Never empty, no blanks.</summary>
    string Position { get; }

    /// <summary>How far it is, in bytes.</summary>
    (long Done, long Of) Progress { get; }

    /// <summary>What could not be read and was left out, in words; at most <see cref="ProblemsMax"/>.</summary>
    IReadOnlyList<string> Problems { get; }

    /// <summary>How many parts could not be read and were left out.</summary>
    long ProblemCount { get; }

    /// <summary>Problems that are told one by one.</summary>
    const int ProblemsMax = 20;

    /// <summary>Adds the next samples to an empty batch. False: there are no more. Throws <see cref="InvalidDataException"/> when it cannot go on, with place and reason.</summary>
    bool Next(SampleBatch into);
}
