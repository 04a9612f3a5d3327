using GroupViT.Kernels;

namespace GroupViT.Native;

/// <summary>The few layers that both towers are made of, as calls that add operations to a graph.</summary>
internal sealed class Layers(Graph graph, ModelWeights weights, float epsilon, WeightFormat format)
{
    public Graph Graph => graph;

    public ModelWeights Weights => weights;

    /// <summary>How the layers' weights are kept, and what devices may round factors to.</summary>
    public WeightFormat Format => format;

    public static Tensor Like(string name, TensorView view, int? columns = null) => Tensor.Float(name, view.Batch, view.Rows, columns ?? view.Columns);

    /// <summary>y = LN(x), parameters <c>name.weight</c>, <c>name.bias</c>.</summary>
    public TensorView LayerNorm(string name, TensorView x)
    {
        Tensor y = Like(name, x);
        LayerNorm(name, x, y);
        return y;
    }

    public void LayerNorm(string name, TensorView x, TensorView y, TensorView? residual = null)
        => graph.Add(new LayerNorm(x, weights.Vector($"{name}.weight"), weights.Vector($"{name}.bias"), y, epsilon) { Residual = residual });

    /// <summary>y = act(x·Wᵀ + b), parameters <c>name.weight</c>, <c>name.bias</c>.</summary>
    public TensorView Linear(string name, TensorView x, Activation activation = Activation.None)
        => Linear(name, x, weights.Parameter($"{name}.weight"), weights.Vector($"{name}.bias"), activation);

    /// <summary>Several linear layers of one input as one product; their outputs lie side by side, or one after another by heads of a size above 0.</summary>
    public TensorView Linears(TensorView x, int headSize, params string[] names)
    {
        string name = string.Join('+', names);
        Tensor weight = weights.Stack([.. names.Select(part => $"{part}.weight")]);
        Tensor bias = weights.StackVectors([.. names.Select(part => $"{part}.bias")]);
        Tensor y = headSize == 0 ? Like(name, x, weight.Rows) : Tensor.Float(name, x.Batch, weight.Rows / headSize * x.Rows, headSize);
        graph.Add(Product(x, weight, y, bias, Activation.None) with { HeadSize = headSize });
        return y;
    }

    public TensorView Linear(string name, TensorView x, Tensor weight, Tensor bias, Activation activation)
    {
        Tensor y = Like(name, x, weight.Rows);
        graph.Add(Product(x, weight, y, bias, activation));
        return y;
    }

    /// <summary>
    /// y = residual + x·Wᵀ + b, the end of every branch. The branch's own value is hidden by the sum; a tap of that name brings it out.
    /// </summary>
    public void AddLinear(string name, TensorView x, TensorView residual, TensorView y, string tap)
    {
        Tensor weight = weights.Parameter($"{name}.weight");
        Tensor bias = weights.Vector($"{name}.bias");
        if (!graph.IsTapped(tap))
        {
            graph.Add(Product(x, weight, y, bias, Activation.None) with { Residual = residual });
            return;
        }
        Tensor branch = Like(tap, y);
        graph.Add(Product(x, weight, branch, bias, Activation.None));
        graph.Tap(tap, branch);
        graph.Add(new Add(branch, residual, y));
    }

    /// <summary>
    /// MixMLP (spec 0): the tokens are mixed, channel by channel: y = W₂·act(W₁·x + b₁) + b₂, with the weights on the left. No transpose is made.
    /// </summary>
    public void MixTokens(string name, TensorView x, Activation activation, TensorView y, TensorView? residual = null)
    {
        Tensor first = weights.Parameter($"{name}.fc1.weight");
        Tensor second = weights.Parameter($"{name}.fc2.weight");
        Tensor hidden = Tensor.Float($"{name}.fc1", x.Batch, first.Rows, x.Columns);
        graph.Add(new MatMul(first.View().Repeat(x.Batch), x, hidden)
        {
            Bias = weights.Vector($"{name}.fc1.bias"),
            BiasAxis = BiasAxis.Rows,
            Activation = activation,
        });
        graph.Add(new MatMul(second.View().Repeat(x.Batch), hidden, y)
        {
            Bias = weights.Vector($"{name}.fc2.bias"),
            BiasAxis = BiasAxis.Rows,
            Residual = residual,
        });
    }

    public static Activation Kernel(ActivationFunction function) => function switch
    {
        ActivationFunction.Gelu => Activation.Gelu,
        ActivationFunction.QuickGelu => Activation.QuickGelu,
        ActivationFunction.Relu => Activation.Relu,
        _ => throw new ArgumentOutOfRangeException(nameof(function)),
    };

    private MatMul Product(TensorView x, Tensor weight, TensorView y, Tensor bias, Activation activation)
        => new(x, weight.View().Repeat(x.Batch), y) { TransposeB = true, Bias = bias, Activation = activation, WeightFormat = format, RoundsFactors = format != WeightFormat.Float32 };
}
