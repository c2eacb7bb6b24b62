"""The examples of the documentation run."""

import doctest
import io
import os
import tempfile

import luksmith
import luksmith._file
import luksmith._header
import luksmith._images
import luksmith._keys
import luksmith._secrets
import luksmith._serve
from real import MIB, PASSPHRASE, Images


GLOBALS = {"luksmith": luksmith, "io": io, "os": os, "tempfile": tempfile}


class Documentation(Images):
    def test_examples(self):
        here = os.getcwd()
        self.addCleanup(os.chdir, here)
        os.chdir(self.folder)
        for module in [
            luksmith,
            luksmith._file,
            luksmith._header,
            luksmith._images,
            luksmith._keys,
            luksmith._secrets,
            luksmith._serve,
        ]:
            for test in doctest.DocTestFinder().find(module, globs=GLOBALS):
                if not test.examples:
                    continue
                for name in os.listdir(self.folder):
                    os.remove(name)
                path = self.empty(4 * MIB, name="disk.img")
                with luksmith.open(path, PASSPHRASE, readonly=False) as disk:
                    disk.write(b"hello")
                said = io.StringIO()
                with self.subTest(test.name):
                    failed = doctest.DocTestRunner().run(test, out=said.write).failed
                    self.assertEqual(failed, 0, said.getvalue())

    def test_every_public_name_is_documented_by_an_example(self):
        lacking = []
        for name in luksmith.__all__:
            thing = getattr(luksmith, name)
            if not (thing.__doc__ or "").strip():
                lacking.append(name)
            is_plain = isinstance(thing, type) and issubclass(thing, (Exception, dict))
            if not is_plain and ">>> " not in (thing.__doc__ or ""):
                lacking.append(f"{name} has no example")
        self.assertEqual(lacking, [])
