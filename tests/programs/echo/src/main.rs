//! The least that a Lambda function in Rust can be: the floor that the benchmark measures against.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let echo = async |event: LambdaEvent<Value>| Ok::<_, Error>(event.payload);
    lambda_runtime::run(service_fn(echo)).await
}
