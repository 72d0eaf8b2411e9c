//! Endpoints, connections, instances and subnet groups, and what a task is created with, on a paused clock.

use serde_json::{Value, json};
use stage::dms::{Dms, Pace, TaskStatus};
use tokio::time::advance;

use super::client::{INVALID_STATE, RESUME, connections, refused, start, test_connection};

#[tokio::test(start_paused = true)]
async fn a_task_starts_only_when_both_endpoints_have_been_reached_from_its_instance() {
    let dms = Dms::default();
    let wiring = dms.add_wiring("w");
    let task = dms.add_wired_task("orders", TaskStatus::Stopped, "cdc", &wiring);
    dms.forget_connections(&wiring.target);
    let why = refused(start(&dms, &task, RESUME), INVALID_STATE);
    assert!(why.starts_with("Test connection for replication instance"), "{why}");

    test_connection(&dms, &wiring.target, &wiring.instance).unwrap();
    start(&dms, &task, RESUME).unwrap_err();
    let why = refused(test_connection(&dms, &wiring.target, &wiring.instance), INVALID_STATE);
    assert!(why.ends_with("already being tested"), "{why}");

    advance(Pace::default().connection_test).await;
    start(&dms, &task, RESUME).unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_can_not_be_reached_says_why() {
    let dms = Dms::default();
    let wiring = dms.add_wiring("w");
    dms.unreachable(&wiring.source, "Access denied for user 'dms'");
    test_connection(&dms, &wiring.source, &wiring.instance).unwrap();
    let endpoints = [wiring.source.clone()];
    // A description trails what is.
    advance(Pace::default().lag).await;
    assert_eq!(connections(&dms, &endpoints).unwrap()[0]["Status"], "testing");
    advance(Pace::default().connection_test).await;
    let tested = connections(&dms, &endpoints).unwrap();
    assert_eq!(tested[0]["Status"], "failed");
    assert_eq!(tested[0]["LastFailureMessage"], "Access denied for user 'dms'");
    dms.reachable(&wiring.source);
    test_connection(&dms, &wiring.source, &wiring.instance).unwrap();
    advance(Pace::default().connection_test + Pace::default().lag).await;
    assert_eq!(connections(&dms, &endpoints).unwrap()[0]["Status"], "successful");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_modified_under_a_running_task_is_a_violation_and_tested_again() {
    let dms = Dms::default();
    let wiring = dms.add_wiring("w");
    let task = dms.add_wired_task("orders", TaskStatus::Running, "cdc", &wiring);
    let input = json!({ "EndpointArn": wiring.source.as_str(), "ServerName": "db" });
    dms.call("ModifyEndpoint", &input).unwrap();
    assert_eq!(dms.violations(), ["endpoint w-source modified while task orders ran"]);
    advance(Pace::default().lag).await;
    let found = connections(&dms, &[wiring.source, wiring.target]).unwrap();
    assert_eq!([&found[0]["Status"], &found[1]["Status"]], ["testing", "successful"]);
    assert_eq!(dms.status(&task), Some(TaskStatus::Running));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_modified_while_its_task_rests_is_no_violation() {
    let dms = Dms::default();
    let wiring = dms.add_wiring("w");
    dms.add_wired_task("orders", TaskStatus::Stopped, "cdc", &wiring);
    dms.call("ModifyEndpoint", &json!({ "EndpointArn": wiring.source.as_str() })).unwrap();
    let instance = json!({ "ReplicationInstanceArn": wiring.instance.as_str(), "AllocatedStorage": 100 });
    dms.call("ModifyReplicationInstance", &instance).unwrap();
    assert!(dms.violations().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_is_being_modified_starts_no_task_and_tests_no_connection() {
    let dms = Dms::default();
    let wiring = dms.add_wiring("w");
    let task = dms.add_wired_task("orders", TaskStatus::Stopped, "cdc", &wiring);
    let instance = json!({ "ReplicationInstanceArn": wiring.instance.as_str(), "AllocatedStorage": 100 });
    dms.call("ModifyReplicationInstance", &instance).unwrap();
    for refusal in [
        start(&dms, &task, RESUME),
        test_connection(&dms, &wiring.target, &wiring.instance),
        dms.call("ModifyReplicationInstance", &instance),
    ] {
        let why = refused(refusal, INVALID_STATE);
        assert!(why.ends_with("is not available, its status is modifying"), "{why}");
    }
    advance(Pace::default().modify).await;
    start(&dms, &task, RESUME).unwrap();
}

#[tokio::test(start_paused = true)]
async fn nothing_that_a_task_uses_can_be_deleted_before_it() {
    let (dms, pace) = (Dms::default(), Pace::default());
    let wiring = dms.add_wiring("w");
    let task = dms.add_wired_task("orders", TaskStatus::Stopped, "cdc", &wiring);
    let endpoint = json!({ "EndpointArn": wiring.source.as_str() });
    let instance = json!({ "ReplicationInstanceArn": wiring.instance.as_str() });
    refused(dms.call("DeleteEndpoint", &endpoint), "InvalidResourceStateFault");
    refused(dms.call("DeleteReplicationInstance", &instance), "InvalidResourceStateFault");
    dms.call("DeleteReplicationTask", &json!({ "ReplicationTaskArn": task.as_str() })).unwrap();
    refused(dms.call("DeleteEndpoint", &endpoint), "InvalidResourceStateFault");
    advance(pace.delete).await;
    dms.call("DeleteEndpoint", &endpoint).unwrap();
    dms.call("DeleteReplicationInstance", &instance).unwrap();
    advance(pace.delete).await;
    refused(dms.call("DeleteEndpoint", &endpoint), "ResourceNotFoundFault");
}

#[tokio::test(start_paused = true)]
async fn a_subnet_group_needs_two_subnets_and_outlives_its_instances() {
    let (dms, pace) = (Dms::default(), Pace::default());
    let mut group = json!({
        "ReplicationSubnetGroupIdentifier": "Private",
        "ReplicationSubnetGroupDescription": "private subnets",
        "SubnetIds": ["subnet-1"],
    });
    let create = "CreateReplicationSubnetGroup";
    refused(dms.call(create, &group), "ReplicationSubnetGroupDoesNotCoverEnoughAZs");
    group["SubnetIds"] = json!(["subnet-1", "subnet-2"]);
    dms.call(create, &group).unwrap();
    refused(dms.call(create, &group), "ResourceAlreadyExistsFault");
    let instance = json!({
        "ReplicationInstanceIdentifier": "one",
        "ReplicationInstanceClass": "dms.t3.medium",
        "ReplicationSubnetGroupIdentifier": "private",
    });
    let answer = dms.call("CreateReplicationInstance", &instance).unwrap();
    let arn = json!({ "ReplicationInstanceArn": answer["ReplicationInstance"]["ReplicationInstanceArn"] });
    refused(dms.call("DeleteReplicationInstance", &arn), "InvalidResourceStateFault");
    advance(pace.create).await;
    let id = json!({ "ReplicationSubnetGroupIdentifier": "private" });
    refused(dms.call("DeleteReplicationSubnetGroup", &id), "InvalidResourceStateFault");
    dms.call("DeleteReplicationInstance", &arn).unwrap();
    advance(pace.delete).await;
    dms.call("DeleteReplicationSubnetGroup", &id).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_bad_mapping_is_refused_by_the_name_of_its_rule() {
    let dms = Dms::default();
    let task = dms.add_task("orders", TaskStatus::Stopped);
    let modify = |mappings: &str| {
        let input = json!({ "ReplicationTaskArn": task.as_str(), "TableMappings": mappings });
        dms.call("ModifyReplicationTask", &input)
    };
    let with_rule = |change: fn(&mut Value)| {
        let mut rule = json!({
            "rule-type": "selection", "rule-id": "7", "rule-name": "seven", "rule-action": "include",
            "object-locator": { "schema-name": "blog", "table-name": "%" },
        });
        change(&mut rule);
        modify(&json!({ "rules": [rule] }).to_string())
    };
    let bad = "InvalidParameterValueException";
    for text in ["", "rules", "[]", "{}", r#"{"rules":[]}"#, r#"{"rules":{}}"#] {
        refused(modify(text), bad);
    }
    for change in [
        |rule: &mut Value| rule["rule-type"] = json!("selektion"),
        |rule: &mut Value| rule["rule-action"] = Value::Null,
        |rule: &mut Value| rule["object-locator"] = json!({ "schema-name": "blog" }),
        |rule: &mut Value| rule["rule-name"] = json!(""),
    ] {
        let why = refused(with_rule(change), bad);
        assert!(why.contains("Rule with ruleId = 7 failed validation"), "{why}");
    }
    let why = refused(with_rule(|rule| rule["rule-id"] = Value::Null), bad);
    assert!(why.contains("rule 1"), "{why}");
    with_rule(|_| ()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn settings_must_be_an_object_that_leaves_the_log_group_to_dms() {
    let dms = Dms::default();
    let task = dms.add_task("orders", TaskStatus::Stopped);
    let modify = |settings: &str| {
        let input = json!({ "ReplicationTaskArn": task.as_str(), "ReplicationTaskSettings": settings });
        dms.call("ModifyReplicationTask", &input)
    };
    let bad = "InvalidParameterValueException";
    refused(modify("{"), bad);
    refused(modify("[]"), bad);
    let why = refused(modify(r#"{"Logging":{"CloudWatchLogGroup":"dms"}}"#), bad);
    assert!(why.contains("CloudWatchLogGroup"), "{why}");
    modify(r#"{"Logging":{"EnableLogging":true,"CloudWatchLogGroup":null}}"#).unwrap();
}

#[tokio::test(start_paused = true)]
async fn two_tasks_can_not_have_one_name_until_the_first_is_gone() {
    let (dms, pace) = (Dms::default(), Pace::default());
    let first = dms.add_task("orders", TaskStatus::Stopped);
    let all = dms.call("DescribeReplicationTasks", &json!({})).unwrap();
    let mut input = all["ReplicationTasks"][0].clone();
    input["ReplicationTaskIdentifier"] = json!("Orders");
    let create = "CreateReplicationTask";
    refused(dms.call(create, &input), "ResourceAlreadyExistsFault");
    dms.call("DeleteReplicationTask", &json!({ "ReplicationTaskArn": first.as_str() })).unwrap();
    refused(dms.call(create, &input), "ResourceAlreadyExistsFault");
    advance(pace.delete).await;
    let second = dms.call(create, &input).unwrap();
    assert_ne!(second["ReplicationTask"]["ReplicationTaskArn"], first.as_str());
}

#[tokio::test(start_paused = true)]
async fn a_tag_is_put_on_read_by_its_resource_and_taken_off_by_its_key() {
    let dms = Dms::default();
    let [orders, users] = ["orders", "users"].map(|name| dms.add_task(name, TaskStatus::Running));
    let listed = || {
        let both = json!({ "ResourceArnList": [orders.as_str(), users.as_str()] });
        dms.call("ListTagsForResource", &both).unwrap()["TagList"].clone()
    };
    let of_orders = |more: Value| {
        let mut input = json!({ "ResourceArn": orders.as_str() });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    let take_off = of_orders(json!({ "TagKeys": ["team"] }));
    dms.call("RemoveTagsFromResource", &take_off).unwrap();
    assert_eq!(listed(), json!([]));
    let put_on =
        of_orders(json!({ "Tags": [{ "Key": "team", "Value": "shop" }, { "Key": "k", "Value": "v" }] }));
    dms.call("AddTagsToResource", &put_on).unwrap();
    let tag = |key: &str, value: &str| json!({ "ResourceArn": orders.as_str(), "Key": key, "Value": value });
    assert_eq!(listed(), json!([tag("k", "v"), tag("team", "shop")]));
    dms.call("RemoveTagsFromResource", &take_off).unwrap();
    assert_eq!(listed(), json!([tag("k", "v")]));
}

#[tokio::test(start_paused = true)]
async fn a_resource_takes_no_eleventh_tag() {
    let dms = Dms::default();
    let orders = dms.add_task("orders", TaskStatus::Running);
    let add = |keys: std::ops::Range<u8>| {
        let tags: Vec<_> = keys.map(|n| json!({ "Key": format!("k{n}"), "Value": "v" })).collect();
        dms.call("AddTagsToResource", &json!({ "ResourceArn": orders.as_str(), "Tags": tags }))
    };
    add(0..9).unwrap();
    let why = refused(add(9..11), "InvalidParameterValueException");
    assert!(why.contains("no more than 10 tags"), "{why}");
    assert_eq!(dms.tags(&orders).len(), 9);
    add(9..10).unwrap();
    refused(add(10..11), "InvalidParameterValueException");
    // One that is there gets another value.
    add(0..10).unwrap();
    assert_eq!(dms.tags(&orders).len(), 10);
}
