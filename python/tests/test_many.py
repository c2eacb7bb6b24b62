"""Many times the same: nothing is left over, and nothing is mixed up. A campaign does it 1000 times as often."""

import gc
import io
import os
import threading
import unittest

import luksmith
import real
from real import MIB, PASSPHRASE, Images, content


def left():
    """Descriptors, threads, and KiB of memory."""
    gc.collect()
    with open("/proc/self/status") as status:
        lines = dict(line.split(":", 1) for line in status)
    return len(os.listdir("/proc/self/fd")), int(lines["Threads"]), int(lines["VmRSS"].split()[0])


class Many(Images):
    def test_nothing_is_left_of_what_was_opened(self):
        path = self.luks1(content(MIB))
        with open(path, "rb") as file:
            image = file.read()

        def once():
            luksmith.open(path, PASSPHRASE).close()
            disk = luksmith.open(io.BytesIO(image), PASSPHRASE)
            disk.pread(0, 8192)
            del disk
            for source, secret in [(path, "wrong"), (io.BytesIO(image[:1000]), PASSPHRASE)]:
                try:
                    luksmith.open(source, secret)
                except luksmith.LuksmithError:
                    pass
            luksmith.info(path)

        # What is made once, and what the allocator keeps.
        for _ in range(20):
            once()
        before = left()
        for _ in range(20 * real.SCALE):
            once()
        after = left()
        print(f"of {100 * real.SCALE} opens were left: {after[2] - before[2]} KiB")
        self.assertEqual(after[:2], before[:2])
        # An image that stays would be 3 MiB.
        self.assertLess(after[2] - before[2], 20_000)

    def test_threads_write_and_read_stamps(self):
        image = self.luks1(content(MIB))
        wrong = []
        turns = 16 * real.SCALE
        with luksmith.open(image, PASSPHRASE, readonly=False) as disk:

            def stamp(number):
                own = number * 8192
                for turn in range(turns):
                    data = (number << 32 | turn).to_bytes(8, "big") * 500
                    at = own + turn % 1000
                    disk.pwrite(at, data)
                    if disk.pread(at, len(data)) != data:
                        wrong.append((number, turn))

            threads = [threading.Thread(target=stamp, args=(number,)) for number in range(32)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        print(f"{64 * turns} reads and writes of 32 threads, {len(wrong)} wrong")
        self.assertEqual(wrong, [])
        self.assertEqual(self.by_qemu(image)[262144 + 8192 :], content(MIB)[262144 + 8192 :])


if __name__ == "__main__":
    unittest.main()
