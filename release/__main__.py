"""Makes a release: an archive from which Sluice is deployed without Rust. `make release` runs it.

    python release archive x86_64|arm64 FUNCTIONS FOLDER
    python release tag v1.2.3

`archive` takes the built functions from FUNCTIONS/<name>/bootstrap and writes the archive
and its checksum into FOLDER. The same files give the same bytes: all in the archive has the
date SOURCE_DATE_EPOCH, or else that of the last commit. `tag` ends with 1 unless the tag is
the version's and all sources are committed. docs/release.md says the rest.
"""

import gzip
import hashlib
import os
import re
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

FUNCTIONS = ("db-init", "dms-post", "dms-pre", "row-writer", "stream-subscriber")

# Patterns of names, so that what lies about in a checkout stays out.
FILES = (
    "Makefile",
    "README.md",
    "CHANGELOG.md",
    "LICENSE*",
    "cfn/*.yaml",
    "cfn/examples/*.yaml",
    "cfn/examples/cdk/*.json",
    "cfn/examples/cdk/*.ts",
    "cfn/operate/*.py",
    "cfn/operate/*.yaml",
    "cfn/operate/requirements.txt",
    "docs/*.md",
    "docs/*.svg",
)

# The numbers of the processors in an ELF file's header. (assumption: arm64)
MACHINES = {"x86_64": 62, "arm64": 183}

# The parameter of a template that says which processor its functions run on, up to its default.
ARCHITECTURE = re.compile(r"(?m)(^  Architecture:\n(?:    .*\n)*?    Default: )x86_64$")


class Failure(Exception):
    """Why there is no release."""


def version() -> str:
    """The workspace's version."""
    manifest = (ROOT / "Cargo.toml").read_text(encoding="utf-8")
    found = re.search(r'(?m)^\[workspace\.package\]\nversion = "([^"]+)"$', manifest)
    if not found:
        raise Failure("Cargo.toml has no version where [workspace.package] begins")
    return found[1]


def check_tag(tag: str) -> None:
    """Failure unless the tag is the version's, and all sources are committed."""
    if tag != f"v{version()}":
        raise Failure(f"the tag is {tag}, and the version in Cargo.toml {version()}: they have to be the same")
    if changed := git("status", "--porcelain"):
        raise Failure(f"a release is made from what is committed, and this is not:\n{changed}")


def git(*arguments: str) -> str:
    """What git says about the sources."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603, S607
    if done.returncode != 0:
        raise Failure(f"git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def archive(processor: str, functions: Path, folder: Path) -> Path:
    """Write the archive and its checksum: where the archive is."""
    name = f"sluice-{version()}-{processor}"
    contents = {**sources(processor), **bootstraps(processor, functions)}
    contents["SHA256SUMS"] = "".join(f"{digest(contents[it])}  {it}\n" for it in sorted(contents)).encode()
    date = int(os.environ.get("SOURCE_DATE_EPOCH") or git("log", "-1", "--format=%ct"))
    packed = compressed(tarred(name, contents, date))
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.tar.gz"
    file.write_bytes(packed)
    file.with_name(f"{file.name}.sha256").write_text(f"{digest(packed)}  {file.name}\n", encoding="utf-8")
    return file


def sources(processor: str) -> dict[str, bytes]:
    """What a release has of the sources, by name."""
    found = {it.relative_to(ROOT).as_posix(): it for pattern in FILES for it in ROOT.glob(pattern) if it.is_file()}
    contents = {name: file.read_bytes() for name, file in found.items()}
    for name in [it for it in contents if it.endswith(".yaml")]:
        contents[name] = for_processor(name, contents[name].decode(), processor).encode()
    # By this, the Makefile knows that it is a release's.
    contents["release.mk"] = f"RELEASE := {version()}\nRELEASE_ARCH := {processor}\n".encode()
    return contents


def for_processor(name: str, template: str, processor: str) -> str:
    """A template whose functions run on this processor unless its parameter says otherwise."""
    changed, count = ARCHITECTURE.subn(rf"\g<1>{processor}", template)
    if count != template.count("\n  Architecture:\n"):
        raise Failure(f"{name}: the default of Architecture is not where it is looked for")
    return changed


def bootstraps(processor: str, functions: Path) -> dict[str, bytes]:
    """The built functions, at the places that the templates name."""
    contents = {}
    for name in FUNCTIONS:
        file = functions / name / "bootstrap"
        if not file.exists():
            raise Failure(f"{file} is not there: make release builds it")
        built = file.read_bytes()
        if built[:4] != b"\x7fELF" or int.from_bytes(built[18:20], "little") != MACHINES[processor]:
            raise Failure(f"{file} is not built for {processor} and Linux")
        contents[f"target/lambda/{name}/bootstrap"] = built
    return contents


def tarred(folder: str, contents: dict[str, bytes], date: int) -> bytes:
    """A tar archive of these files, in which nothing tells who made it, and where."""
    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(contents):
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size = len(contents[name])
            entry.mtime = date
            entry.mode = 0o755 if name.endswith("/bootstrap") else 0o644
            tar.addfile(entry, BytesIO(contents[name]))
    return packed.getvalue()


def compressed(data: bytes) -> bytes:
    """The same by gzip, without a name and a time."""
    packed = BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=packed, mtime=0) as file:
        file.write(data)
    return packed.getvalue()


def digest(data: bytes) -> str:
    """A checksum, as `sha256sum` writes it."""
    return hashlib.sha256(data).hexdigest()


def main() -> int:
    """Do what the arguments say."""
    try:
        match sys.argv[1:]:
            case ["archive", processor, functions, folder] if processor in MACHINES:
                print(archive(processor, Path(functions), Path(folder)))
            case ["tag", tag]:
                check_tag(tag)
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except Failure as failure:
        print(f"release: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
