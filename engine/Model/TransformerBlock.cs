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
        TensorView qkv = layers.Linears(h, $"{name}.self_attn.q_proj", $"{name}.self_attn.k_proj", $"{name}.self_attn.v_proj");   // [B, N, 3C]
        Tensor mixed = Layers.Like($"{name}.attention", x);                                         // [B, N, C]
        layers.Graph.Add(new Attention(qkv.ColumnRange(0, c), qkv.ColumnRange(c, c), qkv.ColumnRange(2 * c, c), mixed, heads, 1 / MathF.Sqrt(c / heads))
        {
            Causal = CausalLengths is not null,
            KeyLengths = CausalLengths,
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
