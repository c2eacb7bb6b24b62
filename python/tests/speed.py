"""How fast the file object is in a wheel that `pip` made, beside dissect.fve where that is installed. Ratios in one run; nothing is asserted."""

import os
import tempfile
import threading
import time

import luksmith

SIZE = 256 << 20


def best(what, times=5):
    took = []
    for _ in range(times):
        start = time.perf_counter()
        what()
        took.append(time.perf_counter() - start)
    return min(took)


def main():
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        image, raw = os.path.join(folder, "image"), os.path.join(folder, "raw")
        with open(raw, "wb") as file:
            file.truncate(SIZE)
        luksmith.encrypt(raw, image, "p", pbkdf="pbkdf2", pbkdf_iterations=1000, sector_size=512)
        with luksmith.open(image, "p") as disk:
            buffer = bytearray(1 << 20)

            def sequential():
                for offset in range(0, SIZE, 1 << 20):
                    disk.preadinto(offset, buffer)

            def reads():
                disk.seek(0)
                while disk.read(1 << 20):
                    pass

            ours = best(reads)
            print(f"read(1 MiB): {SIZE / ours / 1e6:.0f} MB/s, readinto: {SIZE / best(sequential) / 1e6:.0f} MB/s")

            def preads(start, count):
                for number in range(count):
                    disk.pread((start + number * 4096) % SIZE, 4096)

            def threads(count, each):
                running = [threading.Thread(target=preads, args=(n << 24, each)) for n in range(count)]
                for thread in running:
                    thread.start()
                for thread in running:
                    thread.join()

            one, two = best(lambda: threads(1, 40_000)), best(lambda: threads(2, 20_000))
            print(f"pread(4 KiB): {40_000 / one:.0f}/s by one thread, {one / two:.2f} times that by two")
        try:
            from dissect.fve.luks import LUKS
        except ImportError:
            print("dissect.fve is not installed")
            return
        with open(image, "rb") as file:
            volume = LUKS(file)
            volume.unlock_with_passphrase("p")
            stream = volume.open()

            def dissect():
                stream.seek(0)
                for _ in range(8):
                    stream.read(1 << 20)

            theirs = best(dissect, 2) * (SIZE >> 23)
            print(f"read(1 MiB): {theirs / ours:.1f} times as fast as dissect.fve")


if __name__ == "__main__":
    main()
