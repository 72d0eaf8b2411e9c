//! Sluice, against its alternatives: `make compare`.
//!
//! The same operations on three stacks while rows are written, and what became of the streams. The page it writes says how.

mod page;

use std::time::Instant;

use anyhow::ensure;
use programs::compare::{OPERATIONS, SetUp, Times, compare};
use stage::cloud::root;

const SET_UPS: [SetUp; 3] = [SetUp::Plain, SetUp::Snippet, SetUp::Sluice];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (docs, began) = (root().join("docs/comparison.md"), Instant::now());
    println!("Starting three clouds on this machine, and a database server. It takes about seven minutes.");
    let tell = |set_up: SetUp, what: String| {
        let set_up = set_up.to_string();
        println!("{:>7.1} s  {set_up:<8} {what}", began.elapsed().as_secs_f64());
    };
    let times = Times::longer();
    let outcomes = compare(&SET_UPS, &OPERATIONS, &times, &tell).await?;
    let page = page::page(&outcomes, &times, began.elapsed());
    println!("\n{page}");
    std::fs::write(&docs, page)?;
    println!("Written to {}", docs.display());
    let sluice = outcomes.iter().filter(|it| it.set_up == SetUp::Sluice);
    let lost: usize = sluice.map(|it| it.lost).sum();
    ensure!(lost == 0, "with Sluice, {lost} changes were lost");
    Ok(())
}
