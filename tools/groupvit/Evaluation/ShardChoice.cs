using System.Globalization;

namespace GroupViT.Tool.Evaluation;

/// <summary>Which part of a data set this process counts: given, or told by the scheduler that started it.</summary>
internal readonly record struct ShardChoice(int Index, int Count, string Source)
{
    private const int MaxShards = 65_536;

    /// <param name="shard">"i/n", or null.</param>
    /// <param name="shards">The number of parts, or null; the index then comes from the scheduler.</param>
    /// <param name="environment">Variables of the process.</param>
    /// <exception cref="UsageException">The part cannot be told.</exception>
    public static ShardChoice Read(string? shard, int? shards, Func<string, string?> environment)
    {
        if (shard is not null)
        {
            if (shards is not null)
            {
                throw new UsageException("--shard says how many shards there are; leave out --shards");
            }
            string[] parts = shard.Split('/');
            return parts.Length == 2 && Number(parts[0]) is { } index && Number(parts[1]) is { } count and >= 1 and <= MaxShards && index < count
                ? new ShardChoice(index, count, "--shard")
                : throw new UsageException($"--shard takes INDEX/COUNT with an index from 0 to COUNT - 1, for instance 0/4, not '{shard}'");
        }
        if (environment("SLURM_ARRAY_TASK_ID") is { } task)
        {
            return Slurm(task, shards, environment);
        }
        if (environment("JOB_COMPLETION_INDEX") is { } completion)
        {
            // Kubernetes tells the index but not the number of completions.
            if (shards is not { } count)
            {
                throw new UsageException("JOB_COMPLETION_INDEX is set (an Indexed Job), but not the number of its completions; give it with --shards N");
            }
            return Number(completion) is { } index && index < count
                ? new ShardChoice(index, count, "JOB_COMPLETION_INDEX")
                : throw new UsageException($"JOB_COMPLETION_INDEX is '{completion}', but --shards {count} has 0 to {count - 1} only");
        }
        return shards is null or 1
            ? new ShardChoice(0, 1, "")
            : throw new UsageException($"--shards {shards} needs the index of this one: give --shard INDEX/{shards}, or start it as an Indexed Job (JOB_COMPLETION_INDEX) or a Slurm array (SLURM_ARRAY_TASK_ID)");
    }

    private static ShardChoice Slurm(string task, int? shards, Func<string, string?> environment)
    {
        int id = Variable("SLURM_ARRAY_TASK_ID");
        int least = Variable("SLURM_ARRAY_TASK_MIN");
        int most = Variable("SLURM_ARRAY_TASK_MAX");
        int count = Variable("SLURM_ARRAY_TASK_COUNT");
        if (environment("SLURM_ARRAY_TASK_STEP") is { } step && step != "1" || most - least + 1 != count)
        {
            throw new UsageException($"the Slurm array has gaps ({least} to {most}, {count} tasks): its step must be 1, for instance --array=0-{Math.Max(0, count - 1)}");
        }
        if (shards is { } given && given != count)
        {
            throw new UsageException($"--shards {given}, but the Slurm array has {count} tasks; leave out --shards");
        }
        return id >= least && id <= most && count <= MaxShards
            ? new ShardChoice(id - least, count, "Slurm array")
            : throw new UsageException($"SLURM_ARRAY_TASK_ID {task} is not within {least} to {most}");

        int Variable(string name) => Number(environment(name) ?? "")
            ?? throw new UsageException($"{name} is '{environment(name)}', not a number; Slurm sets it for each task of an array");
    }

    private static int? Number(string text) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value : null;
}
