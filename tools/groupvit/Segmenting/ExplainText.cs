using System.Globalization;
using GroupViT.Native;

namespace GroupViT.Tool.Segmenting;

/// <summary>An explanation in a few sentences.</summary>
internal static class ExplainText
{
    // Of labels that nobody asked for by name and that won nothing.
    private const int MaxOthers = 10;

    /// <param name="explanation">The facts.</param>
    /// <param name="bank">The labels.</param>
    /// <param name="pixels">Pixels of the picture.</param>
    /// <param name="asked">Whether the labels were named; else those that won nothing are cut to the nearest few.</param>
    public static IEnumerable<string> Lines(Explanation explanation, LabelBank bank, long pixels, bool asked)
    {
        int others = 0;
        foreach (LabelExplanation label in explanation.Labels)
        {
            if (label.Pixels > 0 || asked || others++ < MaxOthers)
            {
                yield return Line(explanation, label, bank, pixels);
            }
        }
        if (others > MaxOthers)
        {
            yield return $"({others - MaxOthers} labels further away won nothing either)";
        }
        foreach (GroupExplanation group in explanation.Groups)
        {
            string best = string.Join(", ", group.Best.Select(label => $"{label.Label} {Digits(label.AllShare)}"));
            yield return $"group {group.Group}: {Percent(group.Share)} of the input, entropy {Digits(group.Entropy)} bits, went to '{bank.Labels[group.Winner]}'; {best}";
        }
    }

    private static string Line(Explanation explanation, LabelExplanation label, LabelBank bank, long pixels)
    {
        bool nvlabs = explanation.Rules.Preset == SegmentationPreset.Nvlabs;
        string name = $"'{label.Label}'";
        string rank = $"{Ordinal(label.Rank)} of {explanation.LabelCount}";
        string factors = nvlabs ? $"{Digits(label.KeptShare)} of the kept labels, {Digits(label.AllShare)} of all" : $"{Digits(label.AllShare)} of all labels";
        if (label.Pixels > 0)
        {
            return $"{name} won {Percent((double)label.Pixels / pixels)} of the picture: {rank} for this picture (similarity {Digits(label.Similarity)}), its best group is {label.BestGroup} ({factors})";
        }
        string winner = $"'{bank.Labels[label.WinnerThere]}'";
        if (!label.Kept)
        {
            string dropped = $"{name} ranked {rank} for this picture, so the nvlabs preset dropped it";
            return label.Remedy is { } wider
                ? $"{dropped}; --top-classes {wider.Rules.TopClasses} keeps it ({Percent((double)wider.Pixels / pixels)} of the picture)"
                : $"{dropped}; kept by --top-classes {label.Rank} it would still win nothing";
        }
        string kept = nvlabs ? $"{name} was kept ({rank})" : $"{name} is {rank} for this picture";
        if (label.WinnerThere == label.Id)
        {
            return $"{kept} and won group {label.BestGroup}, but no pixel: the group owns none, or its neighbours are stronger";
        }
        if (nvlabs && bank.HasBackground && label.WinnerThere == 0)
        {
            string clamped = explanation.EffectiveThreshold < explanation.Rules.BackgroundThreshold
                ? $"the background threshold {Digits(explanation.EffectiveThreshold)} (the best score of this picture; {Text(explanation.Rules.BackgroundThreshold)} was asked for)"
                : $"the background threshold {Text(explanation.Rules.BackgroundThreshold)}";
            string below = $"{kept}, but its best score {Digits(label.Score)}, in group {label.BestGroup}, is below {clamped}";
            return label.Remedy is { } lower
                ? $"{below}; --background-threshold {Text(lower.Rules.BackgroundThreshold)} keeps it ({Percent((double)lower.Pixels / pixels)} of the picture)"
                : $"{below}, and a lower one gives its groups to other labels";
        }
        return $"{kept}, but group {label.BestGroup}, its best, went to {winner} ({Digits(label.WinnersScore)} against {Digits(label.Score)})";
    }

    private static string Ordinal(int number) => (number % 100) is >= 11 and <= 13 ? $"{number}th" : (number % 10) switch
    {
        1 => $"{number}st",
        2 => $"{number}nd",
        3 => $"{number}rd",
        _ => $"{number}th",
    };

    private static string Percent(double share) => (100 * share).ToString(share < 0.001 ? "0.0## '%'" : "0.0 '%'", CultureInfo.InvariantCulture);

    private static string Digits(double value) => value.ToString(Math.Abs(value) is < 0.01 and > 0 ? "0.##E+0" : "0.00", CultureInfo.InvariantCulture);

    private static string Text(double value) => value.ToString(CultureInfo.InvariantCulture);
}
