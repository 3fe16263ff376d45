//! `hone tools`: look into a set of tools, call one, find its defects, serve it to others.

mod lint;
mod serve;
mod source;
mod standard;

use crate::approve::{self, ApprovalArgs, How};
use crate::console::{print, print_json, say, table};
use anyhow::{Context, anyhow, bail};
use hone_tool::{Asked, Rules, Sticky, ToolRequest, Toolset, Truncation, dispatch, estimated_tokens};
use hone_view::printable;
use serde::Serialize;
use serde_json::Value;
use source::{Listing, Look, Source, Told};

/// Look into any MCP server's tools, call one, find defects; serve Hone's own tools over MCP.
///
/// A server is a command after `--` or an address after --url. Hone's own tools go by --toolset.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// List the tools with their hints and what each costs in tokens
    #[command(
        after_help = "Examples:\n  hone tools list -- npx -y @modelcontextprotocol/server-everything\n  hone tools list --toolset shop"
    )]
    List {
        /// Short for --toolset: standard, shop
        tools: Option<String>,
        #[command(flatten)]
        source: Source,
    },
    /// Show a tool with its schemas, or what the server says of itself
    #[command(
        after_help = "Examples:\n  hone tools describe find_customer --toolset shop\n  hone tools describe --url https://example.org/mcp"
    )]
    Describe {
        /// The tool; without it, the server, its resources and its prompts
        name: Option<String>,
        #[command(flatten)]
        source: Source,
    },
    /// Call a tool
    #[command(
        after_help = "Examples:\n  hone tools call echo '{\"message\": \"hello\"}' -- npx -y @modelcontextprotocol/server-everything\n  hone tools call write_file '{\"path\": \"a\", \"text\": \"b\"}' --toolset files --root notes --policy rules.toml"
    )]
    Call {
        /// The tool
        name: String,
        /// Its arguments, a JSON object
        #[arg(default_value = "{}")]
        arguments: String,
        #[command(flatten)]
        source: Source,
        #[command(flatten)]
        approval: ApprovalArgs,
    },
    /// Find defects: bad schemas, missing words, clashing names, results without bounds
    #[command(
        after_help = "Examples:\n  hone tools lint --toolset shop\n  hone tools lint --url https://example.org/mcp --bearer-env TOKEN"
    )]
    Lint {
        /// Short for --toolset: standard, shop
        tools: Option<String>,
        #[command(flatten)]
        source: Source,
    },
    /// Serve Hone's own tools to any MCP host
    Serve(serve::Args),
}

const EXAMPLES: &str = "\
Examples:
  hone tools list -- npx -y @modelcontextprotocol/server-everything
  hone tools describe echo -- npx -y @modelcontextprotocol/server-everything
  hone tools call echo '{\"message\": \"hello\"}' -- npx -y @modelcontextprotocol/server-everything
  hone tools lint --url https://example.org/mcp --bearer-env TOKEN
  hone tools list standard
  hone tools call calculate '{\"expression\": \"100 km / 2 h in mph\"}' --toolset calculator
  hone tools serve shop --task test/3                  on standard input and output
  hone tools serve shop --http 127.0.0.1:8000          at http://127.0.0.1:8000/mcp
  hone tools serve files,calculator --root notes       standard tools; docs/standard-tools.md describes them";

impl Args {
    /// Do it.
    pub fn run(self, json: bool) -> anyhow::Result<()> {
        match self.what {
            What::List { tools, source } => list(&source.of(tools)?.listing()?, json),
            What::Describe { name, source } => match name {
                Some(name) => describe(&source.listing()?, &name, json),
                None => about(&source.look()?, json),
            },
            What::Call {
                name,
                arguments,
                source,
                approval,
            } => call(&source, &approval, &name, &arguments, json),
            What::Lint { tools, source } => lint::run(&source.of(tools)?.listing()?, json),
            What::Serve(args) => args.run(),
        }
    }
}

/// A tool as `--json` shows it.
#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    title: Option<&'a str>,
    description: &'a str,
    input_schema: &'a Value,
    output_schema: Option<&'a Value>,
    annotations: hone_tool::Annotations,
    version: &'a str,
    tokens: usize,
}

impl<'a> Line<'a> {
    fn of(told: &'a Told) -> Self {
        Self {
            name: &told.spec.name,
            title: told.title.as_deref(),
            description: &told.spec.description,
            input_schema: &told.spec.input_schema,
            output_schema: told.output_schema.as_ref(),
            annotations: told.spec.annotations,
            version: &told.spec.version,
            tokens: estimated_tokens(&told.spec),
        }
    }
}

fn list(listing: &Listing, json: bool) -> anyhow::Result<()> {
    if json {
        return listing
            .tools
            .iter()
            .map(Line::of)
            .try_for_each(|line| print_json(&line));
    }
    let mut rows = vec![["tool", "hints", "tokens", "description"].map(str::to_owned).to_vec()];
    rows.extend(listing.tools.iter().map(|told| {
        let first = told.spec.description.trim().lines().next().unwrap_or_default();
        vec![
            told.spec.name.clone(),
            hints(told),
            estimated_tokens(&told.spec).to_string(),
            first.chars().take(100).collect(),
        ]
    }));
    print(table(&rows))?;
    let tokens: usize = listing.tools.iter().map(|told| estimated_tokens(&told.spec)).sum();
    say(printable(&format!(
        "{} tools of {}; about {tokens} tokens in each request that shows them all",
        listing.tools.len(),
        listing.about
    )));
    Ok(())
}

/// What a tool says about its effects, in words.
fn hints(told: &Told) -> String {
    let hints = told.spec.annotations;
    let mut words = Vec::new();
    match (hints.read_only_hint, hints.destructive_hint) {
        (true, _) => words.push("reads"),
        (false, true) => words.push("may destroy"),
        (false, false) => words.push("adds"),
    }
    if hints.idempotent_hint && !hints.read_only_hint {
        words.push("repeatable");
    }
    if hints.open_world_hint {
        words.push("reaches out");
    }
    words.join(", ")
}

fn describe(listing: &Listing, name: &str, json: bool) -> anyhow::Result<()> {
    let told = listing
        .tools
        .iter()
        .find(|told| told.spec.name == name)
        .ok_or_else(|| {
            let names: Vec<&str> = listing.tools.iter().map(|told| told.spec.name.as_str()).collect();
            anyhow!("there is no tool `{name}`; the tools are {}", names.join(", "))
        })?;
    if json {
        return print_json(&Line::of(told));
    }
    let mut rows = vec![
        vec!["tool".to_owned(), told.spec.name.clone()],
        vec!["hints".to_owned(), hints(told)],
        vec!["tokens".to_owned(), format!("about {}", estimated_tokens(&told.spec))],
    ];
    if let Some(title) = &told.title {
        rows.insert(1, vec!["title".to_owned(), title.clone()]);
    }
    print(table(&rows))?;
    print(printable(&format!("\n{}\n", told.spec.description.trim())))?;
    let schemas = [
        ("arguments", Some(&told.spec.input_schema)),
        ("result", told.output_schema.as_ref()),
    ];
    for (what, schema) in schemas {
        if let Some(schema) = schema {
            print(printable(&format!("{what}: {}", serde_json::to_string_pretty(schema)?)))?;
        }
    }
    Ok(())
}

fn about(look: &Look, json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(look);
    }
    let rows = [
        ["server", &look.name],
        ["version", &look.version],
        ["protocol", &look.protocol],
        ["tools", &look.tools.to_string()],
    ];
    print(table(&rows.map(|row| row.map(str::to_owned).to_vec())))?;
    if !look.instructions.is_empty() {
        print(printable(&format!("\n{}", look.instructions)))?;
    }
    for (what, names) in [("resource", &look.resources), ("prompt", &look.prompts)] {
        for name in names {
            print(printable(&format!("{what} {name}")))?;
        }
    }
    Ok(())
}

fn call(source: &Source, approval: &ApprovalArgs, name: &str, arguments: &str, json: bool) -> anyhow::Result<()> {
    let asked = match serde_json::from_str::<Value>(arguments) {
        Ok(value @ Value::Object(_)) => value,
        Ok(_) => bail!("the arguments are no JSON object; write something like '{{\"name\": \"value\"}}'"),
        Err(error) => bail!("the arguments are no JSON ({error}); write something like '{{\"name\": \"value\"}}'"),
    };
    let policy = approval.rules()?;
    if approval.approve == Some(How::Save) {
        bail!(
            "nothing of `hone tools call` is recorded, so no call can wait for a decision; use --approve ask or reject"
        );
    }
    let opened = source.open()?;
    let toolset = Toolset::compile(opened.host.specs())?;
    let guard = approve::guard(policy, approval.approve, How::Ask, &opened.server);
    let rules = Rules {
        toolset: &toolset,
        approval: &approve::approval(guard, Sticky::default(), |_| {}),
        timeout: source.patience(),
        max_shown_chars: 100_000,
        truncation: Truncation::Head,
        max_schema_chars: 1000,
    };
    let request = ToolRequest {
        id: 0,
        model_call: None,
        raw: arguments.to_owned(),
        asked: Asked::Call {
            tool: name.to_owned(),
            arguments: asked,
        },
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .context("the system gives no threads; free some and try again")?;
    let done = runtime.block_on(dispatch(opened.host, request, &rules, None));
    // A call that hangs would hold the program; its thread ends with it.
    runtime.shutdown_background();
    if json {
        print_json(&done.record)?;
    } else if done.record.error.is_none() {
        print(printable(&done.record.shown))?;
    }
    match done.record.error {
        None => Ok(()),
        Some(failure) => {
            let class = crate::episode_text::name(&failure.class);
            bail!("{} ({class})", failure.message)
        }
    }
}
