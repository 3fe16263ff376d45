//! Embedders that the user names: commands over JSON lines (docs/protocol.md).

use anyhow::Context;
use hone_external::CommandLine;
use hone_search::CommandEmbedder;
use std::sync::Arc;
use std::time::Duration;

/// Start a command whose words are separated by spaces. `timeout` bounds each exchange.
///
/// # Errors
/// When it does not start, or does not say what it is.
pub fn start(command: &str, timeout: Duration) -> anyhow::Result<Arc<CommandEmbedder>> {
    let line = CommandLine {
        argv: command.split_whitespace().map(str::to_owned).collect(),
        label: None,
        folder: std::env::current_dir().context("the working directory cannot be read")?,
        env: Vec::new(),
    };
    Ok(Arc::new(CommandEmbedder::start(&line, timeout)?))
}

/// What finds texts in BFCL's vector memories.
#[cfg(feature = "bfcl")]
pub mod memories {
    use hone_bfcl::multi_turn::{Embedder, Lexical};
    use hone_search::{CommandEmbedder, Embedder as _, Purpose};
    use std::sync::{Arc, OnceLock};

    #[derive(Debug)]
    struct Command {
        embedder: Arc<CommandEmbedder>,
        name: String,
    }

    impl Embedder for Command {
        fn name(&self) -> &str {
            &self.name
        }

        fn quick(&self) -> bool {
            false
        }

        fn embed(&self, text: &str) -> Result<Vec<f32>, String> {
            // As in the original, a question is embedded as what it looks for is.
            let vectors = self.embedder.embed(&[text], Purpose::Document);
            let vectors = vectors.map_err(|error| error.to_string())?;
            Ok(vectors.row(0).unwrap_or_default().to_vec())
        }
    }

    static NAMED: OnceLock<Arc<dyn Embedder>> = OnceLock::new();

    /// Find with this embedder, for the rest of the process.
    pub fn find_with(embedder: Arc<CommandEmbedder>) {
        let name = format!("{} {}", embedder.name(), embedder.version());
        // A second one would be a second `--embedder`, which the command line refuses.
        let _ = NAMED.set(Arc::new(Command { embedder, name }));
    }

    /// The name and version of the embedder that was named.
    pub fn named() -> Option<String> {
        NAMED.get().map(|embedder| embedder.name().to_owned())
    }

    /// The embedder that was named, or the built-in one.
    pub fn embedder() -> Arc<dyn Embedder> {
        NAMED.get().cloned().unwrap_or_else(|| Arc::new(Lexical))
    }
}
