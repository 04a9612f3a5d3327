#!/usr/bin/env python3
"""PyTorch and OpenVINO as contenders of bench/Peers: on the same checkpoint, the same inputs and, for OpenVINO, the ONNX model
that bench/Peers prints. It loads, runs once, and then answers on standard input as Processes/ContenderServer.cs does, so that

    dotnet run -c Release --project bench/Peers -- compare \
        --also "pytorch=python3 bench/Peers/peers.py pytorch" \
        --also "pytorch-compile=python3 bench/Peers/peers.py pytorch-compile" \
        --also "openvino=python3 bench/Peers/peers.py openvino"

times them in turn with the others, after comparing their outputs. bench/Peers appends the cell, the model folder and the folder of
inputs and ONNX models; by hand, with what `bench/Peers export` writes:

    python3 bench/Peers/peers.py pytorch image-224-b1-t1 MODEL_FOLDER EXPORTED_FOLDER
"""
import json
import math
import os
import re
import struct
import sys
import time

import numpy


class Cell:
    def __init__(self, name):
        match = re.fullmatch(r"(image|text)-(\d+)-b(\d+)-t(\d+|all)", name)
        if not match:
            sys.exit(f"'{name}' is no cell, such as image-224-b1-t1")
        self.encoder, self.size, self.batch = match[1], int(match[2]), int(match[3])
        self.threads = len(os.sched_getaffinity(0)) if match[4] == "all" else int(match[4])
        self.shape = f"{match[1]}-{match[2]}-b{match[3]}"

    def inputs(self, folder):
        path = os.path.join(folder, self.shape + ".inputs")
        if self.encoder == "image":
            return numpy.fromfile(path, "<f4").reshape(self.batch, 3, self.size, self.size)
        return numpy.fromfile(path, "<i4").astype("int64").reshape(self.batch, self.size)


def read_safetensors(path):
    """Float32 tensors by name; their bytes stay in the file's mapping."""
    data = numpy.memmap(path, numpy.uint8, "r")
    length = struct.unpack("<Q", data[:8].tobytes())[0]
    header = json.loads(data[8:8 + length].tobytes())
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            start, end = entry["data_offsets"]
            tensors[name] = data[8 + length + start:8 + length + end].view("<f4").reshape(entry["shape"])
    return tensors


def write_safetensors(path, outputs):
    header, offset = {}, 0
    for name, value in outputs.items():
        header[name] = {"dtype": "F32", "shape": [value.size], "data_offsets": [offset, offset + value.nbytes]}
        offset += value.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for value in outputs.values():
            file.write(numpy.ascontiguousarray(value, "<f4").tobytes())


def pytorch_contender(cell, model, folder, compiled):
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(cell.threads)
    with open(os.path.join(model, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    w = {name: torch.from_numpy(value.copy()) for name, value in read_safetensors(os.path.join(model, "model.safetensors")).items()}
    vision, text = config["vision_config"], config["text_config"]

    # One product for q, k and v, as in the authors' code.
    for name in [name for name in w if name.endswith(".self_attn.q_proj.weight") or name.endswith(".self_attn.q_proj.bias")]:
        w[name.replace("q_proj", "qkv")] = torch.cat([w[name], w[name.replace("q_proj", "k_proj")], w[name.replace("q_proj", "v_proj")]])

    def linear(name, x):
        return F.linear(x, w[name + ".weight"], w[name + ".bias"])

    def norm(name, x):
        return F.layer_norm(x, x.shape[-1:], w[name + ".weight"], w[name + ".bias"], 1e-5)

    def mlp(name, x, act=F.gelu):
        return linear(name + ".fc2", act(linear(name + ".fc1", x)))

    def mix(name, x):
        return mlp(name, x.transpose(1, 2)).transpose(1, 2)

    def block(name, x, heads, act=F.gelu, causal=False):
        b, n, c = x.shape
        q, k, v = linear(name + ".self_attn.qkv", norm(name + ".layer_norm1", x)).view(b, n, 3, heads, c // heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        x = x + linear(name + ".self_attn.out_proj", mixed.transpose(1, 2).reshape(b, n, c))
        return x + mlp(name + ".mlp", norm(name + ".layer_norm2", x), act)

    def head(name, x):
        # The norm of a trained model is an affine map of each column; its two vectors are folded into one product and one sum.
        scale = w[f"{name}.1.weight"] / torch.sqrt(w[f"{name}.1.running_var"] + 1e-5)
        x = linear(f"{name}.0", x) * scale + (w[f"{name}.1.bias"] - w[f"{name}.1.running_mean"] * scale)
        return linear(f"{name}.3", F.relu(x))

    def pre_assign(name, p, x, heads):
        def split(part, y):
            return linear(f"{name}.attn.{part}", y).view(y.shape[0], y.shape[1], heads, -1).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(split("q_proj", p), split("k_proj", x), split("v_proj", x))
        p = p + linear(name + ".attn.out_proj", mixed.transpose(1, 2).reshape(p.shape))
        return norm(name + ".norm_post", p + mlp(name + ".mlp", norm(name + ".norm2", p)))

    def grouping(name, x, g, heads):
        x = norm(name + ".norm_x", x)
        p = norm(name + ".norm_post_tokens", mix(name + ".mlp_inter", norm(name + ".norm_tokens", g)))
        p = pre_assign(name + ".pre_assign_attn", p, x, heads)
        logits = linear(name + ".assign.q_proj", p) @ linear(name + ".assign.k_proj", x).transpose(1, 2) * (1 / math.sqrt(x.shape[-1]))
        hard = torch.zeros_like(logits).scatter_(1, logits.argmax(1, keepdim=True), 1.0)
        means = hard / (hard.sum(-1, keepdim=True) + vision["assign_eps"]) @ linear(name + ".assign.v_proj", x)
        z = p + linear(name + ".assign.proj", means)
        return z + mlp(name + ".mlp_channels", norm(name + ".norm_new_x", z)), torch.softmax(logits, 1)

    def positions(side):
        table = w["vision_model.embeddings.position_embeddings"]
        old = math.isqrt(table.shape[1])
        if side == old:
            return table
        square = table.reshape(1, old, old, -1).permute(0, 3, 1, 2)
        return F.interpolate(square, size=(side, side), mode="bicubic", align_corners=False).flatten(2).transpose(1, 2)

    def image_encoder(pixels):
        name = "vision_model.embeddings"
        x = F.conv2d(pixels, w[name + ".patch_embeddings.projection.weight"], w[name + ".patch_embeddings.projection.bias"], stride=vision["patch_size"])
        x = norm(name + ".layernorm", x.flatten(2).transpose(1, 2)) + table
        group, maps = None, None
        for s, depth in enumerate(vision["depths"]):
            name, count = f"vision_model.encoder.stages.{s}", vision["num_group_tokens"][s]
            tokens = x.shape[1]
            if count:
                g = w[name + ".group_token"].expand(x.shape[0], -1, -1)
                if group is not None:
                    g = g + mix(name + ".group_projector.1", norm(name + ".group_projector.0", group))
                x = torch.cat([x, g], 1)
            for i in range(depth):
                x = block(f"{name}.layers.{i}", x, vision["num_attention_heads"])
            if count:
                x, group = x[:, :tokens], x[:, tokens:]
                x, soft = grouping(name + ".downsample", x, group, vision["num_attention_heads"])
                maps = soft if maps is None else soft @ maps
        x = norm("vision_model.layernorm", x)
        return F.normalize(head("visual_projection", x.mean(1)), dim=-1), F.normalize(head("visual_projection", x), dim=-1), maps

    def text_encoder(ids):
        x = F.embedding(ids, w["text_model.embeddings.token_embedding.weight"]) + w["text_model.embeddings.position_embedding.weight"][:ids.shape[1]]
        for i in range(text["num_hidden_layers"]):
            x = block(f"text_model.encoder.layers.{i}", x, text["num_attention_heads"], lambda y: y * torch.sigmoid(1.702 * y), causal=True)
        return head("text_projection", norm("text_model.final_layer_norm", x)[:, -1])

    is_image = cell.encoder == "image"
    table = positions(cell.size // vision["patch_size"]) if is_image else None
    encoder = image_encoder if is_image else text_encoder
    if compiled:
        encoder = torch.compile(encoder)
    given = torch.from_numpy(cell.inputs(folder))

    def run():
        with torch.inference_mode():
            results = encoder(given)
        if not is_image:
            return {"projected": results.numpy()}
        return dict(zip(("embedding", "group_embeddings", "maps"), (result.numpy() for result in results)))

    return run, f"PyTorch {torch.__version__}, {'torch.compile' if compiled else 'eager'}, inference mode, {torch.get_num_threads()} threads"


def openvino_contender(cell, folder):
    import openvino

    core = openvino.Core()
    compiled = core.compile_model(os.path.join(folder, cell.shape + "-exporter.onnx"), "CPU", {
        "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": cell.threads,
    })
    request = compiled.create_infer_request()
    given = {"pixel_values": cell.inputs(folder)} if cell.encoder == "image" else {
        "input_ids": cell.inputs(folder), "pick": numpy.full((cell.batch, 1), cell.size - 1, "int64"),
    }
    given = {name: openvino.Tensor(numpy.ascontiguousarray(value), shared_memory=True) for name, value in given.items()}
    names = [port.get_any_name() for port in compiled.outputs]

    def run():
        request.infer(given, share_inputs=True, share_outputs=True)
        return {name: request.get_tensor(name).data for name in names}

    return run, f"OpenVINO {openvino.__version__}, fp32, latency hint, {cell.threads} threads, the exporter's model"


def peak():
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))
    except OSError:
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    kind, name, model, folder = sys.argv[1:]
    cell = Cell(name)
    if kind in ("pytorch", "pytorch-compile"):
        run, settings = pytorch_contender(cell, model, folder, kind.endswith("compile"))
    elif kind == "openvino":
        run, settings = openvino_contender(cell, folder)
    else:
        sys.exit(f"'{kind}' is none of pytorch, pytorch-compile, openvino")
    latest = run()
    print(f"ready {settings}", flush=True)
    for line in sys.stdin:
        request = line.split(" ", 1)
        if request[0] == "run":
            untimed, timed = map(int, request[1].split())
            for _ in range(untimed):
                latest = run()
            milliseconds = []
            for _ in range(timed):
                start = time.perf_counter()
                latest = run()
                milliseconds.append(1000 * (time.perf_counter() - start))
            print(" ".join(map(repr, milliseconds)), flush=True)
        elif request[0] == "outputs":
            write_safetensors(request[1].rstrip("\n"), latest)
            print("written", flush=True)
        elif request[0] == "peak" or line.strip() == "peak":
            print(peak(), flush=True)
        else:
            sys.exit(f"'{line.strip()}' is no request")


if __name__ == "__main__":
    main()
