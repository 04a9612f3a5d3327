using GroupViT.Native.Weights;

namespace GroupViT.Native;

/// <summary>The activation functions that a configuration may name.</summary>
public enum ActivationFunction
{
    /// <summary><c>gelu</c>: x/2 (1 + erf(x/sqrt 2)), the exact form.</summary>
    Gelu,

    /// <summary><c>quick_gelu</c>: x sigmoid(1.702 x).</summary>
    QuickGelu,

    /// <summary><c>relu</c>: max(x, 0).</summary>
    Relu,
}

/// <summary>
/// The shape of a GroupViT model: the fields of Hugging Face's <c>config.json</c> that change numbers, under their own names and with
/// the reference's defaults. <c>new GroupVitConfig()</c> is the official architecture (both released models have it).
/// </summary>
/// <remarks>
/// A configuration read from a file is checked wholly: every size against its cap, and the fields against each other. One made
/// with <c>with</c> is checked when a model is built from it.
/// </remarks>
public sealed partial record GroupVitConfig
{
    /// <summary>Width of the space in which pictures and texts are compared. 1 to 8192; default 256.</summary>
    public int ProjectionDim { get; init; } = 256;

    /// <summary>Hidden width of both projection heads. 1 to 65536; default 4096.</summary>
    public int ProjectionIntermediateDim { get; init; } = 4096;

    /// <summary>The text encoder.</summary>
    public TextConfig Text { get; init; } = new();

    /// <summary>The image encoder.</summary>
    public VisionConfig Vision { get; init; } = new();

    /// <summary>Reads a <c>config.json</c>.</summary>
    /// <param name="path">The file; at most 1 MiB.</param>
    /// <exception cref="ModelFileException">The file cannot be read, is no such configuration, or describes a model that cannot be built; names the field.</exception>
    public static GroupVitConfig Load(string path)
    {
        using ByteSource source = ByteSource.OpenFile(path);
        if (source.Length > MaxFileLength)
        {
            throw new ModelFileException(path, $"is {source.Length} bytes long; a configuration has at most {MaxFileLength}");
        }
        byte[] utf8 = new byte[source.Length];
        source.Read(0, utf8);
        return Parse(utf8, path);
    }

    /// <summary>
    /// How many numbers each part learns (spec A.9): weights and biases, without the running statistics of the batch norms.
    /// </summary>
    /// <exception cref="ModelFileException">The fields do not describe a model that can be built.</exception>
    public ParameterCounts CountParameters() => ParameterTable.For(this).Counts;
}

/// <summary>Learned numbers per part of a model.</summary>
/// <param name="ImageEncoder">Patch embedding, positions, stages, grouping blocks, final norm.</param>
/// <param name="TextEncoder">Token and position tables, layers, final norm.</param>
/// <param name="ImageProjector">The projection head of pictures.</param>
/// <param name="TextProjector">The projection head of texts.</param>
/// <param name="LogitScale">The temperature: 1.</param>
public readonly record struct ParameterCounts(long ImageEncoder, long TextEncoder, long ImageProjector, long TextProjector, long LogitScale)
{
    /// <summary>The sum of all parts.</summary>
    public long Total => ImageEncoder + TextEncoder + ImageProjector + TextProjector + LogitScale;
}
