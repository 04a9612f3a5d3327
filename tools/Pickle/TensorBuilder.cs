namespace GroupViT.Pickle;

/// <summary>What torch._utils._rebuild_tensor and _rebuild_tensor_v2 would make, with every number held against the storage.</summary>
internal static class TensorBuilder
{
    /// <summary>More axes than any network's weights have. It bounds what a few bytes of pickle can make.</summary>
    public const int MostAxes = 8;

    /// <param name="file">What messages call the file.</param>
    /// <param name="function">Which of the two it is.</param>
    /// <param name="arguments">(storage, offset, size, stride) and, in v2, (requires_grad, backward_hooks[, metadata]).</param>
    /// <param name="at">Offset of the opcode, for messages.</param>
    public static PyTorchTensor Build(string file, PickleGlobal function, IReadOnlyList<PickleValue> arguments, long at)
    {
        bool hasRightCount = function.Meaning == GlobalMeaning.RebuildTensor ? arguments.Count == 4 : arguments.Count is 6 or 7;
        if (!hasRightCount
            || arguments[0] is not PyTorchStorage storage
            || arguments[1] is not PickleInteger offsetValue
            || arguments[2] is not PickleTuple { Items: var sizes }
            || arguments[3] is not PickleTuple { Items: var steps })
        {
            throw Refuse("needs (storage, offset, size, stride, requires_grad, backward_hooks)");
        }
        string item = $"a tensor of storage {storage.Key}";
        if (sizes.Count != steps.Count || sizes.Count > MostAxes)
        {
            throw Refuse($"has {sizes.Count} sizes and {steps.Count} strides; as many of each, and at most {MostAxes}, were expected", item);
        }
        long[] shape = new long[sizes.Count], strides = new long[sizes.Count];
        for (int axis = 0; axis < shape.Length; axis++)
        {
            shape[axis] = Number(sizes[axis], "size");
            strides[axis] = Number(steps[axis], "stride");
        }
        long offset = Number(offsetValue, "offset");
        long count = CountOf(shape);
        // A view of no elements may stand anywhere in its storage, the end included.
        long last = offset;
        if (count == 0 ? offset > storage.Count : offset >= storage.Count)
        {
            throw Refuse($"starts at element {offset}, but its storage has {storage.Count}", item);
        }
        for (int axis = 0; axis < shape.Length && count > 0; axis++)
        {
            Int128 reach = last + (Int128)(shape[axis] - 1) * strides[axis];
            if (reach >= storage.Count)
            {
                throw Refuse($"size {string.Join("x", shape)} with strides {string.Join(",", strides)} from element {offset} reaches beyond its storage of {storage.Count} elements", item);
            }
            last = (long)reach;
        }
        return new PyTorchTensor("", storage, offset, shape, strides, count);

        long Number(PickleValue value, string what)
            => value is PickleInteger { Value: var number } && number >= 0 && number <= long.MaxValue
                ? (long)number
                : throw Refuse($"has the {what} {(value is PickleInteger { Value: var wrong } ? wrong.ToString(null, null) : value.Kind)}; a whole number from 0 was expected", item);

        // An expanded tensor (stride 0) could stand for any number of elements with a handful of bytes; checkpoints do not need that.
        long CountOf(long[] shape)
        {
            if (shape.Contains(0))
            {
                return 0;
            }
            Int128 product = 1;
            foreach (long size in shape)
            {
                product *= size;
                if (product > Math.Max(storage.Count, 1))
                {
                    throw Refuse($"size {string.Join("x", shape)} has more elements than its storage, which has {storage.Count}", item);
                }
            }
            return (long)product;
        }

        PickleFileException Refuse(string problem, string? of = null) => new(file, problem, of ?? function.FullName, at);
    }
}
