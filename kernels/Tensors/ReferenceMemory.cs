namespace GroupViT.Kernels;

/// <summary>
/// Float64 values and error bounds by tensor, for <see cref="Operation.Evaluate"/>. Inputs are exact; outputs carry the bound that
/// their operation derived.
/// </summary>
internal sealed class ReferenceMemory
{
    /// <summary>Unit roundoff of float32.</summary>
    public const double U = 1.0 / (1 << 24);

    /// <summary>The bound of an element that no definition has set: an implementation must leave it alone.</summary>
    public const double NeverSet = double.NegativeInfinity;

    private readonly Dictionary<Tensor, (double[] Values, double[] Bounds)> tensors = [];

    /// <summary>Bounds a float32 sum of n products in any order: n·u/(1 − n·u) of the sum of magnitudes (Higham, section 3.1).</summary>
    public static double Gamma(int n) => n * U / (1 - n * U);

    public void Put(Tensor tensor, ReadOnlySpan<float> values)
    {
        (double[] target, double[] bounds) = Of(tensor);
        Array.Clear(bounds);
        for (int i = 0; i < target.Length; i++)
        {
            target[i] = values[i];
        }
    }

    public void Put(Tensor tensor, ReadOnlySpan<int> values)
    {
        (double[] target, double[] bounds) = Of(tensor);
        Array.Clear(bounds);
        for (int i = 0; i < target.Length; i++)
        {
            target[i] = values[i];
        }
    }

    public ReadOnlySpan<double> Values(Tensor tensor) => Of(tensor).Values;

    public ReadOnlySpan<double> Bounds(Tensor tensor) => Of(tensor).Bounds;

    public double Get(in TensorView view, int batch, int row, int column) => Of(view.Tensor).Values[view.Index(batch, row, column)];

    public double Get(Tensor vector, int column) => Of(vector).Values[column];

    public int GetInt(in TensorView view, int batch, int row, int column) => (int)Get(view, batch, row, column);

    public void Set(in TensorView view, int batch, int row, int column, double value, double bound)
    {
        (double[] values, double[] bounds) = Of(view.Tensor);
        int index = view.Index(batch, row, column);
        // The result is stored in float32, which rounds it once more; and then in 16 bits, where the tensor is kept so.
        bound += U * Math.Abs(value) + float.Epsilon;
        if (view.Tensor.IsNarrow)
        {
            WeightFormat format = view.Tensor.Format;
            bound += format.UnitRoundoff() * (Math.Abs(value) + bound) + (format == WeightFormat.Float16 ? Math.ScaleB(1, -25) : 0);
        }
        (values[index], bounds[index]) = (value, bound);
    }

    public void SetExact(in TensorView view, int batch, int row, int column, double value)
    {
        (double[] values, double[] bounds) = Of(view.Tensor);
        int index = view.Index(batch, row, column);
        (values[index], bounds[index]) = (view.Tensor.Format.Kept(value), 0);
    }

    private (double[] Values, double[] Bounds) Of(Tensor tensor)
    {
        if (!tensors.TryGetValue(tensor, out (double[] Values, double[] Bounds) found))
        {
            found = (new double[tensor.Count], new double[tensor.Count]);
            Array.Fill(found.Bounds, NeverSet);
            if (tensor.Reader is { } reader)
            {
                Array.Clear(found.Bounds);
                float[] values = new float[tensor.Count];
                reader(values);
                for (int i = 0; i < values.Length; i++)
                {
                    found.Values[i] = values[i];
                }
            }
            tensors.Add(tensor, found);
        }
        return found;
    }
}
