using System.Buffers.Binary;
using System.Text;

namespace GroupViT.Fuzz.Mutation;

/// <summary>Damage to a pickle program: its opcodes moved, doubled, exchanged and given other arguments, so that most still run some way.</summary>
internal static class PickleMutator
{
    private const byte Stop = (byte)'.';

    /// <summary>Opcodes without an argument, read ones and refused ones.</summary>
    private static readonly byte[] Plain = [.. "()]}.N0122tleasuRbQolad"u8, 0x81, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8F, 0x90, 0x91, 0x92, 0x93, 0x94, 0x97, 0x98];

    private static readonly string[] Globals =
    [
        "collections\nOrderedDict\n", "torch._utils\n_rebuild_tensor_v2\n", "torch._utils\n_rebuild_parameter\n", "torch\nFloatStorage\n", "torch\nHalfStorage\n", "torch\nLongStorage\n", "torch\nSize\n",
        "os\nsystem\n", "builtins\neval\n", "torch._utils\n_rebuild_tensor\n", "__builtin__\ngetattr\n", "omegaconf.dictconfig\nDictConfig\n",
    ];

    private static readonly long[] Integers = [0, 1, 2, 3, 4, 5, 6, 255, 256, 65535, int.MaxValue, -1, int.MinValue];

    /// <summary>One to a few opcodes changed. What stands behind the last readable opcode stays.</summary>
    public static byte[] Mutate(Random random, ReadOnlySpan<byte> pickle, ReadOnlySpan<byte> other)
    {
        List<byte[]> ops = Split(pickle, out int end), donors = Split(other, out _);
        byte[] tail = pickle[end..].ToArray();
        int changes = 1;
        while (changes < 6 && random.Next(2) == 0)
        {
            changes++;
        }
        for (; changes > 0 && ops.Count > 0; changes--)
        {
            Change(random, ops, donors);
        }
        return [.. ops.SelectMany(op => op), .. tail];
    }

    private static void Change(Random random, List<byte[]> ops, List<byte[]> donors)
    {
        int at = random.Next(ops.Count), to = random.Next(ops.Count);
        switch (random.Next(12))
        {
            case 0:
                ops.RemoveAt(at);
                break;
            case 1:
                ops.Insert(to, ops[at]);
                break;
            case 2:
                (ops[at], ops[to]) = (ops[to], ops[at]);
                break;
            case 3:
                ops.Insert(at, [Plain[random.Next(Plain.Length)]]);
                break;
            case 4:
                ops[at] = [Plain[random.Next(Plain.Length)]];
                break;
            case 5:
                ops.Insert(at, [(byte)'c', .. Encoding.ASCII.GetBytes(Globals[random.Next(Globals.Length)])]);
                break;
            case 6 when ops[at][0] == (byte)'c':
                ops[at] = [(byte)'c', .. Encoding.ASCII.GetBytes(Globals[random.Next(Globals.Length)])];
                break;
            case 7 or 8 when IsInteger(ops[at][0]):
                ops[at] = Integer(random);
                break;
            case 9 when donors.Count > 0:
                int from = random.Next(donors.Count);
                ops.InsertRange(at, donors.GetRange(from, Math.Min(random.Next(1, 12), donors.Count - from)));
                break;
            case 10 when ops[at].Length > 1:
                // The argument's bytes, and with them now and then the length in front of them.
                byte[] changed = [.. ops[at]];
                changed[random.Next(1, changed.Length)] = (byte)random.Next(256);
                ops[at] = changed;
                break;
            case 11:
                ops.Insert(at, random.Next(3) switch
                {
                    0 => [(byte)'h', (byte)random.Next(20)],
                    1 => [(byte)'q', (byte)random.Next(20)],
                    _ => Integer(random),
                });
                break;
        }
    }

    private static bool IsInteger(byte opcode) => opcode is (byte)'K' or (byte)'M' or (byte)'J' or 0x8A;

    private static byte[] Integer(Random random)
    {
        long value = random.Next(2) == 0 ? Integers[random.Next(Integers.Length)] : random.Next(100);
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, value);
        return random.Next(4) switch
        {
            0 when value is >= 0 and < 256 => [(byte)'K', bytes[0]],
            1 when value is >= 0 and < 65536 => [(byte)'M', bytes[0], bytes[1]],
            2 => [0x8A, 8, .. random.Next(4) == 0 ? [0, 0, 0, 0, 0, 0, 0, 0x40] : bytes],
            _ => [(byte)'J', .. bytes.AsSpan(0, 4)],
        };
    }

    /// <summary>Opcodes with their arguments, across the ends of pickles that follow one another, up to what is none.</summary>
    /// <param name="pickle">One pickle, or several.</param>
    /// <param name="end">Where reading ended: behind the last STOP from which no further opcode sequence could be followed.</param>
    public static List<byte[]> Split(ReadOnlySpan<byte> pickle, out int end)
    {
        List<byte[]> ops = [];
        end = 0;
        int stopped = 0;
        for (int at = 0; at < pickle.Length;)
        {
            int length = Length(pickle[at..]);
            if (length <= 0 || (stopped > 0 && at == end && pickle[at] != 0x80))
            {
                break;
            }
            ops.Add(pickle.Slice(at, length).ToArray());
            at += length;
            if (ops[^1][0] == Stop)
            {
                (stopped, end) = (ops.Count, at);
            }
        }
        // What came behind the last STOP were bytes that only looked like opcodes.
        if (stopped > 0)
        {
            ops.RemoveRange(stopped, ops.Count - stopped);
        }
        else
        {
            end = ops.Sum(op => op.Length);
        }
        return ops;
    }

    private static int Length(ReadOnlySpan<byte> at)
    {
        long length = at[0] switch
        {
            0x80 or (byte)'K' or (byte)'q' or (byte)'h' or 0x82 => 2,
            (byte)'M' or 0x83 => 3,
            (byte)'J' or (byte)'r' or (byte)'j' or 0x84 => 5,
            (byte)'G' or 0x95 => 9,
            0x8A or (byte)'U' or 0x8C or (byte)'C' => at.Length < 2 ? -1 : 2 + at[1],
            (byte)'X' or (byte)'T' or (byte)'B' or 0x8B => at.Length < 5 ? -1 : 5L + BinaryPrimitives.ReadUInt32LittleEndian(at[1..]),
            (byte)'c' => Lines(at, 2),
            (byte)'I' or (byte)'L' or (byte)'F' or (byte)'S' or (byte)'V' or (byte)'p' or (byte)'g' or (byte)'P' => Lines(at, 1),
            _ => 1,
        };
        return length > at.Length ? -1 : (int)length;
    }

    private static int Lines(ReadOnlySpan<byte> at, int count)
    {
        int length = 0;
        for (; count > 0; count--)
        {
            int line = at[length..].IndexOf((byte)'\n');
            if (line < 0)
            {
                return -1;
            }
            length += line + 1;
        }
        return length;
    }
}
