//! `Custom::DmsPost`: starts and resumes the DMS tasks after a deployment. See [`replication::DmsPost`].

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), custom_resource::Error> {
    custom_resource::run(&["replication"], replication::DmsPost::from_environment).await
}
