"""Breaks Sluice in the places of breakages.toml, one at a time; the named test has to notice: make breakages.

It needs Python 3.11. It works on a copy of what git knows, under target/breakages, and leaves the tree it is run from
as it is, but for docs/breakages.md, which it writes when all was noticed. Words on the command line choose breakages by
what their text holds; then nothing is written. `--places` looks only whether each place is there, once.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import tomllib

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "target/breakages"
TREE = FOLDER / "tree"

# Longer than any of the tests takes. One that a breakage makes hang has noticed it.
PATIENCE_S = 600

PAGE = """# Breakages

<!-- Written by `make breakages`. -->

Tests that can't fail prove nothing. `make breakages` breaks Sluice in the {count} places below, one at a time, in a
copy of the sources, and runs the test that has to notice. When this page was written it did, every time. The places
are in [breakages.toml](../tests/breakages/breakages.toml); what is added to Sluice adds to them.

| what is broken | where | the test that notices |
|---|---|---|
"""


def main() -> int:
    """Break and test. 1 if something goes unnoticed, or a breakage is none."""
    breakages = tomllib.loads((Path(__file__).parent / "breakages.toml").read_text())["breakage"]
    if sys.argv[1:] == ["--places"]:
        gone = [why for it in breakages if (why := misplaced(it, ROOT / it["file"]))]
        print("\n".join(gone) or f"{len(breakages)} places are there")
        return 1 if gone else 0
    chosen = [it for it in breakages if all(word in str(it) for word in sys.argv[1:])]
    copy()
    for test in sorted({it["test"] for it in chosen}):
        print(f"unbroken: {test}", flush=True)
        if not (builds(test) and passes(test)):
            print(f"{test} fails without being broken: see {FOLDER / 'log'}")
            return 1
    failures = [f"{it['what']}: {why}" for number, it in enumerate(chosen, 1) if (why := failure(number, it))]
    print(f"{len(chosen) - len(failures)} of {len(chosen)} were noticed")
    print("\n".join(failures))
    if not failures and len(chosen) == len(breakages):
        rows = [f"| {it['what']} | {it['file']} | `{it['test']}` |\n" for it in breakages]
        (ROOT / "docs/breakages.md").write_text(PAGE.format(count=len(rows)) + "".join(rows))
    return 1 if failures else 0


def copy() -> None:
    """Bring the copy to what is here. What is the same keeps its time, so that it is not built anew."""
    listed = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    known = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True)  # noqa: S603
    names = {name for name in known.stdout.decode().split("\0") if (ROOT / name).is_file()}
    for old in TREE.rglob("*"):
        if old.is_file() and str(old.relative_to(TREE)) not in names:
            old.unlink()
    for name in names:
        here, there = ROOT / name, TREE / name
        if not there.exists() or there.read_bytes() != here.read_bytes():
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(here, there)
    # The templates name the functions by their place, and the Makefile the Python environment.
    (TREE / "target").mkdir(exist_ok=True)
    for place in ("target/lambda", ".venv"):
        if not (TREE / place).is_symlink():
            (TREE / place).symlink_to(ROOT / place)


def failure(number: int, breakage: dict) -> str | None:
    """Break one place: why that is no proof of anything; None if the test has noticed."""
    file, began = TREE / breakage["file"], time.monotonic()
    if why := misplaced(breakage, file):
        return why
    whole = file.read_text()
    file.write_text(whole.replace(breakage["find"], breakage["replace"]))
    try:
        if not builds(breakage["test"]):
            why = f"it does not compile: see {FOLDER / 'log'}"
        else:
            why = "nobody noticed" if passes(breakage["test"]) else None
    finally:
        file.write_text(whole)
    print(f"{number:>3}. {why or 'noticed'} ({time.monotonic() - began:.0f} s): {breakage['what']}", flush=True)
    return why


def misplaced(breakage: dict, file: Path) -> str | None:
    """Why a place can't be broken; None if it can."""
    count = file.read_text().count(breakage["find"])
    return None if count == 1 else f"{breakage['file']} has {count} places for: {breakage['what']}"


def builds(test: str) -> bool:
    """Build a test."""
    return cargo(test, "--no-run") == 0


def passes(test: str) -> bool:
    """Run a test that is built."""
    return cargo(test) == 0


def cargo(test: str, *more: str) -> int:
    """Let cargo test it: what it ends with."""
    package, target, *names = test.split()
    which = ["--lib"] if target == "lib" else ["--test", target]
    command = ["cargo", "test", "--quiet", "--locked", "--package", package, *which, *more]
    command += ["--", *names] if names and not more else []
    environment = {
        "CARGO_TARGET_DIR": str(FOLDER / "build"),
        "SLUICE_LAMBDA_DIR": os.environ.get("SLUICE_LAMBDA_DIR", str(ROOT / "target/lambda")),
        "SLUICE_VENV": str(ROOT / ".venv"),
    }
    with open(FOLDER / "log", "wb") as log:
        # A group of its own, so that a test that hangs ends with cargo.
        process = subprocess.Popen(  # noqa: S603 - the list names packages and tests
            command, cwd=TREE, env=os.environ | environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            return process.wait(None if more else PATIENCE_S)
        except subprocess.TimeoutExpired:
            return 124
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


if __name__ == "__main__":
    sys.exit(main())
