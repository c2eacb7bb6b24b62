#!/usr/bin/env python3
"""images.py FOLDER: writes the image of every case there, as GROUP/NAME.img; README.md"""
import lzma, pathlib, sys, tomllib

KIT = pathlib.Path(__file__).parent
INDEX = tomllib.loads((KIT / "index.toml").read_text())
BASES = {path.name[:-7]: lzma.decompress(path.read_bytes()) for path in (KIT / "bases").iterdir()}

def image(file):
    case = tomllib.loads((KIT / file).read_text())
    base = BASES[case["base"]]
    size = case.get("bytes", len(base))
    made = bytearray(base[:size].ljust(size, b"\0"))
    for patch in case.get("patch", []):
        once = patch["text"].encode() if "text" in patch else bytes.fromhex(patch.get("hex", ""))
        data = base[patch["from"]:][:patch["count"]] if "from" in patch else once * patch.get("count", 1)
        for at in patch["at"]:
            made[at:at + len(data)] = data
    return made

if __name__ == "__main__":
    for entry in INDEX["case"]:
        path = pathlib.Path(sys.argv[1], entry["file"].removeprefix("cases/")).with_suffix(".img")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image(entry["file"]))
