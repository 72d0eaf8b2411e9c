"""Deploys, plans, shows and destroys Sluice's stacks: what `make deploy` and its like run.

    python cfn/operate account|deploy-database|deploy-stream|deploy-archive|deploy-examples|plan|status|destroy
    python cfn/operate check

`check` reads the template that TEMPLATE names, and needs no account.
`account` looks whether there are an account and a bucket to work with. All others are told
by the Makefile's variables (settings.py), talk to the account or the endpoint that the
environment configures, and end with 1 and the reason on failure.
"""

import os
import sys

import account
import check
import deploy
import destroy
import plan
import status
import templates
from botocore.exceptions import BotoCoreError, ClientError
from failure import Failure
from settings import Settings
from stacks import Stack


def plan_all(settings: Settings) -> None:
    """Plan the stacks that `make deploy` deploys, and the archive's if there is one.

    The stream's database may be somebody's own.
    """
    if deploy.database_parameter(settings, templates.packaged(settings.packaged / "stream.yaml")):
        plan.run(deploy.database(settings))
        if not Stack.find(settings.database_stack):
            print(f"{settings.stack} would be created after it, from its outputs")
            return
    plan.run(deploy.stream(settings))
    if Stack.find(settings.archive_stack):
        plan.run(deploy.archive(settings))


COMMANDS = {
    "account": lambda settings: account.check_bucket(settings.bucket),
    "deploy-database": lambda settings: deploy.database(settings).run(),
    "deploy-stream": lambda settings: deploy.stream(settings).run(),
    "deploy-archive": lambda settings: deploy.archive(settings).run(),
    "deploy-examples": lambda settings: deploy.examples(settings).run(),
    "plan": plan_all,
    "status": status.run,
    "destroy": destroy.run,
}


def main() -> int:
    """Run the command that the first argument names."""
    if sys.argv[1:] not in [[name] for name in ("check", *COMMANDS)]:
        print(__doc__, file=sys.stderr)
        return 2
    # Whoever watches through a pipe sees each line when it comes.
    sys.stdout.reconfigure(line_buffering=True)
    command = sys.argv[1]
    try:
        if command == "check":
            check.run(os.environ.get("TEMPLATE") or "cfn/stream.yaml")
            return 0
        settings = Settings.of_environment()
        where = account.name()
        # The deploy commands come after it, and after each other.
        if not command.startswith("deploy"):
            print(where)
        COMMANDS[command](settings)
    except (Failure, BotoCoreError, ClientError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "\nInterrupted. What CloudFormation has begun goes on: `make status` shows how far it is.", file=sys.stderr
        )
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
