//! `Custom::DmsPre`: stops the running DMS tasks that a deployment touches. See [`replication::DmsPre`].

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), custom_resource::Error> {
    custom_resource::run(&["replication"], replication::DmsPre::from_environment).await
}
