//! `Custom::DmsPre`: stops the running DMS tasks that a deployment touches. See [`replication::DmsPre`].

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), custom_resource::Error> {
    let handler = async || Ok(replication::DmsPre::new(&aws_environment::config().build()));
    custom_resource::run(&["replication"], handler).await
}
