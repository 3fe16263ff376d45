//! Export as a Parquet table: one row per model call, as `docs/trace-schema.md` describes.

mod columns;

use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;

use crate::{Episode, ExchangeError, Filter, ModelCall, SCHEMA, Store};
use columns::{COLUMNS, Row};

/// Version of the table's columns, in the file as `hone.table`. A column that is added does not raise it; one that
/// changes its meaning, its type or its name does.
pub const TABLE: u32 = 1;

/// Bytes of calls that wait in memory for their row group.
const ROW_GROUP: usize = 16 << 20;

/// How much was exported as Parquet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParquetCount {
    /// Episodes that passed, also those without a model call, which have no row.
    pub episodes: u64,
    /// Model calls, each a row.
    pub rows: u64,
}

/// Writes the model calls of the episodes that pass as a Parquet file, in row groups: memory stays bounded. After an
/// error, what was written is no Parquet file.
pub fn export_parquet(store: &Store, filter: &Filter, to: impl Write + Send) -> Result<ParquetCount, ExchangeError> {
    export(store, filter, to, ROW_GROUP)
}

fn export(
    store: &Store,
    filter: &Filter,
    to: impl Write + Send,
    row_group: usize,
) -> Result<ParquetCount, ExchangeError> {
    let fact = |key: &str, value: u32| KeyValue::new(key.into(), value.to_string());
    let properties = WriterProperties::builder()
        .set_created_by(concat!("hone ", env!("CARGO_PKG_VERSION")).into())
        .set_key_value_metadata(Some(vec![fact("hone.schema", SCHEMA), fact("hone.table", TABLE)]))
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .build();
    let mut table = Table {
        file: SerializedFileWriter::new(to, columns::schema()?, Arc::new(properties))?,
        waiting: Vec::new(),
        bytes: 0,
        row_group,
    };
    let mut count = ParquetCount::default();
    store.for_each(filter, |episode| -> Result<(), ExchangeError> {
        count.episodes += 1;
        count.rows += episode.model_calls.len() as u64;
        Ok(table.add(episode)?)
    })?;
    table.close()?;
    Ok(count)
}

/// A file in the making.
struct Table<W: Write + Send> {
    file: SerializedFileWriter<W>,
    waiting: Vec<Row>,
    bytes: usize,
    row_group: usize,
}

impl<W: Write + Send> Table<W> {
    fn add(&mut self, mut episode: Episode) -> Result<(), ParquetError> {
        let calls = std::mem::take(&mut episode.model_calls);
        // What no column shows need not wait.
        (episode.turns, episode.tool_calls) = (Vec::new(), Vec::new());
        (episode.events, episode.scores) = (Vec::new(), Vec::new());
        let episode = Rc::new(episode);
        for call in calls {
            self.bytes += size(&call);
            self.waiting.push(Row {
                episode: Rc::clone(&episode),
                call,
            });
            if self.bytes >= self.row_group {
                self.write()?;
            }
        }
        Ok(())
    }

    /// Writes what waits as a row group.
    fn write(&mut self) -> Result<(), ParquetError> {
        let mut group = self.file.next_row_group()?;
        for column in &COLUMNS {
            let mut writer = group
                .next_column()?
                .ok_or_else(|| ParquetError::General(format!("there is no column for `{}`", column.name)))?;
            column.write(&mut writer, &self.waiting)?;
            writer.close()?;
        }
        group.close()?;
        self.waiting.clear();
        self.bytes = 0;
        Ok(())
    }

    fn close(mut self) -> Result<(), ParquetError> {
        if !self.waiting.is_empty() {
            self.write()?;
        }
        self.file.close()?;
        Ok(())
    }
}

/// About the bytes of a call in memory, with its share of the episode's.
fn size(call: &ModelCall) -> usize {
    let numbers = call.prompt.new.len()
        + call.output.len()
        + call.logprobs.len()
        + call.sampled_logprobs.len()
        + call.entropies.len();
    let spans = size_of_val(call.origins.as_slice()) + size_of_val(call.versions.as_slice());
    size_of::<Row>() + 4 * numbers + spans + call.text.len() + 512
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};

    use super::*;
    use crate::{Stream, sample};

    #[test]
    fn a_large_export_has_many_row_groups_and_the_same_rows() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::create(directory.path().join("run.db")).unwrap();
        let episodes: Vec<Episode> = (0..20)
            .map(|i| sample::episode(&Stream::new(5), &format!("eval/{i}/0"), 3))
            .collect();
        store.append(&episodes).unwrap();
        let read = |row_group| {
            let path = directory.path().join(format!("{row_group}.parquet"));
            let count = export(
                &store,
                &Filter::default(),
                std::fs::File::create(&path).unwrap(),
                row_group,
            )
            .unwrap();
            assert_eq!(count, ParquetCount { episodes: 20, rows: 60 });
            let reader = SerializedFileReader::new(std::fs::File::open(&path).unwrap()).unwrap();
            let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
            (reader.num_row_groups(), rows)
        };
        let (one, rows) = read(ROW_GROUP);
        let (many, same) = read(5 << 10);
        assert_eq!(one, 1);
        assert!((10..=30).contains(&many), "{many}");
        assert_eq!(rows, same);
    }
}
