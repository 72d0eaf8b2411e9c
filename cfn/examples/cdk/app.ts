// A CDK app with one stack, which has a DMS stream. What it runs in is the context in cdk.json.
import { App, BootstraplessSynthesizer } from 'aws-cdk-lib';
import { StreamStack } from './stream';

const app = new App();

const setting = (name: string): string => {
  const value: unknown = app.node.tryGetContext(name);
  if (typeof value !== 'string' || value === '') throw new Error(`Set ${name}: in cdk.json, or by -c ${name}=…`);
  return value;
};

new StreamStack(app, 'own-stream', {
  subnetIds: setting('subnetIds').split(','),
  securityGroupIds: setting('securityGroupIds').split(','),
  sourceSecretArn: setting('sourceSecretArn'),
  ordersTable: setting('ordersTable'),
  // The stack has no assets, so an account that was never bootstrapped will do. In one that was, take this line out.
  synthesizer: new BootstraplessSynthesizer(),
});
