"""The local cloud: ministack, with what patches/ adds to it.

Started by the driver in tests/stage as `python launch.py`, with

    GATEWAY_PORT          the port to serve on, of 127.0.0.1
    SLUICE_DMS_ENDPOINT   URL of the DMS stand-in
    SLUICE_RDS_ENDPOINT   URL of the database starter (see patches/rds.py)
    SLUICE_LAMBDA_LOG     optional: a file to append the functions' output to (see patches/runs.py)
    SLUICE_CALL_LOG       optional: a file to append the roles' calls of AWS to (see patches/permissions.py)
    SLUICE_RECONCILES_TAGS
                          optional: 1 takes tags off a task that is updated, unless the template has them (see
                          patches/dms.py)
    SLUICE_ORDER_SEED     optional: chooses among the orders in which resources that don't wait for each other may come
                          (see patches/stack_operations.py)
    LOG_LEVEL             optional: ministack's own log, on stderr (WARNING)

It ends when its standard input is closed, its parent dies, or it gets SIGTERM or
SIGINT, and leaves no process and no file behind (see life.py).
"""

import os
import sys

# This folder belongs to the checkout: no compiled files in it.
sys.dont_write_bytecode = True

import life

# ministack reads its environment while it is imported, so everything is set before.
SETTINGS = {
    # Roles may do what their policies say. The key below is root's.
    "AUTH": "true",
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_ENDPOINT_URL": f"http://127.0.0.1:{os.environ['GATEWAY_PORT']}",
    "AWS_SECRET_ACCESS_KEY": "local",
    "BIND_HOST": "127.0.0.1",
    "IOT_MTLS_ENABLED": "0",
    # Not "localhost": that may mean ::1, where nobody listens.
    "MINISTACK_HOST": "127.0.0.1",
    "MINISTACK_REGION": os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
    "PERSIST_STATE": "0",
    "SFTP_ENABLED": "0",
}

# A proxy, a profile, real credentials or another emulator of the user's shell must not get in.
FOREIGN = ("AWS_", "DOCKER_", "LOCALSTACK_", "MINISTACK_")
FOREIGN_TOO = ("AUTH", "EDGE_PORT", "LAMBDA_EXECUTOR", "LAMBDA_STRICT", "SERVICES", "USE_SSL")


def prepare_environment(state_dir: str) -> None:
    """Keep ministack on loopback and all it writes inside `state_dir`."""
    for name in list(os.environ):
        if name.startswith(FOREIGN) or name in FOREIGN_TOO or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    os.environ.update(SETTINGS)
    os.environ.update({
        "HOME": state_dir,
        "S3_DATA_DIR": os.path.join(state_dir, "s3"),
        "STATE_DIR": os.path.join(state_dir, "state"),
        "TMPDIR": state_dir,
    })


def main() -> None:
    """Add what is missing, then serve until told to stop."""
    prepare_environment(life.begin())

    import ministack.app

    import patches

    patches.install()

    sys.argv = sys.argv[:1]
    ministack.app.main()


if __name__ == "__main__":
    main()
