using Microsoft.ML.OnnxRuntime;

namespace GroupViT.Bench.Peers.Contenders;

/// <summary>ONNX Runtime on a model that we printed; inputs and outputs are the caller's memory, bound once.</summary>
internal sealed class OnnxRuntimeContender : Contender
{
    private readonly SessionOptions options = new();
    private readonly RunOptions runOptions = new();
    private readonly InferenceSession session;
    private readonly OrtIoBinding binding;
    private readonly List<OrtValue> bound = [];
    private readonly Dictionary<string, float[]> outputs = [];

    /// <param name="cell">What is run.</param>
    /// <param name="model">The ONNX file.</param>
    /// <param name="inputs">Stay where they are.</param>
    /// <param name="tuned">
    /// As many threads as the cell says by number and subnormal numbers as zeros; without it, the session's defaults, in which a cell of all threads
    /// leaves their number to ONNX Runtime.
    /// </param>
    public OnnxRuntimeContender(Cell cell, string model, Inputs inputs, bool tuned)
    {
        if (tuned)
        {
            options.GraphOptimizationLevel = GraphOptimizationLevel.ORT_ENABLE_ALL;
            options.ExecutionMode = ExecutionMode.ORT_SEQUENTIAL;
            options.InterOpNumThreads = 1;
            options.AddSessionConfigEntry("session.intra_op.allow_spinning", "1");
            options.AddSessionConfigEntry("session.set_denormal_as_zero", "1");
        }
        if (tuned || cell.Threads > 0)
        {
            options.IntraOpNumThreads = cell.ThreadCount;
        }
        if (Environment.GetEnvironmentVariable("GROUPVIT_BENCH_OPTIMIZED_MODEL") is { Length: > 0 } path)
        {
            options.OptimizedModelFilePath = path;
        }
        Settings = FormattableString.Invariant(
            $"ONNX Runtime {typeof(InferenceSession).Assembly.GetName().Version}; {options.GraphOptimizationLevel}, intra-op threads {options.IntraOpNumThreads} (0: its choice), {options.ExecutionMode}, spinning on{(tuned ? ", subnormals as zeros" : "")}");
        session = new InferenceSession(model, options);
        binding = session.CreateIoBinding();
        foreach ((string name, NodeMetadata metadata) in session.InputMetadata)
        {
            long[] shape = Array.ConvertAll(metadata.Dimensions, side => (long)side);
            OrtValue value = name switch
            {
                "pixel_values" => OrtValue.CreateTensorValueFromMemory(inputs.Pixels, shape),
                "input_ids" => OrtValue.CreateTensorValueFromMemory(Array.ConvertAll(inputs.Ids, id => (long)id), shape),
                "pick" => OrtValue.CreateTensorValueFromMemory(Enumerable.Repeat((long)cell.Size - 1, cell.Batch).ToArray(), shape),
                _ => throw new NotSupportedException($"the model asks for an input '{name}'"),
            };
            bound.Add(value);
            binding.BindInput(name, value);
        }
        foreach ((string name, NodeMetadata metadata) in session.OutputMetadata)
        {
            float[] values = new float[metadata.Dimensions.Aggregate(1, (product, side) => product * side)];
            outputs.Add(name, values);
            OrtValue value = OrtValue.CreateTensorValueFromMemory(values, Array.ConvertAll(metadata.Dimensions, side => (long)side));
            bound.Add(value);
            binding.BindOutput(name, value);
        }
    }

    public override string Settings { get; }

    public override IReadOnlyDictionary<string, float[]> Outputs => outputs;

    public override void Run() => session.RunWithBinding(runOptions, binding);

    public override void Dispose()
    {
        binding.Dispose();
        bound.ForEach(value => value.Dispose());
        session.Dispose();
        runOptions.Dispose();
        options.Dispose();
    }
}
