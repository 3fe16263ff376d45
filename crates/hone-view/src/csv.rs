//! Metrics as CSV in long format: `step,phase,name,value`.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const HEADER: &[u8] = b"step,phase,name,value\n";

/// An appending CSV file.
#[derive(Debug)]
pub(crate) struct CsvFile {
    path: PathBuf,
    out: BufWriter<File>,
}

impl CsvFile {
    /// Open for appending. A line that a killed process left unfinished is cut off.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let end = end_of_last_line(&mut file)?;
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
        if end == 0 {
            file.write_all(HEADER)?;
        }
        Ok(Self {
            path: path.to_owned(),
            out: BufWriter::new(file),
        })
    }

    /// Drop the lines of a phase from that step on. The file is replaced as a whole, or not at all.
    pub fn forget(&mut self, phase: &str, from: u64) -> io::Result<()> {
        self.out.flush()?;
        let phase = format!("{},", field(phase));
        let stays = |line: &str| match line.split_once(',') {
            Some((step, rest)) => !(rest.starts_with(&phase) && step.parse().is_ok_and(|step: u64| step >= from)),
            None => true,
        };
        let text = std::fs::read_to_string(&self.path)?;
        if text.lines().all(stays) {
            return Ok(());
        }
        let partial = self.path.with_extension("csv.partial");
        let mut out = BufWriter::new(File::create(&partial)?);
        for line in text.split_inclusive('\n').filter(|line| stays(line)) {
            out.write_all(line.as_bytes())?;
        }
        out.flush()?;
        std::fs::rename(&partial, &self.path)?;
        self.out = out;
        Ok(())
    }

    /// Append one value. Numbers are written so that reading them gives the same bits; `NaN`, `inf` and `-inf` as such.
    pub fn write(&mut self, step: u64, phase: &str, name: &str, value: f64) -> io::Result<()> {
        writeln!(self.out, "{step},{},{},{value}", field(phase), field(name))
    }

    /// Hand everything to the operating system.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// One past the file's last newline, read backwards in blocks.
fn end_of_last_line(file: &mut File) -> io::Result<u64> {
    let mut end = file.seek(SeekFrom::End(0))?;
    let mut block = [0u8; 4096];
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let part = &mut block[..(end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(part)?;
        if let Some(at) = part.iter().rposition(|b| *b == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// A field as RFC 4180 wants it, line breaks replaced so that a line is a record.
fn field(text: &str) -> String {
    let text = text.replace(['\n', '\r'], " ");
    if text.contains([',', '"']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reopening_cuts_a_torn_line_and_appends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.csv");
        let mut csv = CsvFile::open(&path).unwrap();
        csv.write(1, "rl", "success", 0.1).unwrap();
        csv.write(1, "rl", "a,\"b\"\nc", f64::NAN).unwrap();
        csv.flush().unwrap();
        drop(csv);
        let whole = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            whole,
            "step,phase,name,value\n1,rl,success,0.1\n1,rl,\"a,\"\"b\"\" c\",NaN\n"
        );
        std::fs::write(&path, format!("{whole}2,rl,succ")).unwrap();
        let mut csv = CsvFile::open(&path).unwrap();
        csv.write(2, "rl", "success", 0.2).unwrap();
        csv.flush().unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            format!("{whole}2,rl,success,0.2\n")
        );
    }

    #[test]
    fn a_torn_header_is_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.csv");
        std::fs::write(&path, "step,pha").unwrap();
        drop(CsvFile::open(&path).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), HEADER);
    }

    #[test]
    fn a_torn_line_longer_than_a_block_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.csv");
        let good = "step,phase,name,value\n";
        std::fs::write(&path, format!("{good}{}", "x".repeat(10_000))).unwrap();
        drop(CsvFile::open(&path).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), good);
    }
}
