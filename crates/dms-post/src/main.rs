//! `Custom::DmsPost`: starts and resumes the DMS tasks after a deployment. See [`replication::DmsPost`].

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), custom_resource::Error> {
    let handler = async || Ok(replication::DmsPost::new(&aws_environment::config().build()));
    custom_resource::run(&["replication"], handler).await
}
