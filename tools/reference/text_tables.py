"""Writes the Unicode and HTML tables that the text normalisation reads, from Python's own `unicodedata` and `html`.

Usage: python3 tools/reference/text_tables.py [engine/Text/Data]

.NET in invariant-globalization mode normalises nothing (`string.Normalize` returns its input) and in the other mode it
follows whatever ICU the machine has; token ids must not depend on either, so the tables travel with the engine.
The committed files were written by Python 3.11 (Unicode 14.0).
"""
import html.entities
import pathlib
import sys
import unicodedata


def hexes(text):
    return " ".join(f"{ord(c):04X}" for c in text)


def unicode_lines():
    yield f"# Unicode {unicodedata.unidata_version}, written by tools/reference/text_tables.py"
    yield "# D = canonical decomposition (one step); X = the same, but never composed again"
    yield "# C first last class = canonical combining class; W = compatibility form of a full- or half-width character"
    for code in range(0x110000):
        if 0xAC00 <= code <= 0xD7A3 or 0xD800 <= code <= 0xDFFF:
            continue  # Hangul syllables are arithmetic; surrogates are no characters
        mapping = unicodedata.decomposition(chr(code))
        if mapping and not mapping.startswith("<"):
            once = "".join(chr(int(h, 16)) for h in mapping.split())
            kind = "D" if unicodedata.normalize("NFC", once) == chr(code) else "X"
            yield f"{kind} {code:04X} {hexes(once)}"
    first = None
    for code in range(0x110001):
        ccc = unicodedata.combining(chr(code)) if code < 0x110000 else 0
        if first is not None and ccc != first[1]:
            yield f"C {first[0]:04X} {code - 1:04X} {first[1]}"
            first = None
        if first is None and ccc:
            first = (code, ccc)
    for code in [0x3000, *range(0xFF01, 0xFFF0)]:
        narrow = " " if code == 0x3000 else unicodedata.normalize("NFKC", chr(code))
        if narrow != chr(code):
            yield f"W {code:04X} {hexes(narrow)}"


def entity_lines():
    yield "# HTML 5 named character references: name (without &), code points"
    for name, text in sorted(html.entities.html5.items()):
        yield f"{name} {hexes(text)}"


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "engine/Text/Data")
    for name, lines in (("unicode.txt", unicode_lines()), ("html-entities.txt", entity_lines())):
        (folder / name).write_text("\n".join(lines) + "\n", encoding="ascii", newline="\n")


if __name__ == "__main__":
    main()
