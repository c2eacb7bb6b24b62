"""The examples of the documentation run."""

import doctest
import io
import os

import luksmith
import luksmith._file
import luksmith._header
from real import MIB, PASSPHRASE, Images


class Documentation(Images):
    def test_examples(self):
        here = os.getcwd()
        self.addCleanup(os.chdir, here)
        os.chdir(self.folder)
        for module in [luksmith, luksmith._file, luksmith._header]:
            for test in doctest.DocTestFinder().find(module, globs={"luksmith": luksmith, "io": io}):
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
            is_error = isinstance(thing, type) and issubclass(thing, Exception)
            if not is_error and ">>> " not in (thing.__doc__ or ""):
                lacking.append(f"{name} has no example")
        self.assertEqual(lacking, [])
