//! What no function accepts: each answers FAILED, and says what to change.

use serde_json::{Value, json};
use stage::stack::STACK;

use super::{A_MINUTE, Scene, all, reason};

#[tokio::test]
async fn a_property_that_is_missing_is_named() {
    for (resource, properties) in all() {
        let scene = Scene::of(resource).await;
        for name in properties.as_object().unwrap().keys() {
            let mut without = properties.clone();
            without.as_object_mut().unwrap().remove(name);
            for kind in ["Create", "Update"] {
                let reason = scene.refused(kind, without.clone()).await;
                let expected = format!("ResourceProperties: missing field `{name}` (");
                assert!(reason.starts_with(&expected), "{reason}");
            }
        }
    }
}

#[tokio::test]
async fn a_property_that_is_misspelt_is_named_with_those_there_are() {
    for (resource, properties) in all() {
        let scene = Scene::of(resource).await;
        let (known, _) = properties.as_object().unwrap().iter().next().unwrap();
        let mut more = properties.clone();
        more["Databse"] = json!("shop");
        let reason = scene.refused("Update", more).await;
        assert!(reason.contains("unknown field `Databse`, expected "), "{reason}");
        assert!(reason.contains(&format!("`{known}`")), "{reason}");
        assert!(reason.starts_with("ResourceProperties"), "{reason}");
    }
}

#[tokio::test]
async fn a_create_that_was_refused_is_deleted_without_a_call_of_the_handler() {
    for (resource, _) in all() {
        let scene = Scene::of(resource).await;
        let answer = scene.answer("Create", json!({ "Nonsense": "1" })).await;
        let id = answer["PhysicalResourceId"].as_str().unwrap();
        assert!(id.ends_with("-not-created"), "{id}");

        // A handler that were called would ask for a stack that the stand-in refuses.
        let mut delete = scene.event("Delete", &json!({ "Nonsense": "1" }));
        delete["PhysicalResourceId"] = json!(id);
        scene.stack.becomes("DELETE_IN_PROGRESS");
        let answer = scene.answer_within(delete, A_MINUTE).await;
        assert_eq!(answer["Status"], "SUCCESS", "{answer}");
        assert_eq!(answer["PhysicalResourceId"], id);
        let (log, _) = scene.end().await;
        assert!(log.contains("there is nothing to delete"), "{log}");
    }
}

#[tokio::test]
async fn a_stack_that_does_not_exist_is_named() {
    let gone = STACK.replace("stack/stream/", "stack/gone/");
    for (resource, kind, properties) in [
        ("DmsPre", "Update", json!({ "DeploymentId": "7" })),
        ("DmsPost", "Update", json!({ "After": "r-1-0" })),
        ("DmsPost", "Delete", json!({ "After": "r-1-0" })),
    ] {
        let scene = Scene::of(resource).await;
        let mut event = scene.event(kind, &properties);
        event["StackId"] = json!(gone);
        scene.function.invoke(event).await.unwrap();
        let reason = reason(&scene.callback.answer().await);
        let expected =
            format!("describing stack {gone}: ValidationError: Stack with id {gone} does not exist (");
        assert!(reason.starts_with(&expected), "{reason}");
        assert_eq!(scene.callback.puts().len(), 1);
    }
}

#[tokio::test]
async fn a_request_of_an_unknown_kind_is_answered_and_the_process_goes_on() {
    for (resource, properties) in all() {
        let scene = Scene::of(resource).await;
        let reason = scene.refused("Replace", properties.clone()).await;
        assert!(reason.contains("RequestType is \"Replace\""), "{reason}");
        scene.stack.becomes("DELETE_IN_PROGRESS");
        scene.done("Delete", properties).await;
    }
}

#[tokio::test]
async fn an_event_that_asks_for_nothing_is_an_error_that_lambda_sees() {
    for (resource, _) in all() {
        let scene = Scene::of(resource).await;
        for event in [json!({ "hello": "there" }), json!([1]), Value::Null] {
            let error = scene.notice(event).await.unwrap_err();
            assert!(error.to_string().contains("custom-resource requests"), "{error}");
        }
    }
}
