using System.IO.Enumeration;
using GroupViT.Kernels;
using GroupViT.Kernels.Devices;
using GroupViT.Native.Weights;

namespace GroupViT.Native;

/// <summary>One recorded value held against ours.</summary>
/// <param name="Name">As in the reference file.</param>
/// <param name="Error">The largest difference.</param>
/// <param name="ReferenceError">What the reference's own float32 run differs by.</param>
/// <param name="Tolerance">What was allowed.</param>
/// <param name="Index">Flat index of the largest difference.</param>
/// <param name="Expected">The reference there.</param>
/// <param name="Actual">Ours there.</param>
/// <param name="Note">What a reader must know, or null: replayed assignment, ties.</param>
internal sealed record VerifiedValue(
    string Name, double Error, double ReferenceError, double Tolerance, int Index, double Expected, double Actual, string? Note)
{
    public bool Passed => Error <= Tolerance;
}

/// <summary>The outcome for one reference file on one device.</summary>
/// <param name="Values">Every value that was compared.</param>
/// <param name="Assignments">Hard assignments recorded in the reference.</param>
/// <param name="InTieBand">How many of them have their two best groups closer than the tolerance, so that either may win.</param>
/// <param name="Flipped">How many of those went the other way here.</param>
internal sealed record VerificationReport(IReadOnlyList<VerifiedValue> Values, int Assignments, int InTieBand, int Flipped)
{
    public bool Passed => Values.All(value => value.Passed);
}

/// <summary>
/// Proves a device against a reference's recorded values: runs the network with taps on everything recorded, then the untapped
/// production program, and compares.
/// </summary>
/// <remarks>
/// An assignment may differ from the recorded one only where the reference's own two best groups are closer than the tolerance. Then
/// the network is run again with the recorded assignment, so that what follows is compared like with like.
/// </remarks>
internal sealed class Verifier(Checkpoint checkpoint, Device device, int threads, WeightFormat format = WeightFormat.Float32)
{
    private readonly ModelWeights weights = new(checkpoint);

    /// <summary>Compares everything in the file that matches the pattern (* and ?), or everything.</summary>
    /// <exception cref="ModelFileException">The file holds nothing that can be compared, or values of another model.</exception>
    public VerificationReport Run(ReferenceFile reference, string? only = null, CancellationToken cancellation = default)
    {
        VerificationRun run = new(reference, checkpoint, only is null ? _ => true : name => FileSystemName.MatchesSimpleExpression(only, name, ignoreCase: false));
        MemoryAccount account = new();
        using ConstantPool constants = device.CreateConstants(account);
        Runner runner = new(device, constants, account, threads, cancellation);
        foreach (string picture in run.Pictures)
        {
            new PictureVerifier(run, weights, format, runner, picture).Compare();
        }
        if (run.Has("text.input_ids"))
        {
            new TextVerifier(run, weights, format, runner).Compare();
        }
        JointVerifier.Compare(run, checkpoint);
        return run.Report();
    }

    /// <summary>Prepares a graph in an arena of its own, runs it once, and hands its outputs out.</summary>
    internal sealed class Runner(Device device, ConstantPool constants, MemoryAccount account, int threads, CancellationToken cancellation)
    {
        public Dictionary<string, float[]> Run(Graph graph, Action<Program> upload)
        {
            NarrowTensors.Choose(graph, device.Facts);
            MemoryPlan plan = MemoryPlan.For(graph);
            using Worker worker = device.CreateWorker(account, constants, threads);
            worker.AllocateArena(plan.Bytes);
            Program program = new(graph, plan, worker);
            upload(program);
            program.Run(cancellation: cancellation);
            worker.Synchronize();
            Dictionary<string, float[]> results = [];
            foreach ((string name, TensorView view) in program.Outputs)
            {
                results[name] = view.Tensor.Type == ElementType.Int32
                    ? Array.ConvertAll(program.Read<int>(name), value => (float)value)
                    : program.Read<float>(name);
            }
            return results;
        }
    }
}
