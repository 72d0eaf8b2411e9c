//! All that is written while a case runs, as a Lambda's log would hold it: lines of every level and of every crate, and
//! what a panic says.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::{mem, panic, thread};

use plays::trials::THREAD;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

/// What one case wrote.
pub(crate) type Log = Arc<Mutex<Vec<u8>>>;

tokio::task_local! {
    /// Where what is written in this task goes.
    pub(crate) static LOG: Log;
}

/// What was written outside any case: in tasks that a client or a handler spawned.
static ELSEWHERE: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Starts to capture, for the whole process.
pub(crate) fn capture() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(Lines)
            .init();
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            match thread::current().name() {
                Some(THREAD) => write(format!("{panic}\n").as_bytes()),
                _ => print(panic),
            };
        }));
    });
}

/// What a log holds.
pub(crate) fn text(log: &Log) -> String {
    let bytes = log.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Takes what was written outside any case.
pub(crate) fn elsewhere() -> String {
    let bytes = mem::take(&mut *ELSEWHERE.lock().unwrap_or_else(PoisonError::into_inner));
    String::from_utf8_lossy(&bytes).into_owned()
}

fn write(bytes: &[u8]) {
    let append = |log: &Mutex<Vec<u8>>| {
        log.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
    };
    if LOG.try_with(|log| append(log)).is_err() {
        append(&ELSEWHERE);
    }
}

struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}
