namespace GroupViT.Native.Text;

/// <summary>The 256 characters that stand for bytes in a byte-level vocabulary (spec B.3).</summary>
internal static class ByteSymbols
{
    /// <summary>The characters in the order of their ids: printable bytes as themselves, then the other 68 from U+0100 on.</summary>
    public static string InIdOrder { get; } = Build();

    private static string Build()
    {
        IEnumerable<int> printable = Enumerable.Range(33, 94).Concat(Enumerable.Range(161, 12)).Concat(Enumerable.Range(174, 82));
        return string.Concat(printable.Concat(Enumerable.Range(0x100, 68)).Select(code => (char)code));
    }
}
