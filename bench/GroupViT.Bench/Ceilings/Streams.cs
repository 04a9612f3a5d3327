using GroupViT.Kernels;
using GroupViT.Kernels.Devices;
using ILGPU;

namespace GroupViT.Bench.Ceilings;

/// <summary>What a kernel that streams through memory is given. All counts are of quads, 16 bytes.</summary>
/// <param name="target">Written, or of the kernel that reads: a number for every thread.</param>
/// <param name="first">Read.</param>
/// <param name="second">Read too.</param>
/// <param name="begin">Where a thread begins, times its number.</param>
/// <param name="step">From one of a thread's quads to its next.</param>
/// <param name="steps">Blocks of four quads that a thread takes in a pass.</param>
/// <param name="passes">How often it does.</param>
internal readonly struct StreamArguments(ArrayView<float> target, ArrayView<float> first, ArrayView<float> second, int begin, int step, int steps, int passes)
{
    public readonly ArrayView<float> Target = target;
    public readonly ArrayView<float> First = first;
    public readonly ArrayView<float> Second = second;
    public readonly int Begin = begin;
    public readonly int Step = step;
    public readonly int Steps = steps;
    public readonly int Passes = passes;
}

/// <summary>
/// Streams through memory: reading, copying, and the triad a = b + s·c. Each thread moves 16 bytes at a time and has four such accesses of
/// each stream on their way, at least: with 640 threads 40 KiB a multiprocessor, where latency times bandwidth of the fastest memory (0.8 us,
/// 4.8 TB/s, 132 multiprocessors) is 29.
/// </summary>
/// <remarks>
/// On a GPU neighbouring threads take neighbouring quads and all move on together (begin 1, step = threads); a processor's threads take a
/// piece each, from its begin to its end (step 1).
/// </remarks>
internal static class Streams
{
    /// <summary>Quads that a thread takes in a step.</summary>
    public const int Unrolled = 4;

    public const float Scale = 0.5f;

    /// <summary>Every quad once in a pass; the thread's sum is stored, so that all of them are needed.</summary>
    public static void Read(Index1D index, StreamArguments args)
    {
        ArrayView<Quad> source = args.First.Cast<Quad>();
        Quad a = default;
        Quad b = default;
        Quad c = default;
        Quad d = default;
        for (int pass = 0; pass < args.Passes; pass++)
        {
            int at = index * args.Begin;
            for (int i = 0; i < args.Steps; i++)
            {
                a = Quad.Add(a, source[at]);
                b = Quad.Add(b, source[at + args.Step]);
                c = Quad.Add(c, source[at + 2 * args.Step]);
                d = Quad.Add(d, source[at + 3 * args.Step]);
                at += 4 * args.Step;
            }
        }
        args.Target[index] = Quad.Add(Quad.Add(a, b), Quad.Add(c, d)).Sum();
    }

    public static void Copy(Index1D index, StreamArguments args)
    {
        ArrayView<Quad> source = args.First.Cast<Quad>();
        ArrayView<Quad> target = args.Target.Cast<Quad>();
        for (int pass = 0; pass < args.Passes; pass++)
        {
            int at = index * args.Begin;
            for (int i = 0; i < args.Steps; i++)
            {
                Quad a = source[at];
                Quad b = source[at + args.Step];
                Quad c = source[at + 2 * args.Step];
                Quad d = source[at + 3 * args.Step];
                target[at] = a;
                target[at + args.Step] = b;
                target[at + 2 * args.Step] = c;
                target[at + 3 * args.Step] = d;
                at += 4 * args.Step;
            }
        }
    }

    public static void Triad(Index1D index, StreamArguments args)
    {
        ArrayView<Quad> first = args.First.Cast<Quad>();
        ArrayView<Quad> second = args.Second.Cast<Quad>();
        ArrayView<Quad> target = args.Target.Cast<Quad>();
        for (int pass = 0; pass < args.Passes; pass++)
        {
            int at = index * args.Begin;
            for (int i = 0; i < args.Steps; i++)
            {
                Quad a = Quad.MultiplyAdd(second[at], Scale, first[at]);
                Quad b = Quad.MultiplyAdd(second[at + args.Step], Scale, first[at + args.Step]);
                Quad c = Quad.MultiplyAdd(second[at + 2 * args.Step], Scale, first[at + 2 * args.Step]);
                Quad d = Quad.MultiplyAdd(second[at + 3 * args.Step], Scale, first[at + 3 * args.Step]);
                target[at] = a;
                target[at + args.Step] = b;
                target[at + 2 * args.Step] = c;
                target[at + 3 * args.Step] = d;
                at += 4 * args.Step;
            }
        }
    }

    /// <summary>Gives memory values, and on some systems pages: small integers that depend on the place.</summary>
    public static void Fill(Index1D index, StreamArguments args)
    {
        ArrayView<Quad> target = args.Target.Cast<Quad>();
        int at = index * args.Begin;
        for (int i = 0; i < args.Steps * Unrolled; i++)
        {
            target[at] = new Quad { X = Value(at), Y = Value(at + 1), Z = Value(at + 2), W = Value(at + 3) };
            at += args.Step;
        }
    }

    /// <summary>Of a quad's float: its quad's number and its own, added.</summary>
    public static int Value(int place) => place & 15;
}
