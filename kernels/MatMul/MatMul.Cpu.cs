using System.Runtime.CompilerServices;
using GroupViT.Kernels.Devices;
using GroupViT.Kernels.Simd;

namespace GroupViT.Kernels;

internal sealed partial record MatMul
{
    public override Step PrepareCpu<V>(CpuBinding binding)
        => WeightFormat == WeightFormat.BFloat16 ? PrepareCpu<V, BFloat16Panel>(binding) : PrepareCpu<V, FloatPanel>(binding);

    private Step PrepareCpu<V, TPanel>(CpuBinding binding)
        where V : struct, ISimd<V>
        where TPanel : struct, IPanelFormat => Activation switch
        {
            Activation.Gelu => new CpuMatMul<V, Gelu, TPanel>(this, binding),
            Activation.QuickGelu => new CpuMatMul<V, QuickGelu, TPanel>(this, binding),
            Activation.Relu => new CpuMatMul<V, Relu, TPanel>(this, binding),
            _ => new CpuMatMul<V, NoActivation, TPanel>(this, binding),
        };
}

/// <summary>
/// The product on the CPU. B is read in panels of two vectors' columns, [K][2W], zero-padded at the right edge: a constant B is
/// packed so once; a computed one is read in place where a panel is whole and not transposed, else packed into scratch by the task.
/// </summary>
/// <remarks>
/// A task is a block of rows times a range of panels. A panel of the widest kind at K = 384 is 48 KB: it stays in L2 while the block's
/// rows pass by, and a block of 96 rows at K = 384 is 147 KB, in L2 as well.
/// </remarks>
internal sealed unsafe class CpuMatMul<V, TActivation, TPanel> : CpuStep
    where V : struct, ISimd<V>
    where TActivation : struct, IActivation
    where TPanel : struct, IPanelFormat
{
    private const int TilesPerBlock = 8;
    private const int TasksPerThread = 12;

    private readonly float* a;
    private readonly float* b;
    private readonly byte* packed;
    private readonly float* bias;
    private readonly float* residual;
    private readonly float* y;
    private readonly nint aBatch, bBatch, rBatch, yBatch;
    private readonly nint lda, ldb, ldr, ldy;
    private readonly int m, n, depth, panels, blocks, rowsPerBlock, panelGroups, headSize, headRows;
    private readonly float scale;
    private readonly bool transposeB, biasPerRow, constant;

    public CpuMatMul(MatMul operation, CpuBinding binding)
        : base(binding, 0)
    {
        (TensorView viewA, TensorView viewB, TensorView viewY) = (operation.A, operation.B, operation.Y);
        TensorView? viewR = operation.Residual;
        if (viewB.BatchStride == 0 || viewB.Batch == 1)
        {
            // One B for all: the batch is only more rows, provided that nothing else is per batch element.
            TensorView foldedR = default;
            TensorView foldedY = viewY with { Batch = 1 };
            if (operation.BiasAxis == BiasAxis.Columns && viewA.TryFold(out TensorView foldedA) && (operation.HeadSize > 0 || viewY.TryFold(out foldedY))
                && (viewR is not { } r || r.TryFold(out foldedR)))
            {
                (viewA, viewY, viewB) = (foldedA, foldedY, viewB with { Batch = 1 });
                viewR = viewR is null ? null : foldedR;
            }
        }
        (m, n, depth) = (viewA.Rows, operation.N, viewA.Columns);
        (headSize, headRows) = (operation.HeadSize, operation.M);
        scale = operation.Scale;
        transposeB = operation.TransposeB;
        biasPerRow = operation.BiasAxis == BiasAxis.Rows;
        panels = (n + Width - 1) / Width;
        a = binding.Float(viewA);
        (aBatch, lda) = (viewA.BatchStride, viewA.RowStride);
        constant = viewB.Tensor.IsConstant;
        if (constant)
        {
            packed = Pack(operation, binding, panels);
        }
        else
        {
            b = binding.Float(viewB);
        }
        (bBatch, ldb) = (viewB.BatchStride, viewB.RowStride);
        bias = binding.FloatOrNull(operation.Bias);
        residual = binding.FloatOrNull(viewR);
        (rBatch, ldr) = (viewR?.BatchStride ?? 0, viewR?.RowStride ?? 0);
        y = binding.Float(viewY);
        (yBatch, ldy) = (viewY.BatchStride, viewY.RowStride);

        rowsPerBlock = Rows * TilesPerBlock;
        blocks = (m + rowsPerBlock - 1) / rowsPerBlock;
        // Enough tasks that the last one keeps nobody waiting long: 9 blocks on two threads are 5 and 4, which loses an eighth.
        int wanted = binding.Threads == 1 ? 1 : (TasksPerThread * binding.Threads + blocks * viewY.Batch - 1) / (blocks * viewY.Batch);
        panelGroups = Math.Min(panels, wanted);
        Tiles = viewY.Batch * blocks * panelGroups;
        binding.ReserveScratch(NeedsScratch ? (long)depth * Width * sizeof(float) : 0);
    }

    // One panel: of a computed factor, or widened. Packed floats are read where they are.
    private bool NeedsScratch => TPanel.Format != WeightFormat.Float32 || !constant;

    private static int Rows => ProductTile<V>.Rows;

    private static int Width => ProductTile<V>.Columns;

    [SkipLocalsInit]
    public override void Tile(int tile, int thread)
    {
        (int batchBlock, int group) = Math.DivRem(tile, panelGroups);
        (int batch, int block) = Math.DivRem(batchBlock, blocks);
        int firstRow = block * rowsPerBlock;
        int rowCount = Math.Min(m, firstRow + rowsPerBlock) - firstRow;
        float* panelScratch = NeedsScratch ? (float*)Worker.Scratch(thread) : null;
        float* sums = stackalloc float[Rows * Width];

        int lastPanel = (int)((long)(group + 1) * panels / panelGroups);
        for (int panel = (int)((long)group * panels / panelGroups); panel < lastPanel; panel++)
        {
            byte* columns = Panel(panel, batch, panelScratch, out nint stride);
            if (TPanel.Format != WeightFormat.Float32 && rowCount > 2 * Rows)
            {
                // Widened once for all the block's tiles; within a tile it would compete with the products for the same units (8 % of the encoder).
                Widen(columns, panelScratch);
                PanelRows<FloatPanel>(panel, (byte*)panelScratch, Width * sizeof(float), batch, firstRow, rowCount, sums);
            }
            else
            {
                PanelRows<TPanel>(panel, columns, stride, batch, firstRow, rowCount, sums);
            }
        }
    }

    private void Widen(byte* columns, float* target)
    {
        for (nint i = 0; i < (nint)depth * Width; i += V.Width)
        {
            V.Store(TPanel.Load<V>(columns + i * TPanel.Bytes), target + i);
        }
    }

    // All the block's rows with one panel.
    private void PanelRows<TFormat>(int panel, byte* columns, nint stride, int batch, int firstRow, int rowCount, float* sums)
        where TFormat : struct, IPanelFormat
    {
        float* rows = a + batch * aBatch + firstRow * lda;
        float* added = residual is null ? null : residual + batch * rBatch + firstRow * ldr;
        int column = panel * Width;
        // Across heads there is no place of one stride.
        bool wholePanel = n - column >= Width && (headSize == 0 || headSize % Width == 0);
        LinearStore<V> store = new(scale, bias is null || biasPerRow ? null : bias + column, ldr);
        StridedStore<V> plain = new(sums, Width);
        for (int r = 0; r < rowCount; r += Rows)
        {
            int count = Math.Min(Rows, rowCount - r);
            float* plus = added is null ? null : added + r * ldr + column;
            float* perRow = biasPerRow ? bias + firstRow + r : null;
            if (!wholePanel || IsAcrossBatch(firstRow + r, count))
            {
                ProductTile<V>.Compute<TFormat, StridedStore<V>>(count, rows + r * lda, lda, columns, stride, depth, ref plain);
                Finish(sums, batch, firstRow + r, count, column);
                continue;
            }
            float* output = Target(batch, firstRow + r, column);
            // Rows of Y are far apart and no hardware prefetcher sees the pattern; the product takes longer than memory does.
            Memory.PrefetchRows(output, ldy, count, Width);
            if (plus is not null)
            {
                Memory.PrefetchRows(plus, ldr, count, Width);
            }
            if (typeof(TActivation) == typeof(NoActivation))
            {
                store.Begin(output, ldy, plus, perRow);
                ProductTile<V>.Compute<TFormat, LinearStore<V>>(count, rows + r * lda, lda, columns, stride, depth, ref store);
            }
            else
            {
                store.Begin(sums, Width, null, perRow);
                ProductTile<V>.Compute<TFormat, LinearStore<V>>(count, rows + r * lda, lda, columns, stride, depth, ref store);
                Activate(sums, count, output, plus);
            }
        }
    }

    private float* Target(int batch, int row, int column)
    {
        if (headSize == 0)
        {
            return y + batch * yBatch + row * ldy + column;
        }
        // Where the batch was folded into the rows, the element is in the row.
        (int element, int headRow) = Math.DivRem(row, headRows);
        (int head, int headColumn) = Math.DivRem(column, headSize);
        return y + (batch + element) * yBatch + ((nint)head * headRows + headRow) * ldy + headColumn;
    }

    private bool IsAcrossBatch(int row, int count) => headSize > 0 && row / headRows != (row + count - 1) / headRows;

    // A loop of its own: with the activation in the tile's store, its constants would push the sums out of the registers.
    private void Activate(float* source, int rows, float* output, float* plus)
    {
        for (int r = 0; r < rows; r++)
        {
            for (int c = 0; c < 2; c++)
            {
                V x = TActivation.Apply(V.Load(source));
                source += V.Width;
                V.Store(plus is null ? x : x + V.Load(plus + c * V.Width), output + c * V.Width);
            }
            output += ldy;
            plus = plus is null ? null : plus + ldr;
        }
    }

    private byte* Panel(int panel, int batch, float* scratch, out nint stride)
    {
        stride = Width * TPanel.Bytes;
        if (packed is not null)
        {
            return packed + (nint)panel * depth * stride;
        }
        int first = panel * Width;
        int count = Math.Min(Width, n - first);
        float* source = b + batch * bBatch;
        if (!transposeB)
        {
            if (count == Width)
            {
                stride = ldb * sizeof(float);
                return (byte*)(source + first);
            }
            PanelPacking.FromRows(source + first, ldb, depth, count, Width, scratch);
        }
        else
        {
            PanelPacking.FromColumns(source + first * ldb, ldb, depth, count, Width, scratch);
        }
        return (byte*)scratch;
    }

    /// <summary>Scale, bias, activation and residual on the way from the tile to Y.</summary>
    private void Finish(float* sums, int batch, int firstRow, int rowCount, int firstColumn)
    {
        int columns = Math.Min(Width, n - firstColumn);
        for (int i = 0; i < rowCount; i++)
        {
            int row = firstRow + i;
            float* added = residual is null ? null : residual + batch * rBatch + row * ldr + firstColumn;
            float* source = sums + i * Width;
            int c = 0;
            for (; c <= columns - V.Width && headSize % V.Width == 0; c += V.Width)
            {
                FinishVector<V>(source + c, Target(batch, row, firstColumn + c), added is null ? null : added + c, row, firstColumn + c);
            }
            for (; c < columns; c++)
            {
                FinishVector<V1>(source + c, Target(batch, row, firstColumn + c), added is null ? null : added + c, row, firstColumn + c);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void FinishVector<W>(float* source, float* target, float* added, int row, int column)
        where W : struct, ISimd<W>
    {
        W x = W.Load(source) * W.Broadcast(scale);
        if (bias is not null)
        {
            x += biasPerRow ? W.Broadcast(bias[row]) : W.Load(bias + column);
        }
        x = TActivation.Apply(x);
        W.Store(added is null ? x : x + W.Load(added), target);
    }

    private static byte* Pack(MatMul operation, CpuBinding binding, int panels)
    {
        TensorView view = operation.B;
        int k = operation.K;
        int n = operation.N;
        bool transposed = operation.TransposeB;
        if (!view.Tensor.IsConstant || view.Offset != 0 || view.Rows != view.Tensor.Rows || view.Columns != view.Tensor.Columns)
        {
            throw new ArgumentException($"a constant factor is packed whole, not {view}");
        }
        string key = $"{view.Tensor.Name}/panels{Width}{(transposed ? "t" : "")}/{TPanel.Format}";
        bool narrow = TPanel.Format != WeightFormat.Float32;
        nint panelValues = (nint)k * Width;
        long floats = (panels * panelValues * TPanel.Bytes + sizeof(float) - 1) / sizeof(float);
        return (byte*)binding.Pack(key, floats, (destination, buffer) =>
        {
            // Rows of a transposed B are columns of the product: a panel's worth of them at a time stays in L2 on the way.
            bool byPanel = transposed && view.Tensor.RowsReader is not null;
            nint held = byPanel ? panelValues : view.Tensor.Count;
            float* source = buffer.Floats(held + (narrow ? panelValues : 0));
            float* wide = source + held;
            if (!byPanel)
            {
                view.Tensor.Reader!(new Span<float>(source, view.Tensor.Count));
            }
            for (int panel = 0; panel < panels; panel++)
            {
                int first = panel * Width;
                int count = Math.Min(Width, n - first);
                byte* packed = (byte*)destination + panel * panelValues * TPanel.Bytes;
                float* target = narrow ? wide : (float*)packed;
                if (byPanel)
                {
                    view.Tensor.RowsReader!(first, new Span<float>(source, count * k));
                    PanelPacking.FromColumns(source, k, k, count, Width, target);
                }
                else if (transposed)
                {
                    PanelPacking.FromColumns(source + (nint)first * k, k, k, count, Width, target);
                }
                else
                {
                    PanelPacking.FromRows(source + first, n, k, count, Width, target);
                }
                if (narrow)
                {
                    TPanel.Store(wide, packed, panelValues);
                }
            }
        });
    }
}

/// <summary>scale·sum + bias + residual, from the registers to their place.</summary>
internal unsafe struct LinearStore<V>(float scale, float* columnBias, nint addedStride) : ITileStore<V>
    where V : struct, ISimd<V>
{
    private float* target;
    private nint stride;
    private float* added;
    private float* rowBias;

    /// <summary>Where the next tile goes.</summary>
    public void Begin(float* target, nint stride, float* added, float* rowBias)
    {
        this.target = target;
        this.stride = stride;
        this.added = added;
        this.rowBias = rowBias;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Row(int row, V x, V y)
    {
        V factor = V.Broadcast(scale);
        x *= factor;
        y *= factor;
        if (columnBias is not null)
        {
            x += V.Load(columnBias);
            y += V.Load(columnBias + V.Width);
        }
        if (rowBias is not null)
        {
            V b = V.Broadcast(rowBias[row]);
            x += b;
            y += b;
        }
        if (added is not null)
        {
            x += V.Load(added + row * addedStride);
            y += V.Load(added + row * addedStride + V.Width);
        }
        V.Store(x, target + row * stride);
        V.Store(y, target + row * stride + V.Width);
    }
}
