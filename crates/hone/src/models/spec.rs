//! Names of players, as they are written after `--model`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// What may be written after `--model`, for help.
pub const PLAYERS: &str = "\
Players:
  DIR                    a model in Hugging Face layout: one that Hone made, or a published Llama
                         (SmolLM2), Qwen2, Qwen2.5 or Qwen3 with its own tokenizer and chat template
  FILE.gguf              the same published models as GGUF (F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q6_K)
  openai:MODEL           OpenAI's API; key in OPENAI_API_KEY, another address in OPENAI_BASE_URL
  anthropic:MODEL        Anthropic's API; key in ANTHROPIC_API_KEY, address in ANTHROPIC_BASE_URL
  http://HOST/v1#MODEL   any server with OpenAI's Chat Completions (vLLM, llama.cpp, Ollama, …);
                         sends the key in HONE_API_KEY, if that is set
  endpoint:FILE#MODEL    a server with all its settings, see below
  script:NAME            a script of the taskset
  gold, random           the taskset's expert, and its random player
  null                   gives an empty answer at once
  replay:RUN             says again what a recorded evaluation's agent said, by task and sample
  scripted:FILE          turns written by hand, a task a line: a text is the answer, a list calls
                         {\"task\": \"test/0\",
                          \"turns\": [[{\"name\": \"TOOL\", \"arguments\": {}}], \"the answer\"]}

A taskset's bounds on tokens count tokens of small models; for published models and those behind
an API they are at least 4096 for an answer and 128000 for a conversation.

The file of an endpoint (TOML):
  api = \"openai\"                         # or \"anthropic\"
  base_url = \"http://localhost:8000/v1\"
  key_env = \"MY_KEY\"                     # variable with the key; left out: none is sent
  deadlines = { idle_ms = 60000 }        # also connect_ms, first_byte_ms, total_ms
  retry = { attempts = 6 }               # also base_ms, max_ms, max_retry_after_ms
  pace = { in_flight = 16 }              # also requests_per_minute, tokens_per_minute
  [settings]                             # of each request, before --temperature and all bounds
  max_tokens = 16000                     # also temperature, top_p, stop, parallel_tool_calls, …
  extra = { reasoning_effort = \"low\" } # fields of the request as they are
  [[price]]                              # USD per million tokens; as in a file for --prices
  model = \"MODEL\"
  input = 1.0
  output = 4.0
  date = \"2026-01-31\"
  source = \"https://…\"";

/// Who plays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelSpec {
    /// `script:NAME`: a script that the taskset offers.
    Script(String),
    /// A model's directory in Hugging Face layout, or its GGUF file.
    Local(PathBuf),
    /// `gold`: the taskset's expert.
    Gold,
    /// `random`: the taskset's random player.
    Random,
    /// `null`: an empty answer at once.
    Null,
    /// `replay:RUN`: what a recorded evaluation's agent said.
    Replay(PathBuf),
    /// `scripted:FILE`: turns of the user's own.
    Scripted(PathBuf),
    /// A model behind an API.
    Remote(Address),
}

/// Where a remote model is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The server.
    pub server: Server,
    /// The model's name there.
    pub model: String,
}

/// A server as it is named on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// `openai:`
    OpenAi,
    /// `anthropic:`
    Anthropic,
    /// `http://…` or `https://…`
    Url(String),
    /// `endpoint:FILE`
    File(PathBuf),
}

impl FromStr for ModelSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let remote = |server, model: &str| {
            Ok(Self::Remote(Address {
                server,
                model: model.to_owned(),
            }))
        };
        match text {
            "" => {
                return Err("write a model's directory or GGUF file, script:NAME, openai:MODEL, … (see --help)".into());
            }
            "gold" => return Ok(Self::Gold),
            "random" => return Ok(Self::Random),
            "null" => return Ok(Self::Null),
            _ => {}
        }
        let Some((kind, rest)) = text.split_once(':') else {
            return Ok(Self::Local(text.into()));
        };
        let needed = |what: &str| Err(format!("write {what} after `{kind}:`"));
        match (kind, rest) {
            ("script", "") => needed("the script's name, such as script:expert,"),
            ("script", name) => Ok(Self::Script(name.into())),
            ("replay", "") => needed("the directory of a recorded evaluation"),
            ("replay", run) => Ok(Self::Replay(run.into())),
            ("scripted", "") => needed("a file of turns"),
            ("scripted", file) => Ok(Self::Scripted(file.into())),
            ("openai" | "anthropic", "") => needed("the model's name"),
            ("openai", model) => remote(Server::OpenAi, model),
            ("anthropic", model) => remote(Server::Anthropic, model),
            ("http" | "https", _) => match text.split_once('#') {
                Some((url, model)) if !model.is_empty() => remote(Server::Url(url.into()), model),
                _ => Err("write the model's name after the address: http://localhost:8000/v1#MODEL".into()),
            },
            ("endpoint", _) => match rest.rsplit_once('#') {
                Some((file, model)) if !file.is_empty() && !model.is_empty() => {
                    remote(Server::File(file.into()), model)
                }
                _ => Err("write the file and the model's name: endpoint:FILE.toml#MODEL".into()),
            },
            _ => Ok(Self::Local(text.into())),
        }
    }
}

impl fmt::Display for ModelSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Script(name) => write!(f, "script:{name}"),
            Self::Local(path) => write!(f, "{}", path.display()),
            Self::Gold => f.write_str("gold"),
            Self::Random => f.write_str("random"),
            Self::Null => f.write_str("null"),
            Self::Replay(run) => write!(f, "replay:{}", run.display()),
            Self::Scripted(file) => write!(f, "scripted:{}", file.display()),
            Self::Remote(Address { server, model }) => match server {
                Server::OpenAi => write!(f, "openai:{model}"),
                Server::Anthropic => write!(f, "anthropic:{model}"),
                Server::Url(url) => write!(f, "{url}#{model}"),
                Server::File(file) => write!(f, "endpoint:{}#{model}", file.display()),
            },
        }
    }
}

impl ModelSpec {
    /// A short name, for the record and for directories: `script:NAME`, a directory's own name, a remote model's.
    pub fn policy(&self) -> String {
        match self {
            Self::Local(path) | Self::Replay(path) | Self::Scripted(path) => {
                let full = path.canonicalize().unwrap_or_else(|_| path.clone());
                let name = full.file_name().unwrap_or(full.as_os_str()).to_string_lossy();
                match self {
                    Self::Replay(_) => format!("replay:{name}"),
                    Self::Scripted(_) => format!("scripted:{name}"),
                    _ => name.into_owned(),
                }
            }
            Self::Remote(address) => address.model.clone(),
            Self::Script(_) | Self::Gold | Self::Random | Self::Null => self.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_are_read_as_written() {
        let read = |text: &str| text.parse::<ModelSpec>();
        assert_eq!(read("script:expert"), Ok(ModelSpec::Script("expert".into())));
        assert_eq!(read("models/nano"), Ok(ModelSpec::Local("models/nano".into())));
        assert_eq!(read("models/nano/").unwrap().policy(), "nano");
        assert_eq!(read("script:expert").unwrap().policy(), "script:expert");
        let address = |server, model: &str| Address {
            server,
            model: model.into(),
        };
        for (text, server, model) in [
            ("openai:gpt-x", Server::OpenAi, "gpt-x"),
            ("anthropic:c:1", Server::Anthropic, "c:1"),
            (
                "http://[::1]:8000/v1#org/m#2",
                Server::Url("http://[::1]:8000/v1".into()),
                "org/m#2",
            ),
            ("endpoint:a#b.toml#m", Server::File("a#b.toml".into()), "m"),
        ] {
            assert_eq!(read(text), Ok(ModelSpec::Remote(address(server, model))), "{text}");
            assert_eq!(read(text).unwrap().policy(), model);
        }
        for text in [
            "gold",
            "null",
            "random",
            "replay:runs/a",
            "scripted:a.jsonl",
            "openai:m",
            "./gold",
            "https://h#m",
        ] {
            assert_eq!(read(text).unwrap().to_string(), text);
        }
        for wrong in [
            "",
            "script:",
            "openai:",
            "replay:",
            "scripted:",
            "http://h/v1",
            "http://h#",
            "endpoint:f",
            "endpoint:#m",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
