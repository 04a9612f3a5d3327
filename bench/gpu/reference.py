#!/usr/bin/env python3
"""The image encoder in PyTorch, for the ratio: GroupViT of Hugging Face's transformers with random weights of the full-size shape.

Times one call from pixels on the device to the image embedding on the device: eager; torch.compile (mode max-autotune, which replays CUDA
graphs); and, where onnxruntime has a CUDA provider, that. Precisions: float32 (TF32 off), tf32, bf16 and fp16 autocast. The median of
repeated calls, each waited for, is what a caller waits; with batches it is also the throughput.

    python3 bench/gpu/reference.py [--device cuda:0] [--size 224 448] [--batch 1 8 64] [--seconds 1] [--budget S] [--no-compile] [--no-onnx]
"""

import argparse
import contextlib
import io
import statistics
import sys
import time

started = time.perf_counter()  # importing takes its time too

import torch
import transformers
from transformers import GroupViTConfig, GroupViTModel


class ImageEncoder(torch.nn.Module):
    """Pixels to the embedding, as a module that compilers and exporters take whole."""

    def __init__(self, size):
        super().__init__()
        # Positions are resampled ahead of a run in the engine; here the grid is the model's own.
        self.model = GroupViTModel(GroupViTConfig(vision_config={"image_size": size})).eval()

    def forward(self, pixels):
        embedding = self.model.get_image_features(pixel_values=pixels)
        return getattr(embedding, "pooler_output", embedding)


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def median_ms(call, device, seconds):
    """The first calls are not counted: they compile, tune and capture."""
    for _ in range(4):
        call()
    synchronize(device)
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        start = time.perf_counter()
        call()
        synchronize(device)
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times), len(times)


@contextlib.contextmanager
def precision_of(name, device):
    tf32 = name == "tf32"
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(name)
    try:
        with torch.autocast(device.type, dtype=kind) if kind else contextlib.nullcontext():
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def onnx_call(encoder, pixels):
    """None where onnxruntime is missing or has no CUDA."""
    try:
        import onnxruntime
    except ImportError:
        return None
    if pixels.device.type != "cuda" or "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return None
    buffer = io.BytesIO()
    torch.onnx.export(encoder, (pixels,), buffer, input_names=["pixels"], output_names=["embedding"], dynamo=False)
    session = onnxruntime.InferenceSession(buffer.getvalue(), providers=["CUDAExecutionProvider"])
    binding = session.io_binding()
    binding.bind_input("pixels", "cuda", pixels.device.index or 0, "float32", tuple(pixels.shape), pixels.data_ptr())
    binding.bind_output("embedding", "cuda", pixels.device.index or 0)
    return lambda: session.run_with_iobinding(binding)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--size", type=int, nargs="+", default=[224, 448])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--precision", nargs="+", default=["float32", "tf32", "bf16", "fp16"])
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds after which no further case begins; what is left out is named")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--no-onnx", action="store_true")
    arguments = parser.parse_args()
    end = started + arguments.budget
    device = torch.device(arguments.device)
    hardware = torch.cuda.get_device_name(device) if device.type == "cuda" else "processor"
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, CUDA {torch.version.cuda}, {hardware}\n", flush=True)
    print("| runner | precision | input | batch | median ms | pictures/s | calls |")
    print("|---|---|---:|---:|---:|---:|---:|", flush=True)
    failed = False
    longest = {}  # seconds of a runner's longest case so far, its making included

    def row(runner, precision, size, batch, make):
        nonlocal failed
        begun = time.perf_counter()
        if begun + longest.get(runner, 0) > end:
            failed = True
            print(f"| {runner} | {precision} | {size} | {batch} | skipped: no time left | | |", flush=True)
            return
        try:
            call = make()
            if call is not None:
                ms, calls = median_ms(call, device, arguments.seconds)
                print(f"| {runner} | {precision} | {size} | {batch} | {ms:.3f} | {1e3 * batch / ms:.0f} | {calls} |", flush=True)
        except Exception as error:  # one runner's failure must not take the others' numbers
            failed = True
            print(f"| {runner} | {precision} | {size} | {batch} | failed: {str(error).splitlines()[0][:80] if str(error) else type(error).__name__} | | |", flush=True)
        longest[runner] = max(longest.get(runner, 0), time.perf_counter() - begun)

    def compiled(encoder, pixels):
        torch._dynamo.reset()
        module = torch.compile(encoder, mode="max-autotune", fullgraph=False)
        return lambda: module(pixels)

    # What takes long comes last: eager of everything, then ONNX Runtime, then what is compiled.
    runners = ["eager"] + ([] if arguments.no_onnx else ["onnxruntime"]) + ([] if arguments.no_compile else ["compile"])
    for runner in runners:
        for size in arguments.size:
            torch.manual_seed(1)
            encoder = ImageEncoder(size).to(device)
            for batch in arguments.batch:
                pixels = torch.randn(batch, 3, size, size, device=device)
                if runner == "onnxruntime":
                    with torch.no_grad():
                        row(runner, "float32", size, batch, lambda: onnx_call(encoder, pixels))
                    continue
                for precision in arguments.precision:
                    with torch.inference_mode(), precision_of(precision, device):
                        row(runner, precision, size, batch, (lambda: compiled(encoder, pixels)) if runner == "compile" else (lambda: lambda: encoder(pixels)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
