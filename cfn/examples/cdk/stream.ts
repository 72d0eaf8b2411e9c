// A stream of two tasks from one database, with Sluice in it: the same as ../own-template.yaml. What Sluice adds is in the
// two sections called Sluice's. The functions behind it are those of cfn/handlers.yaml, here deployed as `sluice`.
//
// The account has dms-vpc-role already, as every account has that has used DMS.
import { RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import { CfnEndpoint, CfnReplicationInstance, CfnReplicationSubnetGroup, CfnReplicationTask } from 'aws-cdk-lib/aws-dms';
import { PolicyDocument, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Stream, StreamEncryption, StreamMode } from 'aws-cdk-lib/aws-kinesis';
import type { Construct } from 'constructs';
// ---- Sluice's ----
import { Aspects, CfnResource, CustomResource, Duration, Fn } from 'aws-cdk-lib';
// ---- Yours ----

/** What the stack runs in, and what it captures. */
export interface StreamProps extends StackProps {
  /** Subnets of the replication instance, in two zones or more. */
  readonly subnetIds: string[];
  /** Security groups of the replication instance. */
  readonly securityGroupIds: string[];
  /** The secret with the username, password, host and port that DMS connects with. */
  readonly sourceSecretArn: string;
  /** The table whose changes OrdersTask captures, or a pattern for several. */
  readonly ordersTable: string;
}

/** Changes of a MySQL database's tables, in Kinesis. */
export class StreamStack extends Stack {
  constructor(scope: Construct, id: string, props: StreamProps) {
    super(scope, id, props);

    const stream = new Stream(this, 'Stream', {
      streamMode: StreamMode.ON_DEMAND,
      encryption: StreamEncryption.MANAGED,
      removalPolicy: RemovalPolicy.DESTROY,
    });

    // Inline policies, since they are there when the role is. A grant (stream.grantWrite) is a resource of its own, for
    // which no endpoint waits.
    const sourceSecretRole = new Role(this, 'SourceSecretRole', {
      assumedBy: this.dms(`dms.${this.region}.${this.urlSuffix}`),
      inlinePolicies: { 'read-secret': allow(['secretsmanager:GetSecretValue'], props.sourceSecretArn) },
    });
    const targetStreamRole = new Role(this, 'TargetStreamRole', {
      assumedBy: this.dms('dms.amazonaws.com'),
      inlinePolicies: {
        'write-stream': allow(['kinesis:DescribeStream', 'kinesis:PutRecord', 'kinesis:PutRecords'], stream.streamArn),
      },
    });

    const subnetGroup = new CfnReplicationSubnetGroup(this, 'ReplicationSubnetGroup', {
      replicationSubnetGroupDescription: `Subnets of ${this.stackName}`,
      subnetIds: props.subnetIds,
    });
    const instance = new CfnReplicationInstance(this, 'ReplicationInstance', {
      replicationInstanceClass: 'dms.t3.medium',
      allocatedStorage: 50,
      replicationSubnetGroupIdentifier: subnetGroup.ref,
      vpcSecurityGroupIds: props.securityGroupIds,
      publiclyAccessible: false,
    });

    // The endpoints name roles and stream by names, and not by roleArn and streamArn, which are Fn::GetAtt: an attribute
    // of something that changes makes its user appear in the change set, and the tasks would be paused for it.
    const roleArn = (role: Role): string =>
      this.formatArn({ service: 'iam', region: '', resource: 'role', resourceName: role.roleName });
    const source = new CfnEndpoint(this, 'SourceEndpoint', {
      endpointType: 'source',
      engineName: 'mysql',
      mySqlSettings: {
        secretsManagerSecretId: props.sourceSecretArn,
        secretsManagerAccessRoleArn: roleArn(sourceSecretRole),
      },
    });
    const target = new CfnEndpoint(this, 'TargetEndpoint', {
      endpointType: 'target',
      engineName: 'kinesis',
      kinesisSettings: {
        streamArn: this.formatArn({ service: 'kinesis', resource: 'stream', resourceName: stream.streamName }),
        serviceAccessRoleArn: roleArn(targetStreamRole),
        messageFormat: 'json-unformatted',
      },
    });

    for (const [name, table] of [['OrdersTask', props.ordersTable], ['CustomersTask', 'customers']] as const) {
      new CfnReplicationTask(this, name, {
        migrationType: 'cdc',
        replicationInstanceArn: instance.ref,
        sourceEndpointArn: source.ref,
        targetEndpointArn: target.ref,
        tableMappings: this.toJsonString({
          rules: [
            {
              'rule-type': 'selection',
              'rule-id': '1',
              'rule-name': '1',
              // To DMS, _ is any character, and [_] is itself.
              'object-locator': { 'schema-name': 'app', 'table-name': table.replaceAll('_', '[_]') },
              'rule-action': 'include',
            },
          ],
        }),
        // DMS may want them once a mapping changes.
        replicationTaskSettings: this.toJsonString({
          BeforeImageSettings: { EnableBeforeImage: true, FieldName: 'before', ColumnFilter: 'all' },
        }),
      });
    }

    // ---- Sluice's ----
    const custom = (name: 'DmsPre' | 'DmsPost', properties: Record<string, string>): CfnResource =>
      new CustomResource(this, name, {
        resourceType: `Custom::${name}`,
        serviceToken: Fn.importValue(`sluice-${name}`),
        serviceTimeout: Duration.minutes(30),
        properties,
      }).node.defaultChild as CfnResource;
    const pre = custom('DmsPre', { DeploymentId: new Date().toISOString() }); // called at every deployment
    const post = custom('DmsPost', { After: pre.getAtt('Revision').toString() });
    Aspects.of(this).add({
      visit: (it) => {
        if (!CfnResource.isCfnResource(it) || !it.cfnResourceType.startsWith('AWS::DMS::')) return;
        it.addResourceDependency(pre);
        if (/::Replication(Task|Config)$/.test(it.cfnResourceType)) post.addResourceDependency(it);
      },
    });
    // ---- Yours ----
  }

  /** DMS, on behalf of this account alone. */
  private dms(service: string): ServicePrincipal {
    return new ServicePrincipal(service, { conditions: { StringEquals: { 'aws:SourceAccount': this.account } } });
  }
}

const allow = (actions: string[], resource: string): PolicyDocument =>
  new PolicyDocument({ statements: [new PolicyStatement({ actions, resources: [resource] })] });
