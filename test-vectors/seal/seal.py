#!/usr/bin/env python3
"""Makes and checks the seals of luks/SEAL.md: seal.py check|make IMAGE VOLUME_KEY_FILE [SEAL_FILE]"""
import base64, hashlib, hmac, json, os, sys

def hkdf(key, salt, info, size):  # RFC 5869, SHA-256, one block
    return hmac.digest(hmac.digest(salt, key, "sha256"), info + b"\1", "sha256")[:size]

def new_salt(key):
    half = os.urandom(16)
    return half + hkdf(key, half, b"luksmith-seal/volume/1", 16)

def seal(key, salt, form, uuid, message):
    assert salt[16:] == hkdf(key, salt[:16], b"luksmith-seal/volume/1", 16), "of another volume"
    return base64.b64encode(hmac.digest(hkdf(key, salt, b"luksmith-seal/%s/1/%s" % (form, uuid), 32), message, "sha256"))

def of_copy(copy, key, salt, mac):
    binary, text = bytearray(copy[:4096]), copy[4096:].split(b"\0")[0]
    for start, end in (0, 6), (104, 168), (256, 264), (448, 512):
        binary[start:end] = bytes(end - start)
    assert text.count(mac) == 1 and not copy[4096 + len(text):].strip(b"\0")
    return seal(key, salt, b"token", copy[168:208].split(b"\0")[0], bytes(binary) + text.replace(mac, bytes(44)))

verb, image, key = sys.argv[1], bytearray(open(sys.argv[2], "rb").read()), open(sys.argv[3], "rb").read()
if len(sys.argv) > 4:  # the form of a file
    size = int.from_bytes(image[104:108], "big") * 512 if image[7] == 1 else int(json.loads(image[4096:].split(b"\0")[0])["segments"]["0"]["offset"])
    file = {"type": "luksmith-seal", "version": 1, "uuid": image[168:208].split(b"\0")[0].decode(), "bytes": size, "salt": base64.b64encode(new_salt(key)).decode()}
    file = file if verb == "make" else json.load(open(sys.argv[4]))
    mac = seal(key, base64.b64decode(file["salt"]), b"file", file["uuid"].encode(), file["bytes"].to_bytes(8, "big") + image[:file["bytes"]])
    if verb == "make":
        json.dump({**file, "mac": mac.decode()}, open(sys.argv[4], "w"))
    sys.exit(file.get("mac", mac.decode()) != mac.decode() and "broken")
size = int.from_bytes(image[8:16], "big")
for start in 0, size:
    copy = image[start:start + size]
    text = json.loads(copy[4096:].split(b"\0")[0])
    if verb == "make":  # over a token 0 that is there already: {"type":"luksmith-seal","keyslots":[]}
        salt = salt if start else new_salt(key)
        text["tokens"]["0"] = {"type": "luksmith-seal", "keyslots": [], "version": 1, "salt": base64.b64encode(salt).decode(), "mac": "?" * 44}
        copy[4096:] = json.dumps(text, separators=(",", ":")).encode().ljust(size - 4096, b"\0")
        copy[4096:] = copy[4096:].replace(b"?" * 44, of_copy(copy, key, salt, b"?" * 44))
        copy[448:480] = hashlib.sha256(copy[:448] + bytes(64) + copy[512:]).digest()
        image[start:start + size] = copy
    [token] = [token for token in text["tokens"].values() if token["type"] == "luksmith-seal"]
    mac, salt = token["mac"].encode(), base64.b64decode(token["salt"])
    assert verb == "make" or (token["version"] == 1 and mac == of_copy(copy, key, salt, mac)), "broken"
verb == "make" and open(sys.argv[2], "wb").write(image)
