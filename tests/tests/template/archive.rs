//! The archive: what is taken from the stream's stack, how files are written, and who may come to them.

use serde_json::{Value, json};

use super::document::{Template, source};
use super::functions::{actions, statements};

fn archive() -> Template {
    Template::read("archive.yaml")
}

#[test]
fn the_outputs_of_the_stream_are_what_the_archive_asks_for() {
    let (stream, archive) = (Template::read("stream.yaml"), archive());
    let mut handed_over = Vec::new();
    for (output, said) in stream.section("Outputs") {
        let description = said["Description"].as_str().unwrap();
        let Some((_, rest)) = description.split_once("Parameter ") else {
            continue;
        };
        let parameter = rest.strip_suffix(" of the archive's stack.").unwrap();
        assert_eq!(output, parameter, "they have one name");
        // What one template lets through, the other takes.
        let takes = archive.get("Parameters", parameter)["AllowedPattern"].clone();
        let gives = stream.section("Parameters").find(|(name, _)| *name == parameter);
        if let Some((_, gives)) = gives {
            let (gives, takes) = (gives["AllowedPattern"].as_str(), takes.as_str());
            let bare = |pattern: &str| pattern.trim_matches(['^', '$', '?', '(', ')']).to_owned();
            assert_eq!(gives.map(bare), takes.map(bare), "{parameter}");
        }
        handed_over.push(parameter);
    }
    handed_over.sort_unstable();
    assert_eq!(handed_over, ["AlarmTopicArn", "StreamArn", "StreamKeyArn"]);
    let deploy = source("cfn/operate/deploy.py");
    let (_, by_make) = deploy.split_once("FOR_ARCHIVE = (").unwrap();
    let (by_make, _) = by_make.split_once(')').unwrap();
    for name in &handed_over {
        assert!(by_make.contains(&format!("\"{name}\"")), "{by_make}");
    }
    for (parameter, said) in archive.section("Parameters") {
        let given = handed_over.contains(&parameter);
        assert!(given || said.get("Default").is_some(), "nobody gives {parameter}");
    }
}

#[test]
fn the_files_are_compressed_by_day_and_hold_a_record_a_line() {
    let archive = archive();
    let properties = &archive.resource("DeliveryStream")["Properties"];
    assert_eq!(properties["DeliveryStreamType"], "KinesisStreamAsSource");
    let to = &properties["ExtendedS3DestinationConfiguration"];
    assert_eq!(to["CompressionFormat"], "GZIP");
    let prefix = to["Prefix"]["Fn::Sub"].as_str().unwrap();
    assert_eq!(prefix, "${Prefix}day=!{timestamp:yyyy-MM-dd}/");
    let errors = to["ErrorOutputPrefix"].as_str().unwrap();
    assert!(errors.contains("!{firehose:error-output-type}"), "{errors}");
    let processing = &to["ProcessingConfiguration"]["Fn::If"];
    assert_eq!(processing[0], "AppendsNewline");
    assert_eq!(processing[1]["Enabled"], true);
    assert_eq!(
        processing[1]["Processors"],
        json!([{
            "Type": "AppendDelimiterToRecord",
            // A backslash and an n: Firehose reads the escape.
            "Parameters": [{ "ParameterName": "Delimiter", "ParameterValue": "\\n" }],
        }])
    );
    assert_eq!(archive.get("Parameters", "AppendNewline")["Default"], "true");
    // A record of several lines would not be one.
    let stream = Template::read("stream.yaml");
    let format = stream.get("Parameters", "MessageFormat");
    assert_eq!(format["Default"], "json-unformatted");
}

#[test]
fn failed_deliveries_are_logged_where_the_role_may_write() {
    let archive = archive();
    let properties = &archive.resource("DeliveryStream")["Properties"];
    assert_eq!(
        properties["ExtendedS3DestinationConfiguration"]["CloudWatchLoggingOptions"],
        json!({
            "Enabled": true,
            "LogGroupName": { "Ref": "DeliveryLogGroup" },
            "LogStreamName": { "Ref": "DeliveryLogStream" },
        })
    );
    let role = &archive.resource("DeliveryRole")["Properties"]["Policies"];
    let logs = statements(role).into_iter().find(|it| actions(it) == ["logs:PutLogEvents"]);
    let group = json!({ "Fn::GetAtt": ["DeliveryLogGroup", "Arn"] });
    assert_eq!(logs.unwrap()["Resource"], group);
}

#[test]
fn the_bucket_outlives_its_stack_and_is_closed_to_the_public() {
    let archive = archive();
    for name in ["Bucket", "BucketPolicy"] {
        let resource = archive.resource(name);
        assert_eq!(resource["DeletionPolicy"], "RetainExceptOnCreate");
        assert_eq!(resource["UpdateReplacePolicy"], "Retain");
    }
    let bucket = &archive.resource("Bucket")["Properties"];
    let access = bucket["PublicAccessBlockConfiguration"].as_object();
    let access: Vec<&Value> = access.unwrap().values().collect();
    assert_eq!(access, [&json!(true); 4]);
    assert_eq!(bucket["VersioningConfiguration"]["Status"], "Enabled");
    let encryption = &bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]["ServerSideEncryptionByDefault"]
        ["Fn::If"];
    assert_eq!(encryption[1]["SSEAlgorithm"], "aws:kms");
    assert_eq!(encryption[2]["SSEAlgorithm"], "AES256");
}

#[test]
fn nobody_comes_to_the_bucket_without_tls() {
    let archive = archive();
    let policy = &archive.resource("BucketPolicy")["Properties"];
    let statements = statements(policy);
    assert_eq!(statements.len(), 1);
    assert_eq!(statements[0]["Effect"], "Deny");
    assert_eq!(statements[0]["Principal"], "*");
    assert_eq!(statements[0]["Condition"], json!({ "Bool": { "aws:SecureTransport": "false" } }));
    assert_eq!(
        statements[0]["Resource"],
        json!([{ "Fn::GetAtt": ["Bucket", "Arn"] }, { "Fn::Sub": "${Bucket.Arn}/*" }])
    );
    let stream = archive.resource("DeliveryStream");
    assert_eq!(stream["DependsOn"], "BucketPolicy");
}

#[test]
fn firehose_is_let_in_on_behalf_of_this_account_and_only_to_read_and_to_add() {
    let archive = archive();
    let role = &archive.resource("DeliveryRole")["Properties"];
    let trust = statements(&role["AssumeRolePolicyDocument"]);
    assert_eq!(trust.len(), 1);
    assert_eq!(
        trust[0]["Condition"],
        json!({ "StringEquals": { "sts:ExternalId": { "Ref": "AWS::AccountId" } } })
    );
    for statement in statements(&role["Policies"]) {
        for action in actions(statement) {
            assert!(!["Delete", "PutRecord", "PutBucket"].iter().any(|it| action.contains(it)), "{action}");
            if action.starts_with("kms:") {
                let service = &statement["Condition"]["StringEquals"]["kms:ViaService"];
                assert!(service.is_object(), "{statement}");
            }
        }
    }
}

#[test]
fn files_age_and_leave_only_if_somebody_says_when() {
    let archive = archive();
    let bucket = &archive.resource("Bucket")["Properties"];
    let age = &bucket["LifecycleConfiguration"]["Rules"][0];
    assert_eq!(age["Transitions"][0]["TransitionInDays"], json!({ "Ref": "TransitionDays" }));
    assert_eq!(
        age["ExpirationInDays"],
        json!({ "Fn::If": ["Expires", { "Ref": "ExpirationDays" }, { "Ref": "AWS::NoValue" }] })
    );
    assert_eq!(archive.get("Parameters", "ExpirationDays")["Default"], 0);
}

#[test]
fn records_that_come_in_and_do_not_go_out_are_an_alarm() {
    let archive = archive();
    let metrics = &archive.resource("StalledAlarm")["Properties"]["Metrics"];
    assert_eq!(metrics[0]["Expression"], "IF(FILL(incoming, 0) > 0 AND FILL(delivered, 0) == 0, 1, 0)");
    let ids = [&metrics[1]["Id"], &metrics[2]["Id"]];
    assert_eq!(ids, ["incoming", "delivered"]);
    // No file collects for longer than one period, so that a period without any is a period without delivery.
    let longest = archive.get("Parameters", "BufferSeconds")["MaxValue"].as_u64();
    for metric in [&metrics[1], &metrics[2]] {
        assert_eq!(metric["MetricStat"]["Period"].as_u64(), longest);
    }
    let freshness = &archive.resource("FreshnessAlarm")["Properties"];
    assert!(freshness["Threshold"].as_u64() > longest);
}
