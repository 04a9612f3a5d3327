using GroupViT.Kernels;

namespace GroupViT.Tests.Kernels;

/// <summary>The resampling of the position table, on the host (spec A.2).</summary>
[Category("Cpu")]
internal sealed class BicubicTests
{
    [Test]
    public void The_weights_of_14_to_28_are_those_of_the_specification()
    {
        Assert.That(Row(14, 28, 0), Is.EqualTo(Sparse((0, 1.10546875), (1, -0.10546875))));
        Assert.That(Row(14, 28, 1), Is.EqualTo(Sparse((0, 0.7734375), (1, 0.26171875), (2, -0.03515625))));
        Assert.That(Row(14, 28, 2), Is.EqualTo(Sparse((0, 0.2265625), (1, 0.87890625), (2, -0.10546875))));
        Assert.That(Row(14, 28, 3), Is.EqualTo(Sparse((0, -0.10546875), (1, 0.87890625), (2, 0.26171875), (3, -0.03515625))));
    }

    [Test]
    public void The_weights_of_14_to_38_are_those_of_the_specification()
        => Assert.That(Row(14, 38, 0), Is.EqualTo(Sparse((0, 1.1108762), (1, -0.1108762))).Within(1e-7));

    [TestCase(14, 28), TestCase(14, 14), TestCase(14, 7), TestCase(1, 9), TestCase(3, 100), TestCase(100, 3), TestCase(2, 2)]
    public void Weights_sum_to_one_and_mirror_each_other(int input, int output)
    {
        for (int i = 0; i < output; i++)
        {
            double[] row = Row(input, output, i, input);
            Assert.That(row.Sum(), Is.EqualTo(1).Within(1e-12), $"row {i}");
            Assert.That(row, Is.EqualTo(Row(input, output, output - 1 - i, input).Reverse()).Within(1e-12), $"row {i}");
        }
    }

    [Test]
    public void The_same_size_is_the_same_table()
    {
        float[] table = Table(3 * 5 * 4);
        float[] output = new float[table.Length];
        Bicubic.Resample(table, 3, 5, 4, 3, 5, output);
        Assert.That(output, Is.EqualTo(table));
    }

    [Test]
    public void One_cell_fills_every_size()
    {
        float[] output = new float[2 * 3 * 2];
        Bicubic.Resample([0.25f, -7], 1, 1, 2, 2, 3, output);
        Assert.That(output, Is.EqualTo((float[])[0.25f, -7, 0.25f, -7, 0.25f, -7, 0.25f, -7, 0.25f, -7, 0.25f, -7]).Within(1e-6));
    }

    [Test]
    public void Both_axes_are_resampled_and_channels_kept_apart()
    {
        const int inHeight = 3, inWidth = 4, channels = 2, outHeight = 7, outWidth = 5;
        float[] table = Table(inHeight * inWidth * channels);
        float[] output = new float[outHeight * outWidth * channels];
        Bicubic.Resample(table, inHeight, inWidth, channels, outHeight, outWidth, output);
        for (int r = 0; r < outHeight; r++)
        {
            double[] rows = Row(inHeight, outHeight, r, inHeight);
            for (int c = 0; c < outWidth; c++)
            {
                double[] columns = Row(inWidth, outWidth, c, inWidth);
                for (int k = 0; k < channels; k++)
                {
                    double expected = 0;
                    for (int i = 0; i < inHeight * inWidth; i++)
                    {
                        expected += rows[i / inWidth] * columns[i % inWidth] * table[i * channels + k];
                    }
                    Assert.That(output[(r * outWidth + c) * channels + k], Is.EqualTo(expected).Within(1e-7), $"({r}, {c}, {k})");
                }
            }
        }
    }

    [Test]
    public void Swapped_sides_and_the_kernel_of_pictures_would_be_found()
    {
        float[] table = Table(6);
        float[] right = new float[12];
        float[] wrong = new float[12];
        Bicubic.Resample(table, 2, 3, 1, 3, 4, right);
        Bicubic.Resample(table, 3, 2, 1, 3, 4, wrong);
        Assert.That(wrong, Is.Not.EqualTo(right).Within(1e-3));
        // With a = -0.5 (PIL's kernel) the first weight of 14 to 28 would be 1.0703125.
        Assert.That(Row(14, 28, 0)[0], Is.Not.EqualTo(1.0703125).Within(1e-3));
    }

    private static float[] Table(int count) => [.. Enumerable.Range(0, count).Select(i => MathF.Sin(3 * i))];

    private static double[] Sparse(params (int At, double Weight)[] weights)
    {
        double[] row = new double[14];
        foreach ((int at, double weight) in weights)
        {
            row[at] = weight;
        }
        return row;
    }

    /// <summary>The weights of all inputs in one output.</summary>
    private static double[] Row(int input, int output, int index, int count = 14)
    {
        (int[] positions, double[] weights) = Bicubic.Taps(input, output);
        double[] row = new double[count];
        for (int tap = 0; tap < 4; tap++)
        {
            row[positions[4 * index + tap]] += weights[4 * index + tap];
        }
        return row;
    }
}
