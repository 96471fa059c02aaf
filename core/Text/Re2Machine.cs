namespace Bellwether.Core.Text;

/// <summary>
/// A Pike machine: runs a parsed pattern over whole code points in time linear to text × program, with captures by preference of the first alternative.
/// Slower than the framework's engine, and exact; used where that engine cannot say what RE2 means (word boundaries), and by tests as the reference. Thread-safe.
/// </summary>
internal sealed class Re2Machine
{
    /// <summary>The longest program.</summary>
    public const int MaxInstructions = 100_000;

    private readonly List<Instruction> _program = [];
    private readonly int _slots;

    /// <summary>Compiles. Throws <see cref="FormatException"/> when the program gets too long.</summary>
    public Re2Machine(Re2Node root, int groups)
    {
        _slots = 2 * groups;
        Emit(root);
        Add(new Instruction(Operation.Match));
    }

    private enum Operation
    {
        Class,
        Split,
        Jump,
        Save,
        Place,
        Match,
    }

    private sealed record Instruction(Operation Operation, RuneSet? Set = null, int First = 0, int Second = 0);

    /// <summary>Matches from the start; <paramref name="whole"/>: up to the end, else at any start and up to anywhere. Null, or start and end of each group in UTF-16 units (-1: none).</summary>
    public int[]? Match(ReadOnlySpan<char> text, bool whole)
    {
        int size = _program.Count;
        var now = new Threads(size);
        var next = new Threads(size);
        int[]? found = null;
        var stack = new Stack<(int At, int[] Saved)>();
        for (int at = 0; ;)
        {
            if (found is null && (at == 0 || !whole))
            {
                var saved = new int[_slots];
                Array.Fill(saved, -1);
                saved[0] = at;
                Follow(now, 0, saved, text, at, stack);
            }
            if (now.Count == 0 && (whole || found is not null))
                break;
            int rune = -1, width = 0;
            if (at < text.Length)
            {
                bool pair = char.IsHighSurrogate(text[at]) && at + 1 < text.Length && char.IsLowSurrogate(text[at + 1]);
                (rune, width) = pair ? (char.ConvertToUtf32(text[at], text[at + 1]), 2) : (text[at], 1);
            }
            for (int i = 0; i < now.Count; i++)
            {
                Instruction instruction = _program[now.Order[i]];
                if (instruction.Operation == Operation.Match)
                {
                    if (whole && at < text.Length)
                        continue;
                    found = (int[])now.Saved[i].Clone();
                    found[1] = at;
                    break;
                }
                if (rune >= 0 && rune is < 0xD800 or > 0xDFFF && instruction.Set!.Contains(rune))
                    Follow(next, now.Order[i] + 1, now.Saved[i], text, at + width, stack);
            }
            if (at >= text.Length)
                break;
            at += width;
            (now, next) = (next, now);
            next.Clear();
        }
        return found;
    }

    private void Follow(Threads threads, int start, int[] saved, ReadOnlySpan<char> text, int at, Stack<(int At, int[] Saved)> stack)
    {
        stack.Push((start, saved));
        while (stack.TryPop(out (int At, int[] Saved) thread))
        {
            if (!threads.Mark(thread.At))
                continue;
            Instruction instruction = _program[thread.At];
            switch (instruction.Operation)
            {
                case Operation.Jump:
                    stack.Push((instruction.First, thread.Saved));
                    break;
                case Operation.Split:
                    stack.Push((instruction.Second, thread.Saved));
                    stack.Push((instruction.First, thread.Saved));
                    break;
                case Operation.Save:
                    int[] copy = (int[])thread.Saved.Clone();
                    copy[instruction.First] = at;
                    stack.Push((thread.At + 1, copy));
                    break;
                case Operation.Place:
                    if (Holds((Re2Assertion)instruction.First, text, at))
                        stack.Push((thread.At + 1, thread.Saved));
                    break;
                default:
                    threads.Add(thread.At, thread.Saved);
                    break;
            }
        }
    }

    private static bool Holds(Re2Assertion kind, ReadOnlySpan<char> text, int at)
    {
        bool before = at > 0 && Re2Parser.Word.Contains(text[at - 1]);
        bool after = at < text.Length && Re2Parser.Word.Contains(text[at]);
        return kind switch
        {
            Re2Assertion.TextStart => at == 0,
            Re2Assertion.TextEnd => at == text.Length,
            Re2Assertion.LineStart => at == 0 || text[at - 1] == '\n',
            Re2Assertion.LineEnd => at == text.Length || text[at] == '\n',
            Re2Assertion.WordBoundary => before != after,
            _ => before == after,
        };
    }

    private int Add(Instruction instruction)
    {
        if (_program.Count == MaxInstructions)
            throw new FormatException($"invalid regular expression: it needs more than {MaxInstructions} steps; make it or its repetitions shorter");
        _program.Add(instruction);
        return _program.Count - 1;
    }

    private void Emit(Re2Node node)
    {
        switch (node)
        {
            case Re2Class c:
                Add(new Instruction(Operation.Class, c.Set));
                break;
            case Re2Place p:
                Add(new Instruction(Operation.Place, First: (int)p.Kind));
                break;
            case Re2Concat c:
                c.Items.ForEach(Emit);
                break;
            case Re2Group g:
                Add(new Instruction(Operation.Save, First: 2 * g.Number));
                Emit(g.Item);
                Add(new Instruction(Operation.Save, First: (2 * g.Number) + 1));
                break;
            case Re2Alternate a:
                EmitAlternate(a);
                break;
            case Re2Repeat r:
                EmitRepeat(r);
                break;
        }
    }

    private void EmitAlternate(Re2Alternate alternate)
    {
        var ends = new List<int>();
        for (int i = 0; i < alternate.Items.Count - 1; i++)
        {
            int split = Add(new Instruction(Operation.Split));
            Emit(alternate.Items[i]);
            ends.Add(Add(new Instruction(Operation.Jump)));
            _program[split] = new Instruction(Operation.Split, First: split + 1, Second: _program.Count);
        }
        Emit(alternate.Items[^1]);
        foreach (int end in ends)
            _program[end] = new Instruction(Operation.Jump, First: _program.Count);
    }

    private void EmitRepeat(Re2Repeat repeat)
    {
        for (int i = 0; i < repeat.Min; i++)
            Emit(repeat.Item);
        if (repeat.Max < 0)
        {
            int split = Add(new Instruction(Operation.Split));
            Emit(repeat.Item);
            Add(new Instruction(Operation.Jump, First: split));
            _program[split] = Choice(split + 1, _program.Count, repeat.Greedy);
            return;
        }
        var splits = new List<int>();
        for (int i = repeat.Min; i < repeat.Max; i++)
        {
            splits.Add(Add(new Instruction(Operation.Split)));
            Emit(repeat.Item);
        }
        foreach (int split in splits)
            _program[split] = Choice(split + 1, _program.Count, repeat.Greedy);
    }

    private static Instruction Choice(int more, int enough, bool greedy) =>
        greedy ? new Instruction(Operation.Split, First: more, Second: enough) : new Instruction(Operation.Split, First: enough, Second: more);

    /// <summary>The places where the machine is, in order of preference.</summary>
    private sealed class Threads(int size)
    {
        private readonly bool[] _marked = new bool[size];

        public List<int> Order { get; } = [];

        public List<int[]> Saved { get; } = [];

        public int Count => Order.Count;

        public bool Mark(int at) => !_marked[at] && (_marked[at] = true);

        public void Add(int at, int[] saved)
        {
            Order.Add(at);
            Saved.Add(saved);
        }

        public void Clear()
        {
            Order.Clear();
            Saved.Clear();
            Array.Clear(_marked);
        }
    }
}
