using System.Reflection;
using ILGPU;
using ILGPU.Backends;
using ILGPU.Backends.PTX;
using ILGPU.IR;
using ILGPU.IR.Intrinsics;
using ILGPU.IR.Types;
using ILGPU.IR.Values;
using ILGPU.Runtime;
using ILGPU.Util;

namespace GroupViT.Kernels.Devices;

/// <summary>
/// NVIDIA's matrix instructions and what feeds them. On CUDA each method is one PTX instruction (or two); its body here is for the
/// simulator with warps of 32, and follows the lane layouts of the PTX manual (sections on mma.m16n8k16, m16n8k8 and ldmatrix), so that
/// a kernel which runs right there hands every lane what the hardware expects of it.
/// </summary>
/// <remarks>All lanes of a warp must call a method of this class together.</remarks>
internal static class TensorCore
{
    /// <summary>
    /// Four 8 x 8 matrices of 16-bit numbers from shared memory. Lane i gives the address of row i % 8 of matrix i / 8 (16 bytes); it gets
    /// from each matrix the two numbers of row i / 4, columns 2·(i % 4) and the next.
    /// </summary>
    [IntrinsicImplementation]
    public static Words LoadMatrices(ref Words row)
    {
        Words mine = row;
        int lane = Group.IdxX & 31;
        return new Words { X = Gather(mine, lane, 0), Y = Gather(mine, lane, 1), Z = Gather(mine, lane, 2), W = Gather(mine, lane, 3) };
    }

    /// <summary>16 bytes from global to shared memory, on the way until <see cref="WaitForCopies"/>.</summary>
    [IntrinsicImplementation]
    public static void CopyAsync(ref Words shared, ref Words global) => shared = global;

    /// <summary>Closes a batch of copies.</summary>
    [IntrinsicImplementation]
    public static void CommitCopies()
    {
    }

    /// <summary>Waits until this thread's batches have arrived, all but the newest.</summary>
    [IntrinsicImplementation]
    public static void WaitForAllButOne()
    {
    }

    /// <summary>As above, all but the two newest.</summary>
    [IntrinsicImplementation]
    public static void WaitForAllButTwo()
    {
    }

    /// <summary>Waits until all this thread's copies have arrived.</summary>
    [IntrinsicImplementation]
    public static void WaitForCopies()
    {
    }

    /// <summary>Two floats as bfloat16, to nearest even; the first in the lower half.</summary>
    [IntrinsicImplementation]
    public static uint PackBFloat16(float low, float high) => (ToBFloat16(low) & 0xFFFFu) | (ToBFloat16(high) << 16);

    /// <summary>Two floats as float16, to nearest even; the first in the lower half. Beyond 65,519 the result is infinite.</summary>
    [IntrinsicImplementation]
    public static uint PackFloat16(float low, float high) => ToFloat16(low) | (ToFloat16(high) << 16);

    /// <summary>As <see cref="PackFloat16"/>, by instructions that compute 7.5 has.</summary>
    [IntrinsicImplementation]
    public static uint PackFloat16Each(float low, float high) => ToFloat16(low) | (ToFloat16(high) << 16);

    /// <summary>A float with 10 bits of fraction, to nearest, ties away from zero.</summary>
    [IntrinsicImplementation]
    public static uint ToTensorFloat32(float value) => (Interop.FloatAsInt(value) + 0x1000u) & 0xFFFFE000u;

    /// <summary>c + A·B: 16 x 16 by 16 x 8, bfloat16.</summary>
    [IntrinsicImplementation]
    public static Quad MultiplyBFloat16(Quad c, uint a0, uint a1, uint a2, uint a3, uint b0, uint b1)
        => PairProduct.Multiply<BFloat16Decoder>(PairProduct.Multiply<BFloat16Decoder>(c, a0, a1, b0), a2, a3, b1);

    /// <summary>c + A·B: 16 x 16 by 16 x 8, float16.</summary>
    [IntrinsicImplementation]
    public static Quad MultiplyFloat16(Quad c, uint a0, uint a1, uint a2, uint a3, uint b0, uint b1)
        => PairProduct.Multiply<Float16Decoder>(PairProduct.Multiply<Float16Decoder>(c, a0, a1, b0), a2, a3, b1);

    /// <summary>c + A·B: 16 x 8 by 8 x 8, float16: the widest that compute 7.5 has.</summary>
    [IntrinsicImplementation]
    public static Quad MultiplyFloat16K8(Quad c, uint a0, uint a1, uint b0) => PairProduct.Multiply<Float16Decoder>(c, a0, a1, b0);

    /// <summary>
    /// c + A·B: 16 x 8 by 8 x 8, TensorFloat32. Lane i holds of A the rows i / 4 and i / 4 + 8, columns i % 4 (a0, a1) and i % 4 + 4 (a2, a3);
    /// of B the column i / 4, rows i % 4 (b0) and i % 4 + 4 (b1).
    /// </summary>
    [IntrinsicImplementation]
    public static Quad MultiplyTensorFloat32(Quad c, uint a0, uint a1, uint a2, uint a3, uint b0, uint b1)
    {
        int lane = Group.IdxX & 31;
        int first = (lane & 3) * 8;
        for (int i = 0; i < 8; i++)
        {
            int part = i & 3;
            ulong rows = Warp.Shuffle(Both(i < 4 ? a0 : a2, i < 4 ? a1 : a3), (lane & ~3) + part);
            float upper = Interop.IntAsFloat((uint)rows);
            float lower = Interop.IntAsFloat((uint)(rows >> 32));
            float left = Interop.IntAsFloat(Warp.Shuffle(i < 4 ? b0 : b1, first + part));
            float right = Interop.IntAsFloat(Warp.Shuffle(i < 4 ? b0 : b1, first + 4 + part));
            c.X += upper * left;
            c.Y += upper * right;
            c.Z += lower * left;
            c.W += lower * right;
        }
        return c;
    }

    // Word lane % 4 of row lane / 4 of one matrix: the row lies with lane 8·matrix + lane / 4.
    private static uint Gather(Words mine, int lane, int matrix)
    {
        int source = matrix * 8 + (lane >> 2);
        ulong first = Warp.Shuffle(Both(mine.X, mine.Y), source);
        ulong second = Warp.Shuffle(Both(mine.Z, mine.W), source);
        ulong half = (lane & 2) == 0 ? first : second;
        return (uint)((lane & 1) == 0 ? half : half >> 32);
    }

    // The simulator pays for each shuffle, not for its width.
    internal static ulong Both(uint low, uint high) => low | ((ulong)high << 32);

    private static uint ToBFloat16(float value)
    {
        uint bits = Interop.FloatAsInt(value);
        return GpuMath.IsNaN(value) ? (bits >> 16) | 0x40u : (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
    }

    private static uint ToFloat16(float value)
    {
        uint bits = Interop.FloatAsInt(value);
        uint sign = (bits >> 16) & 0x8000u;
        uint magnitude = bits & 0x7FFFFFFFu;
        if (magnitude > 0x7F800000u)
        {
            return sign | 0x7E00u;
        }
        if (magnitude >= 0x477FF000u)
        {
            return sign | 0x7C00u;
        }
        if (magnitude < 0x38800000u)
        {
            // In units of 2^-24; adding 0.5 as a float of that exponent rounds to nearest even.
            return sign | (Interop.FloatAsInt(Interop.IntAsFloat(magnitude) + 0.5f) & 0x7FFFu);
        }
        return sign | ((magnitude - 0x38000000u + 0xFFFu + ((magnitude >> 13) & 1u)) >> 13);
    }

    // Names of registers that generators declare: unique over all kernels.
    private static int addresses;

    /// <summary>Once per context, as <see cref="GpuIntrinsics.Register"/>.</summary>
    public static void Register(IntrinsicImplementationManager manager)
    {
        Add(manager, nameof(LoadMatrices), nameof(WriteLoadMatrices));
        Add(manager, nameof(CopyAsync), nameof(WriteCopyAsync));
        Add(manager, nameof(CommitCopies), nameof(WriteCommitCopies));
        Add(manager, nameof(WaitForAllButOne), nameof(WriteWaitForAllButOne));
        Add(manager, nameof(WaitForAllButTwo), nameof(WriteWaitForAllButTwo));
        Add(manager, nameof(WaitForCopies), nameof(WriteWaitForCopies));
        Add(manager, nameof(PackBFloat16), nameof(WritePackBFloat16));
        Add(manager, nameof(PackFloat16), nameof(WritePackFloat16));
        Add(manager, nameof(PackFloat16Each), nameof(WritePackFloat16Each));
        Add(manager, nameof(ToTensorFloat32), nameof(WriteToTensorFloat32));
        Add(manager, nameof(MultiplyBFloat16), nameof(WriteMultiplyBFloat16));
        Add(manager, nameof(MultiplyFloat16), nameof(WriteMultiplyFloat16));
        Add(manager, nameof(MultiplyFloat16K8), nameof(WriteMultiplyFloat16K8));
        Add(manager, nameof(MultiplyTensorFloat32), nameof(WriteMultiplyTensorFloat32));
    }

    private static void Add(IntrinsicImplementationManager manager, string name, string generator)
        => manager.RegisterMethod(
            typeof(TensorCore).GetMethod(name, BindingFlags.Public | BindingFlags.Static)!,
            new PTXIntrinsic(typeof(TensorCore), generator, IntrinsicImplementationMode.GenerateCode));

    private static void WriteLoadMatrices(PTXBackend backend, PTXCodeGenerator generator, Value call)
    {
        string address = Address(generator, call[0], "shared");
        generator.Builder.AppendLine($"\tldmatrix.sync.aligned.m8n8.x4.shared.b16 {Result(generator, call)}, [{address}];");
    }

    private static void WriteCopyAsync(PTXBackend backend, PTXCodeGenerator generator, Value call)
    {
        string shared = Address(generator, call[0], "shared");
        string global = Address(generator, call[1], "global");
        generator.Builder.AppendLine($"\tcp.async.cg.shared.global [{shared}], [{global}], 16;");
    }

    private static void WriteCommitCopies(PTXBackend backend, PTXCodeGenerator generator, Value call)
        => generator.Builder.AppendLine("\tcp.async.commit_group;");

    private static void WriteWaitForCopies(PTXBackend backend, PTXCodeGenerator generator, Value call)
        => generator.Builder.AppendLine("\tcp.async.wait_group 0;");

    private static void WriteWaitForAllButOne(PTXBackend backend, PTXCodeGenerator generator, Value call)
        => generator.Builder.AppendLine("\tcp.async.wait_group 1;");

    private static void WriteWaitForAllButTwo(PTXBackend backend, PTXCodeGenerator generator, Value call)
        => generator.Builder.AppendLine("\tcp.async.wait_group 2;");

    // The instruction's first operand becomes the upper half.
    private static void WritePackBFloat16(PTXBackend backend, PTXCodeGenerator generator, Value call)
        => WritePack(generator, call, "cvt.rn.bf16x2.f32");

    private static void WritePackFloat16(PTXBackend backend, PTXCodeGenerator generator, Value call)
        => WritePack(generator, call, "cvt.rn.f16x2.f32");

    private static void WritePack(PTXCodeGenerator generator, Value call, string instruction)
    {
        (string low, string high) = (Operand(generator, call, 0), Operand(generator, call, 1));
        generator.Builder.AppendLine($"\t{instruction} {Single(generator, call)}, {high}, {low};");
    }

    private static void WritePackFloat16Each(PTXBackend backend, PTXCodeGenerator generator, Value call)
    {
        (string low, string high) = (Operand(generator, call, 0), Operand(generator, call, 1));
        generator.Builder.AppendLine(
            $"\t{{ .reg .b16 low, high; cvt.rn.f16.f32 low, {low}; cvt.rn.f16.f32 high, {high}; mov.b32 {Single(generator, call)}, {{low, high}}; }}");
    }

    private static void WriteToTensorFloat32(PTXBackend backend, PTXCodeGenerator generator, Value call)
    {
        string value = Operand(generator, call, 0);
        generator.Builder.AppendLine($"\tcvt.rna.tf32.f32 {Single(generator, call)}, {value};");
    }

    private static void WriteMultiplyBFloat16(PTXBackend backend, PTXCodeGenerator generator, Value call)
        => WriteMultiply(generator, call, "m16n8k16.row.col.f32.bf16.bf16.f32", 4, 2);

    private static void WriteMultiplyFloat16(PTXBackend backend, PTXCodeGenerator generator, Value call)
        => WriteMultiply(generator, call, "m16n8k16.row.col.f32.f16.f16.f32", 4, 2);

    private static void WriteMultiplyFloat16K8(PTXBackend backend, PTXCodeGenerator generator, Value call)
        => WriteMultiply(generator, call, "m16n8k8.row.col.f32.f16.f16.f32", 2, 1);

    private static void WriteMultiplyTensorFloat32(PTXBackend backend, PTXCodeGenerator generator, Value call)
        => WriteMultiply(generator, call, "m16n8k8.row.col.f32.tf32.tf32.f32", 4, 2);

    private static void WriteMultiply(PTXCodeGenerator generator, Value call, string shape, int a, int b)
    {
        string c = Fields(generator, generator.Load(call[0]));
        string left = string.Join(", ", Enumerable.Range(1, a).Select(i => Operand(generator, call, i)));
        string right = string.Join(", ", Enumerable.Range(1 + a, b).Select(i => Operand(generator, call, i)));
        generator.Builder.AppendLine($"\tmma.sync.aligned.{shape} {Result(generator, call)}, {{{left}}}, {{{right}}}, {c};");
    }

    private static string Name(PTXRegisterAllocator.HardwareRegister register)
        => "%" + PTXRegisterAllocator.GetStringRepresentation(register).TrimStart('%');

    internal static string Operand(PTXCodeGenerator generator, Value call, int index)
        => Name(generator.EnsureHardwareRegister(generator.LoadPrimitive(call[index])));

    internal static string Single(PTXCodeGenerator generator, Value call) => Name(generator.AllocateHardware(call));

    private static string Result(PTXCodeGenerator generator, Value call) => Fields(generator, generator.Allocate(call));

    private static string Fields(PTXCodeGenerator generator, RegisterAllocator<PTXRegisterKind>.Register register)
        => "{" + string.Join(", ", ((RegisterAllocator<PTXRegisterKind>.CompoundRegister)register).Children
            .Select(child => Name(generator.EnsureHardwareRegister((RegisterAllocator<PTXRegisterKind>.PrimitiveRegister)child)))) + "}";

    // An address in its own window, as 64 bits. A generic one is converted first.
    private static string Address(PTXCodeGenerator generator, Value pointer, string space)
    {
        string register = Name(generator.LoadHardware(pointer));
        MemoryAddressSpace actual = ((AddressSpaceType)pointer.Type).AddressSpace;
        if (actual != MemoryAddressSpace.Generic)
        {
            return register;
        }
        string target = $"{space}{++addresses}";
        generator.Builder.AppendLine($"\t.reg .b64 {target}; cvta.to.{space}.u64 {target}, {register};");
        return target;
    }
}

/// <summary>What a 16-bit word is worth, for the emulation.</summary>
internal interface IPairDecoder
{
    static abstract float Low(uint pair);

    static abstract float High(uint pair);
}

internal readonly struct BFloat16Decoder : IPairDecoder
{
    public static float Low(uint pair) => Halves.LowBFloat16(pair);

    public static float High(uint pair) => Halves.HighBFloat16(pair);
}

internal readonly struct Float16Decoder : IPairDecoder
{
    public static float Low(uint pair) => Halves.LowFloat16(pair);

    public static float High(uint pair) => Halves.HighFloat16(pair);
}

/// <summary>
/// mma.m16n8k8 on 16-bit numbers, by shuffles. Lane i holds of A the rows i / 4 (a0) and i / 4 + 8 (a1), columns 2·(i % 4) and the next; of
/// B the column i / 4, rows 2·(i % 4) and the next; of C the rows i / 4 (X, Y) and i / 4 + 8 (Z, W), columns 2·(i % 4) and the next.
/// m16n8k16 is this twice: a2, a3 and b1 are the same for columns (rows of B) 8 further.
/// </summary>
internal static class PairProduct
{
    public static Quad Multiply<TDecoder>(Quad c, uint a0, uint a1, uint b0)
        where TDecoder : struct, IPairDecoder
    {
        int lane = Group.IdxX & 31;
        int row = lane & ~3;
        int column = (lane & 3) * 8;
        for (int part = 0; part < 4; part++)
        {
            ulong rows = Warp.Shuffle(TensorCore.Both(a0, a1), row + part);
            uint upper = (uint)rows;
            uint lower = (uint)(rows >> 32);
            uint left = Warp.Shuffle(b0, column + part);
            uint right = Warp.Shuffle(b0, column + 4 + part);
            c.X += TDecoder.Low(upper) * TDecoder.Low(left);
            c.X += TDecoder.High(upper) * TDecoder.High(left);
            c.Y += TDecoder.Low(upper) * TDecoder.Low(right);
            c.Y += TDecoder.High(upper) * TDecoder.High(right);
            c.Z += TDecoder.Low(lower) * TDecoder.Low(left);
            c.Z += TDecoder.High(lower) * TDecoder.High(left);
            c.W += TDecoder.Low(lower) * TDecoder.Low(right);
            c.W += TDecoder.High(lower) * TDecoder.High(right);
        }
        return c;
    }
}
