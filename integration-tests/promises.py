"""Holds promises.toml against what ran: every promise names a test, and every such test must have run and passed.

    promises.py OUTPUT-OF-CARGO-TEST [--only FILTER]

Prints the promises that were not kept and ends with "N passed, N failed", counting tests.
"""

import argparse
import pathlib
import re
import sys
import tomllib

RUNNING = re.compile(r"^\s+Running .*\(.*/([A-Za-z0-9_]+)-[0-9a-f]+\)$")
RESULT = re.compile(r"^test (\S+)(?: - should panic)? \.\.\. (ok|FAILED|ignored)")
# A test that prints leaves its verdict at the start of a later line.
LATE = re.compile(r"^(?:.*\s)?(ok|FAILED)$")


def results(output: str) -> dict:
    binary, found, open_test = "", {}, None
    for line in output.splitlines():
        if running := RUNNING.match(line):
            binary, open_test = running[1], None
        elif result := RESULT.match(line):
            found[f"{binary}::{result[1]}"], open_test = result[2], None
        elif begun := re.match(r"^test (\S+) \.\.\. ", line):
            open_test = f"{binary}::{begun[1]}"
        elif open_test and (late := LATE.match(line)):
            found[open_test], open_test = late[1], None
    return found


def main() -> int:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("output", type=pathlib.Path)
    arguments.add_argument("--only")
    given = arguments.parse_args()
    found = results(given.output.read_text(errors="replace"))
    promises = tomllib.loads(pathlib.Path(__file__).with_name("promises.toml").read_text())["promise"]

    broken, seen = [], set()
    for promise in promises:
        if promise["id"] in seen:
            broken.append(f"{promise['id']}: the id is used twice")
        seen.add(promise["id"])
        for test in promise["tests"]:
            name = test.split("::", 1)[1]
            if given.only and given.only not in name:
                continue
            verdict = found.get(test, "did not run")
            if verdict != "ok":
                broken.append(f"{promise['id']}: {promise['says']} [{test}: {verdict}]")
    for ignored in sorted(name for name, verdict in found.items() if verdict == "ignored"):
        broken.append(f"an ignored test hides work: {ignored}")
    if not found:
        broken.append("no test ran")

    named = {test for promise in promises for test in promise["tests"]}
    for failed_test in sorted(name for name, verdict in found.items() if verdict == "FAILED" and name not in named):
        broken.append(f"a test failed that no promise names: {failed_test}")
    for line in broken:
        print(f"NOT KEPT  {line}")
    passed = sum(verdict == "ok" for verdict in found.values())
    failed = max(sum(verdict == "FAILED" for verdict in found.values()), len(broken))
    print(f"{len(promises)} promises, {len(broken)} faults")
    print(f"{passed} passed, {failed} failed")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
