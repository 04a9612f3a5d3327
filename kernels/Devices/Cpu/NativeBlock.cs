using System.Runtime.InteropServices;
using GroupViT.Native;

namespace GroupViT.Kernels.Devices;

/// <summary>Native memory on a cache line boundary, counted by an account.</summary>
/// <remarks>
/// Rounded up to 64 bytes with one vector behind: a vector load that starts inside a tensor may end there.
/// Untouched pages cost nothing: the memory is not cleared.
/// </remarks>
internal sealed unsafe class NativeBlock : IDisposable
{
    public const int Alignment = 64;

    private readonly MemoryAccount account;
    private void* pointer;

    public NativeBlock(long bytes, MemoryAccount account, string purpose)
    {
        Bytes = SizeOf(bytes);
        this.account = account;
        account.Charge(Bytes, purpose);
        try
        {
            pointer = NativeMemory.AlignedAlloc((nuint)Bytes, Alignment);
        }
        catch (OutOfMemoryException exception)
        {
            account.Release(Bytes);
            throw new OutOfDeviceMemoryException(purpose, Bytes, account.InUse, account.InUse, exception);
        }
    }

    ~NativeBlock() => Free();

    public long Bytes { get; }

    public byte* Pointer => (byte*)pointer;

    public static long SizeOf(long bytes) => (bytes + Alignment - 1) / Alignment * Alignment + Alignment;

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        if (pointer is not null)
        {
            NativeMemory.AlignedFree(pointer);
            pointer = null;
            account.Release(Bytes);
        }
    }
}
