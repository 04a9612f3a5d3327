using GroupViT.Pickle;
using static GroupViT.Tests.Pickle.TorchBytes;

namespace GroupViT.Tests.Pickle;

/// <summary>Where the tensors are found, and what is left beside them.</summary>
[Category("Cpu")]
internal sealed class StateDictTests
{
    [TestCase("model")]
    [TestCase("state_dict")]
    public void Under_a_wrapper(string wrapper)
    {
        PickleBuilder pickle = new PickleBuilder().Op("}(").Text("epoch").Op("K").Op(9).Text(wrapper)
            .Op("}(").Text("a").Vector("0", 2).Text("_extra_state").Op("N").Text("b").Vector("0", 2).Op("u").Text("loose").Vector("0", 2).Op("u");
        using PyTorchFile file = Open(Zip(pickle.Stop()));
        Assert.That(file.Tensors.Select(t => t.Name), Is.EqualTo("ab".Select(c => $"{c}")));
        Assert.That(string.Join(" ", file.Extras.Select(e => $"{e.Key}={e.Value.Kind}")), Is.EqualTo($"epoch=an int loose=a tensor {wrapper}._extra_state=None"));
    }

    [Test]
    public void At_the_root_of_an_OrderedDict_with_metadata()
    {
        PickleBuilder pickle = new PickleBuilder().Global("collections", "OrderedDict").Op(")R(").Text("a").Vector("0", 2).Text("version").Op("K").Op(1).Op("u")
            .Op("}").Text("_metadata").Op("}sb");
        using PyTorchFile file = Open(Zip(pickle.Stop()));
        Assert.That(file.Tensors.Single().Name, Is.EqualTo("a"));
        Assert.That(file.Extras.Single().Key, Is.EqualTo("version"));
    }

    [Test]
    public void The_model_before_state_dict_and_a_model_without_tensors_after_it()
    {
        using PyTorchFile both = Open(Zip(new PickleBuilder().Op("}(").Text("state_dict").Op("}").Text("s").Vector("0", 2).Op("s").Text("model").Op("}").Text("m").Vector("0", 2).Op("su").Stop()));
        Assert.That(both.Tensors.Single().Name, Is.EqualTo("m"));
        Assert.That(both.Extras.Keys.Single(), Is.EqualTo("state_dict"));
        using PyTorchFile named = Open(Zip(new PickleBuilder().Op("}(").Text("state_dict").Op("}").Text("s").Vector("0", 2).Op("s").Text("model").Text("GroupViT").Op("u").Stop()));
        Assert.That(named.Tensors.Single().Name, Is.EqualTo("s"));
        Assert.That(named.Extras["model"].TryGetString(out string? name) && name == "GroupViT");
    }

    [Test]
    public void Roots_that_hold_no_state_dict()
    {
        Refused(Zip(new PickleBuilder().Op("}").Stop()), "no tensors");
        Refused(Zip(new PickleBuilder().Op("]").Stop()), "holds a list");
        Refused(Zip(new PickleBuilder().Op("N").Stop()), "holds None");
        Refused(Zip(new PickleBuilder().Vector("0", 2).Stop()), "holds a tensor");
        Refused(Zip(new PickleBuilder().Storage("0", 2).Stop()), "holds a storage");
        Refused(Zip(new PickleBuilder().Global("models.group_vit", "GroupViT").Op(")").Op(0x81).Op("}b").Stop()), "an object of models.group_vit.GroupViT", "state_dict()");
        Refused(Zip(new PickleBuilder().Op("}K").Op(1).Vector("0", 2).Op("s").Stop()), "an int as a key");
        Refused(Zip(new PickleBuilder().Op("}").Text("model").Op("}(").Text("a").Vector("0", 2).Op("NNus").Stop()), "None as a key");
        Refused(Zip(new PickleBuilder().Op("}").Text("").Vector("0", 2).Op("s").Stop()), "no name");
    }

    [Test]
    public void An_entry_of_the_state_dict_and_one_beside_it_of_the_same_name()
        => Refused(Zip(new PickleBuilder().Op("}(").Text("model").Op("}(").Text("a").Vector("0", 2).Text("x").Op("Nu").Text("model.x").Op("Nu").Stop()), "model.x", "twice");
}
