//! The custom resources: what their handlers take, and what they give.

use std::collections::BTreeSet;
use std::time::Duration;

use custom_resource::{Attributes, Resource};
use db_init::DbInit;
use db_init::secret::Secrets;
use replication::post::DmsPostProperties;
use replication::pre::DmsPreProperties;
use replication::{DmsPost, DmsPre};
use serde_json::{Value, json};
use stage::aws::Aws;
use stage::dms::Dms;
use stage::mysql::{MysqlServer, Options};
use stage::stack::Stack;

use super::document::{TEMPLATES, Template, text};

/// The secret of the user that DMS connects as.
const STREAM: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:stream-Ab1";

/// Values for what a template leaves to its parameters or to other resources.
fn made_up(property: &str) -> &'static str {
    match property {
        "SecretArn" => "arn:aws:secretsmanager:eu-west-1:123456789012:secret:database-Ab1",
        "ReplicationUserSecretArn" => STREAM,
        "Host" => "database.example",
        "Port" => "3306",
        "SslCa" => include_str!("../../../crates/db-init/data/rds-global-bundle.pem"),
        "DeploymentId" => "7",
        "After" => "r-1-0",
        other => panic!("the template gives {other} no value that can be told here"),
    }
}

/// A property's value as CloudFormation would hand it over: strings all the way down.
fn resolved(template: &Template, property: &str, value: &Value) -> Value {
    let intrinsic = value.as_object().and_then(|entries| entries.iter().next());
    let intrinsic = intrinsic.filter(|(name, _)| *name == "Ref" || name.starts_with("Fn::"));
    if let Some((function, argument)) = intrinsic {
        let default = match function.as_str() {
            "Ref" => template
                .section("Parameters")
                .find(|(name, _)| argument == name)
                .and_then(|(_, parameter)| parameter.get("Default")),
            "Fn::If" => return resolved(template, property, &argument[1]),
            _ => None,
        };
        return match default {
            Some(default) if *default != json!("") => json!(text(default)),
            _ => json!(made_up(property)),
        };
    }
    match value {
        Value::Object(entries) => {
            entries.iter().map(|(name, value)| (name.clone(), resolved(template, name, value))).collect()
        }
        Value::Array(all) => all.iter().map(|value| resolved(template, property, value)).collect(),
        scalar => json!(text(scalar)),
    }
}

/// The properties of a custom resource, less those that belong to CloudFormation.
pub(super) fn properties(template: &Template, resource: &str) -> Value {
    let mut all = template.resource(resource)["Properties"].clone();
    let own = all.as_object_mut().unwrap();
    for name in ["ServiceToken", "ServiceTimeout"] {
        own.remove(name).unwrap_or_else(|| panic!("{resource} has no {name}"));
    }
    resolved(template, resource, &all)
}

/// What the handler's own type says to these properties.
pub(super) fn taken(resource: &str, properties: Value) -> Result<(), String> {
    let refusal = match resource {
        "DbInit" => serde_json::from_value::<db_init::properties::Properties>(properties).err(),
        "DmsPre" => serde_json::from_value::<DmsPreProperties>(properties).err(),
        "DmsPost" => serde_json::from_value::<DmsPostProperties>(properties).err(),
        other => panic!("nobody handles {other}"),
    };
    refusal.map_or(Ok(()), |error| Err(error.to_string()))
}

/// Every custom resource, with its template.
pub(super) fn for_every_custom_resource(mut see: impl FnMut(&Template, &str)) {
    let mut seen = Vec::new();
    for name in TEMPLATES {
        let template = Template::read(name);
        for (name, _) in template.of_type("Custom::") {
            see(&template, name);
            seen.push(name.to_owned());
        }
    }
    seen.sort();
    assert_eq!(seen, ["DbInit", "DmsPost", "DmsPre"]);
}

#[test]
fn each_custom_resource_has_the_properties_that_its_handler_takes_and_no_others() {
    for_every_custom_resource(|template, name| {
        let properties = properties(template, name);
        assert_eq!(taken(name, properties.clone()), Ok(()), "{name}");
        let mut more = properties;
        more["Extra"] = json!("1");
        let refusal = taken(name, more).unwrap_err();
        assert!(refusal.contains("unknown field `Extra`"), "{refusal}");
    });
}

#[test]
fn the_handler_takes_every_value_that_a_parameter_allows_and_no_number_beyond() {
    let mut tried = 0;
    for_every_custom_resource(|template, name| {
        let properties = properties(template, name);
        let raw = template.resource(name)["Properties"].as_object().unwrap();
        for (property, value) in raw {
            let Some(parameter) = value.get("Ref").and_then(Value::as_str) else {
                continue;
            };
            let Some((_, said)) = template.section("Parameters").find(|(name, _)| *name == parameter) else {
                continue;
            };
            let mut with = |value: Value| {
                tried += 1;
                let mut properties = properties.clone();
                properties[property] = json!(text(&value));
                taken(name, properties)
            };
            for allowed in said["AllowedValues"].as_array().into_iter().flatten() {
                assert_eq!(with(allowed.clone()), Ok(()), "{property} {allowed}");
            }
            if let (Some(min), Some(max)) = (said["MinValue"].as_i64(), said["MaxValue"].as_i64()) {
                assert_eq!(with(json!(min)), Ok(()), "{property}");
                assert_eq!(with(json!(max)), Ok(()), "{property}");
                with(json!(min - 1)).unwrap_err();
                with(json!(max + 1)).unwrap_err();
            }
        }
    });
    assert_eq!(tried, 12, "four modes, and the bounds of hours and port from both sides");
}

#[test]
fn each_custom_resource_is_handed_to_its_own_function() {
    for_every_custom_resource(|template, name| {
        let token = &template.resource(name)["Properties"]["ServiceToken"];
        let export = format!("${{HandlersStackName}}-{name}");
        let wanted = match name {
            "DbInit" => json!({ "Fn::GetAtt": ["DbInitFunction", "Arn"] }),
            _ => json!({ "Fn::ImportValue": { "Fn::Sub": export } }),
        };
        assert_eq!(*token, wanted);
    });
}

/// The secret of the master user, and with other names in it, that of DMS's.
struct Attached(Value);

impl Secrets for Attached {
    async fn text(&self, arn: &str) -> anyhow::Result<String> {
        let mut secret = self.0.clone();
        if arn == STREAM {
            secret["username"] = json!("dms");
        }
        Ok(secret.to_string())
    }
}

/// DbInit's attributes, with the properties that the template ships, on a server that is here.
async fn db_init(template: &Template) -> Attributes {
    let server = MysqlServer::start(Options::default()).await.unwrap();
    let mut properties = properties(template, "DbInit");
    properties["Host"] = json!(server.host());
    properties["Port"] = json!(server.port().to_string());
    properties["SslCa"] = json!(server.ca_pem());
    let mut request = plays::decoded(serde_json::from_value(properties).unwrap());
    request.deadline = custom_resource::Deadline::after(Duration::from_secs(60));
    let handler = DbInit::new(Attached(server.secret()));
    handler.create(request).await.unwrap()
}

#[tokio::test]
async fn every_attribute_that_is_taken_is_one_that_the_handler_gives() {
    let (ready, stream) = (Template::read("db-init.yaml"), Template::read("stream.yaml"));
    let (stack, dms) = (Stack::new("CREATE_IN_PROGRESS"), Dms::default());
    let aws = plays::config(&Aws::new(&dms, &stack));
    let pre = plays::decoded(DmsPreProperties { deployment_id: "7".to_owned() });
    let post = plays::decoded(DmsPostProperties { after: "r-1-0".to_owned() });
    let pre = DmsPre::new(&aws).create(pre).await;
    let post = DmsPost::new(&aws).create(post).await;
    for (template, resource, given) in [
        (&ready, "DbInit", db_init(&ready).await),
        (&stream, "DmsPre", pre.unwrap()),
        (&stream, "DmsPost", post.unwrap()),
    ] {
        let taken = template.attributes_taken();
        let taken: BTreeSet<_> = taken.iter().filter(|(of, _)| of == resource).collect();
        assert!(!taken.is_empty(), "nobody asks {resource} for anything");
        for (_, attribute) in taken {
            assert!(given.get(attribute).is_some(), "{resource} gives no {attribute}");
        }
    }
}
