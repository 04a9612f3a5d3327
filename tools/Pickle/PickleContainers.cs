using System.Diagnostics.CodeAnalysis;

namespace GroupViT.Pickle;

/// <summary>A tuple, list or set: values in the file's order.</summary>
public abstract class PickleSequence : PickleValue
{
    private protected PickleSequence()
    {
    }

    /// <summary>The values.</summary>
    public abstract IReadOnlyList<PickleValue> Items { get; }
}

/// <summary>A Python tuple or torch.Size.</summary>
public sealed class PickleTuple : PickleSequence
{
    private readonly PickleValue[] _items;

    internal PickleTuple(PickleValue[] items) => _items = items;

    /// <inheritdoc/>
    public override IReadOnlyList<PickleValue> Items => _items;

    internal static PickleTuple Empty { get; } = new([]);

    internal override string Kind => "a tuple";
}

/// <summary>A Python list.</summary>
public sealed class PickleList : PickleSequence
{
    // Made with the first item: an empty list costs one byte of a pickle.
    private List<PickleValue>? _items;

    /// <inheritdoc/>
    public override IReadOnlyList<PickleValue> Items => _items is null ? [] : _items;

    internal override string Kind => "a list";

    internal void Add(ReadOnlySpan<PickleValue> items)
    {
        if (!items.IsEmpty)
        {
            (_items ??= new List<PickleValue>(items.Length)).AddRange(items);
        }
    }
}

/// <summary>A Python set or frozenset. Equal members are not merged: a pickle that was written from a set has none.</summary>
public sealed class PickleSet : PickleSequence
{
    private List<PickleValue>? _items;

    /// <inheritdoc/>
    public override IReadOnlyList<PickleValue> Items => _items is null ? [] : _items;

    internal override string Kind => "a set";

    internal void Add(ReadOnlySpan<PickleValue> items)
    {
        if (!items.IsEmpty)
        {
            (_items ??= new List<PickleValue>(items.Length)).AddRange(items);
        }
    }
}

/// <summary>A Python dict, OrderedDict, defaultdict or Counter: pairs in the file's order, no key twice.</summary>
public sealed class PickleDict : PickleValue
{
    // Below this many pairs a search along them is quick, and an index would be most of the dictionary's memory.
    private const int MostUnindexed = 8;

    private List<KeyValuePair<PickleValue, PickleValue>>? _entries;
    private Dictionary<PickleKey, int>? _index;

    /// <summary>The pairs.</summary>
    public IReadOnlyList<KeyValuePair<PickleValue, PickleValue>> Entries => _entries is null ? [] : _entries;

    /// <summary>Attributes that an OrderedDict carries beside its pairs (a state dict's <c>_metadata</c>), or null.</summary>
    public PickleValue? State { get; internal set; }

    /// <summary>Whether it was made as a collections.OrderedDict, which may have attributes.</summary>
    internal bool IsOrdered { get; init; }

    internal override string Kind => IsOrdered ? "an OrderedDict" : "a dict";

    /// <summary>The value under a key that is text.</summary>
    public bool TryGetValue(string key, [NotNullWhen(true)] out PickleValue? value)
    {
        int found = IndexOf(new PickleKey(key));
        value = found < 0 ? null : _entries![found].Value;
        return found >= 0;
    }

    /// <summary>Adds a pair; false if the key is there already.</summary>
    internal bool TryAdd(PickleValue key, PickleValue value)
    {
        var lookup = new PickleKey(key);
        if (IndexOf(lookup) >= 0)
        {
            return false;
        }
        _entries ??= new List<KeyValuePair<PickleValue, PickleValue>>(1);
        _entries.Add(new(key, value));
        if (_index is not null)
        {
            _index.Add(lookup, _entries.Count - 1);
        }
        else if (_entries.Count > MostUnindexed)
        {
            _index = new Dictionary<PickleKey, int>(2 * MostUnindexed);
            for (int i = 0; i < _entries.Count; i++)
            {
                _index.Add(new PickleKey(_entries[i].Key), i);
            }
        }
        return true;
    }

    private int IndexOf(PickleKey key)
    {
        if (_entries is null)
        {
            return -1;
        }
        if (_index is not null)
        {
            return _index.GetValueOrDefault(key, -1);
        }
        for (int i = 0; i < _entries.Count; i++)
        {
            if (key.Equals(new PickleKey(_entries[i].Key)))
            {
                return i;
            }
        }
        return -1;
    }
}

/// <summary>
/// What makes two keys the same: the value of scalars, the identity of all else. Never looks into a tuple, so that comparing costs the
/// same however deep the keys are.
/// </summary>
internal readonly struct PickleKey : IEquatable<PickleKey>
{
    private readonly object _value;

    public PickleKey(string text) => _value = text;

    public PickleKey(PickleValue value) => _value = value is PickleString text ? text.Value : value;

    /// <summary>Whether Python would take the value as a key at all.</summary>
    public static bool CanBe(PickleValue value) => value is not (PickleList or PickleSet or PickleDict);

    public bool Equals(PickleKey other) => (_value, other._value) switch
    {
        (string a, string b) => a == b,
        (PickleInteger a, PickleInteger b) => a.Value == b.Value,
        (PickleFloat a, PickleFloat b) => a.Value.Equals(b.Value),
        (PickleBytes a, PickleBytes b) => a.Bytes.Span.SequenceEqual(b.Bytes.Span),
        (PickleGlobal a, PickleGlobal b) => a.Module == b.Module && a.Name == b.Name,
        var (a, b) => ReferenceEquals(a, b),
    };

    public override bool Equals(object? obj) => obj is PickleKey other && Equals(other);

    /// <summary>Seeded anew in every process, so that no file can hold keys that all fall into one bucket.</summary>
    public override int GetHashCode() => _value switch
    {
        string text => text.GetHashCode(StringComparison.Ordinal),
        PickleInteger integer => HashCode.Combine(integer.Value),
        PickleFloat number => HashCode.Combine(number.Value),
        PickleBytes bytes => Hash(bytes.Bytes.Span),
        PickleGlobal global => HashCode.Combine(global.Module, global.Name),
        _ => System.Runtime.CompilerServices.RuntimeHelpers.GetHashCode(_value),
    };

    private static int Hash(ReadOnlySpan<byte> bytes)
    {
        var hash = new HashCode();
        hash.AddBytes(bytes);
        return hash.ToHashCode();
    }
}
