//! A network for replication instances, where no database stack makes one.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use serde_json::json;

use super::Cloud;
use super::stacks::Watch;

impl Cloud {
    /// Makes a network, a stack of this name. The parameters of the stream's template that name it.
    ///
    /// # Errors
    /// If it can't be made.
    pub async fn network(&self, name: &str) -> anyhow::Result<BTreeMap<&'static str, String>> {
        let vpc = json!({ "Ref": "Vpc" });
        let subnet = |cidr: &str, zone: u8| {
            let zone = json!({ "Fn::Select": [zone, { "Fn::GetAZs": "" }] });
            json!({ "Type": "AWS::EC2::Subnet",
                "Properties": { "VpcId": vpc, "CidrBlock": cidr, "AvailabilityZone": zone } })
        };
        let template = json!({
            "Resources": {
                "Vpc": { "Type": "AWS::EC2::VPC", "Properties": { "CidrBlock": "10.0.0.0/16" } },
                "SubnetA": subnet("10.0.0.0/24", 0),
                "SubnetB": subnet("10.0.1.0/24", 1),
                "Group": { "Type": "AWS::EC2::SecurityGroup",
                    "Properties": { "VpcId": vpc, "GroupDescription": "Replication instances" } },
            },
            "Outputs": {
                "VpcId": { "Value": vpc },
                "SubnetIds": { "Value": { "Fn::Sub": "${SubnetA},${SubnetB}" } },
                "SecurityGroupIds": { "Value": { "Fn::GetAtt": ["Group", "GroupId"] } },
            },
        });
        let (template, mut watch) = (template.to_string(), Watch::default());
        let none = BTreeMap::new();
        let made = self.deploy(name, &template, &none, &mut watch, &mut |_| {}).await?;
        ensure!(made == "CREATE_COMPLETE", "the network {name} is {made}");
        let outputs = self.outputs(name).await?;
        let mut parameters = BTreeMap::new();
        for name in ["VpcId", "SubnetIds", "SecurityGroupIds"] {
            let value = outputs.get(name).context("the network lacks an output")?;
            parameters.insert(name, value.clone());
        }
        Ok(parameters)
    }
}
