namespace GroupViT.Native.Weights;

/// <summary>Named tensors, in one safetensors file or spread over several. Any number of threads may read at once.</summary>
internal abstract class WeightsSource : IDisposable
{
    /// <summary>What the user named: the file, or the index of the shards.</summary>
    public abstract string Name { get; }

    /// <summary>Every tensor by its name.</summary>
    public abstract IReadOnlyDictionary<string, SafetensorsEntry> Tensors { get; }

    /// <summary>The header's <c>__metadata__</c>; empty if it has none. Of shards: what those agree on that say it.</summary>
    public abstract IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Bytes of all files together, headers included.</summary>
    public abstract long Length { get; }

    /// <summary>The tensor of that name.</summary>
    /// <exception cref="ModelFileException">There is none.</exception>
    public SafetensorsEntry Entry(string name)
        => Tensors.TryGetValue(name, out SafetensorsEntry? entry) ? entry : throw new ModelFileException(Name, $"has no such tensor (it has {Tensors.Count})", name);

    /// <summary>The file that the tensor's <see cref="SafetensorsEntry.Offset"/> counts in.</summary>
    public abstract string FileOf(SafetensorsEntry entry);

    /// <summary>
    /// Reads elements as float32: F32 as stored, F16 and BF16 widened exactly, F64 rounded to nearest (beyond float32's range: infinity).
    /// NaN and infinity pass, as the format allows them; who needs finite values checks (<see cref="Checkpoint"/>).
    /// </summary>
    /// <param name="entry">One of <see cref="Tensors"/>.</param>
    /// <param name="firstElement">Index of the first element, row-major.</param>
    /// <param name="destination">Filled wholly.</param>
    /// <exception cref="ModelFileException">Another dtype, or the file was cut since it was opened.</exception>
    public abstract void ReadFloat32(SafetensorsEntry entry, long firstElement, Span<float> destination);

    /// <summary>Reads bytes as stored.</summary>
    /// <exception cref="ModelFileException">The file was cut since it was opened.</exception>
    public abstract void ReadBytes(SafetensorsEntry entry, long firstByte, Span<byte> destination);

    public abstract void Dispose();
}
