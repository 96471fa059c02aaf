using System.Diagnostics.CodeAnalysis;

namespace Bellwether.Core.Model;

/// <summary>The labels of a set in name order, to be walked through. Valid as long as the set.</summary>
public readonly ref struct LabelSpan
{
    private readonly string[] _names;
    private readonly string[] _values;

    internal LabelSpan(string[] names, string[] values)
    {
        _names = names;
        _values = values;
    }

    /// <summary>How many labels there are.</summary>
    public int Length => _names.Length;

    /// <summary>The label at a position.</summary>
    public Label this[int index] => new(_names[index], _values[index]);

    /// <summary>A copy.</summary>
    public Label[] ToArray()
    {
        var all = new Label[_names.Length];
        for (int i = 0; i < all.Length; i++)
            all[i] = this[i];
        return all;
    }

    /// <summary>For <c>foreach</c>.</summary>
    public Enumerator GetEnumerator() => new(this);

    /// <summary>Walks through the labels.</summary>
    public ref struct Enumerator
    {
        private readonly LabelSpan _labels;
        private Label _current;
        private int _at;

        internal Enumerator(LabelSpan labels) => _labels = labels;

        /// <summary>The label; overwritten by the next one.</summary>
        [UnscopedRef]
        public readonly ref readonly Label Current => ref _current;

        /// <summary>Goes to the next label. False: there is none.</summary>
        public bool MoveNext()
        {
            if (_at >= _labels.Length)
                return false;
            _current = _labels[_at++];
            return true;
        }
    }
}
