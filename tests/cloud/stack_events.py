"""A stack's status changes as EventBridge events.

Their form: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/eventbridge-events.html
"""

import json

from ministack.services import eventbridge
from ministack.services.cloudformation import stacks

from stack_engine import wrap_add_event


def install() -> None:
    """Follow what ministack writes into the stacks' events."""
    # ministack publishes no events of CloudFormation.
    wrap_add_event(published)


def published(original):
    """_add_event, publishing what is said of a stack itself."""
    def add_event(stack_id, stack_name, logical_id, rtype, status, reason="", physical_id="", detailed_status=""):
        original(stack_id, stack_name, logical_id, rtype, status, reason, physical_id, detailed_status)
        # A nested stack is a resource of that type too, but of another stack.
        if physical_id == stack_id:
            publish(stack_id, status, reason)
    return add_event


def publish(stack_id: str, status: str, reason: str) -> None:
    """Hand one event to the rules of the default bus."""
    eventbridge._put_events({"Entries": [{
        "Source": "aws.cloudformation",
        "DetailType": "CloudFormation Stack Status Change",
        "Resources": [stack_id],
        "Detail": json.dumps({
            "stack-id": stack_id,
            "status-details": {"status": status, "status-reason": reason},
            "client-request-token": stacks.CLIENT_REQUEST_TOKEN.get(),
        }),
    }]}, allow_aws_source=True)
