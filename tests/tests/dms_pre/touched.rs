//! What of a change set touches a task.

use stage::dms::{Arn, TaskStatus, Wiring};
use stage::stack::{Detail, ResourceChange, modified};

use super::{Scene, TASK};

#[tokio::test(start_paused = true)]
async fn a_change_that_touches_nothing_of_dms_stops_nothing() {
    let scene = Scene::new(TaskStatus::Running);
    scene.stack.changes(vec![modified("Stream", "AWS::Kinesis::Stream", &Arn::new("stream-1"))]);
    assert_eq!(scene.deploy().await.unwrap().0, 0);
    assert_eq!(scene.status(), TaskStatus::Running);
    assert_eq!(scene.dms.calls("StopReplicationTask"), 0);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_or_the_instance_that_changes_touches_their_tasks_only() {
    type Part = fn(&Wiring) -> (&str, &Arn);
    let parts: [Part; 3] = [
        |wiring| ("AWS::DMS::Endpoint", &wiring.source),
        |wiring| ("AWS::DMS::Endpoint", &wiring.target),
        |wiring| ("AWS::DMS::ReplicationInstance", &wiring.instance),
    ];
    for part in parts {
        let scene = Scene::new(TaskStatus::Running);
        let other = scene.dms.add_task("users", TaskStatus::Running);
        scene.stack.has("Users", &other);
        let (kind, arn) = part(&scene.wiring);
        scene.stack.changes(vec![modified("Part", kind, arn)]);
        assert_eq!(scene.deploy().await.unwrap().0, 1, "{kind}");
        assert_eq!(scene.status(), TaskStatus::Stopped);
        assert_eq!(scene.dms.status(&other), Some(TaskStatus::Running));
    }
}

#[tokio::test(start_paused = true)]
async fn tags_metadata_and_policies_do_not_count() {
    for (scope, name) in [
        ("Tags", None),
        ("Metadata", None),
        ("DeletionPolicy", None),
        ("UpdateReplacePolicy", None),
        // A type that doesn't say of its tags that they are such.
        ("Properties", Some("Tags")),
    ] {
        let scene = Scene::new(TaskStatus::Running);
        let mut change = modified("Orders", TASK, &scene.orders);
        change.scope = vec![scope.to_owned()];
        change.details = vec![Detail::edited(scope, name)];
        scene.stack.changes(vec![change]);
        assert_eq!(scene.deploy().await.unwrap().0, 0, "{scope}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_arn_of_what_changes_in_place_does_not_count() {
    type Edit = fn(&mut ResourceChange, &mut ResourceChange);
    let rows: [(Edit, usize); 14] = [
        (|_, _| {}, 0),
        (|_, endpoint| endpoint.replacement = Some("Conditional".to_owned()), 0),
        (|_, endpoint| endpoint.details.push(Detail::edited("Tags", None)), 0),
        (|_, endpoint| endpoint.details.push(Detail::takes("Stream.Arn")), 0),
        // The stream may become another one.
        (|stream, _| stream.replacement = Some("True".to_owned()), 1),
        (|stream, _| stream.replacement = Some("Conditional".to_owned()), 1),
        (|stream, _| stream.action = "Remove".to_owned(), 1),
        (|stream, _| stream.resource_type = "Custom::Stream".to_owned(), 1),
        // Why the endpoint is in the change set isn't known.
        (|stream, _| stream.logical_id = "Another".to_owned(), 1),
        // There is more to it.
        (|_, endpoint| endpoint.replacement = Some("True".to_owned()), 1),
        (|_, endpoint| endpoint.details[0].evaluation = "Static".to_owned(), 1),
        (|_, endpoint| endpoint.details.push(Detail::takes("Stream.Id")), 1),
        (|_, endpoint| endpoint.details.push(Detail::edited("Properties", Some("KinesisSettings"))), 1),
        // CloudFormation says no cause.
        (|_, endpoint| (endpoint.details[0].source, endpoint.details[0].cause) = (None, None), 1),
    ];
    for (number, (edit, paused)) in rows.into_iter().enumerate() {
        let scene = Scene::new(TaskStatus::Running);
        let mut stream = modified("Stream", "AWS::Kinesis::Stream", &Arn::new("stream-1"));
        let mut endpoint = modified("Target", "AWS::DMS::Endpoint", &scene.wiring.target);
        endpoint.details = vec![Detail::takes("Stream.Arn")];
        edit(&mut stream, &mut endpoint);
        scene.stack.changes(vec![stream, endpoint]);
        assert_eq!(scene.deploy().await.unwrap().0, paused, "row {number}");
    }
}

#[tokio::test(start_paused = true)]
async fn replacement_removal_and_unheard_of_actions_count() {
    for (action, replacement) in [
        ("Modify", Some("True")),
        ("Modify", Some("Conditional")),
        ("Remove", None),
        ("Dynamic", None),
        ("Transmogrify", None),
    ] {
        let scene = Scene::new(TaskStatus::Running);
        let mut change = modified("Orders", TASK, &scene.orders);
        change.action = action.to_owned();
        change.replacement = replacement.map(str::to_owned);
        scene.stack.changes(vec![change]);
        assert_eq!(scene.deploy().await.unwrap().0, 1, "{action} {replacement:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_leaves_the_template_and_is_kept_runs_on() {
    for (policy, paused) in [("Retain", 0), ("Delete", 1)] {
        let scene = Scene::new(TaskStatus::Running);
        let mut change = modified("Orders", TASK, &scene.orders);
        (change.action, change.replacement) = ("Remove".to_owned(), None);
        change.policy_action = Some(policy.to_owned());
        scene.stack.changes(vec![change]);
        assert_eq!(scene.deploy().await.unwrap().0, paused, "{policy}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_change_touches_all() {
    let without_change_set = Scene::new(TaskStatus::Running);
    assert_eq!(without_change_set.deploy().await.unwrap().0, 1);

    let stale = Scene::new(TaskStatus::Running);
    stale.stack.changes(vec![]);
    stale.stack.execution_is("EXECUTE_COMPLETE");
    assert_eq!(stale.deploy().await.unwrap().0, 1);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_believes_the_change_set_that_failed() {
    let scene = Scene::new(TaskStatus::Running);
    scene.stack.becomes("UPDATE_ROLLBACK_IN_PROGRESS");
    scene.stack.changes(vec![modified("Stream", "AWS::Kinesis::Stream", &Arn::new("stream-1"))]);
    scene.stack.execution_is("EXECUTE_FAILED");
    assert_eq!(scene.deploy().await.unwrap().0, 0);
}

#[tokio::test(start_paused = true)]
async fn in_a_nested_stack_an_arn_is_that_of_its_own_resource() {
    for (is_nested, paused) in [(true, 0), (false, 1)] {
        let scene = Scene::new(TaskStatus::Running);
        let stream = modified("Stream", "AWS::Kinesis::Stream", &Arn::new("stream-1"));
        let mut endpoint = modified("Target", "AWS::DMS::Endpoint", &scene.wiring.target);
        endpoint.details = vec![Detail::takes("Stream.Arn")];
        let nested = Arn::new("arn:aws:cloudformation:eu-west-1:123456789012:stack/network/5c1f");
        let mut nested = modified("Network", "AWS::CloudFormation::Stack", &nested);
        nested.change_set = Some("arn:aws:changeSet/inner".to_owned());
        let (inner, outer) = if is_nested {
            (vec![stream, endpoint], vec![nested])
        } else {
            (vec![endpoint], vec![nested, stream])
        };
        scene.stack.nests("arn:aws:changeSet/inner", inner);
        scene.stack.changes(outer);
        assert_eq!(scene.deploy().await.unwrap().0, paused, "{is_nested}");
    }
}
