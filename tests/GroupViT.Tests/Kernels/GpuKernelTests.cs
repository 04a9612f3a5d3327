using System.Reflection;
using GroupViT.Kernels;
using GroupViT.Kernels.Devices;
using ILGPU;
using ILGPU.Backends;
using ILGPU.Backends.EntryPoints;
using ILGPU.Backends.PTX;
using ILGPU.Runtime;
using ILGPU.Runtime.CPU;
using ILGPU.Runtime.Cuda;
using Vector16 = GroupViT.Kernels.Devices.Pair<GroupViT.Kernels.Devices.Pair<GroupViT.Kernels.Devices.Quad>>;
using Vector64 = GroupViT.Kernels.Devices.Pair<GroupViT.Kernels.Devices.Pair<GroupViT.Kernels.Devices.Pair<GroupViT.Kernels.Devices.Pair<GroupViT.Kernels.Devices.Quad>>>>;

namespace GroupViT.Tests.Kernels;

/// <summary>What CUDA would be given, made without a GPU: a mistake in it is found here, not on the first machine that has one.</summary>
internal sealed class GpuKernelTests
{
    private static IEnumerable<TestCaseData> Kernels
    {
        get
        {
            foreach (Type type in (Type[])
                [
                    typeof(GpuAdd), typeof(GpuGatherRows), typeof(GpuPatchUnfold), typeof(GpuMeanRows), typeof(GpuArgMaxColumns),
                    typeof(GpuResampleBilinear), typeof(GpuPixelGroups),
                ])
            {
                yield return Case(type, "Kernel");
            }
            yield return Case(typeof(GpuPixelLabels), "FromGroups");
            yield return Case(typeof(GpuPixelLabels), "FromMaps");
            yield return Case(typeof(GpuGroupAssign), "Choose");
            yield return Case(typeof(GpuGroupAssign), "Average");
            yield return Case(typeof(GpuLayerNorm), "Kernel", typeof(WideGroup));
            yield return Case(typeof(GpuSoftmax), "Kernel", typeof(WideGroup));
            yield return Case(typeof(GpuNormalizeRows), "Kernel", typeof(WideGroup));
            foreach (Type access in (Type[])[typeof(AlignedQuads), typeof(BoundedQuads)])
            {
                foreach (Type activation in (Type[])[typeof(GpuNoActivation), typeof(GpuGelu), typeof(GpuQuickGelu), typeof(GpuRelu)])
                {
                    yield return Case(typeof(GpuMatMul), "Kernel", typeof(Quad), access, activation);
                }
                yield return Case(typeof(GpuAttention), "Kernel", typeof(Vector16), access);
            }
            yield return Case(typeof(GpuAttention), "Kernel", typeof(Vector64), typeof(AlignedQuads));
        }
    }

    [TestCaseSource(nameof(Kernels))]
    public void A_kernel_compiles_for_CUDA_without_local_memory_or_calls(MethodInfo kernel)
    {
        using Context context = Context.Create(builder => builder.CPU());
        GpuIntrinsics.Register(context);
        using PTXBackend backend = new(context, new CudaArchitecture(9, 0), CudaInstructionSet.ISA_80, null!);
        bool flat = kernel.GetParameters()[0].ParameterType == typeof(Index1D);
        EntryPointDescription entry = flat
            ? EntryPointDescription.FromImplicitlyGroupedKernel(kernel)
            : EntryPointDescription.FromExplicitlyGroupedKernel(kernel);
        string text = ((PTXCompiledKernel)backend.Compile(entry, new KernelSpecialization(64, null), new AddressSpaceHook())).PTXAssembly;
        Assert.That(text, Does.Contain(".entry"));
        Assert.That(text, Does.Not.Contain(".local"), "an array or a struct that was not taken apart");
        Assert.That(text, Does.Not.Contain("call"), "a function that was not inlined");
        Assert.That(text, Does.Not.Match(@"\bld\.f32|\bst\.f32"), "an access without an address space");
        Assert.That(text.Contains("bar.sync", StringComparison.Ordinal), Is.EqualTo(!flat), "the groups' barrier");
    }

    private static TestCaseData Case(Type type, string name, params Type[] arguments)
    {
        MethodInfo method = type.GetMethod(name, BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic)!;
        return new TestCaseData(arguments.Length == 0 ? method : method.MakeGenericMethod(arguments));
    }
}

/// <summary>What running a prepared step costs the host.</summary>
[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.All))]
internal sealed class StepAllocationTests(TestDevice device)
{
    [Test]
    public void Running_a_prepared_step_allocates_nothing()
    {
        if (device.IsSlow)
        {
            Assert.Ignore("the simulator is ILGPU's own, and starts tasks for every launch");
        }
        Tensor x = Tensor.Float("x", 1, 4, 16);
        Tensor y = Tensor.Float("y", 1, 4, 16);
        Tensor constant = Tensor.Constant("ones", 1, 16, values => values.Fill(1));
        Dictionary<Tensor, long> offsets = new() { [x] = 0, [y] = 256 };
        MemoryAccount account = new();
        using ConstantPool constants = device.Device.CreateConstants(account);
        using Worker worker = device.Device.CreateWorker(account, constants, 1);
        worker.AllocateArena(512);
        worker.Upload<float>(new float[64], 0);
        Step[] steps =
        [
            worker.Prepare(new Add(x, null, y), offsets),
            worker.Prepare(new LayerNorm(x, constant, constant, y, 1e-5f), offsets),
        ];
        worker.CommitScratch();
        Run(worker, steps, 100);
        long least = long.MaxValue;
        for (int i = 0; i < 5; i++)
        {
            long before = GC.GetTotalAllocatedBytes(precise: true);
            Run(worker, steps, 1000);
            least = Math.Min(least, GC.GetTotalAllocatedBytes(precise: true) - before);
        }
        // Other threads of the process (a timer, the test runner) may allocate meanwhile, but not in each of five tries.
        Assert.That(least, Is.Zero);
    }

    private static void Run(Worker worker, Step[] steps, int times)
    {
        for (int i = 0; i < times; i++)
        {
            foreach (Step step in steps)
            {
                step.Run();
            }
        }
        worker.Synchronize();
    }
}
