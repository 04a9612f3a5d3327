namespace GroupViT.Native.Imaging;

/// <summary>
/// A small font for the overlay's legend, drawn for this project: ASCII, 5 pixels wide, 7 high and 2 below the line. Each character is a
/// row of five pixels as one base-32 digit (0-9, A-V; the leftmost pixel counts 16), from top to bottom; missing rows are empty.
/// </summary>
internal static class BitmapFont
{
    /// <summary>Pixels from one character to the next.</summary>
    public const int Advance = 6;

    /// <summary>Rows of a character, those below the line included.</summary>
    public const int Height = 9;

    private const char FirstCharacter = ' ';

    private static readonly string[] Glyphs =
    [
        "", "4444404", "AA", "AAVAVAA", "4FKE5U4", "OP248J3", "CIK8LID", "44", // space ! " # $ % & '
        "2488842", "8422248", "04LEL4", "044V44", "00000CC48", "000V", "00000CC", "01248G", // ( ) * + , - . /
        "EHJLPHE", "4C4444E", "EH1248V", "V2421HE", "26AIV22", "VGU11HE", "68GUHHE", "V124888", // 0 to 7
        "EHHEHHE", "EHHF12C", "0CC0CC", "0CC0CC48", "248G842", "00V0V", "8421248", "EH12404", // 8 9 : ; < = > ?
        "EHNLNGE", "EHHVHHH", "UHHUHHU", "EHGGGHE", "SIHHHIS", "VGGUGGV", "VGGUGGG", "EHGNHHF", // @ A to G
        "HHHVHHH", "E44444E", "72222IC", "HIKOKIH", "GGGGGGV", "HRLLHHH", "HHPLJHH", "EHHHHHE", // H to O
        "UHHUGGG", "EHHHLID", "UHHUKIH", "FGGE11U", "V444444", "HHHHHHE", "HHHHHA4", "HHHLLLA", // P to W
        "HHA4AHH", "HHHA444", "V1248GV", "E88888E", "0G8421", "E22222E", "4AH", "0000000V", // X Y Z [ \ ] ^ _
        "84", "00E1FHF", "GGMPHHU", "00EGGHE", "11DJHHF", "00EHVGE", "698S888", "00FHHHF1E", // ` a to g
        "GGMPHHH", "40C444E", "2062222IC", "GGIKOKI", "C44444E", "00QLLHH", "00MPHHH", "00EHHHE", // h to o
        "00UHHHUGG", "00FHHHF11", "00MPGGG", "00FGE1U", "88S8896", "00HHHJD", "00HHHA4", "00HHLLA", // p to w
        "00HA4AH", "00HHHHF1E", "00V248V", "2448442", "4444444", "8442448", "008L2", // x y z { | } ~
    ];

    /// <summary>The width of a text at a scale, in pixels.</summary>
    public static int Width(string text, int scale) => Math.Max(0, (text.Length * Advance) - 1) * scale;

    /// <summary>Draws a text; every font pixel becomes <paramref name="scale"/> squared. What lies outside the picture is left out; characters beyond ASCII are drawn as "?".</summary>
    public static void Draw(RgbImage image, string text, int left, int top, int scale, (byte R, byte G, byte B) color)
    {
        foreach (char character in text)
        {
            int index = character - FirstCharacter;
            string glyph = index >= 0 && index < Glyphs.Length ? Glyphs[index] : Glyphs['?' - FirstCharacter];
            for (int row = 0; row < glyph.Length; row++)
            {
                int pixels = glyph[row] <= '9' ? glyph[row] - '0' : glyph[row] - 'A' + 10;
                for (int column = 0; column < 5; column++)
                {
                    if ((pixels & (16 >> column)) != 0)
                    {
                        Overlay.Fill(image, new(left + (column * scale), top + (row * scale), scale, scale), color);
                    }
                }
            }
            left += Advance * scale;
        }
    }
}
