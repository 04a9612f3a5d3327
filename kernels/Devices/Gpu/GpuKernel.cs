using System.Reflection;
using System.Text;
using ILGPU;
using ILGPU.Backends;
using ILGPU.Backends.EntryPoints;
using ILGPU.Runtime;

namespace GroupViT.Kernels.Devices;

/// <summary>A kernel as it is compiled: the method, and the threads of its groups.</summary>
/// <param name="Method">Closed over its type arguments.</param>
/// <param name="GroupSize">Threads of a group; 0 for a kernel without groups, one thread per index.</param>
internal sealed record GpuKernel(MethodInfo Method, int GroupSize)
{
    /// <summary>Small groups spread a launch of a few thousand threads over all multiprocessors; 32 groups of 64 still fill one.</summary>
    public const int FlatGroupSize = 64;

    /// <summary>Groups that a multiprocessor must have room for, which bounds the registers of a thread; 0 leaves them to the assembler.</summary>
    public int GroupsAtOnce { get; init; }

    public string Name => NameOf(Method);

    public static GpuKernel Flat(MethodInfo method) => new(method, 0);

    /// <summary>What ILGPU needs to know of it to pass arguments.</summary>
    public EntryPointDescription Entry => GroupSize == 0 ? EntryPointDescription.FromImplicitlyGroupedKernel(Method) : EntryPointDescription.FromExplicitlyGroupedKernel(Method);

    public KernelSpecialization Specialization(DeviceKind kind)
        => GroupSize > 0 ? new KernelSpecialization(GroupSize, GroupsAtOnce == 0 ? null : GroupsAtOnce)
        : kind == DeviceKind.Simulator ? default
        : new KernelSpecialization(FlatGroupSize, null);

    public CompiledKernel Compile(Backend backend, DeviceKind kind) => backend.Compile(Entry, Specialization(kind), new AddressSpaceHook());

    /// <summary>Folder and variant: MatMul.Kernel&lt;Quad, AlignedQuads, GpuGelu&gt;.</summary>
    public static string NameOf(MethodInfo method)
    {
        StringBuilder name = new(method.DeclaringType!.Name);
        name.Append('.').Append(method.Name);
        if (method.IsGenericMethod)
        {
            name.Append('<').AppendJoin(", ", method.GetGenericArguments().Select(NameOf)).Append('>');
        }
        return name.ToString();
    }

    // Pair<Pair<Quad>> is sixteen floats: registers, said shortly.
    private static string NameOf(Type type)
    {
        int doublings = 0;
        while (type.IsGenericType && type.GetGenericTypeDefinition() == typeof(Pair<>))
        {
            type = type.GetGenericArguments()[0];
            doublings++;
        }
        return doublings > 0 ? $"{4 << doublings} floats"
            : type.IsGenericType ? $"{type.Name[..type.Name.IndexOf('`', StringComparison.Ordinal)]}<{string.Join(", ", type.GetGenericArguments().Select(NameOf))}>"
            : type.Name;
    }
}
