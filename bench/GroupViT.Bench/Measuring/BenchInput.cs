namespace GroupViT.Bench.Measuring;

/// <summary>What the benchmarks feed the network.</summary>
internal static class BenchInput
{
    /// <summary>[batch, 3, size, size]: the picture of spec K.2, in every place of the batch.</summary>
    public static float[] Pixels(int batch, int size)
    {
        float[] one = FullModel.Pixels(size, size);
        float[] all = new float[batch * one.Length];
        for (int b = 0; b < batch; b++)
        {
            one.CopyTo(all, b * one.Length);
        }
        return all;
    }
}
