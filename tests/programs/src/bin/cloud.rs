//! The local cloud alone, for people to deploy into: `make cloud`.

use stage::cloud::{BUCKET, Cloud};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cloud = Cloud::start().await?;
    println!("A cloud on this machine. In another shell:\n");
    for (name, value) in cloud.environment() {
        println!("  export {name}={value}");
    }
    println!("  make deploy BUCKET={BUCKET} SSL_CA={}", cloud.ca_file()?.display());
    println!("\nCtrl-C ends it, and all that is in it.");
    tokio::signal::ctrl_c().await?;
    Ok(())
}
