//! Random operations and random trouble while rows are written: `make chaos`, with a seed and a number of rounds.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use programs::chaos::{Chaos, Line, perform};
use programs::timeline::Timeline;

#[tokio::main]
async fn main() -> ExitCode {
    let number = |name: &str| std::env::var(name).ok()?.parse().ok();
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let chaos = Chaos {
        seed: number("SEED").unwrap_or_else(|| now.map_or(1, |it| it.as_secs())),
        rounds: number("ROUNDS").map_or(10, |rounds| rounds as usize),
    };
    println!("seed {}, {} rounds", chaos.seed, chaos.rounds);
    let mut timeline = Timeline {
        title: format!("Chaos, seed {}: a stack is updated while rows are written", chaos.seed),
        ..Timeline::default()
    };
    let mut tell = |line: Line| match line {
        Line::Round(number, round) => {
            println!("{number:>3}. {round}");
            timeline.mark(format!("{number}. {round}"));
        }
        Line::Note(note) => println!("     {note}"),
        Line::Sight(sight) => timeline.sights.push(sight),
        Line::Film(film) => timeline.film = film,
    };
    let code = match perform(chaos, &mut tell).await {
        Ok(survived) => {
            println!("\nwhat came of it");
            for ended in &survived.rounds {
                let took = ended.took.as_secs_f64();
                println!("{:<26} {took:>6.1} s   {}", ended.status, ended.round);
                for failure in &ended.failures {
                    println!("{:39}{failure}", "");
                }
                if ended.needed_help {
                    println!("{:39}somebody had to resume the task", "");
                }
            }
            println!("\n{}", survived.count);
            timeline.verdict = survived.count.verdict();
            ExitCode::SUCCESS
        }
        Err(error) => {
            timeline.fail(&error);
            eprintln!("\nIt came out differently: {error:#}");
            ExitCode::FAILURE
        }
    };
    println!("{}", timeline.write("chaos.svg"));
    code
}
