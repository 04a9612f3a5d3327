using System.Collections;

namespace GroupViT.Native;

/// <summary>
/// A label map as polygons whose corners are whole numbers: the edges of the pixels themselves, so that a polygon holds the centres of exactly
/// its pixels. Pixels that touch only at a corner belong to different polygons. A hole is part of the polygon around it, joined to it by a
/// vertical line that is walked down and up again and encloses nothing: by the even-odd rule, and by that of pycocotools, nothing is filled in.
/// </summary>
/// <remarks>
/// Two walks along the edges, each pixel's at most once; kept are a bit for each pixel, a number for each polygon and two for each hole.
/// </remarks>
internal sealed class LabelPolygons
{
    private const int Right = 0;
    private const int Left = 2;

    private readonly ReadOnlyMemory<ushort> map;
    private readonly int width;
    private readonly int height;
    private readonly SortedDictionary<int, List<int>> starts = [];
    // From the pixel under whose upper edge a joining line begins to the pixel on whose lower edge it ends.
    private readonly Dictionary<int, int> holes = [];

    /// <summary>Finds all polygons and their holes.</summary>
    /// <param name="map"><c>height * width</c> labels, row by row; <see cref="SegmentationResult.Unlabelled"/> belongs to none.</param>
    /// <param name="width">Pixels in a row.</param>
    /// <param name="height">Rows.</param>
    /// <param name="cancellation">Looked at in every row.</param>
    public LabelPolygons(ReadOnlyMemory<ushort> map, int width, int height, CancellationToken cancellation = default)
    {
        if (map.Length != (long)width * height)
        {
            throw new ArgumentException($"{width} x {height} pixels need as many labels, not {map.Length}", nameof(map));
        }
        (this.map, this.width, this.height) = (map, width, height);
        ReadOnlySpan<ushort> pixels = map.Span;
        BitArray seen = new(pixels.Length);
        for (int y = 0, i = 0; y < height; y++)
        {
            cancellation.ThrowIfCancellationRequested();
            for (int x = 0; x < width; x++, i++)
            {
                if (pixels[i] != SegmentationResult.Unlabelled && (y == 0 || pixels[i - width] != pixels[i]) && !seen[i])
                {
                    Find(pixels, new Edge(x, y, Right), seen);
                }
            }
        }
    }

    /// <summary>The labels that occur, in rising order.</summary>
    public IReadOnlyCollection<int> Labels => starts.Keys;

    /// <summary>
    /// The polygons of a label that occurs, from the top: x and y of each corner in turn, clockwise, not closed. The list is filled anew for each.
    /// </summary>
    public IEnumerable<IReadOnlyList<int>> Of(int label)
    {
        List<int> corners = [];
        foreach (int start in starts[label])
        {
            corners.Clear();
            Walk(new Edge(start % width, start / width, Right), corners);
            yield return corners;
        }
    }

    // An outer line if the label lies inside, else a hole's.
    private void Find(ReadOnlySpan<ushort> pixels, Edge start, BitArray seen)
    {
        ushort label = pixels[start.Pixel(width)];
        long area = 0;
        Edge top = start;
        Edge edge = start;
        do
        {
            if (edge.Direction == Right)
            {
                seen[edge.Pixel(width)] = true;
                area -= edge.Y;
            }
            else if (edge.Direction == Left)
            {
                area += edge.Y;
                if (edge.Y < top.Y || top.Direction != Left || (edge.Y == top.Y && edge.X < top.X))
                {
                    top = edge;
                }
            }
            edge = Next(pixels, label, edge);
        }
        while (edge != start);
        if (area > 0)
        {
            if (!starts.TryGetValue(label, out List<int>? list))
            {
                starts.Add(label, list = []);
            }
            list.Add(start.Pixel(width));
            return;
        }
        // Up from the hole's uppermost corner to where the label ends: that edge belongs to a line that reaches further up, so that following
        // such lines ends at the outer one. A column's pixels are passed for one hole only, that at their lower end.
        int lower = top.Pixel(width);
        int upper = lower;
        while (upper >= width && pixels[upper - width] == label)
        {
            upper -= width;
        }
        holes.Add(upper, lower);
    }

    private void Walk(Edge start, List<int> corners)
    {
        ReadOnlySpan<ushort> pixels = map.Span;
        ushort label = pixels[start.Pixel(width)];
        Stack<(Edge Start, Edge Resume)> outer = [];
        Edge edge = start;
        bool joined = false;
        Corner(corners, edge);
        while (true)
        {
            if (edge.Direction == Right && !joined && holes.TryGetValue(edge.Pixel(width), out int lower))
            {
                Corner(corners, edge);
                outer.Push((start, edge));
                // The hole's uppermost edge is walked to the left, and last.
                start = edge = Next(pixels, label, new Edge((lower % width) + 1, (lower / width) + 1, Left));
                Corner(corners, edge);
                continue;
            }
            joined = false;
            Edge next = Next(pixels, label, edge);
            if (next != start)
            {
                if (next.Direction != edge.Direction)
                {
                    Corner(corners, next);
                }
                edge = next;
                continue;
            }
            if (outer.Count == 0)
            {
                return;
            }
            Corner(corners, next);
            (start, edge) = outer.Pop();
            Corner(corners, edge);
            joined = true;
        }
    }

    private static void Corner(List<int> corners, Edge at)
    {
        if (corners.Count < 2 || corners[^2] != at.X || corners[^1] != at.Y)
        {
            corners.Add(at.X);
            corners.Add(at.Y);
        }
    }

    // The label is kept on the right; where two of its pixels touch at a corner, the line stays with its own.
    private Edge Next(ReadOnlySpan<ushort> pixels, ushort label, Edge edge)
    {
        Edge straight = edge.Ahead();
        if (!Has(pixels, label, straight))
        {
            return straight with { Direction = (edge.Direction + 1) & 3 };
        }
        Edge left = straight with { Direction = (edge.Direction + 3) & 3 };
        return Has(pixels, label, left) ? left : straight;
    }

    private bool Has(ReadOnlySpan<ushort> pixels, ushort label, Edge edge)
    {
        (int x, int y) = edge.Inside();
        return (uint)x < (uint)width && (uint)y < (uint)height && pixels[(y * width) + x] == label;
    }

    /// <summary>An edge of a pixel, walked from a corner into a direction: 0 right, 1 down, 2 left, 3 up.</summary>
    private readonly record struct Edge(int X, int Y, int Direction)
    {
        public Edge Ahead() => Direction switch
        {
            0 => this with { X = X + 1 },
            1 => this with { Y = Y + 1 },
            2 => this with { X = X - 1 },
            _ => this with { Y = Y - 1 },
        };

        /// <summary>The pixel on the right.</summary>
        public (int X, int Y) Inside() => Direction switch
        {
            0 => (X, Y),
            1 => (X - 1, Y),
            2 => (X - 1, Y - 1),
            _ => (X, Y - 1),
        };

        public int Pixel(int width)
        {
            (int x, int y) = Inside();
            return (y * width) + x;
        }
    }
}
