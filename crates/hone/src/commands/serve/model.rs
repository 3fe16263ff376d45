//! `hone serve model`.

use crate::console::say;
use crate::models::Local;
use anyhow::{Context, bail};
use hone_engine::Bounds;
use hone_serve::{Options, Server};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Serve a local model behind OpenAI's API, until the program is ended.
///
/// Chat completions with tools, streaming, JSON Schema (in a build with --features constrain), log-probabilities and token ids;
/// completions; /v1/models, /tokenize, /detokenize; /metrics for Prometheus, /health.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A model's directory in Hugging Face layout, or its GGUF file
    model: PathBuf,
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8000", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The model's name, as clients give it (default: that of its file or directory)
    #[arg(long)]
    name: Option<String>,
    /// Environment variable with the bearer token that clients must show
    #[arg(long, value_name = "NAME")]
    bearer_env: Option<String>,
    /// Sequences that are sampled at the same time; more wait
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..))]
    parallel: u16,
    /// Requests that may wait; more are refused with status 503
    #[arg(long, default_value_t = 1024)]
    queue: u16,
    /// Tokens of an answer where a request says nothing
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..))]
    max_tokens: u32,
    /// Bytes of a request
    #[arg(long, default_value_t = 4 << 20, value_parser = clap::value_parser!(u32).range(1024..))]
    request_bytes: u32,
    /// Memory for cached keys and values, in MiB (default: half of what there is); sequences that do not fit wait
    #[arg(long, value_name = "MIB")]
    cache: Option<usize>,
    /// Seconds that a client may take for sending its request, and for reading a part of the answer
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    patience: u32,
    /// Sampling threads (default: one for each core)
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
}

const EXAMPLES: &str = "\
Examples:
  hone serve model SmolLM2-135M-Instruct.Q4_1.gguf
  hone serve model DIR --listen 0.0.0.0:8000 --bearer-env TOKEN --name my-model
  curl localhost:8000/v1/chat/completions -d '{\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}'

With OpenAI's package for Python: OpenAI(base_url=\"http://localhost:8000/v1\", api_key=\"none\").
With Hone itself: --model http://localhost:8000/v1#NAME";

impl Args {
    /// Serve.
    pub fn run(self) -> anyhow::Result<()> {
        let token = match &self.bearer_env {
            None => None,
            Some(name) => {
                let token = std::env::var(name).ok().filter(|token| !token.is_empty());
                Some(token.with_context(|| format!("the variable {name} holds no token; set it"))?)
            }
        };
        let own = self.model.file_stem().and_then(|name| name.to_str());
        let Some(name) = self.name.clone().or_else(|| own.map(str::to_owned)) else {
            bail!("the model's path gives no name; choose one with --name");
        };
        let bounds = self.cache.map_or_else(Bounds::default, |mib| Bounds {
            cache_bytes: mib.saturating_mul(1 << 20),
        });
        let sampler = Local::read(&self.model)?.bounded(name.clone(), bounds, self.threads.map(usize::from));
        let options = Options {
            name,
            parallel: self.parallel.into(),
            queue: self.queue.into(),
            request_bytes: self.request_bytes as usize,
            max_tokens: self.max_tokens,
            patience: Duration::from_secs(self.patience.into()),
            token,
        };
        let server = Server::bind(sampler, self.listen, options)?;
        say(format!("http://{}/v1", server.address()));
        server.run();
        Ok(())
    }
}
