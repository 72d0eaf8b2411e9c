//! Who answers for a function that didn't: the last words, and all that leads to them.

use serde_json::{Value, json};

use super::document::{Template, list, walk};
use super::functions::{actions, statements};

/// The shortest age and the pauses between its own tries that Lambda has for an event, in seconds.
const SHORTEST_AGE: u64 = 60;
const PAUSES: [u64; 2] = [60, 120];

/// Every custom resource, with its template.
const HANDLED: [(&str, &str); 3] =
    [("database.yaml", "DbInit"), ("stream.yaml", "DmsPre"), ("stream.yaml", "DmsPost")];

/// How Lambda deals with what is sent to this qualifier of a function: the resource's name and its properties.
fn config<'a>(template: &'a Template, function: &str, qualifier: &str) -> (&'a str, &'a Value) {
    let of = |properties: &Value| {
        properties["FunctionName"] == json!({ "Ref": function }) && properties["Qualifier"] == qualifier
    };
    let configs = template.of_type("AWS::Lambda::EventInvokeConfig");
    let configs = configs.into_iter().map(|(name, it)| (name, &it["Properties"]));
    let found: Vec<_> = configs.filter(|(_, it)| of(it)).collect();
    assert_eq!(found.len(), 1, "{function}:{qualifier}");
    found[0]
}

/// What a custom resource's own function is told of its asynchronous calls.
fn config_of<'a>(template: &'a Template, resource: &str) -> (&'a str, &'a Value) {
    config(template, &format!("{resource}Function"), "$LATEST")
}

fn seconds(properties: &Value, name: &str) -> u64 {
    let value = properties[name].as_u64();
    value.unwrap_or_else(|| panic!("{name} is {}", properties[name]))
}

#[test]
fn what_a_function_leaves_unanswered_goes_to_the_last_words_without_another_try() {
    for (template, resource) in HANDLED {
        let template = Template::read(template);
        let (_, config) = config_of(&template, resource);
        assert_eq!(config["MaximumRetryAttempts"], 0, "{resource}");
        assert_eq!(
            config["DestinationConfig"],
            json!({ "OnFailure": { "Destination": { "Fn::GetAtt": ["LastWordsFunction", "Arn"] } } }),
            "{resource}"
        );
    }
}

#[test]
fn cloudformation_waits_until_the_last_words_are_said_and_for_much_less_than_an_hour() {
    for (template, resource) in HANDLED {
        let template = Template::read(template);
        let timeout = |function: &str| seconds(&template.resource(function)["Properties"], "Timeout");
        let (_, config) = config_of(&template, resource);
        let age = seconds(config, "MaximumEventAgeInSeconds");
        assert!(age >= SHORTEST_AGE, "{resource}: {age} s");
        let tries = 1 + u64::try_from(PAUSES.len()).unwrap();
        let last_words = tries * timeout("LastWordsFunction") + PAUSES.iter().sum::<u64>();
        let worst = age + timeout(&format!("{resource}Function")) + last_words;
        let wait = seconds(&template.resource(resource)["Properties"], "ServiceTimeout");
        assert!(worst < wait && wait <= 1800, "{resource}: {worst} s, {wait} s");
    }
}

#[test]
fn somebody_answers_from_before_the_first_request_until_after_the_last() {
    for (template, resource) in HANDLED {
        let template = Template::read(template);
        let (config, properties) = config_of(&template, resource);
        assert!(template.waits_for(resource).contains(config), "{resource} does not wait for {config}");
        // References hold the rest in order: config → both functions → their roles → their logs.
        assert_eq!(refers_to(properties), [&format!("{resource}Function"), "LastWordsFunction"]);
        for function in [&format!("{resource}Function"), "LastWordsFunction"] {
            let role = function.replace("Function", "Role");
            let properties = &template.resource(function)["Properties"];
            assert_eq!(properties["Role"], json!({ "Fn::GetAtt": [role, "Arn"] }));
            assert!(
                template.resource(&role)["Properties"]["Policies"].is_array(),
                "the policy of {role} is one with it"
            );
        }
    }
}

/// What is named by `Ref` or `Fn::GetAtt`, in order.
fn refers_to(value: &Value) -> Vec<&str> {
    let mut found = Vec::new();
    walk(value, &mut |function, value| match function {
        "Ref" => found.extend(value.as_str()),
        "Fn::GetAtt" => found.extend(value[0].as_str()),
        _ => {}
    });
    found.sort_unstable();
    found
}

#[test]
fn a_function_may_call_the_last_words_and_no_other_function() {
    for (template, resource) in HANDLED {
        let template = Template::read(template);
        let role = &template.resource(&format!("{resource}Role"))["Properties"];
        let on_lambda: Vec<_> = statements(&role["Policies"])
            .into_iter()
            .filter(|it| actions(it).iter().any(|action| action.starts_with("lambda:")))
            .collect();
        assert_eq!(on_lambda.len(), 1, "{resource}");
        assert_eq!(actions(on_lambda[0]), ["lambda:InvokeFunction"]);
        assert_eq!(on_lambda[0]["Effect"], "Allow");
        let last_words = json!({ "Fn::GetAtt": ["LastWordsFunction", "Arn"] });
        assert_eq!(list(&on_lambda[0]["Resource"]), [&last_words]);
    }
}

#[test]
fn the_last_words_are_outside_the_vpc_and_may_only_write_their_log() {
    for (name, binary) in [("database.yaml", "db-init"), ("stream.yaml", "dms-pre")] {
        let template = Template::read(name);
        let function = &template.resource("LastWordsFunction")["Properties"];
        assert_eq!(function["Code"], format!("../target/lambda/{binary}/"));
        assert_eq!(function.get("VpcConfig"), None, "{name}");
        let role = &template.resource("LastWordsRole")["Properties"];
        let allowed: Vec<_> = statements(&role["Policies"]).into_iter().flat_map(actions).collect();
        assert_eq!(allowed, ["logs:CreateLogStream", "logs:PutLogEvents"]);
        for (config, it) in template.of_type("AWS::Lambda::EventInvokeConfig") {
            let of = &it["Properties"]["FunctionName"];
            assert_ne!(*of, json!({ "Ref": "LastWordsFunction" }), "{config} takes its retries");
        }
    }
}

#[test]
fn healing_that_fails_is_tried_again_though_the_requests_to_its_function_are_not() {
    let stream = Template::read("stream.yaml");
    let (config, properties) = config(&stream, "DmsPostFunction", "healing");
    assert_eq!(properties["MaximumRetryAttempts"], 2);
    assert!(stream.waits_for(config).contains("HealingAlias"));
    assert!(stream.waits_for("DmsPre").contains(config));
}
