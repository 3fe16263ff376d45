//! Dialects on the command line, for the parity scripts.
//!
//!     wire body openai|anthropic REQUEST.json [--stream]     the body for a neutral request
//!     wire answer openai|anthropic BODY.json                 a whole answer, as the neutral one
//!     wire stream openai|anthropic STREAM.sse                a streamed answer, as the neutral one
//!     wire ask openai|anthropic REQUEST.json BASE_URL [KEY_VARIABLE]    ask a server

use hone_wire::{Api, Client, Dialect, Endpoint, Limits, Request};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let [verb, name, file, rest @ ..] = words.as_slice() else {
        return Err("wire body|answer|stream|ask openai|anthropic FILE …".into());
    };
    let (dialect, api) = match *name {
        "openai" => (Dialect::openai(), Api::OpenAi),
        "anthropic" => (Dialect::anthropic(), Api::Anthropic),
        other => return Err(format!("`{other}` is no dialect; say openai or anthropic").into()),
    };
    let bytes = std::fs::read(file)?;
    let limits = Limits::default();
    let answer = match *verb {
        "body" => {
            let request: Request = serde_json::from_slice(&bytes)?;
            println!(
                "{}",
                String::from_utf8(dialect.body(&request, rest.contains(&"--stream"))?)?
            );
            return Ok(());
        }
        "answer" => dialect.answer(&bytes, &limits)?,
        "stream" => {
            let mut stream = dialect.stream(&limits);
            stream.push(&bytes, &mut |_| {})?;
            stream.finish()?
        }
        "ask" => {
            let request: Request = serde_json::from_slice(&bytes)?;
            let mut endpoint = Endpoint::new(api, *rest.first().ok_or("which base URL?")?);
            endpoint.key_env = rest.get(1).map(|variable| (*variable).to_owned());
            endpoint.retry.attempts = 2;
            let client = Client::new(endpoint)?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(client.complete(&request, 0))?.answer
        }
        other => return Err(format!("`{other}` is no verb").into()),
    };
    println!("{}", serde_json::to_string(&answer)?);
    Ok(())
}
