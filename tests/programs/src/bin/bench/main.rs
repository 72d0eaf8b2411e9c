//! What a custom resource costs: `make bench`.
//!
//! Whole processes, as Lambda runs them, against stand-ins on this machine that answer at once and over TLS; next to an
//! echo, the least that a function in Rust can be. The page it writes says how each figure came about.

mod calls;
mod errand;
mod figures;
mod many;
mod page;
mod process;
mod scene;

use anyhow::ensure;
use stage::cloud::root;

const NAMES: [&str; 4] = ["echo", "dms-pre", "dms-post", "db-init"];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    ensure!(cfg!(target_os = "linux"), "`make bench` reads memory from /proc, which only Linux has");
    let docs = root().join("docs/benchmark.md");
    let mut page = page::Page::new();
    page.sizes()?;
    page.processes(&process::all().await?);
    page.calls(&calls::all().await?);
    page.delays(&many::delays().await?);
    page.stacks(&many::stacks().await?);
    std::fs::write(&docs, page.text())?;
    page.note(&format!("Written to {}", docs.display()));
    Ok(())
}
