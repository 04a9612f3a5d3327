namespace GroupViT.Kernels;
internal static class Placeholder;
