using GroupViT.Native.Imaging;

namespace GroupViT.Tool.Segmenting.Outputs;

/// <summary>
/// The outlines of a label's pixels, along the pixels' edges, one closed polygon for each part that hangs together by edges. COCO's polygons
/// know no holes: a hole is joined to the outline around it by a cut without width, to the left of its upper left corner.
/// </summary>
internal static class MaskPolygons
{
    // Right, down, left, up; the pixels of the label lie to the right of the way.
    private static readonly (int X, int Y)[] Steps = [(1, 0), (0, 1), (-1, 0), (0, -1)];

    /// <summary>One step along a pixel's edge, and the next of its ring.</summary>
    private sealed class Edge(int x, int y, int direction)
    {
        public int X => x;

        public int Y => y;

        public int Direction => direction;

        public Edge Next { get; set; } = null!;

        public bool Taken { get; set; }
    }

    /// <param name="mask">Row by row.</param>
    /// <param name="width">Pixels in a row.</param>
    /// <param name="label">Whose outlines.</param>
    /// <param name="box">Where its pixels are.</param>
    /// <returns>Polygons as x, y, x, y, ...; the last corner is joined to the first.</returns>
    public static List<List<int>> Of(ReadOnlySpan<ushort> mask, int width, ushort label, Window box)
    {
        Dictionary<(int X, int Y, int Direction), Edge> edges = Edges(mask, width, label, box);
        Join(edges);
        List<Edge> outlines = [];
        List<Edge> holes = [];
        foreach (Edge edge in edges.Values)
        {
            // The first edge to be met, row by row, of a ring: the top of its uppermost left pixel for an outline, of a hole its upper left.
            if (!edge.Taken)
            {
                long area = Take(edge);
                (area > 0 ? outlines : holes).Add(edge);
            }
        }
        foreach (Edge hole in holes.Select(Highest).OrderBy(edge => edge.Y).ThenBy(edge => edge.X))
        {
            Cut(hole, edges, mask, width, label, box);
        }
        return [.. outlines.Select(Corners)];
    }

    private static Dictionary<(int X, int Y, int Direction), Edge> Edges(ReadOnlySpan<ushort> mask, int width, ushort label, Window box)
    {
        Dictionary<(int, int, int), Edge> edges = [];
        (int right, int bottom) = (box.Left + box.Width, box.Top + box.Height);
        for (int y = box.Top; y < bottom; y++)
        {
            for (int x = box.Left; x < right; x++)
            {
                int at = y * width + x;
                if (mask[at] != label)
                {
                    continue;
                }
                if (y == box.Top || mask[at - width] != label)
                {
                    Add(x, y, 0);
                }
                if (x + 1 == right || mask[at + 1] != label)
                {
                    Add(x + 1, y, 1);
                }
                if (y + 1 == bottom || mask[at + width] != label)
                {
                    Add(x + 1, y + 1, 2);
                }
                if (x == box.Left || mask[at - 1] != label)
                {
                    Add(x, y + 1, 3);
                }
            }
        }
        return edges;

        void Add(int x, int y, int direction) => edges.Add((x, y, direction), new Edge(x, y, direction));
    }

    // Where two pixels meet at a corner alone there are two ways on: the one to the right stays with the pixel.
    private static void Join(Dictionary<(int X, int Y, int Direction), Edge> edges)
    {
        foreach (Edge edge in edges.Values)
        {
            (int x, int y) = End(edge);
            foreach (int turn in (ReadOnlySpan<int>)[1, 0, 3])
            {
                if (edges.TryGetValue((x, y, (edge.Direction + turn) & 3), out Edge? next))
                {
                    edge.Next = next;
                    break;
                }
            }
        }
    }

    // Twice the area within: above 0 for an outline, which goes clockwise, below for a hole.
    private static long Take(Edge first)
    {
        long area = 0;
        Edge edge = first;
        do
        {
            edge.Taken = true;
            (int x, int y) = End(edge);
            area += (long)edge.X * y - (long)x * edge.Y;
            edge = edge.Next;
        }
        while (edge != first);
        return area;
    }

    // Of a hole's ring: the edge that begins or ends nothing but runs left along the top of its upper left pixel, or down its left side.
    private static Edge Highest(Edge first)
    {
        Edge best = first;
        for (Edge edge = first.Next; edge != first; edge = edge.Next)
        {
            if (edge.Y < best.Y || (edge.Y == best.Y && edge.X < best.X))
            {
                best = edge;
            }
        }
        return best;
    }

    // The edge that leaves the hole's upper left corner; to the left of the corner the label's pixels reach to another ring.
    private static void Cut(Edge corner, Dictionary<(int X, int Y, int Direction), Edge> edges, ReadOnlySpan<ushort> mask, int width, ushort label, Window box)
    {
        int x = corner.X;
        do
        {
            x--;
        }
        while (x > box.Left && mask[corner.Y * width + x - 1] == label);
        // The left side of the last of them, upwards: it ends at the height of the corner.
        Edge side = edges[(x, corner.Y + 1, 3)];
        Edge before = Before(corner);
        // Side, there, around the hole, and back.
        Edge there = new(x, corner.Y, 0) { Next = corner };
        Edge back = new(corner.X, corner.Y, 2) { Next = side.Next };
        side.Next = there;
        before.Next = back;
    }

    private static Edge Before(Edge corner)
    {
        Edge edge = corner;
        while (edge.Next != corner)
        {
            edge = edge.Next;
        }
        return edge;
    }

    private static List<int> Corners(Edge first)
    {
        List<(int X, int Y)> points = [];
        Edge edge = first;
        do
        {
            points.Add((edge.X, edge.Y));
            edge = edge.Next;
        }
        while (edge != first);
        List<int> corners = [];
        for (int i = 0; i < points.Count; i++)
        {
            (int X, int Y) before = points[(i + points.Count - 1) % points.Count];
            (int X, int Y) at = points[i];
            (int X, int Y) after = points[(i + 1) % points.Count];
            bool straight = (before.X == at.X && at.X == after.X && Math.Sign(at.Y - before.Y) == Math.Sign(after.Y - at.Y))
                || (before.Y == at.Y && at.Y == after.Y && Math.Sign(at.X - before.X) == Math.Sign(after.X - at.X));
            if (!straight)
            {
                corners.Add(at.X);
                corners.Add(at.Y);
            }
        }
        return corners;
    }

    private static (int X, int Y) End(Edge edge) => (edge.X + Steps[edge.Direction].X, edge.Y + Steps[edge.Direction].Y);
}
