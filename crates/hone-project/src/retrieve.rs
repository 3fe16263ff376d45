//! `retrieve = { … }`: a bounded set of tools for each task, found by its prompt and by the agent.

use crate::chooser::{Chooser, Chosen, FIND_TOOLS};
use crate::error::ProjectError;
use crate::recipe::{RecipeFile, RetrieveMethod, RetrieveSettings};
use crate::world::Stage;
use hone_external::CommandLine;
use hone_search::tools::{Offer, ServerTexts, ToolIndex, Wanted, tool_text};
use hone_search::{CommandEmbedder, Embedder, HashedNgrams, Method, SearchError};
use hone_tool::{Annotations, ToolError, ToolOutput, ToolSpec, Toolset};
use hone_trace::ToolErrorClass;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Numbers per vector of the built-in embedder.
const DIMENSION: usize = 512;
/// Bytes of a query.
const QUERY: usize = 2_000;
/// Choices that are kept for tasks played again.
const REMEMBERED: usize = 4_096;
/// Servers that a message lists.
const LISTED: usize = 12;

struct Retriever {
    index: ToolIndex,
    all: Toolset,
    wanted: Wanted,
    /// Places of tools that every task has.
    keep: Vec<usize>,
    version: String,
    remembered: Mutex<HashMap<String, Chosen>>,
}

/// A chooser over the tools of a stage. With `find_tools`, that tool is added to the stage's.
///
/// # Errors
/// The setting that is wrong.
pub(crate) fn chooser(
    folder: &Path,
    recipe: &RecipeFile,
    settings: &RetrieveSettings,
    stage: &mut Stage,
) -> Result<Arc<dyn Chooser>, ProjectError> {
    let wrong = |key: &str, what: String, remedy: &str| recipe.wrong(&format!("retrieve.{key}"), what, remedy);
    let mut offers = Vec::with_capacity(stage.specs.len());
    for spec in &stage.specs {
        let source = stage.owners.get(&spec.name).map_or(0, |(source, _)| *source);
        offers.push(Offer {
            server: stage
                .sources
                .get(source)
                .map_or(String::new(), |source| source.name().to_owned()),
            tags: recipe
                .recipe
                .tools
                .get(source)
                .and_then(|tools| tools.tags.clone())
                .unwrap_or_default(),
            spec: spec.clone(),
        });
    }
    let mut described = Vec::new();
    for (source, tools) in stage.sources.iter().zip(&recipe.recipe.tools) {
        let texts: Vec<String> = tools
            .about
            .iter()
            .chain(tools.requests.iter().flatten())
            .cloned()
            .collect();
        described.push(ServerTexts {
            server: source.name().to_owned(),
            texts,
        });
    }
    let failed = |error: SearchError| wrong("embedder", error.to_string(), "then try again");
    let (method, embedder): (Method, Option<Arc<dyn Embedder>>) = match (settings.method(), &settings.embedder) {
        (RetrieveMethod::Bm25, _) => (Method::Bm25, None),
        (method, embedder) => {
            let embedder: Arc<dyn Embedder> = match embedder {
                None => {
                    let texts: Vec<String> = stage.specs.iter().map(tool_text).collect();
                    Arc::new(HashedNgrams::fit(texts.iter().map(String::as_str), DIMENSION))
                }
                Some(argv) => {
                    let command = CommandLine {
                        argv: argv.clone(),
                        label: None,
                        folder: folder.to_owned(),
                        env: Vec::new(),
                    };
                    let timeout = Duration::from_millis(recipe.recipe.limits.timeout_ms());
                    Arc::new(CommandEmbedder::start(&command, timeout).map_err(failed)?)
                }
            };
            let method = if method == RetrieveMethod::Dense {
                Method::Dense
            } else {
                Method::Fused
            };
            (method, Some(embedder))
        }
    };
    let version = match &embedder {
        Some(embedder) => format!("{} {}", embedder.name(), embedder.version()),
        None => "bm25".to_owned(),
    };
    let index = ToolIndex::build(offers, &described, embedder).map_err(failed)?;
    let mut keep = Vec::new();
    for name in settings.keep.iter().flatten() {
        let place = stage.specs.iter().position(|spec| spec.name == *name);
        keep.push(place.ok_or_else(|| {
            wrong(
                "keep",
                format!("there is no tool `{name}`"),
                "name one of the project's",
            )
        })?);
    }
    if settings.find_tools {
        if stage.owners.contains_key(FIND_TOOLS) {
            let what = format!("a source has a tool `{FIND_TOOLS}` of its own");
            return Err(wrong(
                "find_tools",
                what,
                "leave that one out with `only`, or set find_tools = false",
            ));
        }
        keep.push(stage.specs.len());
        stage.specs.push(find_tools(settings.k));
    }
    // A choice takes longer than such a world may, and an embedder may hang.
    stage.inline = false;
    let all = Toolset::compile(&stage.specs).map_err(|error| wrong("k", error.to_string(), "mend the tool"))?;
    Ok(Arc::new(Retriever {
        index,
        all,
        wanted: Wanted {
            k: settings.k,
            servers: settings.servers.unwrap_or(0),
            method,
            read_only: settings.read_only,
            only: Vec::new(),
            tags: settings.tags.clone().unwrap_or_default(),
        },
        keep,
        version,
        remembered: Mutex::default(),
    }))
}

fn find_tools(k: usize) -> ToolSpec {
    ToolSpec {
        name: FIND_TOOLS.to_owned(),
        description: format!(
            "Find further tools by what is to be done. The tools that are found, at most {k}, can be called from then on."
        ),
        input_schema: json!({
            "type": "object",
            "properties": {
                "query": {"type": "string", "minLength": 1, "maxLength": QUERY, "description": "What is to be done, in a sentence."},
                "k": {"type": "integer", "minimum": 1, "maximum": k, "description": "How many tools, at most."},
                "server": {"type": "string", "description": "Only tools of this server."},
                "read_only": {"type": "boolean", "description": "Only tools that change nothing."},
            },
            "required": ["query"],
            "additionalProperties": false,
        }),
        annotations: Annotations {
            read_only_hint: true,
            idempotent_hint: true,
            ..Annotations::default()
        },
        version: "1".to_owned(),
        unchecked: false,
    }
}

impl Retriever {
    fn toolset(&self, first: &[usize], found: &[usize]) -> Arc<Toolset> {
        let places: Vec<usize> = self.keep.iter().chain(first).chain(found).copied().collect();
        Arc::new(self.all.among(&places))
    }
}

impl Chooser for Retriever {
    fn choose(&self, prompt: &str) -> Result<Chosen, String> {
        let held = |held: &Mutex<HashMap<String, Chosen>>| {
            held.lock().unwrap_or_else(PoisonError::into_inner).get(prompt).cloned()
        };
        if let Some(chosen) = held(&self.remembered) {
            return Ok(chosen);
        }
        let found = self
            .index
            .find(&[prompt], &self.wanted)
            .map_err(|error| error.to_string())?;
        let first: Vec<usize> = found.iter().map(|tool| tool.row).collect();
        let chosen = Chosen {
            toolset: self.toolset(&first, &[]),
            first,
            found: Vec::new(),
        };
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(prompt.to_owned(), chosen.clone());
        Ok(chosen)
    }

    fn find(&self, chosen: &mut Chosen, arguments: &Value) -> Result<ToolOutput, ToolError> {
        let query = arguments.get("query").and_then(Value::as_str).unwrap_or_default();
        let k = arguments
            .get("k")
            .and_then(Value::as_u64)
            .map_or(self.wanted.k, |k| k as usize);
        let mut wanted = Wanted {
            k: k.clamp(1, self.wanted.k),
            ..self.wanted.clone()
        };
        wanted.read_only |= arguments.get("read_only").and_then(Value::as_bool).unwrap_or(false);
        if let Some(server) = arguments.get("server").and_then(Value::as_str) {
            let mut servers: Vec<&str> = self.index.offers().iter().map(|offer| offer.server.as_str()).collect();
            servers.dedup();
            if !servers.contains(&server) {
                let more = servers.len().saturating_sub(LISTED);
                servers.truncate(LISTED);
                let rest = if more > 0 {
                    format!(" and {more} more")
                } else {
                    String::new()
                };
                return Err(ToolError::tool(format!(
                    "there is no such server; the servers are {}{rest}",
                    servers.join(", ")
                )));
            }
            wanted.only = vec![server.to_owned()];
        }
        let found = self.index.find(&[query], &wanted).map_err(|error| ToolError {
            class: ToolErrorClass::Infrastructure,
            message: error.to_string(),
        })?;
        let mut told = Vec::with_capacity(found.len());
        // The worst first, so that the best of this search go last when there is no room.
        for tool in found.iter().rev() {
            let Some(spec) = self.all.specs().get(tool.row) else {
                continue;
            };
            told.push(json!({"name": spec.name, "description": spec.description, "inputSchema": spec.input_schema}));
            if !chosen.first.contains(&tool.row) {
                chosen.found.retain(|row| *row != tool.row);
                chosen.found.push(tool.row);
            }
        }
        told.reverse();
        let surplus = chosen.found.len().saturating_sub(self.wanted.k);
        chosen.found.drain(..surplus);
        chosen.toolset = self.toolset(&chosen.first, &chosen.found);
        Ok(ToolOutput::json(json!({"tools": told})))
    }

    fn version(&self) -> String {
        self.version.clone()
    }
}
