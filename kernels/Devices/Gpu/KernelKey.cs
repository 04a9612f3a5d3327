using System.Reflection;
using System.Text;
using ILGPU;

namespace GroupViT.Kernels.Devices;

/// <summary>What a compiled kernel depends on, as a text: the kernels' code, ILGPU, the kernel, its variant and its group, the device, its driver.</summary>
internal static class KernelKey
{
    /// <summary>Raised when what is kept, or how it is made, changes without the code that is hashed.</summary>
    private const int Recipe = 1;

    /// <param name="kernel">Which.</param>
    /// <param name="device">Device and driver, as the driver names them.</param>
    public static string Of(GpuKernel kernel, string device)
    {
        StringBuilder key = new();
        key.Append("recipe ").Append(Recipe).Append('\n');
        // A module's version is derived from its contents (builds are deterministic): the hash of the kernel's code and of all it calls.
        SortedSet<string> modules = [Name(typeof(GpuKernel).Module), Name(typeof(Context).Module)];
        Collect(kernel.Method.DeclaringType!, modules);
        foreach (Type argument in kernel.Method.IsGenericMethod ? kernel.Method.GetGenericArguments() : [])
        {
            Collect(argument, modules);
        }
        foreach (string module in modules)
        {
            key.Append("module ").Append(module).Append('\n');
        }
        // A method's own text names its type arguments without theirs: heads of 16 and of 32 floats would be one kernel.
        key.Append("kernel ").Append(kernel.Method.DeclaringType).Append(" :: ").Append(kernel.Method.Name);
        foreach (Type argument in kernel.Method.IsGenericMethod ? kernel.Method.GetGenericArguments() : [])
        {
            key.Append(", ").Append(argument);
        }
        foreach (ParameterInfo parameter in kernel.Method.GetParameters())
        {
            key.Append("; ").Append(parameter.ParameterType);
        }
        key.Append('\n');
        key.Append("group ").Append(kernel.GroupSize).Append(", at once ").Append(kernel.GroupsAtOnce).Append('\n');
        return key.Append("device ").Append(device).ToString();
    }

    private static string Name(Module module) => $"{module.Name} {module.ModuleVersionId}";

    private static void Collect(Type type, SortedSet<string> modules)
    {
        modules.Add(Name(type.Module));
        foreach (Type argument in type.GenericTypeArguments)
        {
            Collect(argument, modules);
        }
    }
}
