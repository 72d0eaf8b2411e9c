//! What is printed, and written to the docs.

use std::fmt::Write as _;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use stage::lambda;
use time::OffsetDateTime;

use crate::NAMES;
use crate::calls::Calls;
use crate::many::{Delay, Many};
use crate::process::{Figures, ROUNDS};

const MB: f64 = 1e6;

/// A page of Markdown. What is added to it is printed.
pub(crate) struct Page(String);

impl Page {
    pub(crate) fn new() -> Self {
        let mut page = Self(String::new());
        page.add(&format!(
            "# What the handlers cost\n\n\
             `make bench` wrote this page on {}, on {}, with {}. It runs whole processes as Lambda does, against stand-ins on \
             the same machine that answer at once and over TLS. Compare the ratios, not the times: *echo* gives back what it \
             gets, the least that a function in Rust can do, and is built and run with the others. *Aims* are what Sluice \
             was made to keep.",
            OffsetDateTime::now_utc().date(),
            machine(),
            rustc(),
        ));
        page
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// Prints without adding.
    pub(crate) fn note(&self, line: &str) {
        println!("{line}");
    }

    fn add(&mut self, text: &str) {
        println!("{text}");
        self.0.push_str(text);
        self.0.push('\n');
    }

    /// Columns of figures are set to the right.
    fn table(&mut self, heading: &str, words: &str, columns: &[&str], rows: &[Vec<String>]) {
        let mut text = format!("\n## {heading}\n\n{words}\n\n");
        let _ = writeln!(text, "| {} |", columns.join(" | "));
        let cells = rows.first().into_iter().flatten();
        let rules = cells.map(|cell| match cell.starts_with(|c: char| c.is_ascii_digit()) {
            true => "---:|",
            false => "---|",
        });
        let _ = writeln!(text, "|{}", rules.collect::<String>());
        for row in rows {
            let _ = writeln!(text, "| {} |", row.join(" | "));
        }
        self.add(text.trim_end());
    }

    pub(crate) fn sizes(&mut self) -> anyhow::Result<()> {
        let mut rows = Vec::new();
        for name in NAMES {
            let bytes = std::fs::read(lambda::bootstrap(name)?)?;
            let mut zip = DeflateEncoder::new(Vec::new(), Compression::default());
            zip.write_all(&bytes)?;
            let zipped = zip.finish()?.len();
            rows.push(vec![
                name.to_owned(),
                format!("{:.2} MB", bytes.len() as f64 / MB),
                format!("{:.2} MB", zipped as f64 / MB),
            ]);
        }
        let words = "The bootstrap, and what it comes to in the archive that is uploaded (MB are 10⁶ bytes). The aim: 3 MB.";
        self.table("Size", words, &["", "bootstrap", "archive"], &rows);
        Ok(())
    }

    pub(crate) fn processes(&mut self, all: &[Figures]) {
        let Some(echo) = all.first() else { return };
        let rows: Vec<_> = all
            .iter()
            .map(|it| {
                let cold = it.cold.median();
                let first = it.first.median();
                vec![
                    it.name.to_owned(),
                    format!("{cold:.1} ms"),
                    format!("{:.1} ×", cold / echo.cold.median()),
                    format!("{first:.1} ms"),
                    format!("{:.1} ms", it.cpu.median()),
                    format!("{:.1} ms", it.warm.median()),
                    format!("{:.1} MB", it.memory.median()),
                ]
            })
            .collect();
        let words = format!(
            "Medians of {ROUNDS} processes each, which take turns. *Ready* is from the start of the process until it asks \
             the runtime API for its first request. That request and the *next* ones are Updates that find all as it should \
             be: a stack with one task that runs; a database that is ready, and DMS's user in it. They end when \
             CloudFormation has the answer. *CPU until then* is what the process itself computed until the end of its first \
             request; most of the rest is the time of the stand-ins, which are not built for speed. The aims: ready within \
             2.5 times the echo; 16 MB for dms-pre and dms-post, 20 MB for db-init."
        );
        let columns =
            ["", "ready", "to the echo", "first request", "CPU until then", "next request", "peak memory"];
        self.table("A process", &words, &columns, &rows);
    }

    pub(crate) fn calls(&mut self, all: &[Calls]) {
        let rows: Vec<_> = all
            .iter()
            .map(|it| {
                let one = |(operation, count): (&String, &usize)| match count {
                    1 => operation.clone(),
                    _ => format!("{operation} × {count}"),
                };
                let calls: Vec<_> = it.calls.iter().map(one).collect();
                let sum: usize = it.calls.values().sum();
                let what = it.what.to_owned();
                vec![
                    what,
                    it.tasks.map_or_else(String::new, |it| it.to_string()),
                    sum.to_string(),
                    calls.join(", "),
                ]
            })
            .collect();
        let words = "To CloudFormation, DMS and Secrets Manager, where DMS does everything at once. Each second of waiting for \
                     tasks costs one DescribeReplicationTasks more for every 100 of them. db-init has a user for DMS to set \
                     up, with a secret of its own.";
        self.table("AWS calls", words, &["request", "tasks", "calls", "which"], &rows);
    }

    pub(crate) fn delays(&mut self, all: &[Delay]) {
        let rows: Vec<_> = all
            .iter()
            .map(|it| {
                vec![
                    it.what.to_owned(),
                    it.seconds.count().to_string(),
                    format!("{:.2} s", it.seconds.median()),
                    format!("{:.2} s", it.seconds.percentile(95)),
                ]
            })
            .collect();
        let words = "From the moment in which DMS would report the last status to the end of the invocation, for one task. DMS \
                     is asked once a second. The aim: 1 s, for the 95th percentile.";
        let columns = ["request", "samples", "median", "95th percentile"];
        self.table("Noticing a status", words, &columns, &rows);
    }

    pub(crate) fn stacks(&mut self, all: &[Many]) {
        let rows: Vec<_> = all
            .iter()
            .map(|it| {
                vec![
                    it.what.to_owned(),
                    it.tasks.to_string(),
                    it.calls.to_string(),
                    format!("{:.1} s", it.took),
                    format!("{:.1} s", it.bound),
                    format!("{:.2} ×", it.took / it.bound),
                ]
            })
            .collect();
        let words = "DMS takes 200 calls at once and 8 a second after that, as is documented, and refuses the others, which are \
                     made again; a task takes 5 s to stop or to start. The bound is the least that this allows. Each task \
                     takes two calls: dms-pre marks it and stops it, and its last calls are followed by those 5 s; dms-post \
                     starts it and takes the mark off, and most of its calls are made during them. Up to 100 tasks, the bound \
                     is those 5 s alone, and what is above it is the rhythm of the polls: they are a second apart from the \
                     moment before the first call, so that the fifth comes a little too early and the sixth a second later. \
                     The aim: 1.2 × for 450 tasks.";
        let columns = ["request", "tasks", "DMS calls, refused ones too", "took", "bound", "ratio"];
        self.table("Stacks of many tasks", words, &columns, &rows);
    }
}

/// The processor, its cores and the memory.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let (cpu, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(':'));
        value.map_or("unknown".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let kib: f64 = field(&memory, "MemTotal").trim_end_matches(" kB").parse().unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let gib = kib / 1024.0 / 1024.0;
    format!("{} ({cores} cores, {gib:.0} GiB)", field(&cpu, "model name"))
}

fn rustc() -> String {
    let version = std::process::Command::new("rustc").arg("--version").output();
    let version = version.map(|it| String::from_utf8_lossy(&it.stdout).trim().to_owned());
    version.unwrap_or_else(|_| "an unknown rustc".to_owned())
}
