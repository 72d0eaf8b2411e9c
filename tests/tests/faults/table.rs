//! The table of docs/faults.md: written on demand, compared otherwise.

use std::path::{Path, PathBuf};

use super::fault::{FAULTS, Fault, Voice};

/// What came of one case.
pub(super) struct Heard {
    pub(super) fault: &'static Fault,
    pub(super) function: &'static str,
    /// Status and head of the reason, without what differs from run to run.
    pub(super) answer: String,
    pub(super) seconds: f64,
}

/// A row; its last column, the time, is not compared.
struct Row {
    stable: String,
    time: String,
}

const HEAD: &str = "\
# What CloudFormation hears when something breaks

This page is generated: `tests/tests/faults.rs` plays every row with the functions as they ship, each as a Create and
as an Update, and fails if one of them says something else. `SLUICE_WRITE_DOCS=1 cargo test -p plays --test faults`
writes the page anew.

Every row is one answer. What says FAILED ends with the log that tells more: that, and ids, addresses and
names, are left out here (`…`). The id of the resource is the same whoever answers: the one that came with an Update,
and for a Create the one that the function itself would have given, since a process that died may have made something.

*Last words* are the function `LastWordsFunction` of the templates. Lambda calls it, as the `OnFailure` destination of
the others, when one of them has died, has not started, or could not deliver its answer. A function that has answered
and dies before Lambda hears of that is answered for again: CloudFormation goes by the first answer.

The last column is the time it took when the page was written, and the time that Lambda granted. The templates grant
900 s: where both are nearly the same here, the end of the time is what the answer waited for.

| What happens | Function | CloudFormation hears | From | After |
|---|---|---|---|---|
";

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/faults.md")
}

/// Writes the page, or compares it with what was heard.
pub(super) fn publish(heard: &[Heard]) {
    let rows = rows(heard);
    if std::env::var_os("SLUICE_WRITE_DOCS").is_some() {
        let table: String = rows.iter().map(|row| format!("| {} | {} |\n", row.stable, row.time)).collect();
        std::fs::write(path(), format!("{HEAD}{table}")).unwrap();
        return;
    }
    let page = std::fs::read_to_string(path()).unwrap_or_default();
    let unplayed = |row: &&str| {
        let mut others = FAULTS.iter().filter(|fault| !fault.is_playable());
        others.any(|fault| row.starts_with(fault.title))
    };
    let written: Vec<&str> = page
        .lines()
        .skip_while(|line| !line.starts_with("|---"))
        .skip(1)
        .filter_map(|line| line.strip_prefix("| ")?.rsplit_once(" | "))
        .map(|(stable, _)| stable)
        .filter(|row| !unplayed(row))
        .collect();
    let played: Vec<&str> = rows.iter().map(|row| row.stable.as_str()).collect();
    let only = |these: &[&str], those: &[&str]| {
        let only = these.iter().filter(|row| !those.contains(row));
        only.map(|row| format!("\n  {row}")).collect::<String>()
    };
    assert!(
        written == played,
        "docs/faults.md does not say what happens (SLUICE_WRITE_DOCS=1 writes it anew).\nOnly written:{}\nOnly played:{}",
        only(&written, &played),
        only(&played, &written),
    );
}

/// One row for all functions of which CloudFormation hears the same.
fn rows(heard: &[Heard]) -> Vec<Row> {
    let mut rows: Vec<(&Fault, &str, Vec<&str>, f64)> = Vec::new();
    for it in heard {
        let same =
            rows.iter_mut().find(|(fault, answer, ..)| fault.title == it.fault.title && *answer == it.answer);
        match same {
            Some((.., functions, seconds)) => {
                if !functions.contains(&it.function) {
                    functions.push(it.function);
                }
                *seconds = seconds.max(it.seconds);
            }
            None => rows.push((it.fault, &it.answer, vec![it.function], it.seconds)),
        }
    }
    let row = |(fault, answer, functions, seconds): &(&Fault, &str, Vec<&str>, f64)| {
        let functions = match functions.len() {
            3 => "all".to_owned(),
            _ => functions.join(", "),
        };
        let (title, from) = (fault.title, from(fault.voice));
        Row {
            stable: format!("{title} | {functions} | {} | {from}", answer.replace('|', "\\|")),
            time: time(fault, *seconds),
        }
    };
    rows.iter().map(row).collect()
}

fn from(voice: Voice) -> &'static str {
    match voice {
        Voice::Function => "the function",
        Voice::LastWords => "last words",
    }
}

fn time(fault: &Fault, seconds: f64) -> String {
    match &fault.what {
        super::fault::What::TooOld => "the event's greatest age".to_owned(),
        _ if seconds < 1.5 => "at once".to_owned(),
        _ => format!("{seconds:.0} s of {} s", fault.granted),
    }
}
