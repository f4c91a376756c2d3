#!/usr/bin/env python3
"""Judges the Dockerfile without a container engine: what it copies exists and is not ignored, stages refer backwards,
images run as a user that is not root, and the build targets it names are targets of the tree."""
import fnmatch
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def instructions():
    """(word, rest) of every instruction, with continued lines joined."""
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [tuple(line.split(None, 1)) for line in lines]


def stages():
    """Stage name -> (base, its instructions), in order."""
    found = {}
    for word, rest in instructions():
        if word == "FROM":
            base, name = re.fullmatch(r"(\S+) AS (\S+)", rest).groups()
            current = found[name] = (base, [])
        else:
            current[1].append((word, rest))
    return found


def lineage(name):
    """Instructions of a stage after those of the stages it is built on."""
    base, own = stages()[name]
    return (lineage(base) if base in stages() else []) + own


def ignored(path):
    result = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.strip()
        if pattern and not pattern.startswith("#"):
            keep = pattern.startswith("!")
            name = pattern.lstrip("!")
            if fnmatch.fnmatch(path, name) or path.startswith(name + "/"):
                result = not keep
    return result


class Dockerfile(unittest.TestCase):
    def copies(self):
        for name, (_, body) in stages().items():
            for word, rest in body:
                if word == "COPY":
                    yield name, rest.split()

    def test_has_the_targets_operator_and_agent(self):
        self.assertLessEqual({"operator", "agent"}, set(stages()))

    def test_copies_only_what_exists_and_is_not_ignored(self):
        for _, words in self.copies():
            if not words[0].startswith("--"):
                for source in words[:-1]:
                    self.assertTrue((ROOT / source).exists(), source)
                    self.assertFalse(ignored(source), source)

    def test_copies_from_earlier_stages_only(self):
        order = list(stages())
        for name, words in self.copies():
            if words[0].startswith("--from="):
                self.assertLess(order.index(words[0].removeprefix("--from=")), order.index(name))

    def test_copies_from_the_builder_what_it_builds(self):
        built = " ".join(rest for word, rest in stages()["builder"][1] if word == "RUN")
        for _, words in self.copies():
            if words[0].startswith("--from="):
                program = pathlib.PurePath(words[1]).name
                self.assertRegex(built, rf"--target [a-z -]*\b{program}\b")
                lists = [(ROOT / folder / "CMakeLists.txt").read_text() for folder in ("operator", "agent")]
                self.assertRegex("\n".join(lists), rf"add_executable\({program}\b")

    def test_runs_as_a_numbered_user_that_is_not_root(self):
        for name in ("operator", "agent"):
            users = [rest for word, rest in lineage(name) if word == "USER"]
            self.assertEqual(users[-1], "65532:65532")

    def test_starts_the_program_itself_so_that_it_gets_the_signals(self):
        for name in ("operator", "agent"):
            entries = [rest for word, rest in lineage(name) if word == "ENTRYPOINT"]
            self.assertEqual(entries, [f'["/usr/bin/millrace-{name}"]'])


if __name__ == "__main__":
    unittest.main()
