//! The way in from `main`.

use std::sync::Arc;

use futures::FutureExt;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;

use crate::guard::Guard;
use crate::logging;
use crate::resource::Resource;

/// What ends the process: Lambda's runtime API could not be reached.
pub use lambda_runtime::Error;

/// Serves requests until Lambda ends the process. `construct` makes the handler, on the first request and inside the
/// guard, so that its failure is answered as well; after a failure it is called again. `crates` names the crates whose
/// lines `RUST_LOG` may raise above INFO.
///
/// # Errors
/// Only if Lambda's runtime API can't be reached.
pub async fn run<R, F>(crates: &[&'static str], construct: F) -> Result<(), Error>
where
    R: Resource,
    F: AsyncFn() -> anyhow::Result<R> + Send + Sync + 'static,
{
    logging::init(crates);
    let guard = Arc::new(Guard::new(construct));
    // On the heap, since the whole request in one type is too deep for the compiler to lay out.
    let service = service_fn(move |LambdaEvent { payload, context }: LambdaEvent<Value>| {
        let guard = Arc::clone(&guard);
        async move { guard.handle(payload, &context).await.map_err(|error| diagnostic(&error)) }.boxed_local()
    });
    lambda_runtime::run(service).await
}

/// What Lambda is told of an error, and shows whoever called: all its causes.
fn diagnostic(error: &anyhow::Error) -> Diagnostic {
    Diagnostic { error_type: "HandlerError".to_owned(), error_message: format!("{error:#}") }
}
