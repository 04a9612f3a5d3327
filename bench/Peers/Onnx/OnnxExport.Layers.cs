using GroupViT.Kernels;

namespace GroupViT.Bench.Peers.Onnx;

internal sealed partial class OnnxExport
{
    private void Unfold(PatchUnfold unfold)
    {
        used.Add(unfold.X.Tensor);
        if (style == OnnxStyle.Exporter)
        {
            // The product that follows becomes a convolution.
            unfolded.Add(unfold.Y.Tensor, unfold);
            return;
        }
        (int batch, int p, int h, int w) = (unfold.X.Batch, unfold.PatchSize, unfold.GridHeight, unfold.GridWidth);
        string pixels = NameOf(unfold.X.Tensor.Name);
        if (h * p != unfold.Height || w * p != unfold.X.Columns)
        {
            pixels = model.Add("Slice", [pixels, model.Constant(0, 0), model.Constant(h * p, w * p), model.Constant(2, 3)]);
        }
        string cells = model.Add("Reshape", [pixels, model.Constant(batch, unfold.Channels, h, p, w, p)]);
        string patches = model.Add("Transpose", [cells], ("perm", new long[] { 0, 2, 4, 1, 3, 5 }));
        values.Write(unfold.Y, model.Add("Reshape", [patches, model.Constant(batch, h * w, unfold.Y.Columns)]));
    }

    private void Product(MatMul product)
    {
        if (unfolded.TryGetValue(product.A.Tensor, out PatchUnfold? unfold))
        {
            Convolution(unfold, product);
        }
        else if (product.A.Tensor.IsConstant)
        {
            Mix(product);
        }
        else if (product.B.Tensor.IsConstant && style == OnnxStyle.Exporter && values.ColumnWindows(product.Y.Tensor) is { } windows)
        {
            foreach (TensorView window in windows)
            {
                Linear(product, window, window.Offset, product.B.RowRange(window.Offset, window.Columns));
            }
        }
        else
        {
            Linear(product, product.Y, 0, product.B);
        }
    }

    /// <summary>Y = act(X·Wᵀ + b) + residual, for the columns of Y from <paramref name="first"/> on.</summary>
    private void Linear(MatMul product, TensorView target, int first, TensorView factor)
    {
        string y = model.Add("MatMul", [values.Read(product.A), product.TransposeB ? values.ReadTransposed(factor) : values.Read(factor)]);
        if (product.Scale != 1)
        {
            y = model.Add("Mul", [y, model.Scalar(product.Scale)]);
        }
        if (product.Bias is { } bias)
        {
            if (product.BiasAxis != BiasAxis.Columns)
            {
                throw new NotSupportedException($"a bias of rows on {product.Y}, whose left factor is computed");
            }
            y = model.Add("Add", [y, values.Constant(bias, first, target.Columns)]);
        }
        values.Write(target, Plus(Activated(y, product.Activation), product.Residual));
    }

    /// <summary>The token mixers. An exporter's model has them as linear layers between two transposes.</summary>
    private void Mix(MatMul product)
    {
        if (product.TransposeB || product.Scale != 1 || product.Bias is not { } bias || product.BiasAxis != BiasAxis.Rows)
        {
            throw new NotSupportedException($"{product.Y} is no token mixer");
        }
        if (style == OnnxStyle.Graph)
        {
            string y = model.Add("Add", [model.Add("MatMul", [values.Read(product.A), values.Read(product.B)]), values.Constant(bias, 0, product.M, 1)]);
            values.Write(product.Y, Plus(Activated(y, product.Activation), product.Residual));
            return;
        }
        string turned = model.Add("MatMul", [values.ReadTransposed(product.B), values.ReadTransposed(product.A)]);
        turned = Activated(model.Add("Add", [turned, Vector(bias)]), product.Activation);
        if (product.Y.IsWhole && product.Residual is null)
        {
            values.WriteTransposed(product.Y.Tensor, turned);
        }
        else
        {
            values.Write(product.Y, Plus(model.Add("Transpose", [turned], ("perm", new long[] { 0, 2, 1 })), product.Residual));
        }
    }

    private void Convolution(PatchUnfold unfold, MatMul product)
    {
        long p = unfold.PatchSize;
        string weight = values.Constant(product.B.Tensor, 0, product.N, unfold.Channels, unfold.PatchSize, unfold.PatchSize);
        string planes = model.Add(
            "Conv", [NameOf(unfold.X.Tensor.Name), weight, Vector(product.Bias!)], ("kernel_shape", new[] { p, p }), ("strides", new[] { p, p }));
        string rows = model.Add("Reshape", [planes, model.Constant(product.Y.Batch, product.N, product.M)]);
        values.Write(product.Y, model.Add("Transpose", [rows], ("perm", new long[] { 0, 2, 1 })));
    }

    /// <remarks>
    /// Key lengths are not printed: they only keep padding from being read, and with the causal mask no row up to the end token sees any
    /// (spec B.1).
    /// </remarks>
    private void Attend(Attention attention)
    {
        if (attention.KeyLengths is not null && !attention.Causal)
        {
            throw new NotSupportedException("key lengths without a causal mask");
        }
        (string q, string k, string v) = (values.Read(attention.Q), values.Read(attention.K), values.Read(attention.V));
        if (style == OnnxStyle.Graph)
        {
            values.Write(attention.Y, model.Add(
                "MultiHeadAttention", OnnxModel.Contrib, 1, [q, k, v],
                ("num_heads", (long)attention.Heads), ("scale", attention.Scale), ("unidirectional", attention.Causal ? 1L : 0L))[0]);
            return;
        }
        string weights = model.Add("MatMul", [Heads(attention, q, attention.Q, 0, 2, 1, 3), Heads(attention, k, attention.K, 0, 2, 3, 1)]);
        weights = model.Add("Mul", [weights, model.Scalar(attention.Scale)]);
        if (attention.Causal)
        {
            weights = model.Add("Add", [weights, CausalMask(attention.Q.Rows)]);
        }
        string mixed = model.Add("MatMul", [model.Add("Softmax", [weights], ("axis", -1L)), Heads(attention, v, attention.V, 0, 2, 1, 3)]);
        mixed = model.Add("Transpose", [mixed], ("perm", new long[] { 0, 2, 1, 3 }));
        values.Write(attention.Y, model.Add("Reshape", [mixed, model.Constant(attention.Y.Batch, attention.Y.Rows, attention.Y.Columns)]));
    }

    private string Heads(Attention attention, string value, TensorView view, params long[] order)
        => model.Add("Transpose", [model.Add("Reshape", [value, model.Constant(view.Batch, view.Rows, attention.Heads, attention.HeadSize)])], ("perm", order));

    private string CausalMask(int n)
    {
        string name = $"causal {n}";
        if (model.HasConstant(name))
        {
            return name;
        }
        float[] mask = new float[n * n];
        for (int i = 0; i < n; i++)
        {
            mask.AsSpan(i * n + i + 1, n - i - 1).Fill(float.NegativeInfinity);
        }
        return model.Constant(name, mask, n, n);
    }

    /// <summary>
    /// Soft map by softmax over the groups; one-hot of the first largest logit; each group the sum of its tokens' values by their number
    /// and ε (spec A.6, A.7). The exporter's form divides the one-hot before the product, as the reference does.
    /// </summary>
    private void Assign(GroupAssign assign)
    {
        if (assign.Forced is not null || assign.StraightThrough)
        {
            throw new NotSupportedException("a replayed or straight-through assignment");
        }
        string product = model.Add("MatMul", [values.Read(assign.Q), values.ReadTransposed(assign.K)]);
        string logits = model.Add("Mul", [product, model.Scalar(assign.Scale)]);
        values.Write(assign.Logits, logits);
        values.Write(assign.Soft, model.Add("Softmax", [logits], ("axis", 1L)));
        string index = model.Add("ArgMax", [logits], ("axis", 1L), ("keepdims", 0L), ("select_last_index", 0L));
        string chosen = model.Add("OneHot", [index, model.Scalar((long)assign.Groups), model.Constant("off and on", [0, 1], 2)], ("axis", 1L));
        string count = model.Add("ReduceSum", [chosen, model.Constant(2)], ("keepdims", 1L));
        count = model.Add("Add", [count, model.Scalar(assign.Epsilon)]);
        string v = values.Read(assign.V);
        values.Write(assign.Y, style == OnnxStyle.Graph
            ? model.Add("Div", [model.Add("MatMul", [chosen, v]), count])
            : model.Add("MatMul", [model.Add("Div", [chosen, count]), v]));
    }
}
