//! The table's columns: what each is called, of what type it is, and what it shows of a call.

use std::borrow::Cow;
use std::iter::{repeat_n, successors};
use std::rc::Rc;

use parquet::data_type::{ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedColumnWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::TypePtr;

use crate::store::name;
use crate::{Episode, Lineage, ModelCall, Origin, Outcome};

/// A call and its episode, without what no column shows.
pub(super) struct Row {
    pub(super) episode: Rc<Episode>,
    pub(super) call: ModelCall,
}

/// A column of the table.
pub(super) struct Column {
    pub(super) name: &'static str,
    cells: Cells,
}

/// What a column shows of a row. An `Opt` may be missing; a list is never missing, but it may be empty.
enum Cells {
    Text(for<'a> fn(&'a Row) -> Cow<'a, str>),
    OptText(for<'a> fn(&'a Row) -> Option<&'a str>),
    U32(fn(&Row) -> u32),
    OptU32(fn(&Row) -> Option<u32>),
    U64(fn(&Row) -> u64),
    F32(fn(&Row) -> f32),
    OptF64(fn(&Row) -> Option<f64>),
    Ids(fn(&Row) -> &[u32]),
    Floats(fn(&Row) -> &[f32]),
    Versions,
}

use Cells::*;

const fn column(name: &'static str, cells: Cells) -> Column {
    Column { name, cells }
}

/// All columns, in the order of the file.
pub(super) const COLUMNS: [Column; 34] = [
    column("episode_id", Text(|row| (&row.episode.id).into())),
    column("phase", Text(|row| (&row.episode.phase).into())),
    column("taskset", Text(|row| (&row.episode.taskset).into())),
    column("task_id", Text(|row| (&row.episode.task).into())),
    column("task_kind", Text(|row| (&row.episode.task_kind).into())),
    column("group_id", U64(|row| row.episode.group)),
    column("sample", U32(|row| row.episode.sample)),
    column("seed", U64(|row| row.episode.seed)),
    column("harness", Text(|row| (&row.episode.harness).into())),
    column("end_reason", Text(|row| name(&row.episode.end).into())),
    column("outcome", Text(|row| row.episode.outcome.kind().name().into())),
    column("cause", OptText(cause)),
    column("reward", OptF64(|row| row.episode.reward)),
    column("call_id", U32(|row| row.call.id)),
    column("parent_id", OptU32(|row| row.call.parent)),
    column("retry_of", OptU32(|row| row.call.retry_of)),
    column("role", Text(|row| (&row.call.role).into())),
    column("policy", Text(|row| (&row.call.policy).into())),
    column("lineage", Text(lineage)),
    column("temperature", F32(|row| row.call.sampling.temperature)),
    column("top_p", F32(|row| row.call.sampling.top_p)),
    column("top_k", U32(|row| row.call.sampling.top_k)),
    column("prompt_shared", U32(|row| row.call.prompt.shared)),
    column("prompt_new", Ids(|row| &row.call.prompt.new)),
    column("output", Ids(|row| &row.call.output)),
    column("origins", Text(origins)),
    column("logprobs", Floats(|row| &row.call.logprobs)),
    column("sampled_logprobs", Floats(|row| &row.call.sampled_logprobs)),
    column("entropies", Floats(|row| &row.call.entropies)),
    column("versions", Versions),
    column("finish", Text(|row| name(&row.call.finish).into())),
    column("text", Text(|row| (&row.call.text).into())),
    column("start_us", U64(|row| row.call.timing.start_us)),
    column("duration_us", U64(|row| row.call.timing.duration_us)),
];

fn cause(row: &Row) -> Option<&str> {
    match &row.episode.outcome {
        Outcome::InfraFailed { cause } => Some(cause),
        Outcome::Ok | Outcome::PolicyFailed => None,
    }
}

fn lineage(row: &Row) -> Cow<'_, str> {
    match &row.call.lineage {
        Lineage::Main => "main".into(),
        Lineage::SubAgent(name) => format!("sub_agent:{name}").into(),
        Lineage::Side(name) => format!("side:{name}").into(),
    }
}

/// One letter per output token.
fn origins(row: &Row) -> Cow<'_, str> {
    let letters = row.call.origins.iter().flat_map(|span| {
        let letter = match span.value {
            Origin::Sampled => 's',
            Origin::Rendered => 'r',
            Origin::Teacher => 't',
            Origin::Forced => 'f',
        };
        repeat_n(letter, span.end.saturating_sub(span.start) as usize)
    });
    letters.collect::<String>().into()
}

/// The version that sampled each output token, where one is known.
fn versions(row: &Row) -> impl Iterator<Item = Option<u64>> {
    let mut spans = row.call.versions.iter().peekable();
    let tokens = successors(Some(0u32), |at| at.checked_add(1)).take(row.call.output.len());
    tokens.map(move |at| {
        while spans.next_if(|span| span.end <= at).is_some() {}
        spans.peek().filter(|span| span.start <= at).map(|span| span.value)
    })
}

/// The file's schema.
pub(super) fn schema() -> Result<TypePtr, ParquetError> {
    let fields: String = COLUMNS.iter().map(Column::declaration).collect();
    Ok(parse_message_type(&format!("message model_call {{ {fields} }}"))?.into())
}

impl Column {
    fn declaration(&self) -> String {
        let name = self.name;
        let one = |repetition: &str, type_: &str, note: &str| format!("{repetition} {type_} {name} {note};\n");
        let list = |repetition: &str, type_: &str, note: &str| {
            format!(
                "required group {name} (LIST) {{ repeated group list {{ {repetition} {type_} element {note}; }} }}\n"
            )
        };
        match self.cells {
            Text(_) => one("required", "binary", "(STRING)"),
            OptText(_) => one("optional", "binary", "(STRING)"),
            U32(_) => one("required", "int32", "(INTEGER(32,false))"),
            OptU32(_) => one("optional", "int32", "(INTEGER(32,false))"),
            U64(_) => one("required", "int64", "(INTEGER(64,false))"),
            F32(_) => one("required", "float", ""),
            OptF64(_) => one("optional", "double", ""),
            Ids(_) => list("required", "int32", "(INTEGER(32,false))"),
            Floats(_) => list("required", "float", ""),
            Versions => list("optional", "int64", "(INTEGER(64,false))"),
        }
    }

    /// Writes the column of these rows.
    pub(super) fn write(&self, to: &mut SerializedColumnWriter<'_>, rows: &[Row]) -> Result<(), ParquetError> {
        match self.cells {
            Text(cell) => one::<ByteArrayType>(to, rows, |row| Some(cell(row).as_ref().into())),
            OptText(cell) => one::<ByteArrayType>(to, rows, |row| cell(row).map(Into::into)),
            U32(cell) => one::<Int32Type>(to, rows, |row| Some(cell(row).cast_signed())),
            OptU32(cell) => one::<Int32Type>(to, rows, |row| cell(row).map(u32::cast_signed)),
            U64(cell) => one::<Int64Type>(to, rows, |row| Some(cell(row).cast_signed())),
            F32(cell) => one::<FloatType>(to, rows, |row| Some(cell(row))),
            OptF64(cell) => one::<DoubleType>(to, rows, cell),
            Ids(cell) => list::<Int32Type>(to, rows, |row, each| {
                cell(row).iter().for_each(|id| each(Some(id.cast_signed())))
            }),
            Floats(cell) => list::<FloatType>(to, rows, |row, each| {
                cell(row).iter().for_each(|value| each(Some(*value)))
            }),
            Versions => list::<Int64Type>(to, rows, |row, each| {
                versions(row).for_each(|version| each(version.map(u64::cast_signed)))
            }),
        }
    }
}

/// Writes a column of one value per row.
fn one<T: DataType>(
    to: &mut SerializedColumnWriter<'_>,
    rows: &[Row],
    cell: impl Fn(&Row) -> Option<T::T>,
) -> Result<(), ParquetError> {
    let mut values = Vec::with_capacity(rows.len());
    let mut definition = Vec::with_capacity(rows.len());
    for row in rows {
        let value = cell(row);
        definition.push(i16::from(value.is_some()));
        values.extend(value);
    }
    let to = to.typed::<T>();
    let optional = to.get_descriptor().max_def_level() > 0;
    to.write_batch(&values, optional.then_some(&definition), None)?;
    Ok(())
}

/// Writes a column of one list per row; `cells` hands out the list's elements.
fn list<T: DataType>(
    to: &mut SerializedColumnWriter<'_>,
    rows: &[Row],
    cells: impl Fn(&Row, &mut dyn FnMut(Option<T::T>)),
) -> Result<(), ParquetError> {
    let to = to.typed::<T>();
    // 0 is an empty list; the highest level is a value, the one below it, where elements may be missing, a missing one.
    let highest = to.get_descriptor().max_def_level();
    let (mut values, mut definition, mut repetition) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let begin = repetition.len();
        cells(row, &mut |value| {
            definition.push(if value.is_some() { highest } else { highest - 1 });
            repetition.push(1);
            values.extend(value);
        });
        match repetition.get_mut(begin) {
            Some(first) => *first = 0,
            None => {
                definition.push(0);
                repetition.push(0);
            }
        }
    }
    to.write_batch(&values, Some(&definition), Some(&repetition))?;
    Ok(())
}
