"""Records what Hugging Face's GroupViT computes, for `groupvit verify` to compare with.

Usage:
    python3 tools/reference/record.py CHECKPOINT --out DIR [--sizes 224x224 448x608] [--images a.jpg b.png]
                                      [--texts "a photo of a cat" ... | --ids ids.json] [--only GLOB]
    groupvit verify --model CHECKPOINT --reference DIR/expected.safetensors

CHECKPOINT is a folder or a repository id that `GroupViTModel.from_pretrained` takes. Needs torch, transformers and
safetensors (and Pillow with --images). Two files are written:

    expected.safetensors    a float64 run, rounded to float32: the truth to aim at
    reference_error.json    per value its largest magnitude, and how far the reference's own float32 run is from it

Pictures are the formula picture of the specification (K.2) at every size of --sizes (height x width; default: the size
of the configuration), or, with --images, those pictures resized to it with Pillow's bicubic filter and CLIP's statistics.
Texts go through the checkpoint's tokenizer; --ids takes an array of arrays of token ids instead, which
`groupvit tokenize` prints, for checkpoints without one.

The float32 run replays the float64 run's group assignment: an argmax at a tie would turn everything after it into
another network's values, and their distance would say nothing about rounding. What was replayed is reported.

This script has not been run where it was written, which had no torch: its syntax was checked, and its functions that need
no torch were tested (record_test.py beside it). It was written against transformers' modelling code of 4.2x to 5.x.
"""
import argparse
import fnmatch
import json
import math
import pathlib
import sys

CELL = 56
CELLS = 64
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


# What needs no torch.


def parse_size(text):
    """'448x608' -> (448, 608): height, then width."""
    height, sign, width = text.partition("x")
    if sign != "x" or not (height.isdigit() and width.isdigit()) or not (0 < int(height) <= CELL * CELLS and 0 < int(width) <= CELL * CELLS):
        raise argparse.ArgumentTypeError(f"'{text}' is no size; HEIGHTxWIDTH in pixels, each from 1 to {CELL * CELLS}, is expected")
    return int(height), int(width)


def picture_prefix(height, width):
    return f"image{height}x{width}"


def module_names(vision):
    """Module path below the vision transformer -> name of the value in the file, in the order of the computation."""
    names = {
        "embeddings.patch_embeddings": "embeddings.patch_embeddings",
        "embeddings.layernorm": "embeddings.layernorm",
        "embeddings": "embeddings",
    }
    for s, depth in enumerate(vision["depths"]):
        stage = f"stages.{s}"
        inner = []
        if s > 0 and vision["num_group_tokens"][s] > 0:
            inner.append("group_projector")
        for i in range(depth):
            inner += [f"layers.{i}.self_attn", f"layers.{i}.mlp"] if i == 0 else []
            inner.append(f"layers.{i}")
        if vision["num_group_tokens"][s] > 0:
            parts = ("norm_x", "mlp_inter", "norm_post_tokens", "pre_assign_attn", "assign", "mlp_channels")
            inner += [f"downsample.{part}" for part in parts] + ["downsample"]
        for name in inner:
            names[f"encoder.{stage}.{name}"] = f"{stage}.{name}"
    return names


def assigning_stages(vision):
    return [s for s, tokens in enumerate(vision["num_group_tokens"]) if tokens > 0]


def picture_names(vision):
    """Every name under a picture's prefix, the input included."""
    names = ["pixel_values", *module_names(vision).values()]
    for s in assigning_stages(vision):
        names += [f"stages.{s}.{value}" for value in ("assign_logits", "soft_assignment", "hard_index")]
    return names + ["last_hidden_state", "pooler_output", "visual_projection", "visual_projection_groups", "composed_groups"]


def text_names(text):
    layers = [f"layers.{i}" for i in range(text["num_hidden_layers"])]
    names = ["input_ids", "attention_mask", "embeddings", *layers, "final_layer_norm", "pooler_output", "text_projection"]
    return [f"text.{name}" for name in names]


def formula_unit(name, index):
    """Specification K.1: the name's FNV-1a hash scattered by the index into [-0.5, 0.5)."""
    h = 0x811C9DC5
    for byte in name.encode("utf-8"):
        h = (h ^ byte) * 0x01000193 & 0xFFFFFFFF
    x = (index * 2654435761 + h) & 0xFFFFFFFF
    x ^= x >> 16
    x = x * 0x85EBCA6B & 0xFFFFFFFF
    x ^= x >> 13
    x = x * 0xC2B2AE35 & 0xFFFFFFFF
    x ^= x >> 16
    return x / 4294967296.0 - 0.5


def formula_picture(height, width):
    """Specification K.2: [3][height][width], already normalised."""
    planes = []
    for c in range(3):
        cells = [[6 * formula_unit("image", (c * CELLS + a) * CELLS + b) for b in range((width - 1) // CELL + 1)] for a in range((height - 1) // CELL + 1)]
        planes.append([[cells[y // CELL][x // CELL] + 0.5 * math.sin(0.3 * x * (c + 1) + 0.2 * y) for x in range(width)] for y in range(height)])
    return planes


def padded_ids(rows, context, pad):
    """Rows of ids -> (ids, mask), both as long as the context. Nothing depends on what stands in the padding."""
    for row in rows:
        if not row or len(row) > context:
            raise ValueError(f"a text of {len(row)} tokens; from 1 to the context's {context} are possible")
    return [row + [pad] * (context - len(row)) for row in rows], [[1] * len(row) + [0] * (context - len(row)) for row in rows]


def is_compared(name):
    """Inputs and indices have no error: they are given, or right or wrong."""
    return name.rsplit(".", 1)[-1] not in ("pixel_values", "input_ids", "attention_mask", "hard_index")


def error_map(truth, single):
    """
    {name: (max_abs, error)} of the two runs -> what reference_error.json holds. Both arguments map names to an object with
    `max_abs()` and `distance(other)`; a value that one run lacks is a mistake in this script.
    """
    if set(truth) != set(single):
        raise ValueError(f"the two runs recorded different values: {sorted(set(truth) ^ set(single))}")
    errors = {}
    for name, value in truth.items():
        if is_compared(name):
            errors[name] = {"max_abs": value.max_abs(), "fp32_error": value.distance(single[name])}
            if not all(math.isfinite(number) for number in errors[name].values()):
                raise ValueError(f"{name} is not finite: this checkpoint cannot be a reference")
    return errors


# What needs torch, imported where it is used so that the rest can be tested without.


class Value:
    """A recorded tensor, as `error_map` sees it."""

    def __init__(self, tensor):
        self.tensor = tensor.detach().clone()

    def max_abs(self):
        return self.tensor.double().abs().max().item()

    def distance(self, other):
        return (self.tensor.double() - other.tensor.double()).abs().max().item()


class Assignments:
    """Stands in for an assignment's `get_attn`: records its logits, and replays a recorded choice where there is one."""

    def __init__(self, module, chosen=None):
        self.module, self.chosen, self.logits, self.flipped = module, chosen, None, 0

    def __enter__(self):
        self.module.get_attn = self.get_attn
        return self

    def __exit__(self, *_):
        del self.module.get_attn

    def get_attn(self, logits, gumbel=True, hard=True):
        soft = logits.softmax(dim=-2)
        if not hard:
            return soft
        self.logits = logits.detach().clone()
        index = soft.max(dim=-2)[1]
        if self.chosen is not None:
            self.flipped = (index != self.chosen).sum().item()
            index = self.chosen
        one_hot = soft.new_zeros(soft.shape).scatter_(-2, index.unsqueeze(-2), 1.0)
        return one_hot - soft + soft


def first(output):
    return output[0] if isinstance(output, (tuple, list)) else output


def hooked(root, names, record):
    """Hooks that copy each module's output at once: a grouping block adds to its assignment's result in place afterwards."""

    def hook(name):
        return lambda module, arguments, output: record.__setitem__(name, Value(first(output)))

    return [root.get_submodule(path).register_forward_hook(hook(name)) for path, name in names.items()]


def run_picture(model, pixels, chosen):
    """One batch of pictures -> values by name, and how many assignments were replayed against this run's own choice."""
    vision, config = model.vision_model, model.config.vision_config
    size, side = tuple(pixels.shape[2:]), config.image_size
    record = {}
    hooks = hooked(vision, module_names(config.to_dict()), record)
    if size != (side, side):
        # The public forward accepts the configuration's size alone; the embedding layer knows how to resample positions.
        def interpolate(module, arguments, keywords):
            return arguments[:1], {**keywords, "interpolate_pos_encoding": True}

        hooks.append(vision.embeddings.register_forward_pre_hook(interpolate, with_kwargs=True))
    stages = assigning_stages(config.to_dict())
    watchers = [Assignments(vision.encoder.stages[s].downsample.assign, chosen[i] if chosen else None) for i, s in enumerate(stages)]
    try:
        for watcher in watchers:
            watcher.__enter__()
        output = vision(pixel_values=pixels, return_dict=True)
    finally:
        for watcher in watchers:
            watcher.__exit__()
        for handle in hooks:
            handle.remove()
    maps = None
    for s, watcher in zip(stages, watchers):
        soft = watcher.logits.softmax(dim=-2)
        record[f"stages.{s}.assign_logits"] = Value(watcher.logits)
        record[f"stages.{s}.soft_assignment"] = Value(soft)
        index = soft.max(dim=-2)[1] if watcher.chosen is None else watcher.chosen
        record[f"stages.{s}.hard_index"] = Value(index)
        maps = soft if maps is None else soft @ maps                                # [B, G, patches]
    patch = config.patch_size
    record["composed_groups"] = Value(maps.reshape(*maps.shape[:2], size[0] // patch, size[1] // patch))
    groups, pooled = output.last_hidden_state, output.pooler_output
    record["last_hidden_state"], record["pooler_output"] = Value(groups), Value(pooled)
    record["visual_projection"] = Value(model.visual_projection(pooled))
    projected = model.visual_projection(groups.reshape(-1, groups.shape[-1]))       # batch norm wants rows
    record["visual_projection_groups"] = Value(projected.reshape(*groups.shape[:2], -1))
    prefix = picture_prefix(*size)
    record = {f"{prefix}.{name}": value for name, value in record.items()}
    return {f"{prefix}.pixel_values": Value(pixels), **record}, [w.flipped for w in watchers]


def run_texts(model, ids, mask):
    text = model.text_model
    layers = range(model.config.text_config.num_hidden_layers)
    names = {"embeddings": "text.embeddings", **{f"encoder.layers.{i}": f"text.layers.{i}" for i in layers}, "final_layer_norm": "text.final_layer_norm"}
    record = {"text.input_ids": Value(ids), "text.attention_mask": Value(mask)}
    hooks = hooked(text, names, record)
    try:
        pooled = text(input_ids=ids, attention_mask=mask, return_dict=True).pooler_output
    finally:
        for handle in hooks:
            handle.remove()
    return {**record, "text.pooler_output": Value(pooled), "text.text_projection": Value(model.text_projection(pooled))}


def run_joint(model, pixels, record):
    """Specification B.4, F.2 and H.2, from what both towers gave; the temperature enters the pixels' logits twice."""
    import torch

    def unit(rows):
        return rows / rows.norm(dim=-1, keepdim=True)

    prefix = picture_prefix(*pixels.shape[2:])
    scale = model.logit_scale.exp()
    images, texts = unit(record[f"{prefix}.visual_projection"].tensor), unit(record["text.text_projection"].tensor)
    logits = images @ texts.T * scale                                               # [B, T]
    groups = unit(record[f"{prefix}.visual_projection_groups"].tensor)
    maps = torch.nn.functional.interpolate(record[f"{prefix}.composed_groups"].tensor, size=tuple(pixels.shape[2:]), mode="bilinear", align_corners=False)
    segmentation = scale * torch.einsum("bgt,bghw->bthw", groups @ texts.T * scale, maps)
    values = {"image_embeds": images, "text_embeds": texts, "logits_per_image": logits, "segmentation_logits": segmentation}
    if len(texts) >= len(images):
        square, target = logits[:, : len(images)], torch.arange(len(images))
        entropy = torch.nn.functional.cross_entropy
        values["loss"] = (entropy(square, target) + entropy(square.T, target)) / 2
    return {f"joint.{name}": Value(value) for name, value in values.items()}


def run(model, pictures, ids, mask, chosen):
    """Everything, in the precision of the model -> values by name, and flips by picture."""
    import torch

    dtype, side = next(model.parameters()).dtype, model.config.vision_config.image_size
    record, flips = {}, {}
    with torch.no_grad():
        if ids is not None:
            record.update(run_texts(model, ids, mask))
        for pixels in pictures:
            prefix = picture_prefix(*pixels.shape[2:])
            values, flips[prefix] = run_picture(model, pixels.to(dtype), chosen.get(prefix))
            record.update(values)
            if ids is not None and tuple(pixels.shape[2:]) == (side, side):
                record.update(run_joint(model, pixels, record))
    return record, flips


def load_pictures(paths, size):
    import torch
    from PIL import Image

    batch = []
    for path in paths:
        picture = Image.open(path).convert("RGB").resize((size[1], size[0]), Image.Resampling.BICUBIC)
        values = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).reshape(size[0], size[1], 3).permute(2, 0, 1).float() / 255
        batch.append((values - torch.tensor(CLIP_MEAN)[:, None, None]) / torch.tensor(CLIP_STD)[:, None, None])
    return torch.stack(batch)


def load_ids(options, text):
    if options.ids:
        rows = json.loads(options.ids.read_text(encoding="utf-8"))
    elif options.texts:
        from transformers import AutoTokenizer

        rows = [AutoTokenizer.from_pretrained(options.checkpoint)(line).input_ids for line in options.texts]
    else:
        return None, None
    # The end token's id is the largest, and its first place is the text's (specification B.2): as padding it is harmless.
    return padded_ids(rows, text.max_position_embeddings, max(map(max, rows)))


def write(out, truth, errors, only):
    import torch
    from safetensors.torch import save_file

    def stored(value):
        tensor = value.tensor
        return tensor.to(torch.float32 if tensor.is_floating_point() else torch.int32).contiguous()

    out.mkdir(parents=True, exist_ok=True)
    # Inputs stay, whatever is asked for: without them nothing can be computed again.
    kept = {name for name in truth if fnmatch.fnmatchcase(name, only) or not is_compared(name)}
    save_file({name: stored(truth[name]) for name in kept}, out / "expected.safetensors")
    (out / "reference_error.json").write_text(json.dumps({name: errors[name] for name in errors if name in kept}, indent=1) + "\n", encoding="utf-8")
    return len(kept)


def parse(arguments):
    parser = argparse.ArgumentParser(description="Records what Hugging Face's GroupViT computes, for `groupvit verify`.")
    parser.add_argument("checkpoint", help="folder or repository id of a GroupViTModel")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for expected.safetensors and reference_error.json")
    parser.add_argument("--sizes", type=parse_size, nargs="+", help="HEIGHTxWIDTH of the network input; default: the configuration's")
    parser.add_argument("--images", type=pathlib.Path, nargs="+", help="pictures instead of the formula's")
    texts = parser.add_mutually_exclusive_group()
    texts.add_argument("--texts", nargs="+", help="texts for the checkpoint's tokenizer")
    texts.add_argument("--ids", type=pathlib.Path, help="array of arrays of token ids, as `groupvit tokenize` prints")
    parser.add_argument("--only", default="*", help="pattern of the values to keep (default: all)")
    return parser.parse_args(arguments)


def main(arguments=None):
    options = parse(arguments)
    import torch
    from transformers import GroupViTModel

    model = GroupViTModel.from_pretrained(options.checkpoint).float().eval()
    config = model.config
    side, patch = config.vision_config.image_size, config.vision_config.patch_size
    sizes = options.sizes or [(side, side)]
    for height, width in sizes:
        if height < patch or width < patch:
            sys.exit(f"{height}x{width} is smaller than a patch of {patch}")
    pictures = [load_pictures(options.images, size) if options.images else torch.tensor([formula_picture(*size)], dtype=torch.float64).float() for size in sizes]
    ids, mask = load_ids(options, config.text_config)
    if ids is not None:
        ids, mask = torch.tensor(ids), torch.tensor(mask)
    stages = assigning_stages(config.vision_config.to_dict())

    # The weights' values are the same in both runs: float32 widens to float64 exactly.
    truth, _ = run(model.double(), pictures, ids, mask, {})
    chosen = {prefix: [truth[f"{prefix}.stages.{s}.hard_index"].tensor for s in stages] for prefix in (picture_prefix(*size) for size in sizes)}
    single, flips = run(model.float(), pictures, ids, mask, chosen)
    for prefix, stage_flips in flips.items():
        if any(stage_flips):
            print(f"{prefix}: float32 assigns {stage_flips} tokens per stage to another group; float64's choice was replayed", file=sys.stderr)
    count = write(options.out, truth, error_map(truth, single), options.only)
    print(f"{count} values in {options.out / 'expected.safetensors'}")


if __name__ == "__main__":
    main()
