namespace GroupViT.Native.Weights;

/// <summary>
/// A checkpoint in several safetensors files beside an index (<see cref="ShardIndex"/>). Opening checks every shard's header and that index
/// and shards say the same: every tensor is in the shard that the index names, and in no other; no shard holds one that is not listed.
/// </summary>
internal sealed class ShardedSafetensors : WeightsSource
{
    private readonly List<SafetensorsFile> _shards = [];
    private readonly Dictionary<string, SafetensorsEntry> _tensors;
    private readonly Dictionary<string, SafetensorsFile> _owners;
    private readonly Dictionary<string, string> _metadata = new(StringComparer.Ordinal);

    private ShardedSafetensors(string path)
    {
        Name = path;
        ShardIndex index = ShardIndex.Load(path);
        _tensors = new(index.WeightMap.Count, StringComparer.Ordinal);
        _owners = new(index.WeightMap.Count, StringComparer.Ordinal);
        try
        {
            OpenShards(index);
            CheckAllFound(index);
        }
        catch
        {
            Dispose();
            throw;
        }
        MergeMetadata();
    }

    public override string Name { get; }

    public override IReadOnlyDictionary<string, SafetensorsEntry> Tensors => _tensors;

    public override IReadOnlyDictionary<string, string> Metadata => _metadata;

    public override long Length => _shards.Sum(shard => shard.Length);

    /// <summary>The shards, in the order in which the index names them.</summary>
    public IReadOnlyList<SafetensorsFile> Shards => _shards;

    /// <summary>Opens the index at <paramref name="path"/> and the shards beside it.</summary>
    /// <remarks>A shard may be a symbolic link, as all files of the hub's cache are.</remarks>
    /// <exception cref="ModelFileException">A file is missing or damaged, or index and shards contradict each other; names the tensor and the shard.</exception>
    public static ShardedSafetensors Open(string path) => new(path);

    public override string FileOf(SafetensorsEntry entry) => Owner(entry).Name;

    public override void ReadFloat32(SafetensorsEntry entry, long firstElement, Span<float> destination) => Owner(entry).ReadFloat32(entry, firstElement, destination);

    public override void ReadBytes(SafetensorsEntry entry, long firstByte, Span<byte> destination) => Owner(entry).ReadBytes(entry, firstByte, destination);

    public override void Dispose()
    {
        foreach (SafetensorsFile shard in _shards)
        {
            shard.Dispose();
        }
    }

    private SafetensorsFile Owner(SafetensorsEntry entry) => _owners[entry.Name];

    private void OpenShards(ShardIndex index)
    {
        string folder = Path.GetDirectoryName(Name) ?? "";
        long headers = 0;
        foreach (string shard in index.Shards)
        {
            SafetensorsFile file = SafetensorsFile.Open(Path.Combine(folder, shard));
            _shards.Add(file);
            headers += file.HeaderLength;
            if (headers > SafetensorsHeader.MaxLength)
            {
                throw new ModelFileException(file.Name, $"the headers of the shards so far have {headers} bytes; all together may have {SafetensorsHeader.MaxLength}");
            }
            foreach (SafetensorsEntry entry in file.Tensors.Values)
            {
                if (!index.WeightMap.TryGetValue(entry.Name, out string? listed))
                {
                    throw new ModelFileException(file.Name, $"is in this shard, but {Name} does not list it", SafetensorsHeader.Shorten(entry.Name), entry.Offset);
                }
                if (listed != shard)
                {
                    throw new ModelFileException(file.Name, $"is in this shard, but {Name} says that it is in '{listed}'; every tensor has one shard", SafetensorsHeader.Shorten(entry.Name), entry.Offset);
                }
                _tensors.Add(entry.Name, entry);
                _owners.Add(entry.Name, file);
            }
        }
    }

    private void CheckAllFound(ShardIndex index)
    {
        foreach ((string tensor, string shard) in index.WeightMap)
        {
            if (!_tensors.ContainsKey(tensor))
            {
                throw new ModelFileException(Name, $"is listed for the shard '{shard}', which does not have it", SafetensorsHeader.Shorten(tensor));
            }
        }
    }

    private void MergeMetadata()
    {
        var contradicted = new HashSet<string>(StringComparer.Ordinal);
        foreach ((string key, string value) in _shards.SelectMany(shard => shard.Metadata))
        {
            if (!_metadata.TryAdd(key, value) && _metadata[key] != value)
            {
                contradicted.Add(key);
            }
        }
        foreach (string key in contradicted)
        {
            _metadata.Remove(key);
        }
    }
}
