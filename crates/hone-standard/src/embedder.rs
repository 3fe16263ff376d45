//! What makes vectors of texts.

use hone_external::CommandLine;
use hone_search::{CommandEmbedder, Embedder, HashedNgrams};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Numbers of the vectors that need no command.
const DIMENSION: usize = 256;
/// Bound on one exchange with a command, the first of which may load a model.
const PATIENCE: Duration = Duration::from_secs(120);

/// The command's vectors; without one, those of words and pieces of words, weighted by how rare they are in `corpus`.
///
/// # Errors
/// When the command does not start or does not answer as docs/protocol.md says.
pub fn embedder<'a>(
    command: Option<&[String]>,
    folder: &Path,
    corpus: impl IntoIterator<Item = &'a str>,
) -> Result<Arc<dyn Embedder>, String> {
    let Some(argv) = command else {
        return Ok(Arc::new(HashedNgrams::fit(corpus, DIMENSION)));
    };
    if argv.is_empty() {
        return Err("it is empty; write the program and its arguments".to_owned());
    }
    let command = CommandLine {
        argv: argv.to_vec(),
        label: None,
        folder: folder.to_owned(),
        env: Vec::new(),
    };
    let started = CommandEmbedder::start(&command, PATIENCE);
    started
        .map(|embedder| Arc::new(embedder) as Arc<dyn Embedder>)
        .map_err(|error| error.to_string())
}
