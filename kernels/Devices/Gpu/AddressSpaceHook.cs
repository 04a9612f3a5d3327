using ILGPU.Backends;
using ILGPU.IR;
using ILGPU.IR.Transformations;
using ILGPU.IR.Types;

namespace GroupViT.Kernels.Devices;

/// <summary>
/// Adds address-space inference to ILGPU's O1: kernel views live in global memory, so loads and stores need not be generic.
/// </summary>
/// <remarks>
/// At O1 alone pointers stay generic, and the assembler keeps local arrays in memory. O2 would infer the spaces, but moves loads past
/// barriers. See docs/gpu.md.
/// </remarks>
internal sealed class AddressSpaceHook : IBackendHook
{
    public void FinishedCodeGeneration(IRContext context, Method entryPoint)
    {
    }

    public void InitializedKernelContext(IRContext kernelContext, Method kernelMethod)
    {
    }

    public void OptimizedKernelContext(IRContext kernelContext, Method kernelMethod)
    {
        Transformer.Builder builder = Transformer.CreateBuilder(TransformerConfiguration.Empty);
        builder.Add(new InferKernelAddressSpaces(MemoryAddressSpace.Global));
        builder.Add(new LowerStructures());
        builder.Add(new DeadCodeElimination());
        builder.Add(new InferLocalAddressSpaces());
        builder.Add(new SimplifyControlFlow());
        builder.Add(new DeadCodeElimination());
        kernelContext.Transform(builder.ToTransformer());
    }
}
