using GroupViT.Kernels;

namespace GroupViT.Tests.Kernels;

[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.All))]
internal sealed class ResampleBilinearTests(TestDevice device)
{
    private static readonly (int Batch, int Planes, int InHeight, int InWidth, int OutHeight, int OutWidth)[] Shapes =
        [(1, 1, 1, 1, 1, 1), (2, 2, 2, 3, 5, 4), (1, 1, 1, 4, 3, 2)];

    // Up, down, the same, one axis only, a line, and sizes without a common divisor.
    private static readonly (int Batch, int Planes, int InHeight, int InWidth, int OutHeight, int OutWidth)[] LargerShapes =
        [(1, 8, 14, 14, 112, 56), (2, 1, 7, 13, 31, 17), (1, 2, 33, 31, 8, 5), (1, 1, 6, 9, 6, 27), (1, 1, 5, 5, 5, 5), (1, 1, 1, 200, 1, 333), (1, 1, 90, 1, 7, 1)];

    private IEnumerable<(int Batch, int Planes, int InHeight, int InWidth, int OutHeight, int OutWidth)> Sizes => device.IsSlow ? Shapes : Shapes.Concat(LargerShapes);

    [Test]
    public void It_equals_its_definition([Values] Values values)
    {
        foreach ((int batch, int planes, int inHeight, int inWidth, int outHeight, int outWidth) in Sizes)
        {
            OperationHarness harness = new(device, inHeight + outWidth) { Values = values };
            harness.Check(Resample(Tensor.Float("x", batch, planes, inHeight * inWidth), inHeight, inWidth, outHeight, outWidth));
        }
    }

    [Test]
    public void Views_read_and_write_only_their_part()
    {
        OperationHarness harness = new(device);
        TensorView x = Tensor.Float("x", 1, 5, 20).View().RowRange(1, 3).ColumnRange(7, 12).Repeat(2);
        harness.Check(new ResampleBilinear(x, Tensor.Float("y", 2, 4, 50).View().RowRange(1, 3).ColumnRange(9, 35), 3, 4, 5, 7));
    }

    [Test]
    public void The_weights_of_28_to_448_are_those_of_the_specification()
    {
        // Spec K.6, read off by resampling unit vectors.
        OperationHarness harness = new(device);
        Tensor x = Tensor.Float("x", 1, 28, 28);
        float[] identity = new float[28 * 28];
        for (int i = 0; i < 28; i++)
        {
            identity[29 * i] = 1;
        }
        harness.With(x, identity);
        ResampleBilinear operation = Resample(x, 28, 1, 448, 1);
        float[][] weights = [.. harness.Floats(operation, operation.Y.Tensor).Chunk(448)];
        foreach ((int row, int at, float weight) in ((int, int, float)[])[(0, 0, 1), (7, 0, 1), (8, 0, 0.96875f), (8, 1, 0.03125f), (9, 0, 0.90625f), (9, 1, 0.09375f), (447, 27, 1)])
        {
            // An OpenCL division may be off by two units in the last place.
            Assert.That(weights[at][row], Is.EqualTo(weight).Within(3e-7), $"row {row}");
        }
        for (int row = 0; row < 448; row++)
        {
            Assert.That(weights.Sum(w => w[row]), Is.EqualTo(1).Within(3e-7), $"row {row}");
        }
    }

    [Test]
    public void A_size_that_does_not_change_is_copied_bit_by_bit()
    {
        OperationHarness harness = new(device);
        Tensor x = Tensor.Float("x", 1, 2, 35);
        ResampleBilinear operation = Resample(x, 5, 7, 5, 7);
        Tensor copy = Tensor.Float("copy", 1, 2, 35);
        Assert.That(harness.Floats(operation, operation.Y.Tensor), Is.EqualTo(harness.Floats(new Add(x, null, copy), copy)));
    }

    [Test]
    public void Not_a_number_and_infinity_reach_their_neighbours_alone()
    {
        OperationHarness harness = new(device);
        Tensor x = Tensor.Float("x", 1, 2, 4);
        harness.With(x, 1, float.NaN, 3, 4, 5, 6, 7, float.PositiveInfinity);
        ResampleBilinear operation = Resample(x, 1, 4, 1, 8);
        harness.Check(operation);
        float[] y = harness.Floats(operation, operation.Y.Tensor);
        Assert.That(y[1..5], Is.All.NaN);
        Assert.That(y[5..13], Is.All.Matches<float>(float.IsFinite));
        // Infinity times the weight 0 of the row below is not a number; it stays no number that one could take for a result.
        Assert.That(y[13..], Is.All.Not.Matches<float>(float.IsFinite));
    }

    [Test]
    public void Seeded_faults_are_found()
    {
        OperationHarness harness = new(device);
        Tensor source = Tensor.Float("x", 1, 3, 13);
        TensorView x = source.View().RowRange(0, 2).ColumnRange(0, 12);
        ResampleBilinear right = Resample(x, 3, 4, 6, 8);
        Tensor y = right.Y.Tensor;
        Tensor planes = Tensor.Float("planes", 1, 2, 12);
        harness.Catches(right, right with { X = source.View().RowRange(0, 2).ColumnRange(1, 12) }, "the grid shifted by a column");
        harness.Catches(right, right with { X = source.View().RowRange(1, 2).ColumnRange(0, 12) }, "a plane shifted");
        harness.Catches(right, right with { InHeight = 4, InWidth = 3 }, "sides swapped");
        harness.Catches(right, y, values => AlignedCorners(harness.Floats(new Add(x, null, planes), planes), values), "aligned corners");
        harness.Catches(right, y, values => [.. values.Select((v, i) => i % 8 == 7 ? values[i - 1] : v)], "last column repeats the one before");
        harness.CatchesMissingEnd(right, y);
    }

    [Test]
    public void Bits_depend_on_nothing_but_the_plane()
    {
        OperationHarness harness = new(device);
        Tensor x = Tensor.Float("x", 3, 2, 12);
        ResampleBilinear operation = Resample(x, 3, 4, 5, 7);
        harness.IsRepeatable(operation);
        harness.IsIndependentOfTheBatch(operation, operation.Y.Tensor, b =>
        {
            ResampleBilinear one = Resample(OperationHarness.Element(x, b), 3, 4, 5, 7);
            return (one, one.Y.Tensor);
        });
    }

    [Test]
    public void A_prepared_step_allocates_nothing()
        => new OperationHarness(device).AllocatesNothing(Resample(Tensor.Float("x", 1, 2, 12), 3, 4, 9, 10));

    [Test]
    public void Shapes_that_do_not_fit_are_refused()
    {
        ResampleBilinear right = Resample(Tensor.Float("x", 1, 2, 12), 3, 4, 6, 8);
        Assert.DoesNotThrow(right.Validate);
        Assert.Throws<ArgumentException>((right with { InHeight = 4 }).Validate);
        Assert.Throws<ArgumentException>((right with { OutWidth = 7 }).Validate);
        Assert.Throws<ArgumentException>((right with { InHeight = -3, InWidth = -4 }).Validate);
        Assert.Throws<ArgumentException>((right with { Y = Tensor.Float("y", 1, 3, 48) }).Validate);
        Assert.Throws<ArgumentException>((right with { Y = Tensor.Float("y", 2, 2, 48) }).Validate);
        Assert.Throws<ArgumentException>(Resample(Tensor.Float("x", 1, 1, Bilinear.MaxInput + 1), 1, Bilinear.MaxInput + 1, 1, 1).Validate);
        Assert.Throws<ArgumentException>(Resample(Tensor.Float("x", 1, 1, 1), 1, 1, 1, Bilinear.MaxOutput + 1).Validate);
        Assert.Throws<ArgumentOutOfRangeException>(() => Tensor.Float("none", 0, 2, 12));
    }

    private static ResampleBilinear Resample(TensorView x, int inHeight, int inWidth, int outHeight, int outWidth)
        => new(x, Tensor.Float("y", x.Batch, x.Rows, outHeight * outWidth), inHeight, inWidth, outHeight, outWidth);

    // The same planes sampled at i·(in − 1)/(out − 1), for 3 x 4 to 6 x 8.
    private static float[] AlignedCorners(float[] planes, float[] right)
    {
        float[] wrong = [.. right];
        for (int i = 0; i < 48; i++)
        {
            (float y, float x) = (i / 8 * 2 / 5f, i % 8 * 3 / 7f);
            (int top, int left) = (Math.Min((int)y, 1), Math.Min((int)x, 2));
            (y, x) = (y - top, x - left);
            float At(int r, int c) => planes[4 * r + c];
            wrong[i] = (1 - y) * ((1 - x) * At(top, left) + x * At(top, left + 1)) + y * ((1 - x) * At(top + 1, left) + x * At(top + 1, left + 1));
        }
        return wrong;
    }
}
