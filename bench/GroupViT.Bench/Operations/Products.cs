namespace GroupViT.Bench.Operations;

/// <summary>Matrix products with their fused epilogues: blocks, grouping, token mixers (weights on the left), heads.</summary>
public class MatMulBenchmark() : OperationBenchmark("MatMul");

/// <summary>Multi-head attention: self, over the image tokens, causal.</summary>
public class AttentionBenchmark() : OperationBenchmark("Attention");

/// <summary>The assignment of tokens to groups.</summary>
public class GroupAssignBenchmark() : OperationBenchmark("GroupAssign");
