//! The database's stack: the cluster in its sizes, its two ways out of the VPC, and its beginning from a snapshot.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use stage::cloud::Cloud;
use stage::cloud::stacks::{Mode, Watch, members, text};
use stage::dms::Pace;
use stage::play::architecture;

use super::document::{Template, list};
use super::functions::{actions, statements};

fn database() -> Template {
    Template::read("database.yaml")
}

/// All actions that the policies below allow.
fn all_actions(value: &Value) -> BTreeSet<String> {
    statements(value).into_iter().flat_map(actions).collect()
}

#[test]
fn with_endpoints_nothing_leads_out_of_the_vpc() {
    let database = database();
    for kind in [
        "AWS::EC2::InternetGateway",
        "AWS::EC2::VPCGatewayAttachment",
        "AWS::EC2::NatGateway",
        "AWS::EC2::EIP",
        "AWS::EC2::Route",
    ] {
        let of_kind = database.of_type(kind).into_iter();
        // Not AWS::EC2::RouteTable.
        for (name, resource) in of_kind.filter(|(_, it)| it["Type"] == kind) {
            assert_eq!(resource["Condition"], "UsesNat", "{name}");
        }
    }
}

#[test]
fn an_endpoint_lets_through_just_what_the_roles_behind_it_may_do() {
    let (database, ready, stream) =
        (database(), Template::read("db-init.yaml"), Template::read("stream.yaml"));
    let of = |role: &Value, service: &str| -> BTreeSet<String> {
        let all = all_actions(&role["Properties"]["Policies"]).into_iter();
        all.filter(|it| it.starts_with(service)).collect()
    };
    let kinesis = of(stream.resource("TargetStreamRole"), "kinesis:");
    let mut secrets = of(ready.resource("DbInitRole"), "secretsmanager:");
    secrets.extend(of(stream.resource("SourceSecretRole"), "secretsmanager:"));
    let answer = BTreeSet::from(["s3:PutObject".to_owned()]);
    for (name, service, needed) in [
        ("S3Endpoint", "s3", answer),
        ("SecretsManagerEndpoint", "secretsmanager", secrets),
        ("KinesisEndpoint", "kinesis-streams", kinesis),
    ] {
        let endpoint = &database.resource(name)["Properties"];
        let address = format!("com.amazonaws.${{AWS::Region}}.{service}");
        assert_eq!(endpoint["ServiceName"], json!({ "Fn::Sub": address }));
        assert_eq!(all_actions(&endpoint["PolicyDocument"]), needed, "{name}");
        if endpoint["VpcEndpointType"] == "Gateway" {
            assert_eq!(endpoint["RouteTableIds"], json!([{ "Ref": "PrivateRouteTable" }]));
            continue;
        }
        // By its usual name, from both zones, for both who need it.
        assert_eq!(endpoint["PrivateDnsEnabled"], true, "{name}");
        assert_eq!(list(&endpoint["SubnetIds"]).len(), 2, "{name}");
        assert_eq!(endpoint["SecurityGroupIds"], json!([{ "Ref": "EndpointSecurityGroup" }]));
    }
    let group = &database.resource("EndpointSecurityGroup")["Properties"];
    let lets_in: Vec<_> = list(&group["SecurityGroupIngress"])
        .into_iter()
        .map(|rule| (&rule["FromPort"], &rule["SourceSecurityGroupId"]["Ref"]))
        .collect();
    assert_eq!(lets_in, [(&json!(443), &json!("ClientSecurityGroup"))]);
}

#[test]
fn the_second_instance_is_like_the_first() {
    let database = database();
    let (writer, reader) = (database.resource("DatabaseWriter"), database.resource("DatabaseReader"));
    assert_eq!(writer["Properties"], reader["Properties"]);
}

#[tokio::test]
async fn a_serverless_cluster_of_two_behind_endpoints_becomes_ready() {
    let cloud = Cloud::start_at(Pace::brisk()).await.unwrap();
    cloud.deploy_handlers().await.unwrap();
    let template = cloud.package("database.yaml").await.unwrap();
    let parameters = [("InstanceClass", "db.serverless"), ("Instances", "2"), ("WayOut", "endpoints")];
    let parameters = parameters.map(|(name, value)| (name, value.to_owned())).into();
    let (mut watch, mut story) = (Watch::default(), Vec::new());
    let mut show = |sight| story.push(sight);
    let ended = cloud.deploy("database", &template, &parameters, &mut watch, &mut show).await;
    assert_eq!(ended.unwrap(), "CREATE_COMPLETE", "{story:?}");
    let asked = [("StackName", "database")];
    let resources = cloud.cloudformation.ask("DescribeStackResources", &asked).await.unwrap();
    let there: BTreeSet<_> =
        members(&resources["StackResources"]).map(|it| text(&it["LogicalResourceId"])).collect();
    assert!(there.contains("DatabaseReader") && there.contains("KinesisEndpoint"), "{there:?}");
    assert!(!there.contains("NatGateway") && !there.contains("InternetGateway"), "{there:?}");

    let database = cloud.outputs("database").await.unwrap();
    let template = cloud.package("db-init.yaml").await.unwrap();
    let taken = ["SubnetIds", "SecurityGroupIds", "MasterSecretArn", "Host", "Port"];
    let mut parameters = BTreeMap::from(taken.map(|name| (name, database[name].clone())));
    parameters.extend([("Architecture", architecture()), ("SslCa", cloud.rds.ca_pem().to_owned())]);
    let ended = cloud.deploy("ready", &template, &parameters, &mut watch, &mut show).await;
    assert_eq!(ended.unwrap(), "CREATE_COMPLETE", "{story:?}");
    let outputs = cloud.outputs("ready").await.unwrap();
    assert_eq!(outputs["BinlogFormat"], "ROW");
    // All that DbInit asks AWS for, and the last words ask for nothing.
    let secrets = [&database["MasterSecretArn"], &outputs["SourceSecretArn"]];
    for call in cloud.role_calls().unwrap() {
        assert!(call.role.starts_with("ready-DbInitRole-"), "{call:?}");
        assert_eq!(call.action, "secretsmanager:GetSecretValue");
        assert!(call.allowed && secrets.contains(&&call.resource), "{call:?}");
    }
    for stack in ["ready", "database", "sluice"] {
        let ended = cloud.delete(stack, Mode::Standard, &mut watch, &mut |_| {}).await;
        assert_eq!(ended.unwrap(), "DELETE_COMPLETE");
    }
}
