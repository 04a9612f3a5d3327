using System.Reflection;

namespace GroupViT.Fuzz;

/// <summary>
/// One parser under fuzzing: what it is fed, how its files are damaged, how far a mutant came, and what it may cost. A further parser
/// is a further subclass with a folder of seeds under corpus/ and a line in <see cref="TargetList"/>.
/// </summary>
internal abstract class FuzzTarget
{
    private IReadOnlyList<byte[]>? _seeds;

    /// <summary>The name on the command line, and of the folder under corpus/.</summary>
    public abstract string Name { get; }

    /// <summary>How far a mutant can come, in order; the last is "accepted".</summary>
    public abstract IReadOnlyList<string> Stages { get; }

    /// <summary>The first of <see cref="Stages"/> that lies behind the format's magic and header.</summary>
    public abstract int FirstStagePastHeader { get; }

    /// <summary>Files that the parser accepts.</summary>
    public IReadOnlyList<byte[]> Seeds => _seeds ??= LoadSeeds();

    /// <summary>A damaged file.</summary>
    /// <param name="random">The only source of chance: the same state gives the same mutant.</param>
    /// <param name="parent">A seed, or an earlier mutant that went a new way. Not to be changed.</param>
    /// <param name="other">Another one, to splice with.</param>
    public abstract byte[] Mutate(Random random, byte[] parent, byte[] other);

    /// <summary>
    /// Feeds the parser and looks at what it gives back. Returns if it accepts the file; throws the parser's typed error if it refuses it, and
    /// <see cref="FuzzViolationException"/> if what it accepted cannot be. Any other exception is a finding.
    /// </summary>
    public abstract void Parse(byte[] input);

    /// <summary>Whether the exception is the parser's own way to refuse a file.</summary>
    public abstract bool IsRefusal(Exception exception);

    /// <summary>The most bytes that parsing this file may allocate on the managed heap, from first to last.</summary>
    public abstract long AllocationBound(byte[] input);

    /// <summary>Index into <see cref="Stages"/>, judged apart from the parser as far as that is possible.</summary>
    /// <param name="input">The mutant.</param>
    /// <param name="refusal">The typed error, or null if the file was accepted.</param>
    public abstract int Stage(byte[] input, Exception? refusal);

    /// <summary>What a refusal is about, to tell new ways from old: its message without names, quotations and numbers.</summary>
    public virtual string Kind(Exception refusal) => refusal.Message;

    protected static void Require(bool condition, string violated)
    {
        if (!condition)
        {
            throw new FuzzViolationException(violated);
        }
    }

    protected virtual IReadOnlyList<byte[]> LoadSeeds()
    {
        Assembly assembly = typeof(FuzzTarget).Assembly;
        List<byte[]> seeds = [];
        // Windows writes the folder's separator into the resource's name.
        foreach (string name in assembly.GetManifestResourceNames().Where(n => n.Replace('\\', '/').StartsWith($"corpus/{Name}/", StringComparison.Ordinal)).Order(StringComparer.Ordinal))
        {
            using Stream stream = assembly.GetManifestResourceStream(name)!;
            byte[] seed = new byte[stream.Length];
            stream.ReadExactly(seed);
            seeds.Add(seed);
        }
        return seeds.Count > 0 ? seeds : throw new InvalidOperationException($"the corpus has no seeds for {Name}");
    }
}

/// <summary>The parser accepted a file and gave back something that no valid file has.</summary>
internal sealed class FuzzViolationException(string message) : Exception(message);
