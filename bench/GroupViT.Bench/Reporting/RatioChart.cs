using System.Globalization;
using System.Net;
using System.Text;

namespace GroupViT.Bench.Reporting;

/// <summary>
/// How many times as long others take, as bars in an SVG: a panel per result file, a line where they are as fast as we are. The same files
/// give the same bytes.
/// </summary>
internal static class RatioChart
{
    private const int Width = 800;
    private const int Left = 250;
    private const int Right = 60;
    private const int BarHeight = 12;
    private const int CellGap = 10;
    private const int PanelHead = 64;
    private const int PanelFoot = 34;

    // Told apart by lightness too, for eyes and printers without colours.
    private static readonly string[] Colors = ["#1f5fa8", "#e08a1e", "#7fb069", "#b56b9d", "#8c8c8c"];

    public static string Of(IReadOnlyList<ComparisonFile> files)
    {
        if (files.Count == 0)
        {
            throw new ArgumentException("there is nothing to draw", nameof(files));
        }
        StringBuilder panels = new();
        int y = 0;
        foreach (ComparisonFile file in files)
        {
            y = Panel(panels, file, y);
        }
        return $"""
            <svg xmlns="http://www.w3.org/2000/svg" width="{Width}" height="{y}" viewBox="0 0 {Width} {y}" font-family="system-ui, sans-serif" font-size="12" fill="#222">
            <title>How many times as long others take as GroupViT.Native</title>
            <rect width="{Width}" height="{y}" fill="#fff"/>

            """ + panels + "</svg>\n";
    }

    private static int Panel(StringBuilder svg, ComparisonFile file, int top)
    {
        string[] engines = [.. file.Rows.Select(row => row.Engine).Distinct()];
        IGrouping<string, ComparisonRow>[] cells = [.. file.Rows.GroupBy(row => row.Cell)];
        double most = Math.Max(1.5, Math.Ceiling(2 * file.Rows.Max(row => row.Ratio)) / 2);
        int bottom = top + PanelHead + cells.Sum(cell => cell.Count() * BarHeight + CellGap);

        Text(svg, 10, top + 20, $"Time over GroupViT.Native's: {file.Processor}", "font-weight=\"bold\"");
        int x = 10;
        for (int i = 0; i < engines.Length; i++)
        {
            svg.Append(CultureInfo.InvariantCulture, $"<rect x=\"{x}\" y=\"{top + 32}\" width=\"12\" height=\"12\" fill=\"{Color(i)}\"/>\n");
            Text(svg, x + 17, top + 42, engines[i]);
            x += 35 + 7 * engines[i].Length;
        }
        for (double tick = 0; tick <= most; tick += most > 4 ? 1 : 0.5)
        {
            bool even = tick == 1;
            svg.Append(CultureInfo.InvariantCulture, $"<line x1=\"{At(tick, most)}\" y1=\"{top + PanelHead - 8}\" x2=\"{At(tick, most)}\" y2=\"{bottom}\" stroke=\"{(even ? "#222" : "#ddd")}\"/>\n");
            Text(svg, At(tick, most), bottom + 16, tick.ToString("0.#", CultureInfo.InvariantCulture), even ? "text-anchor=\"middle\" font-weight=\"bold\"" : "text-anchor=\"middle\"");
        }
        int y = top + PanelHead;
        foreach (IGrouping<string, ComparisonRow> cell in cells)
        {
            Text(svg, Left - 8, y + cell.Count() * BarHeight / 2 + 4, CellName.InWords(cell.Key), "text-anchor=\"end\"");
            foreach (ComparisonRow row in cell)
            {
                double end = At(row.Ratio, most);
                svg.Append(CultureInfo.InvariantCulture, $"<rect x=\"{Left}\" y=\"{y + 1}\" width=\"{end - Left:0.#}\" height=\"{BarHeight - 2}\" fill=\"{Color(Array.IndexOf(engines, row.Engine))}\"/>\n");
                Text(svg, end + 4, y + BarHeight - 2, row.RatioText, "font-size=\"10\"");
                y += BarHeight;
            }
            y += CellGap;
        }
        return bottom + PanelFoot;
    }

    private static string Color(int engine) => Colors[engine % Colors.Length];

    private static double At(double ratio, double most) => Math.Round(Left + (Width - Left - Right) * ratio / most, 1);

    private static void Text(StringBuilder svg, double x, double y, string text, string attributes = "")
        => svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{x}\" y=\"{y}\"{(attributes.Length > 0 ? " " + attributes : "")}>{WebUtility.HtmlEncode(text)}</text>\n");
}
