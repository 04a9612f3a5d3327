using GroupViT.Kernels;

namespace GroupViT.Tests.Kernels;

/// <summary>Products of small integers, whose products and sums are exact in every format and in every order: any thread that gets another's number shows.</summary>
internal static class ExactProduct
{
    public static void Check(TestDevice device, Func<OperationHarness, MatMul> make)
    {
        OperationHarness harness = new(device, 7) { Values = Values.Ties };
        MatMul product = make(harness);
        Dictionary<Tensor, uint[]> results = harness.Run(product);
        float[] a = [.. results[product.A.Tensor].Select(BitConverter.UInt32BitsToSingle)];
        float[] b = new float[product.N * product.K];
        product.B.Tensor.Reader!(b);
        float[] y = [.. results[product.Y.Tensor].Select(BitConverter.UInt32BitsToSingle)];
        for (int row = 0; row < product.M; row++)
        {
            for (int column = 0; column < product.N; column++)
            {
                float expected = 0;
                for (int i = 0; i < product.K; i++)
                {
                    expected += a[row * product.K + i] * b[column * product.K + i];
                }
                Assert.That(y[row * product.N + column], Is.EqualTo(expected), $"[{row}, {column}]");
            }
        }
    }
}
