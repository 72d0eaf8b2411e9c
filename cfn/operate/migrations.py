"""Migrations in files: db-init's archive holds them beside its program.

`aws cloudformation package` uploads the whole folder that db-init.yaml names as the function's code, so a file that is
put there is in the archive.
"""

import re
import shutil
from pathlib import Path

from failure import Failure

# Where db-init looks for them: in the folder in which its program lies.
PLACE = Path("target/lambda/db-init/migrations")

NAME = re.compile(r"V[0-9]+__[A-Za-z0-9_]+\.sql")


def files(folder: str) -> list[Path]:
    """The migrations in a folder, by name; none if no folder is given. Failure if db-init could not run them."""
    if not folder:
        return []
    try:
        if Path(folder).resolve().is_relative_to(PLACE.resolve()):
            raise Failure(f"MIGRATIONS: {folder} is made anew from the folder that is given: name that one")
        if not Path(folder).is_dir():
            raise Failure(f"MIGRATIONS: there is no folder {folder}")
        found = sorted(it for it in Path(folder).iterdir() if it.suffix.lower() == ".sql" and it.is_file())
    except OSError as error:
        raise Failure(f"MIGRATIONS: {error}") from None
    if not found:
        raise Failure(f"MIGRATIONS: {folder} holds no .sql file")
    if wrong := [it.name for it in found if not NAME.fullmatch(it.name)]:
        raise Failure(
            f"MIGRATIONS: {', '.join(wrong)} in {folder}: a migration's file is V<n>__<name>.sql, like V1__orders.sql"
        )
    return found


def put(folder: str) -> None:
    """Put a folder's migrations into db-init's archive, in place of all that were there. None if no folder is given."""
    found = files(folder)
    try:
        if PLACE.is_symlink():
            PLACE.unlink()
        elif PLACE.exists():
            shutil.rmtree(PLACE)
        if found:
            PLACE.mkdir(parents=True)
        for file in found:
            # With their dates, so that the same files make the same archive. Lambda runs the function as another user,
            # who has to be able to read them.
            shutil.copy2(file, PLACE / file.name)
            (PLACE / file.name).chmod(0o644)
    except OSError as error:
        raise Failure(f"MIGRATIONS: {error}") from None
    if found:
        print(f"db-init is packaged with {len(found)} migration{'s' * (len(found) > 1)} from {folder}")
