#!/usr/bin/env python3
"""run.py [--print] [NAME [LOAD-COMMAND OPEN-COMMAND]]: judges every case, and compares with the index; README.md"""
import concurrent.futures, lzma, pathlib, shlex, subprocess, sys, tempfile, tomllib

COMMANDS = {
    "cryptsetup": ("cryptsetup luksDump {image}", "cryptsetup open --test-passphrase --key-file {key} {image}"),
    "luksmith": ("luksmith inspect {image}", "luksmith key test --key-file {key} {image}"),
    "qemu-img": ("qemu-img info -f luks {image}", "qemu-io -r -c quit --object secret,id=s,file={key} "
                 "--image-opts driver=luks,key-secret=s,file.filename={image}"),
}
arguments = [argument for argument in sys.argv[1:] if argument != "--print"] or ["cryptsetup"]
name, commands = arguments[0], arguments[1:] or COMMANDS[arguments[0]]
kit = pathlib.Path(__file__).parent
index = tomllib.loads((kit / "index.toml").read_text())
bases = {path.name[:-7]: lzma.decompress(path.read_bytes()) for path in (kit / "bases").iterdir()}

def image(case):
    base, size = bases[case["base"]], case.get("bytes", len(bases[case["base"]]))
    made = bytearray(base[:size].ljust(size, b"\0"))
    for patch in case.get("patch", []):
        once = patch["text"].encode() if "text" in patch else bytes.fromhex(patch.get("hex", ""))
        data = base[patch["from"]:][:patch["count"]] if "from" in patch else once * patch.get("count", 1)
        for at in patch["at"]:
            made[at:at + len(data)] = data
    return made

def judge(entry):
    case = tomllib.loads((kit / entry["file"]).read_text())
    if name == "qemu-img" and not case["base"].startswith("luks1"):
        return None
    with tempfile.TemporaryDirectory() as folder:
        key, path = pathlib.Path(folder, "key"), pathlib.Path(folder, "image")
        key.write_text(index["passphrase"])
        for failed, command in zip(("refuses", "loads"), commands):
            path.write_bytes(image(case))  # made anew: some implementations repair what they read
            words = [word.format(image=path, key=key) for word in shlex.split(command)]
            try:
                code = subprocess.run(words, timeout=index["seconds"], stdin=subprocess.DEVNULL, capture_output=True).returncode
            except subprocess.TimeoutExpired:
                return "hangs"
            if code != 0:
                return failed if 0 < code < 126 else "crashes"
    return "opens"

with concurrent.futures.ThreadPoolExecutor(2) as pool:
    results = [pair for pair in zip(index["case"], pool.map(judge, index["case"])) if pair[1]]
wrong = 0
for entry, result in results:
    meant = "refuses" if entry["verdict"] == "invalid" else "opens" if entry["opens"] else "loads"
    if "--print" in sys.argv:
        print(entry["file"], result)
    elif result != entry.get(name, meant):
        wrong += 1
        print(f"{entry['file']}: {result}, expected {entry.get(name, meant)}")
if "--print" not in sys.argv:
    print(f"{name}: {len(results) - wrong} cases as expected, {wrong} not")
sys.exit(wrong > 0)
