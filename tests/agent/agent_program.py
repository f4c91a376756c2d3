"""What the tests that drive millrace-agent from Python share: the command line, reasons to skip, and the run."""

import argparse
import sys
import unittest
from pathlib import Path

SKIPPED = 77


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIPPED)


def arguments():
    """--agent PROGRAM --model FOLDER; skips when the folder holds no weights."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--agent", required=True)
    parser.add_argument("--model", required=True)
    args = parser.parse_args()
    if not (Path(args.model) / "model.safetensors.index.json").exists():
        skip(f"{args.model} holds no weights")
    return args


def passes(test_case):
    """Runs the class; whether all went well."""
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(test_case)
    return unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful()
