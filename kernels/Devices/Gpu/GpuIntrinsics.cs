using System.Reflection;
using ILGPU;
using ILGPU.Backends.OpenCL;
using ILGPU.Backends.PTX;
using ILGPU.IR;
using ILGPU.IR.Intrinsics;
using ILGPU.Util;

namespace GroupViT.Kernels.Devices;

/// <summary>What kernels say to the hardware directly.</summary>
internal static class GpuIntrinsics
{
    /// <summary>
    /// a·b + c, rounded once on a GPU. ILGPU's OpenCL text has one statement per operation, which no compiler may fuse; CUDA's assembler
    /// fuses by itself, but which of two products with a sum is its choice, and two kernels that must agree in their bits cannot leave it that.
    /// On the simulator the product is exact and the sum float64's, which is the same but for a rare second rounding.
    /// </summary>
    [IntrinsicImplementation]
    public static float MultiplyAdd(float a, float b, float c) => (float)((double)a * b + c);

    /// <summary>
    /// Waits for the whole group; what it wrote to shared memory is then visible to all. ILGPU's own barrier fences only global memory
    /// on OpenCL, which leaves shared memory to the device's good will.
    /// </summary>
    [IntrinsicImplementation]
    public static void Synchronize() => Group.Barrier();

    /// <summary>Once per context, before its first accelerator is made: a back end takes over what is known at its birth.</summary>
    public static void Register(Context context)
    {
        IntrinsicImplementationManager manager = context.GetIntrinsicManager();
        manager.RegisterMethod(Method(nameof(MultiplyAdd)), OpenCL(nameof(WriteMultiplyAdd)));
        manager.RegisterMethod(Method(nameof(MultiplyAdd)), CudaText(nameof(WritePtxMultiplyAdd)));
        manager.RegisterMethod(Method(nameof(Synchronize)), OpenCL(nameof(WriteSynchronize)));
        manager.RegisterMethod(Method(nameof(Synchronize)), Cuda(nameof(PlainSynchronize)));
        TensorCore.Register(manager);
    }

    // An intrinsic's own body is for the simulator alone; this is compiled in its place for CUDA.
    private static void PlainSynchronize() => Group.Barrier();

    private static MethodInfo Method(string name) => typeof(GpuIntrinsics).GetMethod(name)!;

    private static PTXIntrinsic Cuda(string replacement) => new(typeof(GpuIntrinsics), replacement, IntrinsicImplementationMode.Redirect);

    private static PTXIntrinsic CudaText(string generator) => new(typeof(GpuIntrinsics), generator, IntrinsicImplementationMode.GenerateCode);

    private static CLIntrinsic OpenCL(string generator)
        => new(typeof(GpuIntrinsics), generator, IntrinsicImplementationMode.GenerateCode);

    private static void WritePtxMultiplyAdd(PTXBackend backend, PTXCodeGenerator generator, Value call)
    {
        // Named first: what brings a constant into a register is appended at once.
        string[] operands = [.. Enumerable.Range(0, 3).Select(i => TensorCore.Operand(generator, call, i))];
        generator.Builder.AppendLine($"\tfma.rn.f32 {TensorCore.Single(generator, call)}, {string.Join(", ", operands)};");
    }

    private static void WriteMultiplyAdd(CLBackend backend, CLCodeGenerator generator, Value call)
    {
        var a = generator.Load(call[0]);
        var b = generator.Load(call[1]);
        var c = generator.Load(call[2]);
        using var statement = generator.BeginStatement(generator.Allocate(call));
        statement.AppendCommand("fma");
        statement.BeginArguments();
        statement.AppendArgument(a);
        statement.AppendArgument(b);
        statement.AppendArgument(c);
        statement.EndArguments();
    }

    private static void WriteSynchronize(CLBackend backend, CLCodeGenerator generator, Value call)
    {
        using var statement = generator.BeginStatement("barrier");
        statement.BeginArguments();
        statement.AppendArgument();
        statement.AppendCommand("CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE");
        statement.EndArguments();
    }
}
