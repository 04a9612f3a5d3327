using GroupViT.Pickle;
using static GroupViT.Tests.Pickle.TorchBytes;

namespace GroupViT.Tests.Pickle;

/// <summary>Pickles that want something called. Each must be refused by the name of what it wants, and nothing may happen.</summary>
[Category("Cpu")]
internal sealed class PickleAttackTests
{
    [TestCase("os", "system")]
    [TestCase("posix", "system")]
    [TestCase("nt", "system")]
    [TestCase("builtins", "eval")]
    [TestCase("builtins", "exec")]
    [TestCase("builtins", "getattr")]
    [TestCase("__builtin__", "eval")]
    [TestCase("__builtin__", "apply")]
    [TestCase("subprocess", "Popen")]
    [TestCase("importlib", "import_module")]
    [TestCase("importlib.util", "spec_from_loader")]
    [TestCase("runpy", "_run_code")]
    [TestCase("pickle", "loads")]
    [TestCase("_pickle", "loads")]
    [TestCase("shutil", "rmtree")]
    [TestCase("webbrowser", "open")]
    [TestCase("operator", "attrgetter")]
    [TestCase("functools", "partial")]
    [TestCase("types", "FunctionType")]
    [TestCase("types", "CodeType")]
    [TestCase("codecs", "decode")]
    [TestCase("_codecs", "decode")]
    [TestCase("collections", "namedtuple")]
    [TestCase("copyreg", "_reconstructor")]
    [TestCase("ctypes", "CDLL")]
    public void REDUCE_of_a_function_of_Python_s_library(string module, string function)
    {
        PickleFileException error = RefusedValue(p => p.Global(module, function).Op("(").Text("touch /tmp/pwned").Op("tR"), $"{module}.{function}", "Nothing was called");
        Assert.That(error.Item, Is.EqualTo($"{module}.{function}"));
    }

    [Test]
    public void REDUCE_of_os_system_touches_nothing()
    {
        string mark = Path.Combine(Path.GetTempPath(), $"groupvit-{Guid.NewGuid():N}");
        RefusedValue(p => p.Global("os", "system").Op("(").Text($"touch {mark}").Op("tR"), "os.system");
        RefusedValue(p => p.Global("builtins", "eval").Op("(").Text($"open('{mark}', 'w')").Op("tR"), "builtins.eval");
        Assert.That(File.Exists(mark), Is.False);
    }

    [TestCase("torch.hub", "load")]
    [TestCase("torch", "load")]
    [TestCase("torch.storage", "_load_from_bytes")]
    [TestCase("torch._utils", "_rebuild_sparse_tensor")]
    [TestCase("numpy.testing._private.utils", "runstring")]
    [TestCase("numpy", "load")]
    [TestCase("pip", "main")]
    [TestCase("omegaconf.dictconfig", "DictConfig")]
    [TestCase("__main__", "payload")]
    [TestCase("torch", "FloatStorage")]
    [TestCase("typing", "Any")]
    [TestCase("builtins", "dict")]
    public void REDUCE_of_what_is_not_on_the_list(string module, string function)
    {
        PickleFileException error = RefusedValue(p => p.Global(module, function).Op("(").Text("x").Op("tR"), $"call {module}.{function}", "Nothing was called", "not on the list");
        Assert.That(error.Item, Is.EqualTo($"{module}.{function}"));
    }

    [Test]
    public void REDUCE_of_a_name_that_reads_like_a_listed_one()
    {
        // 'torch' + '_utils._rebuild_tensor_v2' and 'torch._utils' + '_rebuild_tensor_v2' make the same text, and are not the same.
        RefusedValue(p => p.Global("torch", "_utils._rebuild_tensor_v2").Op(")R"), "torch._utils._rebuild_tensor_v2", "not on the list");
        RefusedValue(p => p.Global("collections", "OrderedDict.fromkeys").Op(")R"), "collections.OrderedDict.fromkeys");
        RefusedValue(p => p.Global("torch.os", "system").Op(")R"), "torch.os.system", "not on the list");
    }

    [Test]
    public void REDUCE_of_a_value_that_is_no_global()
    {
        RefusedValue(p => p.Text("os.system").Op(")R"), "REDUCE", "calls a str");
        RefusedValue(p => p.Global("numpy", "dtype").Op(")R)R"), "REDUCE", "calls an object of numpy.dtype");
    }

    [Test]
    public void REDUCE_with_arguments_that_are_no_tuple() => RefusedValue(p => p.Global("collections", "OrderedDict").Op("]R"), "a list", "a tuple was expected");

    [Test]
    public void REDUCE_of_a_listed_function_with_arguments_of_another()
    {
        RefusedValue(p => p.Global("collections", "OrderedDict").Op("(]tR"), "collections.OrderedDict does not take");
        RefusedValue(p => p.Global("torch", "Size").Op("(KAtR"), "torch.Size does not take");
        RefusedValue(p => p.Global("torch._utils", "_rebuild_parameter").Op("(}NNtR"), "_rebuild_parameter does not take");
        RefusedValue(p => p.Global("torch._utils", "_rebuild_tensor_v2").Op(")R"), "torch._utils._rebuild_tensor_v2", "storage, offset, size, stride");
    }

    [Test]
    public void STACK_GLOBAL_of_os_system()
    {
        PickleFileException error = Refused(Zip(With(p => p.Op(0x8c, 2).Op("os").Op(0x8c, 6).Op("system").Op(0x93).Op("(").Text("id").Op("tR"), protocol: 4)), "os.system", "STACK_GLOBAL");
        Assert.That(error.Item, Is.EqualTo("os.system"));
    }

    [Test]
    public void STACK_GLOBAL_of_values_that_are_no_strings() => RefusedValue(p => p.Op("KAKA").Op(0x93), "STACK_GLOBAL", "two strings");

    [Test]
    public void STACK_GLOBAL_of_endless_names() => RefusedValue(p => p.Text(new string('a', 600)).Text("b").Op(0x93), "STACK_GLOBAL", "more than 512");

    [Test]
    public void GLOBAL_of_an_endless_name() => RefusedValue(p => p.Global(new string('a', 600), "b"), "GLOBAL", "longer than 512");

    [Test]
    public void GLOBAL_alone_without_a_call() => RefusedValue(p => p.Global("os", "system"), "os.system");

    [Test]
    public void INST_of_os_system() => RefusedValue(p => p.Op("(").Text("id").Op("ios\nsystem\n"), "INST", "refused");

    [Test]
    public void OBJ_of_a_class() => RefusedValue(p => p.Op("(").Global("omegaconf.nodes", "AnyNode").Text("id").Op("o"), "OBJ", "refused");

    [Test]
    public void NEWOBJ_of_os_system() => RefusedValue(p => p.Global("os", "system").Op(")").Op(0x81), "os.system");

    [Test]
    public void NEWOBJ_of_a_function_or_a_value()
    {
        RefusedValue(p => p.Global("torch._utils", "_rebuild_tensor_v2").Op(")").Op(0x81), "NEWOBJ", "_rebuild_tensor_v2", "not a class");
        RefusedValue(p => p.Global("typing", "Any").Op(")").Op(0x81), "not a class");
        RefusedValue(p => p.Text("x").Op(")").Op(0x81), "not a class");
        RefusedValue(p => p.Global("omegaconf.nodes", "AnyNode").Op("]").Op(0x81), "a tuple was expected");
    }

    [Test]
    public void NEWOBJ_EX_of_a_class() => Refused(Zip(With(p => p.Global("omegaconf.nodes", "AnyNode").Op(")}").Op(0x92), protocol: 4)), "NEWOBJ_EX", "refused");

    [TestCase(0x82, "EXT1")]
    [TestCase(0x83, "EXT2")]
    [TestCase(0x84, "EXT4")]
    public void EXT_codes(int opcode, string name) => RefusedValue(p => p.Op((byte)opcode, 1, 0, 0, 0), name, "refused");

    [TestCase("I1\n", "INT")]
    [TestCase("L1L\n", "LONG")]
    [TestCase("F1\n", "FLOAT")]
    [TestCase("S'a'\n", "STRING")]
    [TestCase("Va\n", "UNICODE")]
    [TestCase("(l", "LIST")]
    [TestCase("(d", "DICT")]
    [TestCase("Np0\n", "PUT")]
    [TestCase("g0\n", "GET")]
    [TestCase("N2", "DUP")]
    [TestCase("P0\n", "PERSID")]
    public void Opcodes_of_the_text_protocol(string opcodes, string name) => RefusedValue(p => p.Op(opcodes), name, "refused");

    [TestCase(0x96, "BYTEARRAY8")]
    [TestCase(0x97, "NEXT_BUFFER")]
    [TestCase(0x98, "READONLY_BUFFER")]
    [TestCase(0xff, "opcode 0xff")]
    [TestCase(0x00, "opcode 0x00")]
    public void Opcodes_of_protocol_5_and_of_none(int opcode, string name) => RefusedValue(p => p.Op((byte)opcode), name, "refused");

    [TestCase(0)]
    [TestCase(1)]
    [TestCase(5)]
    [TestCase(255)]
    public void A_protocol_that_is_not_read(byte protocol) => Refused(Zip(With(p => p.Op("N"), protocol)), "PROTO", $"protocol {protocol}");

    [Test]
    public void PROTO_in_the_middle() => RefusedValue(p => p.Op(0x80, 2), "PROTO", "middle");

    [Test]
    public void No_PROTO_at_all() => Refused(Zip([.. "}."u8]), "EMPTY_DICT", "PROTO was expected");

    [Test]
    public void Messages_carry_no_control_characters_of_the_file()
    {
        PickleFileException error = RefusedValue(p => p.Global("os.\x1b[2J\u202e", "a\rb").Op(")R"), "os");
        Assert.That(error.Message.Any(c => char.IsControl(c) || c == '\u202e'), Is.False, error.Message);
    }

    [Test]
    public void A_class_of_dotNET_is_as_unknown_as_any_other()
    {
        PickleValue value = Accepted(p => p.Global("System.Diagnostics", "Process").Op("(").Text("id").Op("t").Op(0x81));
        Assert.That(value, Is.InstanceOf<PickleOpaque>().With.Property(nameof(PickleOpaque.Class)).Property("FullName").EqualTo("System.Diagnostics.Process"));
    }

    [Test]
    public void The_reader_cannot_start_a_program_and_the_engine_does_not_know_the_reader()
    {
        string[] reader = [.. typeof(PyTorchFile).Assembly.GetReferencedAssemblies().Select(a => a.Name!)];
        TestContext.Out.WriteLine(string.Join(" ", reader));
        Assert.That(reader, Has.None.Contains("Process").And.None.Contains("Reflection").And.None.Contains("Net."));
        Assert.That(typeof(GroupViT.Native.GroupVitModel).Assembly.GetReferencedAssemblies().Select(a => a.Name), Has.None.EqualTo("GroupViT.Pickle"));
    }
}
