using GroupViT.Kernels;

namespace GroupViT.Bench.Peers.Onnx;

/// <summary>
/// Turns windows on tensors into values of an ONNX graph, in which every value is written once and whole: what was written in parts is
/// joined when it is read, what is read in parts is cut.
/// </summary>
internal sealed class OnnxValues(OnnxModel model)
{
    private readonly Dictionary<Tensor, List<(TensorView View, string Value)>> written = [];
    private readonly Dictionary<Tensor, string> transposed = [];
    private readonly Dictionary<Tensor, List<TensorView>> columns = [];

    /// <summary>Says beforehand that a column range of a tensor will be read.</summary>
    public void Announce(TensorView view)
    {
        if (view.Columns < view.Tensor.Columns)
        {
            List<TensorView> windows = columns.TryGetValue(view.Tensor, out List<TensorView>? found) ? found : columns[view.Tensor] = [];
            windows.Add(view);
            windows.Sort((a, b) => a.Offset.CompareTo(b.Offset));
        }
    }

    /// <summary>The column ranges that a tensor is read in, if they are all of it, side by side.</summary>
    public IReadOnlyList<TensorView>? ColumnWindows(Tensor tensor)
        => columns.TryGetValue(tensor, out List<TensorView>? windows) && windows.Sum(window => window.Columns) == tensor.Columns ? windows : null;

    public void Write(TensorView view, string value)
    {
        if (!written.TryGetValue(view.Tensor, out List<(TensorView, string)>? pieces))
        {
            written.Add(view.Tensor, pieces = []);
        }
        pieces.Add((view, value));
    }

    /// <summary>The value of a whole tensor, with rows and columns exchanged.</summary>
    public void WriteTransposed(Tensor tensor, string value) => transposed.Add(tensor, value);

    /// <summary>A value of shape [batch, rows, columns]; of a constant, [rows, columns].</summary>
    public string Read(TensorView view)
    {
        if (view.Tensor.IsConstant)
        {
            return Constant(view, transpose: false);
        }
        if (!written.TryGetValue(view.Tensor, out List<(TensorView View, string Value)>? pieces))
        {
            pieces = written[view.Tensor] = [(view.Tensor, model.Add("Transpose", [transposed[view.Tensor]], ("perm", new long[] { 0, 2, 1 })))];
        }
        int found = pieces.FindIndex(piece => piece.View == view);
        if (found >= 0)
        {
            return pieces[found].Value;
        }
        if (ColumnWindows(view.Tensor) is { } windows && windows.Contains(view))
        {
            string[] parts = model.Add(
                "Split", "", windows.Count, [Whole(view.Tensor, pieces), model.Constant([.. windows.Select(window => (long)window.Columns)])], ("axis", 2L));
            for (int i = 0; i < parts.Length; i++)
            {
                pieces.Add((windows[i], parts[i]));
            }
            return parts[windows.TakeWhile(window => window != view).Count()];
        }
        string value = Whole(view.Tensor, pieces);
        if (!view.IsWhole)
        {
            if (view.Columns != view.Tensor.Columns)
            {
                throw new NotSupportedException($"{view} is a column range beside others that do not add up to its tensor");
            }
            long start = view.Offset / view.RowStride;
            value = model.Add("Slice", [value, model.Constant(start), model.Constant(start + view.Rows), model.Constant(1)]);
            pieces.Add((view, value));
        }
        return value;
    }

    public string ReadTransposed(TensorView view)
    {
        if (view.Tensor.IsConstant)
        {
            return Constant(view, transpose: true);
        }
        return view.IsWhole && transposed.TryGetValue(view.Tensor, out string? value)
            ? value
            : model.Add("Transpose", [Read(view)], ("perm", new long[] { 0, 2, 1 }));
    }

    /// <summary>Some of a constant's elements as a value of any shape.</summary>
    public string Constant(Tensor constant, int first, params ReadOnlySpan<int> shape)
    {
        int count = 1;
        foreach (int side in shape)
        {
            count *= side;
        }
        string name = $"{constant.Name}{(count == constant.Count ? "" : $"[{first}..{first + count}]")} as {string.Join('x', shape.ToArray())}";
        return model.HasConstant(name) ? name : model.Constant(name, ValuesOf(constant)[first..(first + count)], shape);
    }

    private string Constant(TensorView view, bool transpose)
    {
        if (!transpose)
        {
            return Constant(view.Tensor, view.Offset, view.Rows, view.Columns);
        }
        string name = $"{view.Tensor.Name}[{view.Offset}..{view.Offset + view.Rows * view.Columns}] transposed";
        if (model.HasConstant(name))
        {
            return name;
        }
        float[] values = ValuesOf(view.Tensor);
        float[] turned = new float[view.Rows * view.Columns];
        for (int r = 0; r < view.Rows; r++)
        {
            for (int c = 0; c < view.Columns; c++)
            {
                turned[c * view.Rows + r] = values[view.Index(0, r, c)];
            }
        }
        return model.Constant(name, turned, view.Columns, view.Rows);
    }

    // Parts of a tensor that is written in parts are row ranges: image tokens, then group tokens.
    private string Whole(Tensor tensor, List<(TensorView View, string Value)> pieces)
    {
        int found = pieces.FindIndex(piece => piece.View.IsWhole);
        if (found >= 0)
        {
            return pieces[found].Value;
        }
        (TensorView View, string Value)[] rows = [.. pieces.OrderBy(piece => piece.View.Offset)];
        if (rows.Any(piece => piece.View.Columns != tensor.Columns) || rows.Sum(piece => piece.View.Rows) != tensor.Rows)
        {
            throw new NotSupportedException($"{tensor} was not written in whole rows, each once");
        }
        string value = model.Add("Concat", [.. rows.Select(piece => piece.Value)], ("axis", 1L));
        pieces.Add((tensor, value));
        return value;
    }

    private static float[] ValuesOf(Tensor constant)
    {
        float[] values = new float[constant.Count];
        constant.Reader!(values);
        return values;
    }
}
