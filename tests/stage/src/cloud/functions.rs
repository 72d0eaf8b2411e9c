//! What the functions write.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use serde::Deserialize;

/// A line that a function wrote.
#[derive(Clone, Debug, Deserialize)]
pub struct FunctionLine {
    /// When, in seconds since 1970.
    pub time: f64,
    /// The function's name.
    pub function: String,
    /// The process that wrote it.
    pub pid: u32,
    /// The line.
    pub line: String,
}

/// The log of all functions, and how far it has been read.
#[derive(Clone, Debug)]
pub struct FunctionLog {
    file: PathBuf,
    position: u64,
}

impl FunctionLog {
    pub(super) fn new(file: PathBuf) -> Self {
        Self { file, position: 0 }
    }

    /// The lines that are new.
    pub fn read(&mut self) -> Vec<FunctionLine> {
        // Before the first function has run there is no file.
        let text = self.rest().unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn rest(&mut self) -> std::io::Result<String> {
        let mut file = File::open(&self.file)?;
        file.seek(SeekFrom::Start(self.position))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        // A line that is still being written is for the next time.
        text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
        self.position += text.len() as u64;
        Ok(text)
    }
}
