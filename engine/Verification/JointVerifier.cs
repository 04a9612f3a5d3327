using GroupViT.Native.Weights;

namespace GroupViT.Native;

/// <summary>
/// What pictures and texts make together (joint.*): unit embeddings, logits, Hugging Face's segmentation logits, and the contrastive
/// loss, from the values that were computed here (spec B.4, F.2, H.2).
/// </summary>
internal static class JointVerifier
{
    public static void Compare(VerificationRun run, Checkpoint checkpoint)
    {
        int side = checkpoint.Config.Vision.ImageSize;
        string picture = $"image{side}x{side}";
        if (!run.Ours.TryGetValue($"{picture}.visual_projection", out float[]? images) || !run.Ours.TryGetValue("text.text_projection", out float[]? texts))
        {
            return;
        }
        int width = checkpoint.Config.ProjectionDim;
        double scale = Math.Exp(checkpoint.ReadScalar("logit_scale"));
        double[] imageEmbeds = Unit(images, width);
        int textCount = run.Has("joint.text_embeds") ? run.Shape("joint.text_embeds")[0] : texts.Length / width;
        double[] textEmbeds = Unit(texts.AsSpan(0, textCount * width), width);
        int imageCount = imageEmbeds.Length / width;
        double[] logits = Products(imageEmbeds, textEmbeds, width, scale);

        Compare(run, "joint.image_embeds", imageEmbeds);
        Compare(run, "joint.text_embeds", textEmbeds);
        Compare(run, "joint.logits_per_image", logits);
        if (run.Wants("joint.loss"))
        {
            Compare(run, "joint.loss", [Loss(logits, imageCount, textCount)]);
        }
        if (run.Wants("joint.segmentation_logits")
            && run.Ours.TryGetValue($"{picture}.visual_projection_groups", out float[]? groups)
            && run.Ours.TryGetValue($"{picture}.composed_groups", out float[]? maps))
        {
            int[] shape = run.Shape($"{picture}.composed_groups");
            Compare(run, "joint.segmentation_logits", SegmentationLogits(Unit(groups, width), maps, shape, textEmbeds, width, scale, side));
        }
    }

    private static void Compare(VerificationRun run, string name, double[] ours)
    {
        if (run.Wants(name))
        {
            run.Compare(name, Array.ConvertAll(ours, value => (float)value));
        }
    }

    // seg[b, t, y, x] = scale · Σ_h (scale·⟨e[b, h], t⟩) · map[b, h, y, x]: the temperature twice (spec F.2).
    private static double[] SegmentationLogits(double[] groups, float[] maps, int[] shape, double[] texts, int width, double scale, int side)
    {
        (int batch, int groupCount, int gridHeight, int gridWidth) = (shape[0], shape[1], shape[2], shape[3]);
        int textCount = texts.Length / width;
        double[] affinity = Products(groups, texts, width, scale);                                  // [B·G, T]
        double[] logits = new double[batch * textCount * side * side];
        for (int b = 0; b < batch; b++)
        {
            for (int y = 0; y < side; y++)
            {
                for (int x = 0; x < side; x++)
                {
                    for (int h = 0; h < groupCount; h++)
                    {
                        int plane = (b * groupCount + h) * gridHeight * gridWidth;
                        double share = Kernels.Bilinear.Sample(
                            (r, c) => maps[plane + r * gridWidth + c], gridHeight, gridWidth, side, side, y, x).Value;
                        for (int t = 0; t < textCount; t++)
                        {
                            logits[((b * textCount + t) * side + y) * side + x] += scale * share * affinity[(b * groupCount + h) * textCount + t];
                        }
                    }
                }
            }
        }
        return logits;
    }

    // Image-text contrastive loss of the first B texts (spec H.2, one process).
    private static double Loss(double[] logits, int images, int texts)
    {
        int n = Math.Min(images, texts);
        double sum = 0;
        for (int i = 0; i < n; i++)
        {
            double byRow = 0;
            double byColumn = 0;
            for (int j = 0; j < n; j++)
            {
                byRow += Math.Exp(logits[i * texts + j] - logits[i * texts + i]);
                byColumn += Math.Exp(logits[j * texts + i] - logits[i * texts + i]);
            }
            sum += Math.Log(byRow) + Math.Log(byColumn);
        }
        return sum / (2 * n);
    }

    private static double[] Products(double[] left, double[] right, int width, double scale)
    {
        int rows = left.Length / width;
        int columns = right.Length / width;
        double[] products = new double[rows * columns];
        for (int i = 0; i < rows; i++)
        {
            for (int j = 0; j < columns; j++)
            {
                double sum = 0;
                for (int k = 0; k < width; k++)
                {
                    sum += left[i * width + k] * right[j * width + k];
                }
                products[i * columns + j] = scale * sum;
            }
        }
        return products;
    }

    private static double[] Unit(ReadOnlySpan<float> rows, int width)
    {
        double[] unit = new double[rows.Length];
        for (int start = 0; start < rows.Length; start += width)
        {
            double squares = 0;
            for (int i = start; i < start + width; i++)
            {
                squares += (double)rows[i] * rows[i];
            }
            for (int i = start; i < start + width; i++)
            {
                unit[i] = rows[i] / Math.Sqrt(squares);
            }
        }
        return unit;
    }
}
