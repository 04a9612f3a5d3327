using System.Diagnostics;
using GroupViT.Pickle;
using static GroupViT.Tests.Pickle.TorchBytes;

namespace GroupViT.Tests.Pickle;

/// <summary>What the opcodes build, and the pickles that lie about lengths, receivers, the stack and the memo.</summary>
[Category("Cpu")]
internal sealed class PickleMachineTests
{
    [Test]
    public void Scalars_of_all_opcodes()
    {
        var list = (PickleList)Accepted(p => p.Op("](N").Op(0x88, 0x89).Op("KA").Op("M").Op(1, 2).Int(-5).Op(0x8a, 0).Op(0x8a, 1, 0xff)
            .Op(0x8b).UInt32(9).Op(0, 0, 0, 0, 0, 0, 0, 0, 1).Op("G").Op(0xbf, 0xf8, 0, 0, 0, 0, 0, 0)
            .Op("U").Op(1).Op("a").Op("T").UInt32(1).Op("b").Op(0x8c, 2, 0xc3, 0xbc).Text("c").Op(0x8d).UInt64(1).Op("d")
            .Op("C").Op(1, 7).Op("B").UInt32(2).Op(8, 9).Op(0x8e).UInt64(1).Op(5).Op("e"), protocol: 4);
        string[] values = [.. list.Items.Select(item => item switch
        {
            PickleInteger integer => integer.Value.ToString(null, null),
            PickleFloat number => FormattableString.Invariant($"{number.Value}"),
            PickleString text => text.Value,
            PickleBytes bytes => Convert.ToHexString(bytes.Bytes.Span),
            PickleBool flag => $"{flag.Value}",
            _ => item.GetType().Name,
        })];
        Assert.That(string.Join(" ", values), Is.EqualTo("PickleNone True False 65 513 -5 0 -1 18446744073709551616 -1.5 a b \u00fc c d 07 0809 05"));
    }

    [Test]
    public void Containers_of_all_opcodes()
    {
        var list = (PickleList)Accepted(p => p.Op("]()KA").Op(0x85).Op("KAKB").Op(0x86).Op("KAKBKC").Op(0x87).Op("(KAKBKCKDt").Op("]KAa")
            .Op("}KAKBs").Op(0x8f).Op("(KAKB").Op(0x90).Op("(KA").Op(0x91).Op("e"), protocol: 4);
        Assert.That(string.Join(" ", list.Items.Select(item => item switch
        {
            PickleSequence sequence => $"{item.Kind}:{sequence.Items.Count}",
            PickleDict dict => $"{item.Kind}:{dict.Entries.Count}",
            _ => item.Kind,
        })), Is.EqualTo("a tuple:0 a tuple:1 a tuple:2 a tuple:3 a tuple:4 a list:1 a dict:1 a set:2 a set:1"));
    }

    [Test]
    public void The_memo_gives_the_same_value_again()
    {
        var list = (PickleList)Accepted(p => p.Op("]q").Op(0).Op("h").Op(0).Op("a"));
        Assert.That(list.Items[0], Is.SameAs(list), "a list that holds itself");
        Assert.That(list.Find("0", "0", "0"), Is.SameAs(list));
    }

    [Test]
    public void Protocol_4_as_Python_writes_it()
    {
        // FRAME, MEMOIZE, STACK_GLOBAL.
        PickleBuilder body = new PickleBuilder(4);
        byte[] content = [.. With(p => p.Op(0x94).Op(0x8c, 11).Op("collections").Op(0x94).Op(0x8c, 11).Op("OrderedDict").Op(0x93, 0x94).Op(")R").Op(0x94), 4).AsSpan(2)];
        byte[] pickle = body.Op(0x95).UInt64((ulong)content.Length).Op(content).Cut();
        using PyTorchFile file = Open(Zip(pickle));
        Assert.That(file.Extras["x"].Kind, Is.EqualTo("an OrderedDict"));
    }

    [Test]
    public void Opaque_objects_keep_what_they_were_to_be_made_of()
    {
        var opaque = (PickleOpaque)Accepted(p => p.Global("my.package", "Config").Op("(KAt").Op(0x81).Op("}").Text("depth").Op("KBsb"));
        Assert.That(opaque.Class.FullName, Is.EqualTo("my.package.Config"));
        Assert.That(((PickleTuple)opaque.Arguments).Items, Has.Count.EqualTo(1));
        Assert.That(opaque.Find("depth")!.TryGetInt64(out long depth) && depth == 66);
        var number = (PickleOpaque)Accepted(p => p.Global("numpy.core.multiarray", "scalar").Op("(NNtR"));
        Assert.That(number.Class.Name, Is.EqualTo("scalar"));
    }

    [Test]
    public void An_OmegaConf_node_that_holds_itself_stays_what_it_is()
    {
        PickleValue node = Accepted(p => p.Global("omegaconf.nodes", "AnyNode").Op(")").Op(0x81).Op("q").Op(0).Op("}").Text("_val").Op("h").Op(0).Op("sb"));
        Assert.That(node.Plain, Is.SameAs(node));
        Assert.That(node.TryGetInt64(out _), Is.False);
        Assert.That(node.Find("a"), Is.Null);
    }

    [Test]
    public void LONG1_and_LONG4_of_giant_length()
    {
        RefusedValue(p => p.Op(0x8b).UInt32(uint.MaxValue), "LONG4", "4294967295 bytes");
        RefusedValue(p => p.Op(0x8b).UInt32(0x7fffffff), "LONG4", "2147483647 bytes");
        RefusedValue(p => p.Op(0x8b).UInt32(256).Op(new byte[256]), "LONG4", "256 bytes");
        Assert.That(((PickleInteger)Accepted(p => p.Op(0x8a, 255).Op(new byte[255]))).Value.IsZero);
    }

    [TestCase(0x8d, "BINUNICODE8")]
    [TestCase(0x8e, "BINBYTES8")]
    public void BINUNICODE8_and_BINBYTES8_of_a_length_beyond_the_file(int opcode, string name)
    {
        foreach (ulong length in new ulong[] { 1_000_000, uint.MaxValue, 1UL << 40, long.MaxValue, 1UL << 63, ulong.MaxValue })
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            RefusedValue(p => p.Op((byte)opcode).UInt64(length), name, $"asks for {length} bytes");
            Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(1 << 20), "nothing is allocated for a length before it is held against the file");
        }
    }

    [TestCase("X", "BINUNICODE")]
    [TestCase("T", "BINSTRING")]
    [TestCase("B", "BINBYTES")]
    public void Strings_of_a_length_beyond_the_pickle(string opcode, string name)
    {
        RefusedValue(p => p.Op(opcode).UInt32(uint.MaxValue), name, "asks for 4294967295 bytes");
        // The file has more behind the pickle, but that is none of the pickle's.
        RefusedValue(p => p.Op(opcode).UInt32(100), name, "asks for 100 bytes", "the pickle has only 2 left");
    }

    [Test]
    public void Text_that_is_not_UTF8() => RefusedValue(p => p.Op("X").UInt32(2).Op(0xc3, 0x28), "BINUNICODE", "not UTF-8");

    [Test]
    public void Text_with_a_surrogate() => RefusedValue(p => p.Op("X").UInt32(3).Op(0xed, 0xa0, 0x80), "BINUNICODE", "not UTF-8");

    [Test]
    public void FRAME_beyond_the_file() => Refused(Zip(With(p => p.Op(0x95).UInt64(ulong.MaxValue), 4)), "FRAME", "18446744073709551615");

    [Test]
    public void Memo_entries_out_of_order()
    {
        RefusedValue(p => p.Op("Nr").UInt32(uint.MaxValue), "LONG_BINPUT", "4294967295");
        RefusedValue(p => p.Op("Nr").UInt32(100_000_000), "LONG_BINPUT", "100000000");
        RefusedValue(p => p.Op("Nq").Op(2), "BINPUT", "entry 2");
        Accepted(p => p.Op("Nq").Op(1));
    }

    [Test]
    public void Memo_entries_that_were_never_written()
    {
        RefusedValue(p => p.Op("h").Op(0), "BINGET", "entry 0");
        RefusedValue(p => p.Op("Nq").Op(1).Op("h").Op(0), "BINGET", "entry 0");
        RefusedValue(p => p.Op("j").UInt32(uint.MaxValue), "LONG_BINGET", "4294967295");
    }

    [Test]
    public void A_memo_bomb_costs_its_bytes()
    {
        // Each list holds the one before it ten times: unfolded, 10^200 items; as a graph, 200 lists.
        PickleValue bomb = Accepted(p =>
        {
            p.Op("]q").Op(0);
            for (int i = 1; i <= 200; i++)
            {
                p.Op("](");
                for (int j = 0; j < 10; j++)
                {
                    p.Op("h").Op((byte)(i - 1));
                }
                p.Op("eq").Op((byte)i);
            }
            // The lists below the last one are still on the stack.
            p.Op(0x85);
            for (int i = 0; i < 200; i++)
            {
                p.Op(0x86);
            }
        });
        Assert.That(bomb, Is.InstanceOf<PickleTuple>());
    }

    [Test]
    public void Tuples_nested_a_million_deep()
    {
        byte[] nested = [(byte)')', .. Enumerable.Repeat((byte)0x85, 1_000_000)];
        PickleValue value = Accepted(p => p.Op(nested));
        Assert.That(value, Is.InstanceOf<PickleTuple>());
        Assert.That(value.Find("0", "0", "0"), Is.InstanceOf<PickleTuple>());
        // As a key: compared by identity, so not deep either.
        Accepted(p => p.Op("}").Op(nested).Op("Ns"));
        PickleFileException error = Refused(Zip(new PickleBuilder().Op(nested).Stop()), "holds a tuple");
        Assert.That(error.Message, Has.Length.LessThan(300));
    }

    [Test]
    public void Lists_nested_a_million_deep_and_a_million_marks()
    {
        Accepted(p => p.Op(Enumerable.Repeat((byte)']', 1_000_000).ToArray()).Op(Enumerable.Repeat((byte)'a', 999_999).ToArray()));
        RefusedValue(p => p.Op(Enumerable.Repeat((byte)'(', 1_000_000).ToArray()), "SETITEMS");
    }

    [Test]
    public void Keys_that_are_there_twice()
    {
        PickleFileException error = RefusedValue(p => p.Op("}(").Text("a").Op("N").Text("a").Op("Nu"), "'a'", "twice");
        Assert.That(error.Item, Is.EqualTo("a"));
        RefusedValue(p => p.Op("}KAKAsKAKBs"), "an int", "twice");
        RefusedValue(p => p.Op("}NNsNNs"), "None", "twice");
        RefusedValue(p => p.Op("}").Op(0x88).Op("Ns").Op(0x88).Op("Ns"), "a bool", "twice");
        RefusedValue(p =>
        {
            p.Op("}(");
            for (int i = 0; i < 100; i++)
            {
                p.Text($"key {i % 99}").Op("N");
            }
            p.Op("u");
        }, "'key 0'", "twice");
    }

    [Test]
    public void A_tensor_of_the_state_dict_that_is_there_twice()
        => Refused(Zip(new PickleBuilder().Op("}(").Text("weight").Vector("0", 2).Text("weight").Vector("0", 2).Op("u").Stop()), "'weight'", "twice");

    [Test]
    public void Keys_that_Python_would_not_take()
    {
        RefusedValue(p => p.Op("}]Ns"), "a list as a key");
        RefusedValue(p => p.Op("}}Ns"), "a dict as a key");
        RefusedValue(p => p.Op("}").Text(new string('k', 4097)).Op("Ns"), "more than 4096 characters");
    }

    [Test]
    public void SETITEM_on_what_is_not_a_dict()
    {
        RefusedValue(p => p.Op("]KAKBs"), "SETITEM", "a list");
        RefusedValue(p => p.Op(")KAKBs"), "SETITEM", "a tuple");
        RefusedValue(p => p.Text("x").Op("(KAKBu"), "SETITEMS", "a str");
        RefusedValue(p => p.Vector("0", 2).Op("KAKBs"), "SETITEM", "a tensor");
        RefusedValue(p => p.Storage("0", 2).Op("KAKBs"), "SETITEM", "a storage");
        RefusedValue(p => p.Global("my", "Dict").Op(")").Op(0x81).Op("KAKBs"), "SETITEM", "an object of my.Dict");
    }

    [Test]
    public void APPEND_on_what_is_not_a_list()
    {
        RefusedValue(p => p.Op("}KAa"), "APPEND", "a dict");
        RefusedValue(p => p.Op("}(KAe"), "APPENDS", "a dict");
        RefusedValue(p => p.Op(")KAa"), "APPEND", "a tuple");
        RefusedValue(p => p.Op("](KA").Op(0x90), "ADDITEMS", "a list");
        RefusedValue(p => p.Vector("0", 2).Op("KAa"), "APPEND", "a tensor");
    }

    [Test]
    public void BUILD_on_what_is_not_an_opaque_object_or_an_OrderedDict()
    {
        RefusedValue(p => p.Op("}}b"), "BUILD", "a dict");
        RefusedValue(p => p.Op("]}b"), "BUILD", "a list");
        RefusedValue(p => p.Global("typing", "Any").Op("}b"), "BUILD", "a global");
        RefusedValue(p => p.Vector("0", 2).Op("}b"), "BUILD", "a tensor");
        RefusedValue(p => p.Storage("0", 2).Op("}b"), "BUILD", "a storage");
        RefusedValue(p => p.Global("my", "Config").Op(")").Op(0x81).Op("}b}b"), "BUILD", "already");
        Assert.That(Accepted(p => p.Global("collections", "OrderedDict").Op(")R}b")), Is.InstanceOf<PickleDict>().With.Property("State").Not.Null);
    }

    [TestCase('s', "SETITEM")]
    [TestCase('a', "APPEND")]
    [TestCase('R', "REDUCE")]
    [TestCase('b', "BUILD")]
    [TestCase('Q', "BINPERSID")]
    [TestCase(0x85, "TUPLE1")]
    [TestCase(0x87, "TUPLE3")]
    [TestCase(0x93, "STACK_GLOBAL")]
    [TestCase(0x94, "MEMOIZE")]
    public void Opcodes_that_reach_below_the_mark(int opcode, string name)
        // Below the mark there are enough values for each of them.
        => RefusedValue(p => p.Op("NNNN(").Op((byte)opcode), name);

    [TestCase('t', "TUPLE")]
    [TestCase('e', "APPENDS")]
    [TestCase('u', "SETITEMS")]
    [TestCase(0x90, "ADDITEMS")]
    [TestCase('1', "POP_MARK")]
    public void Opcodes_that_need_a_mark_and_have_none(int opcode, string name)
        => Refused(Zip(new PickleBuilder().Op("}").Op((byte)opcode).Stop()), name, "mark");

    [Test]
    public void A_stack_that_is_not_one_value_at_the_end()
    {
        Refused(Zip(new PickleBuilder().Stop()), "STOP", "0 values");
        Refused(Zip(new PickleBuilder().Op("}}").Stop()), "STOP", "2 values");
        Refused(Zip(new PickleBuilder().Op("}(").Stop()), "STOP", "1 marks");
        Refused(Zip(new PickleBuilder().Op("0").Stop()), "POP", "needs 1 values");
    }

    [Test]
    public void Bytes_behind_the_pickle_s_end() => Refused(Zip([.. With(p => p.Op("N")), (byte)'N']), "archive/data.pkl", "1 bytes are left");

    [Test]
    public void More_values_than_any_checkpoint_has()
    {
        byte[] nones = new byte[PickleMachine.MostValues];
        nones.AsSpan().Fill((byte)'N');
        var watch = Stopwatch.StartNew();
        RefusedValue(p => p.Op(nones), "NONE", "8388608 values");
        Assert.That(watch.Elapsed, Is.LessThan(TimeSpan.FromSeconds(10)), "a bound on time too, with room for a loaded machine");
    }

    [Test]
    public void A_pickle_larger_than_any_checkpoint_s() => Refused(Zip(new byte[PickleMachine.MostBytes + 1]), "archive/data.pkl", "67108865 bytes");

    [Test]
    public void An_odd_number_of_keys_and_values() => RefusedValue(p => p.Op("}(KAKBKCu"), "SETITEMS", "3 values");

    [Test]
    public void Persistent_ids_of_the_wrong_shape()
    {
        foreach (Action<PickleBuilder> id in new Action<PickleBuilder>[]
        {
            p => p.Text("0"), p => p.Op("N"), p => p.Op(")"), p => p.Op("]"), p => p.Op("KA"), p => p.Op("}"),
            p => p.Op("(").Text("module").Global("torch", "FloatStorage").Text("0").Text("cpu").Op("K").Op(2).Op("t"),
            p => p.Op("(").Text("storage").Text("FloatStorage").Text("0").Text("cpu").Op("K").Op(2).Op("t"),
            p => p.Op("(").Text("storage").Global("torch", "Size").Text("0").Text("cpu").Op("K").Op(2).Op("t"),
            p => p.Op("(").Text("storage").Global("torch", "FloatStorage").Op("K").Op(0).Text("cpu").Op("K").Op(2).Op("t"),
            p => p.Op("(").Text("storage").Global("torch", "FloatStorage").Text("0").Op("NK").Op(2).Op("t"),
            p => p.Op("(").Text("storage").Global("torch", "FloatStorage").Text("0").Text("cpu").Text("2").Op("t"),
            p => p.Op("(").Text("storage").Global("torch", "FloatStorage").Text("0").Text("cpu").Op("K").Op(2).Op("Nt"),
            p => p.Op("(").Text("storage").Global("torch", "FloatStorage").Text("0").Text("cpu").Op("t"),
        })
        {
            RefusedValue(p =>
            {
                id(p);
                p.Op("Q");
            }, "BINPERSID", "('storage', class, key, location, number of elements)");
        }
    }
}
