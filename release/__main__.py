"""Makes the archive of a release for one processor: `make release`.

    python release --architecture x86_64 --functions target/lambda --to target/archives

The archive holds what deploying takes and nothing that builds: the templates, the functions in the places that the
templates name, the programs, the docs, and checksums. The same sources and functions give the same bytes: names are
sorted, owners and times fixed (SOURCE_DATE_EPOCH, or the time of the last commit).
"""

import argparse
import gzip
import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# What of the repository is in it, as git knows it.
SOURCES = ("Makefile", "README.md", "CHANGELOG.md", "LICENSE*", "SECURITY.md", "cfn", "docs")

# The functions that the templates name, by their folders in target/lambda.
FUNCTIONS = ("db-init", "dms-post", "dms-pre", "row-writer", "stream-subscriber")


def main() -> int:
    """Make it, and its checksum beside it. 1 if a function is missing, or the tag is another version's."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--architecture", choices=("x86_64", "arm64"), required=True)
    parser.add_argument("--functions", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--tag", help="the tag that is released: v and the version")
    asked = parser.parse_args()
    version = re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
    if asked.tag and asked.tag != f"v{version}":
        print(f"The tag is {asked.tag}, and Cargo.toml has version {version}", file=sys.stderr)
        return 1
    missing = [name for name in FUNCTIONS if not (asked.functions / name / "bootstrap").exists()]
    if missing:
        print(f"Not built: {', '.join(missing)} in {asked.functions}", file=sys.stderr)
        return 1
    files = contents(asked.architecture, asked.functions)
    sums = "".join(f"{hashlib.sha256(body).hexdigest()}  {name}\n" for name, (body, _) in sorted(files.items()))
    files["SHA256SUMS"] = (sums.encode(), 0o644)
    name = f"sluice-{version}-{asked.architecture}"
    archive = gzip.compress(tar(name, files), mtime=0)
    asked.to.mkdir(parents=True, exist_ok=True)
    (asked.to / f"{name}.tar.gz").write_bytes(archive)
    checksum = f"{hashlib.sha256(archive).hexdigest()}  {name}.tar.gz\n"
    (asked.to / f"{name}.tar.gz.sha256").write_text(checksum)
    print(asked.to / f"{name}.tar.gz")
    return 0


def contents(architecture: str, functions: Path) -> dict[str, tuple[bytes, int]]:
    """The files by name, with their modes."""
    listed = subprocess.run(["git", "ls-files", "-z", *SOURCES], cwd=ROOT, capture_output=True, check=True)  # noqa: S603, S607
    files = {
        name: ((ROOT / name).read_bytes(), 0o755 if os.access(ROOT / name, os.X_OK) else 0o644)
        for name in listed.stdout.decode().split("\0")
        if name
    }
    for name in FUNCTIONS:
        files[f"target/lambda/{name}/bootstrap"] = ((functions / name / "bootstrap").read_bytes(), 0o755)
    # Tells the Makefile that nothing is to be built, and what for it was.
    files["target/lambda/architecture"] = (f"{architecture}\n".encode(), 0o644)
    return files


def tar(folder: str, files: dict[str, tuple[bytes, int]]) -> bytes:
    """All of them in one folder."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, (body, mode) in sorted(files.items()):
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mode, entry.mtime = len(body), mode, moment()
            archive.addfile(entry, io.BytesIO(body))
    return out.getvalue()


def moment() -> int:
    """The time of the sources, in seconds since 1970."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given:
        return int(given)
    last = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, check=True)  # noqa: S607
    return int(last.stdout)


if __name__ == "__main__":
    sys.exit(main())
