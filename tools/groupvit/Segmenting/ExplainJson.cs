using System.Text.Json;
using GroupViT.Native;

namespace GroupViT.Tool.Segmenting;

/// <summary>NAME.explain.json.</summary>
internal static class ExplainJson
{
    public static void Write(Utf8JsonWriter writer, string file, Explanation explanation, LabelBank bank, GroupVitModel model)
    {
        writer.WriteStartObject();
        writer.WriteString("file", file);
        writer.WriteString("preset", CommonOptions.NameOf(explanation.Rules.Preset));
        writer.WriteStartObject("rules");
        foreach ((string name, string value) in RuleOptions.Values(explanation.Rules, model))
        {
            writer.WriteString(name, value);
        }
        writer.WriteEndObject();
        writer.WriteNumber("temperature", explanation.Temperature);
        if (!double.IsNaN(explanation.EffectiveThreshold))
        {
            writer.WriteNumber("effective_background_threshold", explanation.EffectiveThreshold);
        }
        writer.WriteNumber("labels_in_all", explanation.LabelCount);
        writer.WriteStartArray("labels");
        foreach (LabelExplanation label in explanation.Labels)
        {
            Write(writer, label, bank, model);
        }
        writer.WriteEndArray();
        writer.WriteStartArray("groups");
        foreach (GroupExplanation group in explanation.Groups)
        {
            writer.WriteStartObject();
            writer.WriteNumber("group", group.Group);
            writer.WriteNumber("input_pixels", group.Pixels);
            writer.WriteNumber("share", group.Share);
            writer.WriteNumber("entropy_bits", group.Entropy);
            writer.WriteString("label", bank.Labels[group.Winner]);
            writer.WriteStartArray("best");
            foreach (GroupLabel best in group.Best)
            {
                writer.WriteStartObject();
                writer.WriteNumber("id", best.Id);
                writer.WriteString("label", best.Label);
                writer.WriteNumber("similarity", best.Similarity);
                writer.WriteNumber("softmax_all", best.AllShare);
                writer.WriteNumber("score", best.Score);
                writer.WriteEndObject();
            }
            writer.WriteEndArray();
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter writer, LabelExplanation label, LabelBank bank, GroupVitModel model)
    {
        writer.WriteStartObject();
        writer.WriteNumber("id", label.Id);
        writer.WriteString("label", label.Label);
        writer.WriteNumber("similarity", label.Similarity);
        writer.WriteNumber("rank", label.Rank);
        writer.WriteBoolean("kept", label.Kept);
        writer.WriteNumber("best_group", label.BestGroup);
        writer.WriteNumber("softmax_kept", label.KeptShare);
        writer.WriteNumber("softmax_all", label.AllShare);
        writer.WriteNumber("score", label.Score);
        writer.WriteString("winner_there", bank.Labels[label.WinnerThere]);
        writer.WriteNumber("winners_score", label.WinnersScore);
        writer.WriteNumber("pixels_won", label.Pixels);
        writer.WriteNumber("input_pixels_lost", label.LostPixels);
        if (label.Remedy is { } remedy)
        {
            writer.WriteStartObject("remedy");
            foreach ((string name, string value) in RuleOptions.Values(remedy.Rules, model).Except(RuleOptions.Values(remedy.Rules with { TopClasses = -1, BackgroundThreshold = -1 }, model)))
            {
                writer.WriteString(name, value);
            }
            writer.WriteNumber("pixels", remedy.Pixels);
            writer.WriteEndObject();
        }
        writer.WriteEndObject();
    }
}
