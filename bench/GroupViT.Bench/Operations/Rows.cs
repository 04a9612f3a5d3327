namespace GroupViT.Bench.Operations;

/// <summary>Layer norms, with and without a residual.</summary>
public class LayerNormBenchmark() : OperationBenchmark("LayerNorm");

/// <summary>The group tokens' way into the sequence.</summary>
public class AddBenchmark() : OperationBenchmark("Add");

/// <summary>Token embeddings and the pick of the end token.</summary>
public class GatherRowsBenchmark() : OperationBenchmark("GatherRows");

/// <summary>The pooling of the groups.</summary>
public class MeanRowsBenchmark() : OperationBenchmark("MeanRows");

/// <summary>Unit embeddings.</summary>
public class NormalizeRowsBenchmark() : OperationBenchmark("NormalizeRows");
