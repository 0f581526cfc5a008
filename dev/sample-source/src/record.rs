//! Records what was sent or handed out, so that a test can compute the expected result.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use serde_json::value::RawValue;

/// Writes JSON to a file, one object per line; or nowhere.
#[derive(Debug, Default)]
pub struct Recorder(Option<BufWriter<File>>);

impl Recorder {
    /// Records to a new file, replacing an old one.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self(Some(BufWriter::new(File::create(path)?))))
    }

    /// Adds an object.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn record(&mut self, json: &RawValue) -> io::Result<()> {
        let Some(file) = &mut self.0 else { return Ok(()) };
        writeln!(file, "{}", json.get())
    }

    /// Writes what is still in memory.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(self) -> io::Result<()> {
        self.0.map_or(Ok(()), |mut file| file.flush())
    }
}
