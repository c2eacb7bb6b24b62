#!/usr/bin/env python3
"""run.py [--print] [NAME [LOAD-COMMAND OPEN-COMMAND]]: judges every case, and compares with the index; README.md"""
import concurrent.futures, pathlib, shlex, subprocess, sys, tempfile
from images import INDEX, image

KNOWN = {
    "cryptsetup": ("cryptsetup luksDump {image}", "cryptsetup open --test-passphrase --key-file {key} {image}"),
    "luksmith": ("luksmith inspect {image}", "luksmith key test --key-file {key} {image}"),
    "qemu-img": ("qemu-img info -f luks {image}", "qemu-io -r -c quit --object secret,id=s,file={key} "
                 "--image-opts driver=luks,key-secret=s,file.filename={image}"),
}
name, *commands = [argument for argument in sys.argv[1:] if argument != "--print"] or ["cryptsetup"]

def judge(entry):
    with tempfile.TemporaryDirectory() as folder:
        key, path = pathlib.Path(folder, "key"), pathlib.Path(folder, "image")
        key.write_text(INDEX["passphrase"])
        for failed, command in zip(("refuses", "loads"), commands or KNOWN[name]):
            path.write_bytes(image(entry["file"]))  # made anew: some implementations repair what they read
            words = [word.format(image=path, key=key) for word in shlex.split(command)]
            try:
                code = subprocess.run(words, timeout=INDEX["seconds"], stdin=subprocess.DEVNULL, capture_output=True).returncode
            except subprocess.TimeoutExpired:
                return "hangs"
            if code != 0:
                return failed if 0 < code < 126 else "crashes"
    return "opens"

entries = [entry for entry in INDEX["case"] if name != "qemu-img" or entry["file"].startswith("cases/luks1")]
results = list(zip(entries, concurrent.futures.ThreadPoolExecutor(2).map(judge, entries)))
meant = lambda entry: "refuses" if entry["verdict"] == "invalid" else "opens" if entry["opens"] else "loads"
judged = [(entry["file"], result, entry.get(name, meant(entry))) for entry, result in results]
wrong = [f"{file}: {result}, expected {expected}" for file, result, expected in judged if result != expected]
if "--print" in sys.argv:
    print(*(f"{file} {result}" for file, result, _ in judged), sep="\n")
    sys.exit()
print(*wrong, f"{name}: {len(judged) - len(wrong)} cases as expected, {len(wrong)} not", sep="\n")
sys.exit(bool(wrong))
