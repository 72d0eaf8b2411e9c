"""Deploys, plans, shows and destroys Sluice's stacks: what `make deploy` and its like run.

    python cfn/operate account|check|migrations|deploy|deploy-<stack>|plan|status|destroy

`account` looks whether there are an account and a bucket to work with, and whether the
parameters have the right names. `check` reads the template that TEMPLATE names, and `migrations`
puts the files of the folder that MIGRATIONS names into db-init's archive; these two need no
account. All are told by the Makefile's variables (settings.py), the others talk to the account
or the endpoint that the environment configures, and each ends with 1 and the reason on failure.
"""

import os
import sys
from functools import partial

import account
import check
import deploy
import destroy
import migrations
import parameters
import plan
import status
from botocore.exceptions import BotoCoreError, ClientError
from failure import Failure
from settings import STACKS, Settings
from stacks import Stack


def look(settings: Settings) -> None:
    """Find mistakes before anything is built."""
    parameters.check_names(settings)
    migrations.files(settings.migrations)
    if settings.own_template:
        # It may be on its way to Sluice, or away from it: what is wrong is said, and is no reason to stop.
        check.tell(str(settings.own_template))
    account.check_bucket(settings.bucket)


def deploy_all(settings: Settings) -> None:
    """Deploy what the stream needs, and the stream."""
    for kind in list(deploy.needed(settings)):
        deploy.run(settings, kind)


def plan_all(settings: Settings) -> None:
    """Plan the stacks that `make deploy` deploys, and the archive's if there is one.

    What would be made from the outputs of a stack that isn't there yet can't be planned.
    """
    kinds = [*deploy.needed(settings), *(["archive"] if Stack.find(settings.names["archive"]) else [])]
    absent = [kind for kind in kinds if not Stack.find(settings.names[kind])]
    for kind in kinds:
        after = [settings.names[it.kind] for it in parameters.SOURCES[kind] if it.kind in absent]
        if after:
            print(f"{settings.names[kind]} would be deployed after {', '.join(after)}, with what they bring")
        else:
            plan.run(settings, kind)


# Where express mode makes no sense, and why.
NOT_EXPRESS = {
    **{f"deploy-{kind}": "what is deployed next needs it ready" for kind in STACKS if kind not in deploy.EXPRESS},
    "destroy": "what a stack stands on can be deleted only when all of it is gone",
}

COMMANDS = {
    "account": look,
    "deploy": deploy_all,
    **{f"deploy-{kind}": partial(deploy.run, kind=kind) for kind in STACKS},
    "plan": plan_all,
    "status": status.run,
    "destroy": destroy.run,
}


def main() -> int:
    """Run the command that the first argument names."""
    if sys.argv[1:] not in [[name] for name in ("check", "migrations", *COMMANDS)]:
        print(__doc__, file=sys.stderr)
        return 2
    # Whoever watches through a pipe sees each line when it comes.
    sys.stdout.reconfigure(line_buffering=True)
    command = sys.argv[1]
    try:
        if command == "check":
            check.run(os.environ.get("TEMPLATE") or "cfn/stream.yaml")
            return 0
        if command == "migrations":
            migrations.put(os.environ.get("MIGRATIONS", ""))
            return 0
        settings = Settings.of_environment()
        if settings.express and command in NOT_EXPRESS:
            raise Failure(f"EXPRESS=1: not for make {command}, since {NOT_EXPRESS[command]}")
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
