using System.Buffers.Binary;
using System.Numerics;

namespace GroupViT.Pickle;

/// <summary>
/// Runs the opcodes of one pickle and builds inert values. There is no opcode here that calls, imports or looks up anything, none that
/// recurses, and none that makes more than one value: time and memory follow the bytes that were read. Refuses what it does not know.
/// </summary>
internal sealed partial class PickleMachine
{
    /// <summary>A pickle of a checkpoint is some 100 bytes for each tensor; above this it is none.</summary>
    public const int MostBytes = 64 << 20;

    /// <summary>Values pushed on the stack in one pickle: about 30 for each tensor with its optimiser state.</summary>
    public const int MostValues = 8 << 20;

    private const int MostIntegerBytes = 255;
    private const int MostKeyLength = 4096;
    private const int MostGlobalBytes = 512;

    private static readonly PickleInteger[] SmallIntegers = [.. Enumerable.Range(0, 256).Select(i => new PickleInteger(i))];

    private readonly ByteReader _input;
    private readonly string _file;
    private readonly StorageTable? _storages;
    private readonly List<int> _marks = [];
    private readonly List<PickleValue?> _memo = [];
    private PickleValue[] _stack = new PickleValue[64];
    private int _depth;
    private int _values;
    private long _at;
    private PickleOpcode _opcode;

    private PickleMachine(ByteReader input, string file, StorageTable? storages)
    {
        _input = input;
        _file = file;
        _storages = storages;
    }

    /// <summary>Reads one pickle; <paramref name="input"/> stands behind it afterwards.</summary>
    /// <param name="input">Stands at the pickle's first byte.</param>
    /// <param name="file">What messages call the file.</param>
    /// <param name="storages">Where persistent ids lead; null for a pickle that may hold no tensors.</param>
    public static PickleValue Run(ByteReader input, string file, StorageTable? storages) => new PickleMachine(input, file, storages).Run();

    private int Floor => _marks.Count == 0 ? 0 : _marks[^1];

    private PickleValue Run()
    {
        ReadProtocol();
        while (true)
        {
            Next();
            switch (_opcode)
            {
                case PickleOpcode.STOP:
                    return Stop();
                case PickleOpcode.FRAME:
                    ulong frame = ReadUInt64();
                    // A frame only tells a reader how far it may read ahead; but one that cannot be true is a lie.
                    if (frame > (ulong)_input.Remaining)
                    {
                        throw Refuse($"announces a frame of {frame} bytes, but {_input.Remaining} are left");
                    }
                    break;
                case PickleOpcode.MARK:
                    _marks.Add(_depth);
                    break;
                case PickleOpcode.POP:
                    Drop();
                    break;
                case PickleOpcode.POP_MARK:
                    DropToMark();
                    break;
                case PickleOpcode.NONE:
                    Push(PickleNone.Instance);
                    break;
                case PickleOpcode.NEWTRUE:
                    Push(PickleBool.True);
                    break;
                case PickleOpcode.NEWFALSE:
                    Push(PickleBool.False);
                    break;
                case PickleOpcode.BININT:
                    Push(Integer((int)ReadUInt32()));
                    break;
                case PickleOpcode.BININT1:
                    Push(Integer(ReadByte()));
                    break;
                case PickleOpcode.BININT2:
                    Push(Integer(ReadByte() | (ReadByte() << 8)));
                    break;
                case PickleOpcode.LONG1:
                    Push(LongInteger(ReadByte()));
                    break;
                case PickleOpcode.LONG4:
                    Push(LongInteger(ReadUInt32()));
                    break;
                case PickleOpcode.BINFLOAT:
                    Push(new PickleFloat(BitConverter.UInt64BitsToDouble(BinaryPrimitives.ReverseEndianness(ReadUInt64()))));
                    break;
                case PickleOpcode.SHORT_BINSTRING:
                case PickleOpcode.SHORT_BINUNICODE:
                    Push(new PickleString(_input.ReadUtf8(ReadByte(), Name)));
                    break;
                case PickleOpcode.BINSTRING:
                case PickleOpcode.BINUNICODE:
                    Push(new PickleString(_input.ReadUtf8(ReadUInt32(), Name)));
                    break;
                case PickleOpcode.BINUNICODE8:
                    Push(new PickleString(_input.ReadUtf8(ReadUInt64(), Name)));
                    break;
                case PickleOpcode.SHORT_BINBYTES:
                    Push(new PickleBytes(_input.ReadBytes(ReadByte(), Name)));
                    break;
                case PickleOpcode.BINBYTES:
                    Push(new PickleBytes(_input.ReadBytes(ReadUInt32(), Name)));
                    break;
                case PickleOpcode.BINBYTES8:
                    Push(new PickleBytes(_input.ReadBytes(ReadUInt64(), Name)));
                    break;
                case PickleOpcode.EMPTY_TUPLE:
                    Push(PickleTuple.Empty);
                    break;
                case PickleOpcode.TUPLE:
                    Push(Tuple(PopMark()));
                    break;
                case PickleOpcode.TUPLE1:
                    Push(Tuple(Above(1)));
                    break;
                case PickleOpcode.TUPLE2:
                    Push(Tuple(Above(2)));
                    break;
                case PickleOpcode.TUPLE3:
                    Push(Tuple(Above(3)));
                    break;
                case PickleOpcode.EMPTY_LIST:
                    Push(new PickleList());
                    break;
                case PickleOpcode.APPEND:
                    Append(Above(1));
                    break;
                case PickleOpcode.APPENDS:
                    Append(PopMark());
                    break;
                case PickleOpcode.EMPTY_DICT:
                    Push(new PickleDict());
                    break;
                case PickleOpcode.SETITEM:
                    SetItems(Above(2));
                    break;
                case PickleOpcode.SETITEMS:
                    SetItems(PopMark());
                    break;
                case PickleOpcode.EMPTY_SET:
                    Push(new PickleSet());
                    break;
                case PickleOpcode.ADDITEMS:
                    AddItems(PopMark());
                    break;
                case PickleOpcode.FROZENSET:
                    FrozenSet(PopMark());
                    break;
                case PickleOpcode.BINPUT:
                    Memoize(ReadByte());
                    break;
                case PickleOpcode.LONG_BINPUT:
                    Memoize(ReadUInt32());
                    break;
                case PickleOpcode.MEMOIZE:
                    Memoize((uint)_memo.Count);
                    break;
                case PickleOpcode.BINGET:
                    Push(Memoized(ReadByte()));
                    break;
                case PickleOpcode.LONG_BINGET:
                    Push(Memoized(ReadUInt32()));
                    break;
                case PickleOpcode.GLOBAL:
                    string module = _input.ReadLine(MostGlobalBytes, Name);
                    Push(Global(module, _input.ReadLine(MostGlobalBytes, Name)));
                    break;
                case PickleOpcode.STACK_GLOBAL:
                    StackGlobal();
                    break;
                case PickleOpcode.REDUCE:
                    Reduce();
                    break;
                case PickleOpcode.NEWOBJ:
                    NewObject();
                    break;
                case PickleOpcode.BUILD:
                    Build();
                    break;
                case PickleOpcode.BINPERSID:
                    PersistentId();
                    break;
                case PickleOpcode.PROTO:
                    throw Refuse("stands in the middle of the pickle; it may only begin one");
                default:
                    throw Refuse("is not an opcode that a checkpoint needs; the file is refused");
            }
        }
    }

    private string Name => Enum.GetName(_opcode) ?? $"opcode 0x{(byte)_opcode:x2}";

    private void Next()
    {
        _at = _input.Position;
        _opcode = (PickleOpcode)_input.ReadByte("next opcode");
    }

    private void ReadProtocol()
    {
        Next();
        if (_opcode != PickleOpcode.PROTO)
        {
            throw Refuse("begins the pickle, where PROTO was expected: only protocols 2 to 4 are read");
        }
        byte protocol = ReadByte();
        if (protocol is < 2 or > 4)
        {
            throw Refuse($"says protocol {protocol}; PyTorch writes 2, and 3 and 4 are read too");
        }
    }

    private PickleValue Stop()
    {
        if (_marks.Count != 0 || _depth != 1)
        {
            throw Refuse($"leaves {_depth} values and {_marks.Count} marks on the stack; a whole pickle leaves one value");
        }
        return _stack[0];
    }

    private void Push(PickleValue value)
    {
        if (++_values > MostValues)
        {
            throw Refuse($"the pickle makes more than {MostValues} values; no checkpoint does");
        }
        if (_depth == _stack.Length)
        {
            Array.Resize(ref _stack, 2 * _depth);
        }
        _stack[_depth++] = value;
    }

    /// <summary>The topmost values, taken off; they stay readable until the next push.</summary>
    private ReadOnlySpan<PickleValue> Above(int count)
    {
        if (_depth - Floor < count)
        {
            throw Refuse($"needs {count} values, but {_depth - Floor} are on the stack{(_marks.Count == 0 ? "" : " above the mark")}");
        }
        return Take(_depth - count);
    }

    /// <summary>The values above the last mark, taken off with it.</summary>
    private ReadOnlySpan<PickleValue> PopMark()
    {
        if (_marks.Count == 0)
        {
            throw Refuse("needs a mark, and there is none on the stack");
        }
        int mark = _marks[^1];
        _marks.RemoveAt(_marks.Count - 1);
        return Take(mark);
    }

    private ReadOnlySpan<PickleValue> Take(int from)
    {
        // The slots keep their values: the span stays true until something is pushed.
        ReadOnlySpan<PickleValue> taken = _stack.AsSpan(from, _depth - from);
        _depth = from;
        return taken;
    }

    /// <summary>The value that an opcode works on, which stays on the stack.</summary>
    private PickleValue Receiver()
    {
        if (_depth == Floor)
        {
            throw Refuse("has nothing to work on: the stack is empty");
        }
        return _stack[_depth - 1];
    }

    private void Drop()
    {
        if (_marks.Count > 0 && _depth == Floor)
        {
            _marks.RemoveAt(_marks.Count - 1);
        }
        else
        {
            Above(1);
        }
    }

    private void DropToMark() => PopMark();

    private void Memoize(uint index)
    {
        // Pickles number their memo in order (from 1, if Python 2 wrote them), so that the table is never larger than the pickle.
        if (index > (uint)_memo.Count + 1)
        {
            throw Refuse($"writes memo entry {index}, but only {_memo.Count} are there: entries are numbered in order");
        }
        PickleValue value = Receiver();
        while (_memo.Count <= (int)index)
        {
            _memo.Add(null);
        }
        _memo[(int)index] = value;
    }

    private PickleValue Memoized(uint index)
        => index < (uint)_memo.Count && _memo[(int)index] is { } value ? value : throw Refuse($"asks for memo entry {index}, which was never written");

    private byte ReadByte() => _input.ReadByte(Name);

    private uint ReadUInt32()
    {
        Span<byte> bytes = stackalloc byte[sizeof(uint)];
        _input.Read(bytes, Name);
        return BinaryPrimitives.ReadUInt32LittleEndian(bytes);
    }

    private ulong ReadUInt64()
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        _input.Read(bytes, Name);
        return BinaryPrimitives.ReadUInt64LittleEndian(bytes);
    }

    private static PickleInteger Integer(int value) => (uint)value < (uint)SmallIntegers.Length ? SmallIntegers[value] : new PickleInteger(value);

    private PickleInteger LongInteger(uint length)
    {
        if (length > MostIntegerBytes)
        {
            throw Refuse($"holds an int of {length} bytes; at most {MostIntegerBytes} are read");
        }
        Span<byte> bytes = stackalloc byte[MostIntegerBytes];
        bytes = bytes[..(int)length];
        _input.Read(bytes, Name);
        return new PickleInteger(new BigInteger(bytes));
    }

    private PickleFileException Refuse(string problem) => Refuse(problem, Name);

    private PickleFileException Refuse(string problem, string item) => new(_file, problem, item, _at);
}
