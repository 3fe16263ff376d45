//! An episode as rows: token arrays as blobs, the rest as JSON.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::EpisodeSummary;
use crate::{EndReason, Episode, ModelCall, Outcome, Score, ToolCall};

/// What went wrong with the rows of an episode.
pub(super) enum RowError {
    Sql(rusqlite::Error),
    Damaged { episode: String, what: String },
}

impl From<rusqlite::Error> for RowError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

pub(super) fn insert(connection: &Connection, episode: &Episode) -> Result<(), RowError> {
    connection
        .prepare_cached("DELETE FROM episodes WHERE id = ?1")?
        .execute([&episode.id])?;
    let cause = match &episode.outcome {
        Outcome::InfraFailed { cause } => Some(cause),
        Outcome::Ok | Outcome::PolicyFailed => None,
    };
    connection
        .prepare_cached(
            "INSERT INTO episodes (id, phase, taskset, task, task_kind, policy, \"end\", outcome, cause, reward, model_calls,
             tool_calls, sampled_tokens, duration_us, record) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?
        .execute(params![
            episode.id,
            episode.phase,
            episode.taskset,
            episode.task,
            episode.task_kind,
            episode.policy,
            name(&episode.end),
            episode.outcome.kind().name(),
            cause,
            episode.reward,
            episode.model_calls.len() as i64,
            episode.tool_calls.len() as i64,
            episode.sampled_tokens() as i64,
            episode.timing.duration_us as i64,
            json(&Episode { scores: Vec::new(), ..episode.without_calls() }),
        ])?;
    let key = connection.last_insert_rowid();
    let mut insert = connection.prepare_cached("INSERT INTO model_calls VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
    for call in &episode.model_calls {
        let mut rest = call.clone();
        let ids = [std::mem::take(&mut rest.prompt.new), std::mem::take(&mut rest.output)];
        let numbers = [&mut rest.logprobs, &mut rest.sampled_logprobs, &mut rest.entropies].map(std::mem::take);
        let [new, output] = ids.map(|ids| ids.iter().flat_map(|id| id.to_le_bytes()).collect::<Vec<u8>>());
        let [raw, sampled, entropies] =
            numbers.map(|values| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
        insert.execute(params![key, call.id, new, output, raw, sampled, entropies, json(&rest)])?;
    }
    let mut insert = connection.prepare_cached("INSERT INTO tool_calls VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for call in &episode.tool_calls {
        let error = call.error.as_ref().map(|failure| name(&failure.class));
        insert.execute(params![key, call.id, call.tool, error, json(call)])?;
    }
    insert_scores(connection, key, &episode.scores)
}

/// Adds scores to a stored episode; `false` if there is none of that id.
pub(super) fn add_scores(connection: &Connection, id: &str, scores: &[Score]) -> Result<bool, RowError> {
    let key: Option<i64> = connection
        .query_row("SELECT key FROM episodes WHERE id = ?1", [id], |row| row.get(0))
        .optional()?;
    let Some(key) = key else { return Ok(false) };
    let mut all = load_scores(connection, key).map_err(|what| RowError::Damaged {
        episode: id.to_string(),
        what,
    })?;
    for score in scores {
        let same =
            |old: &&mut Score| (&old.scorer, &old.version, &old.hash) == (&score.scorer, &score.version, &score.hash);
        match all.iter_mut().find(same) {
            Some(old) => *old = score.clone(),
            None => all.push(score.clone()),
        }
    }
    connection.execute("DELETE FROM scores WHERE episode = ?1", [key])?;
    insert_scores(connection, key, &all)?;
    Ok(true)
}

fn insert_scores(connection: &Connection, key: i64, scores: &[Score]) -> Result<(), RowError> {
    let mut insert = connection.prepare_cached("INSERT INTO scores VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for (position, score) in scores.iter().enumerate() {
        insert.execute(params![key, position as i64, score.scorer, score.value, json(score)])?;
    }
    Ok(())
}

pub(super) fn load(connection: &Connection, key: i64) -> Result<Option<Episode>, RowError> {
    let found = connection
        .prepare_cached("SELECT id, record FROM episodes WHERE key = ?1")?
        .query_row([key], |row| {
            let record = text(row, 1).and_then(|record| parse::<Episode>("record", record));
            Ok((row.get::<_, String>(0)?, record))
        })
        .optional()?;
    let Some((id, record)) = found else {
        return Ok(None);
    };
    let load = || -> Result<Episode, String> {
        let mut episode = record?;
        if episode.id != id {
            return Err(format!("its record says that it is `{}`", episode.id));
        }
        episode.model_calls = children(
            connection,
            "SELECT * FROM model_calls WHERE episode = ?1 ORDER BY id",
            key,
            |row| {
                let mut call: ModelCall = parse("record", text(row, 7)?)?;
                call.prompt.new = numbers(row, 2, u32::from_le_bytes)?;
                call.output = numbers(row, 3, u32::from_le_bytes)?;
                call.logprobs = numbers(row, 4, f32::from_le_bytes)?;
                call.sampled_logprobs = numbers(row, 5, f32::from_le_bytes)?;
                call.entropies = numbers(row, 6, f32::from_le_bytes)?;
                Ok(call)
            },
        )?;
        episode.tool_calls = children(
            connection,
            "SELECT * FROM tool_calls WHERE episode = ?1 ORDER BY id",
            key,
            |row| parse::<ToolCall>("record", text(row, 4)?),
        )?;
        episode.scores = load_scores(connection, key)?;
        episode.check().map_err(|flaw| flaw.to_string())?;
        Ok(episode)
    };
    load().map(Some).map_err(|what| RowError::Damaged {
        episode: id.clone(),
        what,
    })
}

fn load_scores(connection: &Connection, key: i64) -> Result<Vec<Score>, String> {
    children(
        connection,
        "SELECT * FROM scores WHERE episode = ?1 ORDER BY id",
        key,
        |row| parse("record", text(row, 4)?),
    )
}

pub(super) fn summary(row: &Row<'_>) -> rusqlite::Result<EpisodeSummary> {
    let unknown =
        |column: usize, what: String| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, what.into());
    let end: String = row.get(6)?;
    let kind: String = row.get(7)?;
    let outcome = match kind.as_str() {
        "ok" => Outcome::Ok,
        "policy_failed" => Outcome::PolicyFailed,
        "infra_failed" => Outcome::InfraFailed {
            cause: row.get::<_, Option<String>>(8)?.unwrap_or_default(),
        },
        _ => return Err(unknown(7, format!("`{kind}` is no outcome"))),
    };
    Ok(EpisodeSummary {
        id: row.get(0)?,
        phase: row.get(1)?,
        taskset: row.get(2)?,
        task: row.get(3)?,
        task_kind: row.get(4)?,
        policy: row.get(5)?,
        end: serde_json::from_value::<EndReason>(end.into()).map_err(|error| unknown(6, error.to_string()))?,
        outcome,
        reward: row.get(9)?,
        model_calls: row.get::<_, i64>(10)? as u64,
        tool_calls: row.get::<_, i64>(11)? as u64,
        sampled_tokens: row.get::<_, i64>(12)? as u64,
        duration_us: row.get::<_, i64>(13)? as u64,
    })
}

/// The rows of an episode in a child table; column 1 is their position.
fn children<T>(
    connection: &Connection,
    sql: &str,
    key: i64,
    read: impl Fn(&Row<'_>) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let table = sql.split(' ').nth(3).unwrap_or_default();
    let damaged = |error: rusqlite::Error| format!("{table}: {error}");
    let mut statement = connection.prepare_cached(sql).map_err(damaged)?;
    let mut rows = statement.query([key]).map_err(damaged)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(damaged)? {
        let position: i64 = row.get(1).map_err(damaged)?;
        if position != found.len() as i64 {
            return Err(format!("{table}[{}] is missing", found.len()));
        }
        found.push(read(row).map_err(|what| format!("{table}[{position}]: {what}"))?);
    }
    Ok(found)
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("a record has only string keys")
}

/// The name of a variant without fields, as in JSON.
pub(crate) fn name(value: &impl Serialize) -> String {
    json(value).trim_matches('"').into()
}

fn parse<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| format!("{what}: {error}"))
}

fn text<'r>(row: &'r Row<'_>, column: usize) -> Result<&'r str, String> {
    let value = row.get_ref(column).map_err(|error| error.to_string())?;
    value
        .as_str()
        .map_err(|_| format!("column {column} holds {} instead of text", value.data_type()))
}

fn numbers<T>(row: &Row<'_>, column: usize, decode: impl Fn([u8; 4]) -> T) -> Result<Vec<T>, String> {
    let name = || row.as_ref().column_name(column).unwrap_or("?").to_string();
    let bytes = row.get_ref(column).map_err(|error| error.to_string())?.as_blob();
    let bytes = bytes.map_err(|error| format!("{}: {error}", name()))?;
    let (chunks, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(format!(
            "{}: {} bytes are no whole number of 4-byte values",
            name(),
            bytes.len()
        ));
    }
    Ok(chunks.iter().map(|chunk| decode(*chunk)).collect())
}
