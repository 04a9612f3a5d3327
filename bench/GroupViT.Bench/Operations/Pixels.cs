namespace GroupViT.Bench.Operations;

/// <summary>Pixels to patches.</summary>
public class PatchUnfoldBenchmark() : OperationBenchmark("PatchUnfold");

/// <summary>Resizing a picture to the network's input.</summary>
public class ResizeBenchmark() : OperationBenchmark("Resize");

/// <summary>Bytes to the network's floats.</summary>
public class NormalizeBenchmark() : OperationBenchmark("Normalize");

/// <summary>Maps to a group for every pixel of the input.</summary>
public class PixelGroupsBenchmark() : OperationBenchmark("PixelGroups");

/// <summary>Soft maps to the input's size.</summary>
public class ResampleBilinearBenchmark() : OperationBenchmark("ResampleBilinear");

/// <summary>Groups or soft maps to a label for every pixel.</summary>
public class PixelLabelsBenchmark() : OperationBenchmark("PixelLabels");

/// <summary>Embeddings to the score of every label for every group.</summary>
public class LabelScoresBenchmark() : OperationBenchmark("LabelScores");

/// <summary>Labels and scores to each label's pixels and their sum.</summary>
public class LabelSumsBenchmark() : OperationBenchmark("LabelSums");
