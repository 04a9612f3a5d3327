using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using GroupViT.Bench.Peers.Processes;
using GroupViT.Bench.Peers.Torch;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace GroupViT.Bench.Peers.Contenders;

/// <summary>libtorch in eager calls through TorchSharp, in inference mode.</summary>
internal sealed class TorchContender : Contender
{
    private readonly IDisposable mode;
    private readonly TorchImageEncoder? image;
    private readonly TorchTextEncoder? text;
    private readonly Tensor input;
    private readonly Dictionary<string, float[]> outputs = [];

    public TorchContender(Cell cell, string modelFolder, Inputs inputs)
    {
        try
        {
            set_num_threads(cell.ThreadCount);
        }
        catch (TypeInitializationException)
        {
            throw new ContenderException("torchsharp", $"its native library does not load: {WhyNot()}; where the C++ library is too old, run bench/Peers/in-trixie");
        }
        mode = inference_mode();
        using Network network = new(modelFolder);
        if (cell.Encoder == Encoder.Image)
        {
            image = new TorchImageEncoder(network, cell.Size, cell.Size);
            input = tensor(inputs.Pixels, [cell.Batch, network.Config.Vision.NumChannels, cell.Size, cell.Size]);
        }
        else
        {
            text = new TorchTextEncoder(network, cell.Size);
            input = tensor(Array.ConvertAll(inputs.Ids, id => (long)id), [cell.Batch, cell.Size]);
        }
    }

    public override string Settings
        => $"libtorch {__version__} through TorchSharp {typeof(Tensor).Assembly.GetName().Version}; eager, inference mode, scaled_dot_product_attention, {get_num_threads()} threads";

    public override IReadOnlyDictionary<string, float[]> Outputs => outputs;

    public override void Run()
    {
        using TorchSharp.DisposeScope scope = NewDisposeScope();
        if (image is not null)
        {
            (Tensor embedding, Tensor groups, Tensor maps) = image.Of(input);
            Copy("embedding", embedding);
            Copy("group_embeddings", groups);
            Copy("maps", maps);
        }
        else
        {
            Copy("projected", text!.Of(input));
        }
    }

    public override void Dispose()
    {
        input.Dispose();
        mode.Dispose();
    }

    // TorchSharp says that a package is missing, whatever the reason; the loader says the reason.
    private static string WhyNot()
    {
        string folder = Path.Combine(AppContext.BaseDirectory, "runtimes", RuntimeInformation.RuntimeIdentifier, "native");
        try
        {
            foreach (string library in (string[])["torch_cpu", "LibTorchSharp"])
            {
                NativeLibrary.Load(Path.Combine(folder, OperatingSystem.IsWindows() ? $"{library}.dll" : $"lib{library}.so"));
            }
            return "TorchSharp could not be initialised";
        }
        catch (DllNotFoundException exception)
        {
            // Without the folder: the message goes into reports.
            Match version = Regex.Match(exception.Message, "version `[^']+' not found");
            return version.Success ? version.Value : exception.Message.Split('\n')[0].Replace(folder, "", StringComparison.Ordinal);
        }
    }

    private void Copy(string name, Tensor value)
    {
        if (!outputs.TryGetValue(name, out float[]? values))
        {
            outputs.Add(name, values = new float[value.numel()]);
        }
        value.contiguous().data<float>().CopyTo(values);
    }
}
