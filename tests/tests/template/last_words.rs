//! Who answers for a function that didn't: the last words, and all that leads to them.

use serde_json::{Value, json};

use super::document::{Template, list, walk};
use super::functions::{actions, statements};

/// The shortest age and the pauses between its own tries that Lambda has for an event, in seconds.
const SHORTEST_AGE: u64 = 60;
const PAUSES: [u64; 2] = [60, 120];

/// Every custom resource, with the template of its function.
const HANDLED: [(&str, &str); 3] =
    [("db-init.yaml", "DbInit"), ("handlers.yaml", "DmsPre"), ("handlers.yaml", "DmsPost")];

/// The last words, as a template names them.
fn last_words(template: &str) -> Value {
    match template {
        "handlers.yaml" => json!({ "Fn::GetAtt": ["LastWordsFunction", "Arn"] }),
        _ => json!({ "Fn::ImportValue": { "Fn::Sub": "${HandlersStackName}-LastWords" } }),
    }
}

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
    for (name, resource) in HANDLED {
        let template = Template::read(name);
        let (_, config) = config_of(&template, resource);
        assert_eq!(config["MaximumRetryAttempts"], 0, "{resource}");
        let destination = json!({ "OnFailure": { "Destination": last_words(name) } });
        assert_eq!(config["DestinationConfig"], destination, "{resource}");
    }
}

#[test]
fn cloudformation_waits_until_the_last_words_are_said_and_for_much_less_than_an_hour() {
    let (handlers, stream) = (Template::read("handlers.yaml"), Template::read("stream.yaml"));
    for (template, resource) in HANDLED {
        let template = Template::read(template);
        let timeout =
            |of: &Template, function: &str| seconds(&of.resource(function)["Properties"], "Timeout");
        let (_, config) = config_of(&template, resource);
        let age = seconds(config, "MaximumEventAgeInSeconds");
        assert!(age >= SHORTEST_AGE, "{resource}: {age} s");
        let tries = 1 + u64::try_from(PAUSES.len()).unwrap();
        let last_words = tries * timeout(&handlers, "LastWordsFunction") + PAUSES.iter().sum::<u64>();
        let worst = age + timeout(&template, &format!("{resource}Function")) + last_words;
        let asks = if resource == "DbInit" { &template } else { &stream };
        let wait = seconds(&asks.resource(resource)["Properties"], "ServiceTimeout");
        assert!(worst < wait && wait <= 1800, "{resource}: {worst} s, {wait} s");
    }
}

#[test]
fn somebody_answers_from_before_the_first_request_until_after_the_last() {
    let ready = Template::read("db-init.yaml");
    let (config, _) = config_of(&ready, "DbInit");
    assert!(ready.waits_for("DbInit").contains(config));
    // What imports from the handlers' stack comes after all of it, and goes before any of it.
    for (name, resource) in HANDLED {
        let template = Template::read(name);
        let (_, properties) = config_of(&template, resource);
        // References hold the rest in order: config → both functions → their roles → their logs.
        let mut wanted = vec![format!("{resource}Function")];
        wanted.extend((name == "handlers.yaml").then(|| "LastWordsFunction".to_owned()));
        assert_eq!(refers_to(properties), wanted);
        for function in wanted {
            let role = function.replace("Function", "Role");
            let properties = &template.resource(&function)["Properties"];
            assert_eq!(properties["Role"], json!({ "Fn::GetAtt": [role, "Arn"] }));
            let policies = &template.resource(&role)["Properties"]["Policies"];
            assert!(policies.is_array(), "the policy of {role} is one with it");
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
    for (name, resource) in HANDLED {
        let template = Template::read(name);
        let role = &template.resource(&format!("{resource}Role"))["Properties"];
        let on_lambda: Vec<_> = statements(&role["Policies"])
            .into_iter()
            .filter(|it| actions(it).iter().any(|action| action.starts_with("lambda:")))
            .collect();
        assert_eq!(on_lambda.len(), 1, "{resource}");
        assert_eq!(actions(on_lambda[0]), ["lambda:InvokeFunction"]);
        assert_eq!(on_lambda[0]["Effect"], "Allow");
        assert_eq!(list(&on_lambda[0]["Resource"]), [&last_words(name)]);
    }
}

#[test]
fn the_last_words_are_outside_the_vpc_and_may_only_write_their_log() {
    let handlers = Template::read("handlers.yaml");
    let function = &handlers.resource("LastWordsFunction")["Properties"];
    assert_eq!(function["Code"], "../target/lambda/dms-pre/");
    assert_eq!(function.get("VpcConfig"), None);
    let role = &handlers.resource("LastWordsRole")["Properties"];
    let allowed: Vec<_> = statements(&role["Policies"]).into_iter().flat_map(actions).collect();
    assert_eq!(allowed, ["logs:CreateLogStream", "logs:PutLogEvents"]);
    for (config, it) in handlers.of_type("AWS::Lambda::EventInvokeConfig") {
        let of = &it["Properties"]["FunctionName"];
        assert_ne!(*of, json!({ "Ref": "LastWordsFunction" }), "{config} takes its retries");
    }
}

#[test]
fn healing_that_fails_is_tried_again_though_the_requests_to_its_function_are_not() {
    let handlers = Template::read("handlers.yaml");
    let (config, properties) = config(&handlers, "DmsPostFunction", "healing");
    assert_eq!(properties["MaximumRetryAttempts"], 2);
    assert!(handlers.waits_for(config).contains("HealingAlias"));
}
