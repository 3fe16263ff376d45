//! What is in the files that tools gave, each once, by its hash.

use rusqlite::{Connection, OptionalExtension};

use super::open::MEDIA;
use super::rows::RowError;
use crate::{Episode, Secrets};

fn is_there(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT count(*) FROM sqlite_schema WHERE name = 'media'")?
        .query_row([], |row| row.get(0))
}

/// Keeps the contents that an episode brings along, but for those in which a secret stands.
pub(super) fn insert(connection: &Connection, episode: &Episode, secrets: &Secrets) -> Result<(), RowError> {
    let mut made = false;
    for media in episode.tool_calls.iter().flat_map(|call| &call.media) {
        let Some(content) = media.content.as_deref().filter(|content| !secrets.stand_in(content)) else {
            continue;
        };
        if !made && !is_there(connection)? {
            connection.execute_batch(MEDIA)?;
        }
        made = true;
        connection
            .prepare_cached("INSERT OR IGNORE INTO media (hash, content) VALUES (?1, ?2)")?
            .execute((&media.hash, content))?;
    }
    Ok(())
}

pub(super) fn is_kept(connection: &Connection, hash: &str) -> rusqlite::Result<bool> {
    if !is_there(connection)? {
        return Ok(false);
    }
    connection
        .prepare_cached("SELECT count(*) FROM media WHERE hash = ?1")?
        .query_row([hash], |row| row.get(0))
}

pub(super) fn content(connection: &Connection, hash: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    if !is_there(connection)? {
        return Ok(None);
    }
    connection
        .prepare_cached("SELECT content FROM media WHERE hash = ?1")?
        .query_row([hash], |row| row.get(0))
        .optional()
}

/// Deletes contents that no episode names any more.
pub(super) fn sweep(connection: &Connection) -> Result<(), RowError> {
    if is_there(connection)? {
        connection.execute(
            "DELETE FROM media WHERE hash NOT IN (
                 SELECT json_extract(file.value, '$.hash')
                 FROM tool_calls, json_each(CASE WHEN json_valid(record) THEN record ELSE '{}' END, '$.media') AS file
                 WHERE json_extract(file.value, '$.hash') IS NOT NULL)",
            [],
        )?;
    }
    Ok(())
}
