namespace GroupViT.Pickle;

// What opcodes do to values: containers filled, globals weighed, calls turned into data.
internal sealed partial class PickleMachine
{
    private static PickleTuple Tuple(ReadOnlySpan<PickleValue> items) => items.IsEmpty ? PickleTuple.Empty : new PickleTuple(items.ToArray());

    private void Append(ReadOnlySpan<PickleValue> items)
    {
        PickleValue receiver = Receiver();
        (receiver as PickleList ?? throw Refuse($"adds to {receiver.Kind}; only a list takes items")).Add(items);
    }

    private void AddItems(ReadOnlySpan<PickleValue> items)
    {
        PickleValue receiver = Receiver();
        (receiver as PickleSet ?? throw Refuse($"adds to {receiver.Kind}; only a set takes members")).Add(items);
    }

    private void FrozenSet(ReadOnlySpan<PickleValue> items)
    {
        var set = new PickleSet();
        set.Add(items);
        Push(set);
    }

    private void SetItems(ReadOnlySpan<PickleValue> items)
    {
        PickleValue receiver = Receiver();
        if (receiver is not PickleDict dict)
        {
            throw Refuse($"sets items of {receiver.Kind}; only a dict takes them");
        }
        if (items.Length % 2 != 0)
        {
            throw Refuse($"has {items.Length} values above the mark; keys and values make an even number");
        }
        for (int i = 0; i < items.Length; i += 2)
        {
            PickleValue key = items[i];
            if (!PickleKey.CanBe(key))
            {
                throw Refuse($"takes {key.Kind} as a key");
            }
            // Hashing costs the key's length every time it is used, and a key of the memo is used again for two bytes.
            if (key is PickleString { Value.Length: > MostKeyLength } or PickleBytes { Bytes.Length: > MostKeyLength })
            {
                throw Refuse($"takes a key of more than {MostKeyLength} characters");
            }
            if (!dict.TryAdd(key, items[i + 1]))
            {
                throw Refuse(key is PickleString text ? $"the key '{text.Value}' is there twice" : $"a key ({key.Kind}) is there twice", (key as PickleString)?.Value ?? Name);
            }
        }
    }

    private PickleGlobal Global(string module, string name)
    {
        GlobalMeaning? meaning = PickleGlobals.MeaningOf(module, name);
        return meaning is { } known
            ? new PickleGlobal(module, name, known)
            : throw Refuse($"{Name} names {module}.{name}, a part of Python's library that no checkpoint needs. Nothing was called; do not load this file elsewhere", $"{module}.{name}");
    }

    private void StackGlobal()
    {
        ReadOnlySpan<PickleValue> names = Above(2);
        if (names[0] is not PickleString { Value: var module } || names[1] is not PickleString { Value: var name })
        {
            throw Refuse($"needs two strings, and has {names[0].Kind} and {names[1].Kind}");
        }
        if (module.Length > MostGlobalBytes || name.Length > MostGlobalBytes)
        {
            throw Refuse($"names a module or class of more than {MostGlobalBytes} characters");
        }
        Push(Global(module, name));
    }

    private void Reduce()
    {
        ReadOnlySpan<PickleValue> operands = Above(2);
        if (operands[0] is not PickleGlobal function)
        {
            throw Refuse($"calls {operands[0].Kind}; only a global that is known stands there in a checkpoint");
        }
        if (operands[1] is not PickleTuple { Items: var arguments } tuple)
        {
            throw Refuse($"has {operands[1].Kind} as arguments of {function.FullName}; a tuple was expected", function.FullName);
        }
        Push(function.Meaning switch
        {
            GlobalMeaning.OrderedDict when arguments.Count == 0 => new PickleDict { IsOrdered = true },
            GlobalMeaning.DefaultDict when arguments.Count <= 1 => new PickleDict(),
            GlobalMeaning.Counter when arguments.Count == 0 => new PickleDict(),
            GlobalMeaning.Counter when arguments is [PickleDict counts] => counts,
            GlobalMeaning.Deque when arguments.Count == 0 || arguments[0] is PickleSequence { Items.Count: 0 } => new PickleList(),
            GlobalMeaning.Size when arguments is [PickleTuple size] => size,
            GlobalMeaning.OpaqueCall => new PickleOpaque(function, tuple),
            GlobalMeaning.RebuildTensor or GlobalMeaning.RebuildTensorV2 => new PickleTensor(TensorBuilder.Build(_file, function, arguments, _at)),
            // (tensor, requires_grad, backward_hooks): a parameter is its tensor.
            GlobalMeaning.RebuildParameter when arguments is [PickleTensor tensor, PickleBool, _] => tensor,
            GlobalMeaning.Name or GlobalMeaning.UnknownClass or GlobalMeaning.Storage => throw Refuse(
                $"the file asks to call {function.FullName}, which is not on the list of what a checkpoint may be made of. Nothing was called. "
                + "If you trust the file, save its state dict alone with torch.save(checkpoint['model'], ...)", function.FullName),
            _ => throw Refuse($"has arguments that {function.FullName} does not take ({arguments.Count} of them)", function.FullName),
        });
    }

    private void NewObject()
    {
        ReadOnlySpan<PickleValue> operands = Above(2);
        if (operands[0] is not PickleGlobal type || type.Meaning != GlobalMeaning.UnknownClass)
        {
            string what = (operands[0] as PickleGlobal)?.FullName ?? operands[0].Kind;
            throw Refuse($"{Name} makes an object of {what}, which is not a class", what);
        }
        if (operands[1] is not PickleTuple arguments)
        {
            throw Refuse($"has {operands[1].Kind} as arguments of {type.FullName}; a tuple was expected", type.FullName);
        }
        Push(new PickleOpaque(type, arguments));
    }

    private void Build()
    {
        PickleValue state = Above(1)[0];
        switch (Receiver())
        {
            case PickleOpaque { State: null } opaque:
                opaque.State = state;
                break;
            case PickleDict { IsOrdered: true, State: null } dict:
                dict.State = state;
                break;
            case PickleOpaque or PickleDict { IsOrdered: true }:
                throw Refuse("gives attributes to an object that has them already");
            case var receiver:
                throw Refuse($"gives attributes to {receiver.Kind}; only an opaque object or an OrderedDict takes them");
        }
    }

    private void PersistentId()
    {
        PickleValue id = Above(1)[0];
        if (_storages is null)
        {
            throw Refuse("asks for a storage where there can be none");
        }
        Push(_storages.Resolve(id, _at));
    }
}
