using System.Text;

namespace GroupViT.Native.Text;

/// <summary>Words between bars that stand for one label: <c>sofa|couch</c>. A bar of the word itself is written <c>\\|</c>.</summary>
internal static class Synonyms
{
    /// <exception cref="LabelException">A word is empty or there twice.</exception>
    public static IReadOnlyList<string> Of(string label)
    {
        if (!label.Contains('|', StringComparison.Ordinal))
        {
            return [label];
        }
        List<string> words = [];
        StringBuilder word = new();
        for (int i = 0; i <= label.Length; i++)
        {
            if (i < label.Length && label[i] == '\\' && i + 1 < label.Length && label[i + 1] == '|')
            {
                word.Append('|');
                i++;
            }
            else if (i < label.Length && label[i] != '|')
            {
                word.Append(label[i]);
            }
            else
            {
                string text = word.ToString().Trim();
                if (text.Length == 0 || words.Contains(text))
                {
                    throw new LabelException($"'{ClipVocabulary.Shown(label)}': {(text.Length == 0 ? "a synonym is empty" : $"the synonym '{ClipVocabulary.Shown(text)}' is there twice")}; words between bars were expected, for instance sofa|couch");
                }
                words.Add(text);
                word.Clear();
            }
        }
        return words;
    }
}
