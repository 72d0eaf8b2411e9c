"""AWS::RDS::DBCluster and its instances, backed by a MySQL-compatible server.

The driver starts the servers: `POST SLUICE_RDS_ENDPOINT/clusters` with identifier,
username, password and perhaps database answers host and port once the server is
up, `DELETE SLUICE_RDS_ENDPOINT/clusters/<identifier>` stops it.
"""

import json
import os
import urllib.error
import urllib.parse
import urllib.request

from ministack.services import rds
from ministack.services.cloudformation import provisioners

from patches.patching import wrap
from patches.stack_operations import takes_time

START_SECONDS = 300


def install() -> None:
    """Put a server behind the records that ministack keeps of clusters."""
    # By name too: ministack's update handlers call these for a replacement.
    takes_time("AWS::RDS::DBCluster")
    wrap(provisioners, "_rds_db_cluster_create", cluster_create)
    wrap(provisioners, "_rds_db_cluster_delete", cluster_delete)
    wrap(provisioners, "_rds_db_instance_create", instance_create)
    handlers = provisioners._RESOURCE_HANDLERS
    handlers["AWS::RDS::DBCluster"]["create"] = provisioners._rds_db_cluster_create
    handlers["AWS::RDS::DBCluster"]["delete"] = provisioners._rds_db_cluster_delete
    handlers["AWS::RDS::DBInstance"]["create"] = provisioners._rds_db_instance_create


def starter(method: str, path: str, body: dict | None = None) -> dict:
    """One request to the database starter."""
    request = urllib.request.Request(
        os.environ["SLUICE_RDS_ENDPOINT"] + path, method=method,
        data=None if body is None else json.dumps(body).encode(), headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=START_SECONDS) as response:
            return json.loads(response.read() or b"{}")
    except urllib.error.HTTPError as error:
        raise ValueError(f"The database did not start: {error.read().decode(errors='replace')}") from None
    except OSError as error:
        raise ValueError(f"The database starter cannot be reached: {error}") from None


def cluster_create(original):
    """ministack's cluster has a made-up host name: give it a server's address."""
    def create(logical_id, props, stack_name):
        if not props.get("MasterUserPassword"):
            raise ValueError("The local cloud needs MasterUsername and MasterUserPassword of a DBCluster: "
                             "it has no password managed by RDS, and no snapshots")
        identifier, _ = original(logical_id, props, stack_name)
        cluster = rds._clusters[identifier]
        try:
            server = starter("POST", "/clusters", {
                "identifier": identifier,
                "username": props.get("MasterUsername"),
                "password": props["MasterUserPassword"],
                **({"database": props["DatabaseName"]} if props.get("DatabaseName") else {}),
            })
        except ValueError:
            rds._clusters.pop(identifier, None)
            raise
        cluster["Endpoint"] = cluster["ReaderEndpoint"] = server["host"]
        cluster["Port"] = int(server["port"])
        return identifier, provisioners._rds_db_cluster_attrs(cluster)
    return create


def cluster_delete(original):
    """Stop the server with its cluster, which may be protected: ministack minds that in RDS's own API only."""
    def delete(physical_id, props):
        if rds._clusters.get(physical_id, {}).get("DeletionProtection"):
            raise ValueError("Cannot delete protected Cluster, please disable deletion protection and try again.")
        if physical_id in rds._clusters:
            starter("DELETE", "/clusters/" + urllib.parse.quote(physical_id, safe=""))
        original(physical_id, props)
    return delete


def instance_create(original):
    """An instance answers where its cluster does."""
    def create(logical_id, props, stack_name):
        identifier, attributes = original(logical_id, props, stack_name)
        cluster = rds._clusters.get(props.get("DBClusterIdentifier") or "")
        if cluster is None:
            return identifier, attributes
        instance = rds._instances[identifier]
        instance["Endpoint"].update(Address=cluster["Endpoint"], Port=cluster["Port"])
        return identifier, provisioners._rds_db_instance_attrs(instance)
    return create
