"""What ministack lacks for a stack with DMS in it, a module for each part. Each says what it adds.

| module             | of ministack                | adds                                                              |
|--------------------|-----------------------------|-------------------------------------------------------------------|
| stack_operations   | cloudformation (the engine) | events, clean-up, rollbacks and EventBridge's events as AWS's     |
| change_sets        | cloudformation (change sets)| which change set is at work, tags as a scope, mappings            |
| validation         | cloudformation (change sets)| what is validated before a deployment, and its findings           |
| express            | cloudformation (the engine) | express mode, and what is refused without a rollback              |
| custom_resources   | cloudformation (Custom::)   | asynchronous requests, pre-signed URLs, answers checked           |
| resource_types     | cloudformation (types)      | NAT gateways, addresses, alarms, secrets                          |
| calls              | lambda, eventbridge         | retries, ages and OnFailure of events and of Kinesis batches      |
| runs               | lambda                      | the environment, the log and the end of a function's process      |
| permissions        | IAM                         | DMS's actions, change sets by ARN, and a record of roles' calls   |
| dms                | -                           | AWS::DMS::* and the service, by the stand-in for DMS              |
| rds                | cloudformation (types)      | a MySQL-compatible server behind AWS::RDS::DBCluster              |

All but the last three are written as ministack could take them: in its terms, and with the behaviour of AWS; only
the log that runs writes for the driver is ours. The last three reach the driver's stand-ins, by the environment variables of launch.py.
"""

from patches import (
    calls,
    change_sets,
    custom_resources,
    dms,
    express,
    permissions,
    rds,
    resource_types,
    runs,
    stack_operations,
    validation,
)
from patches.patching import check


def install() -> None:
    """Patch ministack, which has been imported by now."""
    # In this order: some put their wrappers around those of the ones before.
    parts = [runs, calls, custom_resources, resource_types, dms, permissions, rds, stack_operations, change_sets,
             validation, express]
    check(parts)
    for part in parts:
        part.install()
