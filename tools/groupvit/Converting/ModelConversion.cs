using System.Text;
using GroupViT.Native;
using GroupViT.Native.Weights;
using GroupViT.Tool.Converting.Sources;

namespace GroupViT.Tool.Converting;

/// <summary>From a checkpoint of any kind to a model folder.</summary>
internal static class ModelConversion
{
    private const int MostListed = 10;

    /// <summary>Converts.</summary>
    /// <param name="file">The weights.</param>
    /// <param name="destination">An empty folder; complete afterwards, and of no use after an error.</param>
    /// <param name="options">What to make of them.</param>
    /// <param name="written">Called whenever a tensor of the model is written.</param>
    /// <param name="cancellation">Of the caller.</param>
    /// <exception cref="ModelFileException">The source cannot be used: damaged, no GroupViT, or not what its configuration says.</exception>
    /// <exception cref="NumericalException">Values are too large for the type that was asked for.</exception>
    /// <exception cref="IOException">The folder cannot be written.</exception>
    public static ConversionResult Run(CheckpointFile file, ConversionFolder destination, ConversionOptions options, Action written, CancellationToken cancellation)
    {
        List<string> notes = [];
        (GroupVitConfig config, byte[] text, string from) = Configuration(file, notes);
        config.Validate(file.Config ?? file.Path, options.Layout);
        // The checkpoint would own the weights; they stay the file's.
        Checkpoint checkpoint = Checkpoint.Open(file.Weights, config);
        TensorPlan plan = new(checkpoint, file.Weights, options, written, cancellation);
        notes.AddRange(plan.Notes);
        destination.Write(ModelFiles.Config, CompanionFiles.WithType(text, plan.Type));
        CompanionFiles.WritePreprocessor(file.Companions, destination, config, checkpoint.Layout, options.Statistics, notes);
        CompanionFiles.CopyTokenizer(file.Companions, destination, config, notes);
        IReadOnlyCollection<TensorToWrite> tensors = plan.Tensors;
        long bytes = destination.Write(ModelFiles.Weights, stream => SafetensorsWriter.Write(stream, tensors, plan.Metadata));
        Judge(file.Path, plan, options, notes);
        return new ConversionResult(
            file.KindName, checkpoint.Layout, from, destination.Files, tensors.Count, bytes, plan.Type?.ToString() ?? "mixed",
            [.. plan.Roundings.Where(rounding => rounding.Narrows)], notes);
    }

    private static (GroupVitConfig Config, byte[] Text, string From) Configuration(CheckpointFile file, List<string> notes)
    {
        if (file.Config is { } path)
        {
            byte[] text = CompanionFiles.ReadBounded(path);
            return (GroupVitConfig.Parse(text, path), text, path);
        }
        InferredConfig inferred = ConfigInference.Infer(file.Weights, file.Extras);
        notes.AddRange(inferred.Notes);
        return (inferred.Config, Encoding.UTF8.GetBytes(inferred.Config.ToJson()), "inferred from the tensors");
    }

    private static void Judge(string file, TensorPlan plan, ConversionOptions options, List<string> notes)
    {
        List<TensorRounding> overflowed = [.. plan.Roundings.Where(rounding => rounding.Overflowed > 0)];
        if (overflowed.Count > 0)
        {
            StringBuilder list = new();
            foreach (TensorRounding rounding in overflowed.Take(MostListed))
            {
                list.Append(list.Length == 0 ? "" : ", ").Append(System.Globalization.CultureInfo.InvariantCulture, $"{rounding.Name} ({rounding.Overflowed} of {rounding.Elements}, up to {rounding.Largest:G6})");
            }
            list.Append(overflowed.Count > MostListed ? $", ... ({overflowed.Count} tensors in all)" : "");
            string type = overflowed[0].To.ToString();
            if (!options.AllowOverflow)
            {
                throw new NumericalException($"{file}: values are too large for {type}: {list}; convert to another --dtype, or let them become the largest that there is with --allow-overflow");
            }
            notes.Add($"values too large for {type} became its largest: {list}");
        }
        List<TensorRounding> notFinite = [.. plan.Roundings.Where(rounding => rounding.NotFinite > 0)];
        if (notFinite.Count > 0)
        {
            notes.Add($"NaN or infinity is in {string.Join(", ", notFinite.Take(MostListed).Select(rounding => $"{rounding.Name} ({rounding.NotFinite})"))}{(notFinite.Count > MostListed ? ", ..." : "")}: kept as it is, but the engine refuses to compute with it");
        }
    }
}
