"""Tests of record.py's functions that need no torch. Usage: python3 tools/reference/record_test.py"""
import argparse
import json
import pathlib
import struct
import unittest

import record

FIXTURES = pathlib.Path(__file__).resolve().parents[2] / "tests" / "fixtures"


def header(path):
    with open(path, "rb") as file:
        return json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))


def floats(path, name):
    with open(path, "rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        entry = json.loads(file.read(length))[name]
        begin, end = entry["data_offsets"]
        file.seek(8 + length + begin)
        return struct.unpack(f"<{(end - begin) // 4}f", file.read(end - begin))


class Numbers:
    def __init__(self, *values):
        self.values = values

    def max_abs(self):
        return max(map(abs, self.values))

    def distance(self, other):
        return max(abs(a - b) for a, b in zip(self.values, other.values))


class RecordTest(unittest.TestCase):
    def test_the_names_are_those_of_the_recorded_fixture(self):
        config = json.loads((FIXTURES / "tiny" / "config.json").read_text())
        names = set(header(FIXTURES / "tiny" / "expected.safetensors"))
        sizes = [(96, 96), (96, 160), (144, 96), (64, 48)]
        # The fixture leaves the pooled token out at some sizes.
        ours = {f"{record.picture_prefix(*size)}.{name}" for size in sizes for name in record.picture_names(config["vision_config"])}
        ours |= set(record.text_names(config["text_config"]))
        ours |= {f"joint.{name}" for name in ("image_embeds", "text_embeds", "logits_per_image", "segmentation_logits", "loss")}
        self.assertEqual(names - ours - {"__metadata__"}, set())
        self.assertEqual({name for name in ours - names if not name.endswith(".pooler_output")}, set())

    def test_the_values_with_an_error_are_those_of_the_fixture(self):
        for folder in ("tiny", "full", "scenes"):
            errors = set(json.loads((FIXTURES / folder / "reference_error.json").read_text()))
            names = set(header(FIXTURES / folder / "expected.safetensors")) - {"__metadata__"}
            # One fixture also lists its pictures, with an error of 0.
            listed = {name for name in errors if not name.endswith("pixel_values")}
            self.assertEqual({name for name in names if record.is_compared(name)}, listed)

    def test_the_formula_picture_is_the_recorded_one(self):
        expected = floats(FIXTURES / "full" / "expected.safetensors", "image224x224.pixel_values")
        ours = [value for plane in record.formula_picture(224, 224) for row in plane for value in row]
        self.assertLess(max(abs(a - b) for a, b in zip(ours, expected)), 1e-6)
        self.assertEqual(len(ours), len(expected))

    def test_sizes_are_height_by_width(self):
        self.assertEqual(record.parse_size("448x608"), (448, 608))
        for text in ("448", "448x", "0x16", "16x99999", "axb", "-1x5"):
            with self.assertRaises(argparse.ArgumentTypeError, msg=text):
                record.parse_size(text)

    def test_ids_are_padded_to_the_context(self):
        self.assertEqual(record.padded_ids([[5, 7, 9], [5, 9]], 4, 9), ([[5, 7, 9, 9], [5, 9, 9, 9]], [[1, 1, 1, 0], [1, 1, 0, 0]]))
        for rows in ([[]], [[1, 2, 3, 4, 5]]):
            with self.assertRaises(ValueError):
                record.padded_ids(rows, 4, 9)

    def test_the_error_map_holds_magnitude_and_distance_of_compared_values(self):
        truth = {"text.input_ids": Numbers(1), "text.pooler_output": Numbers(-3.0, 2.0)}
        single = {"text.input_ids": Numbers(1), "text.pooler_output": Numbers(-3.5, 2.25)}
        self.assertEqual(record.error_map(truth, single), {"text.pooler_output": {"max_abs": 3.0, "fp32_error": 0.5}})
        with self.assertRaises(ValueError):
            record.error_map(truth, {})
        with self.assertRaises(ValueError):
            record.error_map({"a": Numbers(1.0)}, {"a": Numbers(float("inf"))})

    def test_options_are_read(self):
        options = record.parse(["model", "--out", "x", "--sizes", "96x96", "64x48", "--texts", "a", "b"])
        self.assertEqual((options.sizes, options.texts, options.only), ([(96, 96), (64, 48)], ["a", "b"], "*"))


if __name__ == "__main__":
    unittest.main()
