using GroupViT.Kernels;

namespace GroupViT.Native;

/// <summary>
/// The pre-norm transformer block of both towers (spec A.4, B.1):
/// y = x + W_o·Attention(LN₁(x)); y = y + MLP(LN₂(y)).
/// </summary>
internal sealed class TransformerBlock(Layers layers, string name, int heads, Activation activation)
{
    /// <summary>Keys beyond these lengths are not seen, and none after the query (the text tower).</summary>
    public Tensor? CausalLengths { get; init; }

    public TensorView Describe(TensorView x)                                                        // [B, N, C]
    {
        int c = x.Columns;
        TensorView h = layers.LayerNorm($"{name}.layer_norm1", x);
        // A head's rows are stored together, so that attention need not gather them; kernels store four columns at once.
        bool headsMajor = c / heads % 4 == 0 && !layers.Graph.HeadsSideBySide;
        TensorView qkv = layers.Linears(h, headsMajor ? c / heads : 0, $"{name}.self_attn.q_proj", $"{name}.self_attn.k_proj", $"{name}.self_attn.v_proj");
        TensorView Part(int part) => headsMajor ? qkv.RowRange(part * heads * x.Rows, heads * x.Rows) : qkv.ColumnRange(part * c, c);   // [B, H·N, C/H], or [B, N, C]
        Tensor mixed = Layers.Like($"{name}.attention", x);                                         // [B, N, C]
        layers.Graph.Add(new Attention(Part(0), Part(1), Part(2), mixed, heads, 1 / MathF.Sqrt(c / heads))
        {
            HeadsMajor = headsMajor,
            Causal = CausalLengths is not null,
            KeyLengths = CausalLengths,
            Format = layers.Format,
        });
        Tensor y = Layers.Like($"{name}.attended", x);
        layers.AddLinear($"{name}.self_attn.out_proj", mixed, residual: x, y, tap: TapName("self_attn"));

        h = layers.LayerNorm($"{name}.layer_norm2", y);
        h = layers.Linear($"{name}.mlp.fc1", h, activation);                                        // [B, N, 4C]
        Tensor z = Layers.Like(name, x);
        layers.AddLinear($"{name}.mlp.fc2", h, residual: y, z, tap: TapName("mlp"));
        layers.Graph.Tap(TapName(null), z);
        return z;
    }

    private string TapName(string? part) => TapNames.Of(name) + (part is null ? "" : $".{part}");
}

/// <summary>The names under which values are recorded (fixtures' README): the parameter names without the towers' prefixes.</summary>
internal static class TapNames
{
    public static string Of(string module) => module
        .Replace("vision_model.encoder.", "", StringComparison.Ordinal)
        .Replace("text_model.encoder.", "text.", StringComparison.Ordinal);
}
