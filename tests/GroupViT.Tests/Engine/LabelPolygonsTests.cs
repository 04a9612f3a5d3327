using GroupViT.Native;

namespace GroupViT.Tests.Engine;

/// <summary>Polygons filled again, by a rasteriser of the tests' own, give the map they came from.</summary>
[Category("Cpu")]
internal sealed class LabelPolygonsTests
{
    [Test]
    public void A_rectangle_has_four_corners_clockwise_from_the_upper_left()
    {
        ushort[] map = Map("....", ".aa.", ".aa.", ".aa.");
        Assert.That(Polygons(map, 4, 4, 0).Single(), Is.EqualTo((int[])[1, 1, 3, 1, 3, 4, 1, 4]));
    }

    [Test]
    public void A_hole_is_joined_to_the_line_around_it_by_a_vertical_line_walked_twice()
    {
        ushort[] map = Map("aaa", "a.a", "aaa");
        Assert.That(Polygons(map, 3, 3, 0).Single(), Is.EqualTo((int[])[0, 0, 1, 0, 1, 1, 1, 2, 2, 2, 2, 1, 1, 1, 1, 0, 3, 0, 3, 3, 0, 3]));
    }

    [Test]
    public void Pixels_that_touch_at_a_corner_are_different_polygons_and_a_gap_at_a_corner_is_no_hole()
    {
        Assert.That(Polygons(Map("a.", ".a"), 2, 2, 0), Has.Count.EqualTo(2));
        ushort[] gap = Map("aaa", "a.a", "aa.");
        Assert.That(Polygons(gap, 3, 3, 0), Has.Count.EqualTo(1));
        Check(gap, 3, 3);
    }

    [Test]
    public void Holes_in_a_row_in_a_column_and_inside_an_island_in_a_hole_come_back()
    {
        Check(Map("aaaaaaa", "a.a.a.a", "aaaaaaa", "a.a...a", "aaaaaaa"), 7, 5);
        Check(Map("aaaaaaa", "a.....a", "a.aaa.a", "a.a.a.a", "a.aaa.a", "a.....a", "aaaaaaa"), 7, 7);
        Check(Map("aaaaaaa", "abbbbba", "abaaaba", "aba.aba", "abaaaba", "abbbbba", "aaaaaaa"), 7, 7);
    }

    [Test]
    public void Random_maps_come_back_from_their_polygons()
    {
        Random random = new(11);
        for (int round = 0; round < 400; round++)
        {
            (int width, int height, int labels) = (random.Next(1, 40), random.Next(1, 40), random.Next(1, 4));
            ushort[] map = [.. Enumerable.Range(0, width * height).Select(_ => random.Next(5) == 0 ? SegmentationResult.Unlabelled : (ushort)(random.Next(8) / (8 / labels) % labels))];
            Check(map, width, height);
        }
    }

    [Test]
    public void A_sieve_of_thousands_of_holes_is_one_polygon_that_comes_back()
    {
        const int side = 250;
        ushort[] sieve = new ushort[side * side];
        for (int i = 0; i < sieve.Length; i++)
        {
            // The first column has no hole: all holes of a column hang one under the other.
            sieve[i] = i / side % 5 == 4 && i % side % 2 == 1 ? SegmentationResult.Unlabelled : (ushort)0;
        }
        Assert.That(new LabelPolygons(sieve, side, side).Of(0).Count(), Is.EqualTo(1));
        Check(sieve, side, side);
    }

    private static void Check(ushort[] map, int width, int height)
    {
        LabelPolygons polygons = new(map, width, height);
        ushort[] back = [.. Enumerable.Repeat(SegmentationResult.Unlabelled, map.Length)];
        foreach (int label in polygons.Labels)
        {
            long area = 0;
            foreach (IReadOnlyList<int> polygon in polygons.Of(label))
            {
                area += Fill(polygon, back, width, height, (ushort)label);
                Assert.That(TwiceTheArea(polygon), Is.Positive, "clockwise, with y downwards");
            }
            Assert.That(area, Is.EqualTo(map.Count(value => value == label)));
        }
        Assert.That(back, Is.EqualTo(map));
    }

    // Even-odd at pixel centres: a centre is inside where the number of upright edges to its left is odd.
    private static int Fill(IReadOnlyList<int> polygon, ushort[] map, int width, int height, ushort label)
    {
        int filled = 0;
        for (int y = 0; y < height; y++)
        {
            int[] crossings = new int[width + 1];
            for (int i = 0; i < polygon.Count; i += 2)
            {
                (int x0, int y0, int x1, int y1) = (polygon[i], polygon[i + 1], polygon[(i + 2) % polygon.Count], polygon[(i + 3) % polygon.Count]);
                Assert.That(x0 == x1 || y0 == y1, Is.True, "edges of pixels are level or upright");
                if (x0 == x1 && Math.Min(y0, y1) <= y && Math.Max(y0, y1) > y)
                {
                    crossings[x0]++;
                }
            }
            int count = 0;
            for (int x = 0; x < width; x++)
            {
                count += crossings[x];
                if (count % 2 == 1)
                {
                    Assert.That(map[(y * width) + x], Is.EqualTo(SegmentationResult.Unlabelled), "no pixel is in two polygons");
                    map[(y * width) + x] = label;
                    filled++;
                }
            }
        }
        return filled;
    }

    private static long TwiceTheArea(IReadOnlyList<int> polygon)
    {
        long sum = 0;
        for (int i = 0; i < polygon.Count; i += 2)
        {
            sum += ((long)polygon[i] * polygon[(i + 3) % polygon.Count]) - ((long)polygon[(i + 2) % polygon.Count] * polygon[i + 1]);
        }
        return sum;
    }

    private static List<int[]> Polygons(ushort[] map, int width, int height, int label)
        => [.. new LabelPolygons(map, width, height).Of(label).Select(polygon => polygon.ToArray())];

    private static ushort[] Map(params string[] rows)
        => [.. string.Concat(rows).Select(letter => letter == '.' ? SegmentationResult.Unlabelled : (ushort)(letter - 'a'))];
}
