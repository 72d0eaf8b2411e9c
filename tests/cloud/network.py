"""The EC2 resource types of a VPC with private subnets that ministack lacks."""

import json

from ministack.core.responses import get_region, new_uuid
from ministack.services import ec2
from ministack.services.cloudformation import provisioners

from stack_engine import replaces

RULES = {
    "AWS::EC2::SecurityGroupIngress": "IpPermissions",
    "AWS::EC2::SecurityGroupEgress": "IpPermissionsEgress",
}


def install() -> None:
    """Register the types, and which properties replace them and their neighbours."""
    handlers = provisioners._RESOURCE_HANDLERS
    handlers["AWS::EC2::EIP"] = {"create": address_create, "update": tags_update, "delete": address_delete}
    handlers["AWS::EC2::NatGateway"] = {"create": gateway_create, "update": tags_update, "delete": gateway_delete}
    # ministack's VPC lacks most of its attributes.
    vpc = handlers["AWS::EC2::VPC"]
    vpc["create"], vpc["update"] = with_cidr_block(vpc["create"]), with_cidr_block(vpc["update"])
    provisioners._STACK_TAG_PROPERTY.update({
        "AWS::EC2::EIP": ("Tags", "list"), "AWS::EC2::NatGateway": ("Tags", "list")})
    for rtype, direction in RULES.items():
        handlers[rtype] = {"create": rule_create(direction), "delete": rule_delete(direction)}
    rule = ("GroupId", "IpProtocol", "FromPort", "ToPort", "CidrIp", "CidrIpv6", "SourceSecurityGroupId",
            "DestinationSecurityGroupId", "SourcePrefixListId", "DestinationPrefixListId")
    replaces({
        "AWS::EC2::EIP": ("Domain", "NetworkBorderGroup", "PublicIpv4Pool", "TransferAddress"),
        "AWS::EC2::NatGateway": ("AllocationId", "ConnectivityType", "PrivateIpAddress", "SubnetId"),
        **dict.fromkeys(RULES, rule),
    })


def with_cidr_block(original):
    """AWS::EC2::VPC, with the attribute that Fn::Cidr is used on."""
    def provision(*args):
        vpc_id, attributes = original(*args)
        return vpc_id, {**attributes, "CidrBlock": ec2._vpcs[vpc_id]["CidrBlock"]}
    return provision


def address_create(logical_id, props, stack_name):
    """AWS::EC2::EIP: its Ref is the address."""
    allocation_id, address = "eipalloc-" + new_uuid().replace("-", "")[:17], ec2._random_ip("52.")
    ec2._addresses[allocation_id] = {
        "AllocationId": allocation_id, "PublicIp": address, "Domain": "vpc", "AssociationId": None,
        "InstanceId": None, "NetworkInterfaceId": None, "PrivateIpAddress": None,
    }
    provisioners._ec2_apply_tags(allocation_id, props)
    return address, {"AllocationId": allocation_id, "PublicIp": address}


def address_delete(physical_id, props):
    """Give the address back."""
    for allocation_id, record in list(ec2._addresses.items()):
        if record["PublicIp"] == physical_id:
            ec2._addresses.pop(allocation_id)
            ec2._tags.pop(allocation_id, None)


def gateway_create(logical_id, props, stack_name):
    """AWS::EC2::NatGateway: a record, no traffic goes through it."""
    gateway_id = "nat-" + new_uuid().replace("-", "")[:17]
    subnet = ec2._subnets.get(props.get("SubnetId"))
    if subnet is None:
        raise ValueError(f"The subnet ID '{props.get('SubnetId')}' does not exist")
    if props.get("ConnectivityType") != "private" and props.get("AllocationId") not in ec2._addresses:
        raise ValueError(f"Elastic IP address could not be associated: {props.get('AllocationId')} does not exist")
    ec2._nat_gateways[gateway_id] = {
        "NatGatewayId": gateway_id, "SubnetId": subnet["SubnetId"], "VpcId": subnet["VpcId"],
        "AllocationId": props.get("AllocationId"), "ConnectivityType": props.get("ConnectivityType", "public"),
        "State": "available", "CreateTime": ec2._now_ts(), "Tags": [],
    }
    provisioners._ec2_apply_tags(gateway_id, props)
    return gateway_id, {"NatGatewayId": gateway_id}


def gateway_delete(physical_id, props):
    """ministack keeps deleted gateways in its lists: so does EC2, for an hour."""
    if physical_id in ec2._nat_gateways:
        ec2._nat_gateways[physical_id]["State"] = "deleted"


def tags_update(physical_id, old_props, new_props, stack_name):
    """Only the tags of these types change in place."""
    record_id, attributes = physical_id, {"NatGatewayId": physical_id}
    for allocation_id, address in ec2._addresses.items():
        if address["PublicIp"] == physical_id:
            record_id, attributes = allocation_id, {"AllocationId": allocation_id, "PublicIp": physical_id}
    provisioners._ec2_apply_tags(record_id, new_props, old_props)
    return physical_id, attributes


def rule_create(direction):
    """AWS::EC2::SecurityGroupIngress and -Egress: one more permission of a group."""
    def create(logical_id, props, stack_name):
        group = ec2._security_groups.get(props.get("GroupId"))
        if group is None:
            raise ValueError(f"The security group '{props.get('GroupId')}' does not exist in {get_region()}")
        permissions = provisioners._ec2_sg_permissions([props])
        group.setdefault(direction, []).extend(permissions)
        rule_id = "sgr-" + new_uuid().replace("-", "")[:17]
        return rule_id, {"Id": rule_id}
    return create


def rule_delete(direction):
    """Take the permission out again."""
    def delete(physical_id, props):
        group = ec2._security_groups.get(props.get("GroupId")) or {}
        gone = [json.dumps(permission, sort_keys=True) for permission in provisioners._ec2_sg_permissions([props])]
        group[direction] = [
            permission for permission in group.get(direction, [])
            if json.dumps(permission, sort_keys=True) not in gone
        ]
    return delete
