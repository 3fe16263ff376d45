//! TensorBoard event files: scalars as `Event` messages in TFRecord framing.
//!
//! A record is `length: u64 LE, masked CRC of the length, data, masked CRC of the data` (TensorFlow, `record_writer.h`);
//! the data is a protobuf `Event { wall_time = 1, step = 2, file_version = 3, summary = 5 }` whose `Summary` holds one
//! `Value { tag = 1, simple_value = 2 }` (`event.proto`, `summary.proto`). Both are small enough to be written by hand.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// An event file that is being written.
#[derive(Debug)]
pub struct EventFile {
    out: BufWriter<File>,
    path: PathBuf,
}

impl EventFile {
    /// Start a new event file in `dir`. TensorBoard reads all event files of a directory as one run, so a resumed run
    /// simply starts another one.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn create(dir: &Path) -> io::Result<Self> {
        let now = since_epoch();
        let (path, file) = (0..)
            .map(|n| {
                // TensorBoard orders the files of a run by name.
                let name = format!(
                    "events.out.tfevents.{:010}.hone.{}.{n}",
                    now.as_secs(),
                    std::process::id()
                );
                let path = dir.join(name);
                let file = OpenOptions::new().write(true).create_new(true).open(&path);
                (path, file)
            })
            .find(|(_, file)| !matches!(file, Err(e) if e.kind() == io::ErrorKind::AlreadyExists))
            .expect("some number is free");
        let mut events = Self {
            out: BufWriter::new(file?),
            path,
        };
        events.out.write_all(&record(&version_event(now.as_secs_f64())))?;
        Ok(events)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Append one scalar, stamped with the current time.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn scalar(&mut self, step: u64, tag: &str, value: f64) -> io::Result<()> {
        self.out.write_all(&record(&scalar_event(
            since_epoch().as_secs_f64(),
            step,
            tag,
            value as f32,
        )))
    }

    /// Hand everything to the operating system.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn version_event(wall_time: f64) -> Vec<u8> {
    let mut event = vec![field(1, FIXED64)];
    event.extend(wall_time.to_le_bytes());
    bytes(&mut event, 3, b"brain.Event:2");
    event
}

fn scalar_event(wall_time: f64, step: u64, tag: &str, value: f32) -> Vec<u8> {
    let mut entry = Vec::new();
    bytes(&mut entry, 1, tag.as_bytes());
    entry.push(field(2, FIXED32));
    entry.extend(value.to_le_bytes());
    let mut summary = Vec::new();
    bytes(&mut summary, 1, &entry);
    let mut event = vec![field(1, FIXED64)];
    event.extend(wall_time.to_le_bytes());
    event.push(field(2, VARINT));
    varint(&mut event, step);
    bytes(&mut event, 5, &summary);
    event
}

// Protobuf wire types.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;
const FIXED32: u8 = 5;

/// The key of a field; its number is below 16, so one byte holds it.
const fn field(number: u8, wire_type: u8) -> u8 {
    number << 3 | wire_type
}

fn bytes(out: &mut Vec<u8>, number: u8, data: &[u8]) {
    out.push(field(number, BYTES));
    varint(out, data.len() as u64);
    out.extend(data);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut out = Vec::with_capacity(data.len() + 16);
    out.extend(length);
    out.extend(masked(crc32c(&length)).to_le_bytes());
    out.extend(data);
    out.extend(masked(crc32c(data)).to_le_bytes());
    out
}

/// The CRC rotated and shifted, so that a CRC over data that holds CRCs stays good (TFRecord's rule).
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C: polynomial 0x1EDC6F41 (Castagnoli), reflected.
fn crc32c(data: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0u32; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut crc = byte as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
                bit += 1;
            }
            table[byte] = crc;
            byte += 1;
        }
        table
    };
    !data
        .iter()
        .fold(!0, |crc, byte| TABLE[usize::from(crc as u8 ^ byte)] ^ crc >> 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_vectors() {
        // The check value of the CRC catalogue, and RFC 3720 B.4: 32 zeros, 32 ones, 0..31.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&(0..32).collect::<Vec<u8>>()), 0x46dd_794e);
        assert_eq!(crc32c(b""), 0);
    }

    #[test]
    fn golden_event() {
        // By hand: 09 + f64(1.5), 10 + varint(300) = ac 02, 2a 0a { 0a 08 { 0a 01 'a', 15 + f32(0.5) } }.
        let expected: Vec<u8> = [
            &[0x09, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f][..],
            &[0x10, 0xac, 0x02],
            &[0x2a, 0x0a, 0x0a, 0x08, 0x0a, 0x01, b'a', 0x15, 0, 0, 0, 0x3f],
        ]
        .concat();
        assert_eq!(scalar_event(1.5, 300, "a", 0.5), expected);
        let framed = record(&expected);
        assert_eq!(framed.len(), 8 + 4 + 24 + 4);
        assert_eq!(framed[..8], [24, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(framed[12..36], expected);
        assert_eq!(version_event(0.0)[9..], *b"\x1a\x0dbrain.Event:2");
    }

    #[test]
    fn files_of_one_second_do_not_collide() {
        let dir = tempfile::tempdir().unwrap();
        let paths: Vec<_> = (0..3)
            .map(|_| EventFile::create(dir.path()).unwrap().path().to_owned())
            .collect();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
        assert!(paths.is_sorted());
    }
}
