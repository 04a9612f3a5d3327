using GroupViT.Kernels;
using GroupViT.Kernels.Devices;

namespace GroupViT.Native;

/// <summary>Which position tables prepared programs use, over all workers: one that nobody uses is freed.</summary>
internal sealed class PositionTables(ConstantPool constants)
{
    private readonly Dictionary<string, int> uses = [];
    private readonly Lock gate = new();

    public void Use(Tensor table)
    {
        lock (gate)
        {
            uses[table.Name] = uses.GetValueOrDefault(table.Name) + 1;
        }
    }

    public void Drop(Tensor table)
    {
        lock (gate)
        {
            if (--uses[table.Name] == 0)
            {
                uses.Remove(table.Name);
                constants.Release(table.Name);
            }
        }
    }
}
