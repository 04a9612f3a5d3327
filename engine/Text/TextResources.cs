using System.Reflection;
using System.Text;

namespace GroupViT.Native.Text;

/// <summary>The data files of <c>Text/Data</c>, embedded in the assembly.</summary>
internal static class TextResources
{
    private const string Prefix = "GroupViT.Native.Text.Data.";

    public static Stream Open(string name) =>
        Assembly.GetExecutingAssembly().GetManifestResourceStream(Prefix + name)
        ?? throw new InvalidOperationException($"the assembly lacks its resource {Prefix + name}");

    /// <summary>The lines of a UTF-8 text resource, without the empty one after the last line feed.</summary>
    public static string[] Lines(string name)
    {
        using var reader = new StreamReader(Open(name), Encoding.UTF8);
        string text = reader.ReadToEnd();
        return text.TrimEnd('\n').Split('\n');
    }
}
