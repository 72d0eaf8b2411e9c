//! The Lambda function behind `Custom::DbInit`.

use db_init::DbInit;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), custom_resource::Error> {
    custom_resource::run(&["db_init"], async || Ok(DbInit::from_env())).await
}
