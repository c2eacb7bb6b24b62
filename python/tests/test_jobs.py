"""Whole jobs: what they make real tools open, and the reverse."""

import asyncio
import os
import signal
import threading
import unittest

import luksmith
from real import MIB, PASSPHRASE, Images, content, run

CHEAP = {"pbkdf": "pbkdf2", "pbkdf_iterations": 1000}


class Jobs(Images):
    def test_qemu_reads_what_was_encrypted(self):
        raw = self.file("a", content(MIB))
        for name, source in [("path", raw), ("object", open(raw, "rb"))]:
            made = luksmith.encrypt(source, self.path(name), PASSPHRASE, type="luks1", pbkdf_iterations=1000)
            self.assertEqual((made["type"], made["payload_bytes"]), ("luks1", MIB))
            self.assertEqual(self.by_qemu(self.path(name)), content(MIB))
        source.close()

    def test_cryptsetup_reads_what_was_encrypted(self):
        raw = self.file("a", content(MIB))
        made = luksmith.encrypt(
            raw, self.path("new"), PASSPHRASE, label="ü", sector_size=512, cipher="aes-xts-plain64", key_size=256, **CHEAP
        )
        self.assertEqual(made["key_bits"], 256)
        dump = run("cryptsetup", "luksDump", self.path("new")).decode()
        self.assertIn("Cipher key: 256 bits", dump)
        self.assertEqual(self.by_cryptsetup(self.path("new"))[:MIB], content(MIB))

    def test_what_others_made_is_decrypted(self):
        data = content(2 * MIB)
        for image in [self.luks1(data), self.luks2(data)]:
            raw = self.path("decrypted")
            made = luksmith.decrypt(image, raw, PASSPHRASE, size=len(data), force=True)
            self.assertEqual(made["payload_bytes"], len(data))
            with open(raw, "rb") as file:
                self.assertEqual(file.read(), data)
        with self.assertRaises(FileExistsError):
            luksmith.decrypt(image, raw, PASSPHRASE)
        with self.assertRaises(luksmith.NoKeyFitsError):
            luksmith.decrypt(image, self.path("none"), "wrong")
        self.assertFalse(os.path.exists(self.path("none")))

    def test_a_clone_has_a_key_of_its_own(self):
        image = self.luks1(content(MIB))
        luksmith.clone(image, self.path("same"), PASSPHRASE)
        self.assertEqual(self.by_qemu(self.path("same")), content(MIB))
        made = luksmith.clone(
            image, self.path("other"), PASSPHRASE, new_passphrase=lambda: b"other", type="luks2", **CHEAP, allow_weaker=True
        )
        self.assertEqual(made["source_type"], "luks1")
        with luksmith.open(self.path("other"), "other") as disk:
            self.assertEqual(disk.read(MIB), content(MIB))
        with self.assertRaises(luksmith.NoKeyFitsError):
            luksmith.test_key(self.path("other"), PASSPHRASE)
        with open(image, "rb") as one, open(self.path("same"), "rb") as two:
            self.assertNotEqual(one.read()[-MIB:], two.read()[-MIB:])
        raw = self.file("a", content(MIB))
        luksmith.clone(raw, self.path("of raw"), raw=True, new_passphrase=PASSPHRASE, **CHEAP)
        with luksmith.open(self.path("of raw"), PASSPHRASE) as disk:
            self.assertEqual(disk.read(), content(MIB))

    def test_an_empty_container(self):
        made = luksmith.format(self.path("new"), PASSPHRASE, size=MIB, **CHEAP)
        self.assertEqual(os.path.getsize(self.path("new")), made["container_bytes"])
        with self.assertRaises(FileExistsError):
            luksmith.format(self.path("new"), PASSPHRASE, size=MIB)
        # One that there is keeps its size.
        luksmith.format(self.path("new"), "other", force=True, **CHEAP)
        self.assertEqual(os.path.getsize(self.path("new")), made["container_bytes"])
        run("cryptsetup", "open", "--test-passphrase", "--key-file=-", self.path("new"), stdin=b"other")
        with self.assertRaises(luksmith.InvalidOptionError):
            luksmith.format(self.path("another"), PASSPHRASE)
        luksmith.format(self.path("data"), PASSPHRASE, size=MIB, header=self.path("header"), **CHEAP)
        self.assertEqual(os.path.getsize(self.path("data")), MIB)
        self.assertTrue(luksmith.is_luks(self.path("header")))

    def test_keys_come_and_go(self):
        path = self.empty()
        added = luksmith.add_key(path, PASSPHRASE, "second", new_key_slot=5, **CHEAP)
        self.assertEqual(added["keyslot"], 5)
        test = ("cryptsetup", "open", "--test-passphrase", "--key-file=-", path)
        run(*test, "--key-slot", "5", stdin=b"second")
        changed = luksmith.change_key(path, "second", b"third", backup=self.path("backup"), **CHEAP)
        self.assertEqual(changed["old_keyslot"], 5)
        run(*test, stdin=b"third")
        self.assertEqual(luksmith.test_key(self.path("backup"), "second")["keyslot"], 5)
        with self.assertRaises(luksmith.NoKeyFitsError):
            luksmith.test_key(path, "second")
        self.assertEqual(luksmith.remove_key(path, "third")["last"], False)
        with self.assertRaises(luksmith.PolicyError):
            luksmith.remove_key(path, PASSPHRASE)
        luksmith.remove_key(path, PASSPHRASE, allow_last=True)
        self.assertEqual(luksmith.info(path)["keyslots"], [])
        before = open(path, "rb").read()
        path = self.empty(name="second.img")
        before = open(path, "rb").read()
        self.assertTrue(luksmith.add_key(path, PASSPHRASE, "x", dry_run=True, **CHEAP)["dry_run"])
        self.assertEqual(open(path, "rb").read(), before)

    def test_soundness(self):
        path = self.empty()
        found = luksmith.verify(path, PASSPHRASE)
        self.assertEqual((found["sound"], found["key"]["keyslot"]), (True, 0))
        self.assertFalse(luksmith.verify(path, "wrong")["key"]["fits"])
        with open(path, "r+b") as file:
            file.seek(16384 + 100)
            file.write(b"x")
        self.assertFalse(luksmith.verify(path)["sound"])

    def test_sizes(self):
        measured = luksmith.measure(container_size=64 * MIB)
        self.assertEqual(measured["payload_bytes"], 48 * MIB)
        raw = self.file("a", content(MIB))
        made = luksmith.encrypt(raw, self.path("new"), PASSPHRASE, **CHEAP)
        measured = luksmith.measure(raw)
        self.assertEqual(measured["container_bytes"], made["container_bytes"])
        planned = luksmith.encrypt(raw, self.path("none"), PASSPHRASE, dry_run=True)
        self.assertEqual(planned["container_bytes"], made["container_bytes"])
        self.assertFalse(os.path.exists(self.path("none")))

    def test_options_that_are_none(self):
        for call, error in [
            (lambda: luksmith.measure(size=512, tpye="luks1"), TypeError),
            (lambda: luksmith.measure(size=512, type="luks3"), ValueError),
            (lambda: luksmith.measure(size=512, pbkdf="scrypt"), ValueError),
            (lambda: luksmith.measure(size=512, sector_size="512"), TypeError),
            (lambda: luksmith.measure(size=512, sector_size=-512), OverflowError),
            (lambda: luksmith.measure(size=512, pbkdf_time=-1), ValueError),
            (lambda: luksmith.encrypt(self.path("absent"), self.path("new"), "x", threads=0), ValueError),
            (lambda: luksmith.measure(size=512, container_size=512), ValueError),
            (lambda: luksmith.measure(size=-1), OverflowError),
            (lambda: luksmith.measure(size=1 << 64), OverflowError),
            (lambda: luksmith.measure(size=512, cipher="none"), luksmith.InvalidOptionError),
            (lambda: luksmith.measure(), luksmith.InvalidOptionError),
            (lambda: luksmith.format(self.path("new"), b"", size=MIB, **CHEAP), luksmith.PolicyError),
            (lambda: luksmith.encrypt(self.path("absent"), self.path("new"), "x"), FileNotFoundError),
            (lambda: luksmith.encrypt(self.path("absent"), 5, "x"), TypeError),
            (lambda: luksmith.decrypt(self.path("absent"), self.path("new")), TypeError),
            (lambda: luksmith.remove_key(self.path("absent")), TypeError),
        ]:
            self.assertRaises(error, call)
        self.assertEqual(os.listdir(self.folder), [])

    def test_progress_is_told_and_may_end_the_job(self):
        size = 64 * MIB
        raw = self.path("a")
        with open(raw, "wb") as file:
            file.truncate(size)
        told = []
        luksmith.encrypt(raw, self.path("new"), PASSPHRASE, progress=lambda *how_far: told.append(how_far), **CHEAP)
        self.assertEqual(told[-1], (size, size))
        self.assertEqual(told, sorted(told))

        def enough(_done, _total):
            raise LookupError("enough")

        with self.assertRaisesRegex(LookupError, "enough"):
            luksmith.decrypt(self.path("new"), self.path("none"), PASSPHRASE, progress=enough)

    def test_a_signal_ends_a_copy(self):
        class Endless:
            """A terabyte of zeros, a little at a time."""

            def __init__(self):
                self.reads = 0

            def seek(self, offset, whence=0):
                return offset if whence == 0 else 1 << 40

            def read(self, size=-1):
                self.reads += 1
                if self.reads == 200:
                    signal.raise_signal(signal.SIGINT)
                return bytes(size)

        with self.assertRaises(KeyboardInterrupt):
            luksmith.encrypt(Endless(), self.path("new"), PASSPHRASE, **CHEAP)
        self.assertEqual(os.listdir(self.folder), [])

    def test_asyncio_by_threads(self):
        path = self.luks1(content(MIB))

        async def read():
            turns = 0

            async def count():
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            counter = asyncio.create_task(count())
            disk = await asyncio.to_thread(luksmith.open, path, PASSPHRASE)
            data = await asyncio.to_thread(disk.pread, 0, MIB)
            counter.cancel()
            disk.close()
            return data, turns

        data, turns = asyncio.run(read())
        self.assertEqual(data, content(MIB))
        self.assertGreater(turns, 0)

    def test_secrets_of_castellan(self):
        class Secret:
            def __init__(self, kind, encoded):
                self.kind, self.encoded = kind, encoded

            def managed_type(self):
                return self.kind

            def get_encoded(self):
                return self.encoded

        for kind in ["symmetric", "public", "private", "certificate", "opaque"]:
            for encoded, text in [(b"\x00\xff", "00ff"), ("é", "c3a9"), (b"", "")]:
                self.assertEqual(luksmith.passphrase_from_secret(Secret(kind, encoded)), text)
        for encoded, text in [(b"pass", "pass"), ("pässe", "pässe"), ("pässe".encode(), "pässe")]:
            self.assertEqual(luksmith.passphrase_from_secret(Secret("passphrase", encoded)), text)
        for secret, error in [
            (Secret("passphrase", b"canary\xff"), ValueError),
            (Secret("opaque", None), ValueError),
            (b"bytes", TypeError),
            (None, TypeError),
        ]:
            with self.assertRaises(error) as raised:
                luksmith.passphrase_from_secret(secret)
            self.assertNotIn("canary", repr(raised.exception))
            self.assertIsNone(raised.exception.__cause__)

    def test_jobs_run_beside_each_other(self):
        image = self.luks1(content(MIB))
        wrong = []

        def decrypt(number):
            raw = self.path(f"raw-{number}")
            luksmith.decrypt(image, raw, PASSPHRASE)
            with open(raw, "rb") as file:
                if file.read() != content(MIB):
                    wrong.append(number)

        threads = [threading.Thread(target=decrypt, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    unittest.main()
