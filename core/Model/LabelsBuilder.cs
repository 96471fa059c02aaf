using System.Runtime.InteropServices;

namespace Bellwether.Core.Model;

/// <summary>Builds or changes a <see cref="Labels"/>. Not thread-safe; may be reused after <see cref="Reset"/>.</summary>
public sealed class LabelsBuilder
{
    private readonly List<Label> _items;
    private Labels? _source;

    /// <summary>An empty builder.</summary>
    public LabelsBuilder() => _items = [];

    /// <summary>A builder that starts from a set.</summary>
    public LabelsBuilder(Labels source) : this() => Reset(source);

    /// <summary>How many labels there are now.</summary>
    public int Count => _items.Count;

    /// <summary>Starts again from a set (or from nothing).</summary>
    public LabelsBuilder Reset(Labels? source = null)
    {
        _items.Clear();
        _source = source;
        if (source is not null)
        {
            foreach (Label label in source.AsSpan())
                _items.Add(label);
        }
        return this;
    }

    /// <summary>Sets a label; an empty value removes it.</summary>
    public LabelsBuilder Set(string name, string value)
    {
        if (value.Length == 0)
            return Remove(name);
        int at = Find(name, out bool found);
        if (found)
        {
            if (_items[at].Value == value)
                return this;
            _items[at] = new Label(name, value);
        }
        else
        {
            _items.Insert(at, new Label(name, value));
        }
        _source = null;
        return this;
    }

    /// <summary>Removes a label if it is there.</summary>
    public LabelsBuilder Remove(string name)
    {
        int at = Find(name, out bool found);
        if (found)
        {
            _items.RemoveAt(at);
            _source = null;
        }
        return this;
    }

    /// <summary>The value of a label now, or the empty string.</summary>
    public string Get(string name)
    {
        int at = Find(name, out bool found);
        return found ? _items[at].Value : "";
    }

    /// <summary>The label at a position in name order.</summary>
    public Label this[int index] => _items[index];

    /// <summary>The set as it stands; the same object as the source when nothing changed.</summary>
    public Labels Build() => _source ?? (_items.Count == 0 ? Labels.Empty : Labels.FromSorted(CollectionsMarshal.AsSpan(_items)));

    private int Find(string name, out bool found)
    {
        int low = 0, high = _items.Count - 1;
        while (low <= high)
        {
            int mid = (low + high) >>> 1;
            int c = Utf8Order.Compare(_items[mid].Name, name);
            if (c == 0)
            {
                found = true;
                return mid;
            }
            if (c < 0)
                low = mid + 1;
            else
                high = mid - 1;
        }
        found = false;
        return low;
    }
}
