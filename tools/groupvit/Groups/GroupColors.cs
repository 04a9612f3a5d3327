using GroupViT.Native.Text;

namespace GroupViT.Tool.Groups;

/// <summary>
/// Colours of groups, as the authors' demonstration shows them (spec F.3): public palettes one after another (19 of Cityscapes, 20 of VOC, 25 of
/// ADE20K, then VOC's again), with red and blue exchanged. The first stage begins with the table, the second with its row 64.
/// </summary>
internal static class GroupColors
{
    private static readonly byte[] Cityscapes =
    [
        128, 64, 128, 244, 35, 232, 70, 70, 70, 102, 102, 156, 190, 153, 153, 153, 153, 153, 250, 170, 30, 220, 220, 0, 107, 142, 35, 152, 251, 152,
        70, 130, 180, 220, 20, 60, 255, 0, 0, 0, 0, 142, 0, 0, 70, 0, 60, 100, 0, 80, 100, 0, 0, 230, 119, 11, 32,
    ];

    private static readonly byte[] Table = [.. Cityscapes, .. Palettes.Voc[3..], .. Palettes.Context[..75], .. Palettes.Voc[3..]];

    private const int SecondStage = 64;

    /// <summary>The colour of a group; stages with more groups than colours begin again.</summary>
    public static (byte R, byte G, byte B) Of(int stage, int group)
    {
        int first = stage == 0 ? 0 : SecondStage;
        int count = stage == 0 ? SecondStage : Table.Length / 3 - SecondStage;
        int row = first + group % count;
        return (Table[3 * row + 2], Table[3 * row + 1], Table[3 * row]);
    }
}
