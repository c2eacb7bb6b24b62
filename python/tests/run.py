"""Runs all tests, or those in files like a pattern, and says of them what `cargo test` would. `--long`: 1000 times as many."""

import signal
import sys
import time
import unittest

import real


class Result(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.passed = 0
        self.told = []

    @staticmethod
    def name(test):
        return test.id() if hasattr(test, "id") else str(test)

    def addSuccess(self, test):
        self.passed += 1
        print(f"test python::{self.name(test)} ... ok", flush=True)

    def _failed(self, test, text):
        self.told.append((self.name(test), text))
        print(f"test python::{self.name(test)} ... FAILED", flush=True)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._failed(test, self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self._failed(test, self.errors[-1][1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            kept = self.failures if issubclass(err[0], test.failureException) else self.errors
            self._failed(subtest, kept[-1][1])

    # A test that did not run has shown nothing.
    def addSkip(self, test, reason):
        self._failed(test, f"skipped: {reason}")

    def addUnexpectedSuccess(self, test):
        self._failed(test, "an unexpected success")


def main():
    # Whoever starts programs in the background has them ignore it, and they hand that on.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    patterns = [argument for argument in sys.argv[1:] if argument != "--long"]
    if "--long" in sys.argv:
        real.SCALE = 1000
    suite = unittest.defaultTestLoader.discover(sys.path[0], pattern=(patterns or ["test_*.py"])[0])
    result = Result()
    start = time.monotonic()
    suite.run(result)
    for name, text in result.told:
        print(f"---- python::{name} stdout ----")
        print(text)
    if result.told:
        print("failures:")
    word = "FAILED" if result.told else "ok"
    print(
        f"test result: {word}. {result.passed} passed; {len(result.told)} failed; 0 ignored; "
        f"0 measured; 0 filtered out; finished in {time.monotonic() - start:.2f}s"
    )
    return 1 if result.told or not result.passed else 0


if __name__ == "__main__":
    sys.exit(main())
