using GroupViT.Kernels;

namespace GroupViT.Tests.Kernels;

[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.All))]
internal sealed class GroupAssignGradientTests(TestDevice device)
{
    private static readonly (int Batch, int Groups, int Tokens)[] Shapes = [(1, 1, 1), (2, 3, 5), (1, 2, 17)];

    private static readonly (int Batch, int Groups, int Tokens)[] LargerShapes = [(1, 8, 64), (2, 64, 196), (1, 5, 255), (3, 9, 257), (1, 33, 2), (1, 1, 700)];

    private IEnumerable<(int Batch, int Groups, int Tokens)> Sizes => device.IsSlow ? Shapes : Shapes.Concat(LargerShapes);

    [Test]
    public void It_equals_its_definition([Values] Values values, [Values(1f, 0.7f)] float temperature)
    {
        foreach ((int batch, int groups, int tokens) in Sizes)
        {
            OperationHarness harness = new(device, groups + tokens) { Values = values };
            harness.Check(Gradient(harness, batch, groups, tokens) with { Temperature = temperature });
        }
    }

    [Test]
    public void The_worked_example_of_the_specification_holds()
    {
        // Spec K.6.
        OperationHarness harness = new(device);
        GroupAssignGradient operation = Gradient(harness, 1, 2, 3);
        harness.With(operation.Soft.Tensor, 0.5249792f, 0.2890505f, 0.7858350f, 0.4750208f, 0.7109495f, 0.2141650f).With(operation.Index, 0, 1, 0).With(operation.Upstream.Tensor, 1f, 2, 3, 4, 5, 6);
        harness.Check(operation);
        Assert.That(harness.Floats(operation, operation.Sums), Is.EqualTo((float[])[3, 4 / 3f, 2, 2.5f]).Within(1e-6));
        Assert.That(harness.Floats(operation, operation.Gradient.Tensor), Is.EqualTo((float[])[-0.2147405f, -0.2112086f, -0.2010230f, 0.2147405f, 0.2112086f, 0.2010230f]).Within(1e-6));
    }

    /// <summary>The gradient of the loss Σ w·Ā, where A is softened: against the difference quotient, in float64, of the soft assignment it stands for.</summary>
    [Test]
    public void It_is_the_softmaxes_derivative_of_what_the_assignment_passes_on()
    {
        const int groups = 3, tokens = 4;
        Random random = new(5);
        double[] logits = [.. Enumerable.Range(0, groups * tokens).Select(_ => 2 * random.NextDouble() - 1)];
        double[] soft = Soft(logits);
        int[] index = [.. Enumerable.Range(0, tokens).Select(l => Enumerable.Range(0, groups).MaxBy(g => logits[g * tokens + l]))];
        float[] upstream = [.. Enumerable.Range(0, groups * tokens).Select(_ => random.NextSingle())];
        OperationHarness harness = new(device);
        GroupAssignGradient operation = Gradient(harness, 1, groups, tokens);
        harness.With(operation.Soft.Tensor, [.. soft.Select(value => (float)value)]).With(operation.Index, index).With(operation.Upstream.Tensor, upstream);
        float[] actual = harness.Floats(operation, operation.Gradient.Tensor);
        for (int i = 0; i < logits.Length; i++)
        {
            const double step = 1e-5;
            double[] more = [.. logits], less = [.. logits];
            more[i] += step;
            less[i] -= step;
            Assert.That(actual[i], Is.EqualTo((Loss(more) - Loss(less)) / (2 * step)).Within(1e-6), $"logit {i}");
        }

        // A = one-hot + S(logits) − S(where we stand): its value there is the one-hot, its derivative the softmax's.
        double Loss(double[] at)
        {
            double[] moved = Soft(at);
            double loss = 0;
            for (int g = 0; g < groups; g++)
            {
                double[] a = [.. Enumerable.Range(0, tokens).Select(l => (index[l] == g ? 1 : 0) + moved[g * tokens + l] - soft[g * tokens + l])];
                double count = a.Sum() + 1;
                loss += Enumerable.Range(0, tokens).Sum(l => upstream[g * tokens + l] * a[l] / count);
            }
            return loss;
        }

        static double[] Soft(double[] logits)
        {
            double[] shares = new double[logits.Length];
            for (int l = 0; l < tokens; l++)
            {
                double sum = Enumerable.Range(0, groups).Sum(g => Math.Exp(logits[g * tokens + l]));
                for (int g = 0; g < groups; g++)
                {
                    shares[g * tokens + l] = Math.Exp(logits[g * tokens + l]) / sum;
                }
            }
            return shares;
        }
    }

    [Test]
    public void Views_read_and_write_only_their_part()
    {
        OperationHarness harness = new(device);
        Tensor soft = Tensor.Float("soft", 2, 9, 20);
        Tensor upstream = Tensor.Float("upstream", 2, 7, 30);
        Tensor gradient = Tensor.Float("gradient", 2, 8, 25);
        GroupAssignGradient plain = Gradient(harness, 2, 3, 11);
        harness.Check(plain with
        {
            Soft = soft.View().RowRange(4, 3).ColumnRange(7, 11),
            Upstream = upstream.View().RowRange(1, 3).ColumnRange(2, 11),
            Gradient = gradient.View().RowRange(5, 3).ColumnRange(13, 11),
        });
    }

    [Test]
    public void Indices_outside_the_groups_are_clamped()
    {
        OperationHarness harness = new(device);
        GroupAssignGradient operation = Gradient(harness, 1, 3, 4);
        harness.With(operation.Index, -5, 99, 1, 2);
        harness.Check(operation);
    }

    [Test]
    public void Seeded_faults_are_found()
    {
        OperationHarness harness = new(device);
        GroupAssignGradient right = Gradient(harness, 2, 4, 9);
        harness.Catches(right, right with { Temperature = 1.01f }, "temperature");
        harness.Catches(right, right with { Epsilon = 1.1f }, "epsilon");
        harness.Catches(right, right with { Soft = right.Upstream, Upstream = right.Soft }, "soft map and upstream swapped");
    }

    [Test]
    public void It_gives_the_same_bits_again_and_with_any_number_of_threads()
    {
        OperationHarness harness = new(device);
        harness.IsRepeatable(Gradient(harness, 2, 5, device.IsSlow ? 6 : 530));
    }

    [Test]
    public void Shapes_that_do_not_fit_are_refused()
    {
        OperationHarness harness = new(device);
        GroupAssignGradient right = Gradient(harness, 2, 3, 4);
        Assert.DoesNotThrow(right.Validate);
        Assert.Throws<ArgumentException>((right with { Upstream = Tensor.Float("u", 2, 3, 5) }).Validate);
        Assert.Throws<ArgumentException>((right with { Sums = Tensor.Float("s", 2, 3, 3) }).Validate);
        Assert.Throws<ArgumentException>((right with { Index = Tensor.Int("i", 2, 1, 5) }).Validate);
        Assert.Throws<ArgumentException>((right with { Epsilon = 0 }).Validate);
        Assert.Throws<ArgumentException>((right with { Temperature = 0 }).Validate);
    }

    private static GroupAssignGradient Gradient(OperationHarness harness, int batch, int groups, int tokens)
    {
        Tensor index = Tensor.Int("index", batch, 1, tokens);
        harness.With(index, [.. Enumerable.Range(0, batch * tokens).Select(i => (i * 7 + 3) % groups)]);
        return new GroupAssignGradient(
            Tensor.Float("soft", batch, groups, tokens), index, Tensor.Float("upstream", batch, groups, tokens), Tensor.Float("sums", batch, groups, 2),
            Tensor.Float("gradient", batch, groups, tokens), 1);
    }
}
