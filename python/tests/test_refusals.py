"""What goes wrong, and how it is said."""

import errno
import hashlib
import io
import signal
import threading
import time
import traceback
import unittest

import luksmith
from real import MIB, PASSPHRASE, Images, content


class Faulty(io.BytesIO):
    """A file object with a fault from some read on."""

    def __init__(self, data, fault):
        super().__init__(data)
        self.fault = fault
        self.reads = 0
        self.from_read = None

    def read(self, size=-1, /):
        self.reads += 1
        if self.from_read is None or self.reads < self.from_read:
            return super().read(size)
        return self.fault(super().read(size))


def raise_in_it(_data):
    raise RuntimeError("from the file object")


class Refusals(Images):
    def test_no_container(self):
        self.assertFalse(luksmith.is_luks(io.BytesIO(b"")))
        self.assertFalse(luksmith.is_luks(self.file("zeros", bytes(MIB))))
        for make in [luksmith.info, lambda source: luksmith.open(source, "x")]:
            with self.assertRaises(luksmith.NotLuksError):
                make(self.file("raw", bytes(MIB)))

    def test_a_damaged_header_is_one(self):
        path = self.empty()
        with open(path, "rb") as file:
            image = bytearray(file.read(5 * MIB))
        for start in [448, 16384 + 448]:
            image[start] ^= 1
        self.assertTrue(luksmith.is_luks(io.BytesIO(image)))
        with self.assertRaises(luksmith.CorruptError):
            luksmith.open(io.BytesIO(image), PASSPHRASE)

    def test_the_wrong_passphrase(self):
        path = self.empty()
        with self.assertRaises(luksmith.NoKeyFitsError) as raised:
            luksmith.open(path, "wrong")
        self.assertIsInstance(raised.exception, luksmith.LuksmithError)
        with self.assertRaises(luksmith.InvalidOptionError):
            luksmith.open(path, PASSPHRASE, key_slot=77)
        with self.assertRaises(luksmith.NoKeyFitsError):
            luksmith.open(path, b"")

    def test_what_costs_too_much(self):
        costly = ("--pbkdf", "argon2id", "--pbkdf-memory", "65536", "--pbkdf-force-iterations", "4")
        path = self.empty(MIB, "luks2", "costly.img", *costly)
        with self.assertRaises(luksmith.TooCostlyError) as raised:
            luksmith.open(path, PASSPHRASE, max_memory_kib=32768)
        self.assertEqual((raised.exception.limit, raised.exception.unit), (32768, "KiB"))
        self.assertGreater(raised.exception.need, 32768)

    def test_a_policy_that_is_not_fulfilled(self):
        path = self.luks1(content(MIB))
        with self.assertRaises(luksmith.PolicyError):
            luksmith.info(path, policy="builtin:confidential-vm")
        with self.assertRaises(luksmith.InvalidOptionError):
            luksmith.info(path, policy=["builtin:none"])

    def test_what_the_system_refuses_has_its_number(self):
        with self.assertRaises(FileNotFoundError) as raised:
            luksmith.open(self.path("absent"), "x")
        self.assertEqual(raised.exception.errno, errno.ENOENT)
        with self.assertRaises(IsADirectoryError):
            luksmith.info(self.folder)
        with self.assertRaises(OSError) as raised:
            luksmith.info(12345)
        self.assertEqual(raised.exception.errno, errno.EBADF)

    def test_wrong_types(self):
        path = self.empty()
        for call in [
            lambda: luksmith.open(path),
            lambda: luksmith.open(path, None),
            lambda: luksmith.open(path, 5),
            lambda: luksmith.open(path, PASSPHRASE, volume_key=lambda: b""),
            lambda: luksmith.open(None, PASSPHRASE),
            lambda: luksmith.open(True, PASSPHRASE),
            lambda: luksmith.open(5.0, PASSPHRASE),
            lambda: luksmith.open(io.StringIO("text"), PASSPHRASE),
            lambda: luksmith.open(io.BytesIO(), PASSPHRASE, readonly=False),
            lambda: luksmith.open(path, PASSPHRASE, key_slot="1"),
            lambda: luksmith.open(path, PASSPHRASE, policy=5),
            lambda: luksmith.open(path, lambda: None),
            lambda: luksmith.is_luks(object()),
        ]:
            self.assertRaises(TypeError, call)
        for call in [
            lambda: luksmith.info("a\0b"),
            lambda: luksmith.info(-1),
            lambda: luksmith.info(1 << 40),
            lambda: luksmith.open(path, PASSPHRASE, max_time=-1),
        ]:
            self.assertRaises(ValueError, call)
        with self.assertRaises(OverflowError):
            luksmith.open(path, PASSPHRASE, key_slot=1 << 40)

    def test_a_function_is_asked_by_the_thread_that_has_called(self):
        path = self.empty()
        threads = []

        def passphrase():
            threads.append(threading.current_thread())
            return PASSPHRASE

        luksmith.open(path, passphrase).close()
        self.assertEqual(threads, [threading.current_thread()])
        # Nobody is asked where it is of no use.
        with self.assertRaises(luksmith.NotLuksError):
            luksmith.open(io.BytesIO(bytes(MIB)), passphrase)
        self.assertEqual(len(threads), 1)

        def refuse():
            raise LookupError("nobody is here")

        with self.assertRaisesRegex(LookupError, "nobody is here"):
            luksmith.open(path, refuse)

    def test_no_secret_is_told(self):
        path, canary = self.empty(), "canary-0123\udcff"
        for secret in [canary, canary[:-1], canary[:-1].encode(), lambda: canary]:
            with self.subTest(type(secret)):
                try:
                    luksmith.open(path, secret)
                except (luksmith.NoKeyFitsError, ValueError) as error:
                    told = "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
                    lines = [line for line in told.splitlines() if "canary" in line]
                    self.assertEqual(lines, [])
                else:
                    self.fail("it was opened")

    def test_file_objects_with_faults(self):
        with open(self.luks1(content(MIB)), "rb") as file:
            image = file.read()
        for fault, error in [
            (raise_in_it, RuntimeError),
            (lambda data: b"", OSError),
            (lambda data: data + b"more", OSError),
            (lambda data: None, TypeError),
            (lambda data: "text", TypeError),
        ]:
            faulty = Faulty(image, fault)
            with luksmith.open(faulty, PASSPHRASE) as disk:
                self.assertEqual(disk.read(100), content(100))
                faulty.from_read = faulty.reads + 1
                with self.assertRaises(error):
                    disk.read(100)
                with self.assertRaises(error):
                    disk.readinto(bytearray(100))
                in_thread = []

                def read():
                    try:
                        disk.pread(0, 10)
                    except error as raised:
                        in_thread.append(raised)

                thread = threading.Thread(target=read)
                thread.start()
                thread.join()
                self.assertEqual(len(in_thread), 1)
                faulty.from_read = None
                self.assertEqual(disk.pread(0, 100), content(100))
            # The same while it is opened.
            for nth in range(2, 8):
                faulty = Faulty(image, fault)
                faulty.from_read = nth
                try:
                    luksmith.open(faulty, PASSPHRASE).close()
                except (error, luksmith.LuksmithError):
                    pass

    def test_file_objects_that_give_little(self):
        with open(self.luks1(content(MIB)), "rb") as file:
            image = file.read()

        class Little(io.BytesIO):
            def read(self, size=-1, /):
                return super().read(min(size, 1000))

        with luksmith.open(Little(image), PASSPHRASE) as disk:
            self.assertEqual(disk.read(), content(MIB))
        shrunk = io.BytesIO(image)
        with luksmith.open(shrunk, PASSPHRASE) as disk:
            shrunk.truncate(len(image) - 512)
            with self.assertRaises(OSError):
                disk.read()
            self.assertEqual(disk.pread(0, 512), content(512))
            shrunk.close()
            with self.assertRaises(ValueError):
                disk.pread(0, 512)

    def test_threads_read_one_file_object(self):
        with open(self.luks1(content(MIB)), "rb") as file:
            image = file.read()
        wrong = []
        with luksmith.open(io.BytesIO(image), PASSPHRASE) as disk:

            def read(start):
                for offset in range(start, MIB - 5000, 20_000):
                    if disk.pread(offset, 5000) != content(MIB)[offset : offset + 5000]:
                        wrong.append(offset)

            threads = [threading.Thread(target=read, args=(number * 100,)) for number in range(10)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self.assertEqual(wrong, [])

    def test_a_signal_ends_a_derivation(self):
        path = self.empty()
        self.raise_cost(path)
        timer = threading.Timer(1.0, signal.raise_signal, [signal.SIGINT])
        self.addCleanup(timer.cancel)
        timer.start()
        start = time.monotonic()
        with self.assertRaises(KeyboardInterrupt):
            luksmith.open(path, PASSPHRASE, max_time=10**7)
        print(f"a derivation of days was interrupted after 1 s: it ended at {time.monotonic() - start:.2f} s")

    def test_a_handler_of_a_signal_may_raise_what_it_likes(self):
        path = self.empty()
        self.raise_cost(path)

        def handler(_number, _frame):
            raise LookupError("out of the handler")

        before = signal.signal(signal.SIGALRM, handler)
        self.addCleanup(signal.signal, signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with self.assertRaisesRegex(LookupError, "out of the handler"):
            luksmith.open(path, PASSPHRASE, max_time=10**7)

    def test_other_threads_run_during_a_derivation(self):
        path = self.empty()
        self.raise_cost(path)
        turns = []

        def count():
            while len(turns) < 1000:
                turns.append(None)
                time.sleep(0)
            signal.raise_signal(signal.SIGINT)

        thread = threading.Thread(target=count)
        thread.start()
        with self.assertRaises(KeyboardInterrupt):
            luksmith.open(path, PASSPHRASE, max_time=10**7)
        thread.join()

    def raise_cost(self, path):
        """Has cryptsetup's own header ask for days: both copies with their checksums."""
        with open(path, "r+b") as file:
            for start in (0, 16384):
                file.seek(start)
                area = bytearray(file.read(16384))
                json_end = area.index(b"\0", 4096)
                text = bytes(area[4096:json_end]).replace(b'"iterations":1000,', b'"iterations":2000000000,', 1)
                area[4096:] = text + bytes(16384 - 4096 - len(text))
                area[448:512] = bytes(64)
                area[448:480] = hashlib.sha256(area).digest()
                file.seek(start)
                file.write(area)


if __name__ == "__main__":
    unittest.main()
