//! Hone's tools for any host of the protocol.
//!
//! Each client has a world of its own, as far as the protocol lets clients be told apart: over standard input and output a
//! process is a client's; over HTTP, a session (revisions up to 2025-11-25) is. Revision 2026-07-28 knows no sessions, so
//! over HTTP all its clients act on one world; who wants worlds apart there starts a server each.

mod http;
mod world;

pub use http::{HttpOptions, HttpServer};

use crate::{Error, runtime};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hone_tool::{ApprovalPolicy, SchemaError, ToolHost, ToolSpec, Toolset};
use hone_trace::ToolErrorClass;
use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData, Implementation,
    InitializeRequestParams, InitializeResult, ListToolsResult, PaginatedRequestParams, ServerCapabilities,
    ServerConfig as Greeting, Tool, ToolAnnotations,
};
use rmcp::service::{RequestContext, RoleServer, serve_server};
use rmcp::transport::async_rw::AsyncRwTransport;
use serde_json::Value;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use world::World;

/// Tools in one page of the list.
const PAGE: usize = 100;

/// A request's bound, in bytes.
const REQUEST_BYTES: usize = 4 << 20;

/// Makes a client's tool host. The error is a sentence for whoever started the server.
pub type Make = dyn Fn() -> Result<Box<dyn ToolHost>, String> + Send + Sync;

/// What a server offers.
#[derive(Clone)]
pub struct Offer {
    name: String,
    instructions: String,
    make: Arc<Make>,
    toolset: Arc<Toolset>,
    tools: Arc<Vec<Tool>>,
    worlds: Arc<AtomicUsize>,
    settings: Settings,
}

/// What holds for a server's calls.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which valid calls may run.
    pub approval: ApprovalPolicy,
    /// Bound on one call's time, where the host is not inline.
    pub timeout: Duration,
    /// Bound on the text of one result, in characters.
    pub max_chars: usize,
    /// Worlds at the same time; a client beyond them is refused.
    pub max_worlds: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            approval: ApprovalPolicy::AllowAll,
            timeout: Duration::from_secs(60),
            max_chars: 100_000,
            max_worlds: 4096,
        }
    }
}

impl Offer {
    /// Offer the tools of the hosts that `make` makes, which must all have those of the first. `instructions` say to a
    /// client what they are for.
    ///
    /// # Errors
    /// When `make` fails or a tool cannot be offered.
    pub fn new(name: &str, instructions: &str, settings: Settings, make: Arc<Make>) -> Result<Self, Error> {
        let wrong = |why: String| Error::Config {
            server: name.to_owned(),
            why,
        };
        let host = make().map_err(wrong)?;
        let toolset = Toolset::compile(host.specs()).map_err(|error: SchemaError| wrong(error.to_string()))?;
        let tools = host
            .specs()
            .iter()
            .map(listed)
            .collect::<Result<_, _>>()
            .map_err(wrong)?;
        Ok(Self {
            name: name.to_owned(),
            instructions: instructions.to_owned(),
            make,
            toolset: Arc::new(toolset),
            tools: Arc::new(tools),
            worlds: Arc::default(),
            settings,
        })
    }

    /// One client's side of the server; `shared` is the world of those who open none.
    fn client(&self, shared: Arc<OnceLock<Arc<World>>>) -> Client {
        Client {
            offer: self.clone(),
            shared,
            own: OnceLock::new(),
        }
    }
}

/// Serve one client on standard input and output, until it closes them. Blocks.
///
/// # Errors
/// When the client does not greet as the protocol asks.
pub fn stdio(offer: &Offer) -> Result<(), Error> {
    let (client, name) = (offer.client(Arc::default()), offer.name.clone());
    let lost = |why: String| Error::Connect {
        server: name.clone(),
        why,
    };
    let served = runtime::block(async move {
        let stream =
            AsyncRwTransport::new_server(tokio::io::stdin(), tokio::io::stdout()).with_max_line_length(REQUEST_BYTES);
        let running = serve_server(client, stream).await.map_err(|error| error.to_string())?;
        running.waiting().await.map(|_| ()).map_err(|error| error.to_string())
    });
    match served {
        Some(Ok(())) => Ok(()),
        Some(Err(why)) => Err(lost(hone_wire::shown(&why, 300))),
        None => Err(lost("the server's threads are gone; please report this".to_owned())),
    }
}

/// One client.
struct Client {
    offer: Offer,
    shared: Arc<OnceLock<Arc<World>>>,
    own: OnceLock<Arc<World>>,
}

impl Client {
    /// The world that this client's calls act on.
    fn world(&self) -> Result<Arc<World>, ErrorData> {
        if let Some(world) = self.own.get().or_else(|| self.shared.get()) {
            return Ok(world.clone());
        }
        let world = self.open()?;
        Ok(self.shared.get_or_init(|| world).clone())
    }

    fn open(&self) -> Result<Arc<World>, ErrorData> {
        let world = World::open(&self.offer).map_err(|why| ErrorData::internal_error(why, None))?;
        Ok(Arc::new(world))
    }
}

impl ServerHandler for Client {
    fn get_info(&self) -> Greeting {
        let capabilities = ServerCapabilities::builder().enable_tools().build();
        Greeting::new(capabilities)
            .with_server_info(Implementation::new(
                format!("hone-{}", self.offer.name),
                env!("CARGO_PKG_VERSION"),
            ))
            .with_instructions(self.offer.instructions.clone())
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        let _ = self.own.set(self.open()?);
        context.peer.set_peer_info(request.clone());
        self.negotiate_initialize(&request)
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let cursor = request.and_then(|request| request.cursor);
        let start = cursor.map_or(Ok(0), |cursor| cursor.parse::<usize>());
        let tools = &self.offer.tools;
        let Some(start) = start.ok().filter(|start| *start <= tools.len()) else {
            return Err(ErrorData::invalid_params("that cursor is none of this server's", None));
        };
        let end = tools.len().min(start + PAGE);
        let mut page = ListToolsResult::with_all_items(tools[start..end].to_vec());
        page.next_cursor = (end < tools.len()).then(|| end.to_string());
        Ok(page)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        let record = self
            .world()?
            .call(&self.offer, request.name.into_owned(), arguments)
            .await;
        let record = record.map_err(|why| ErrorData::internal_error(why, None))?;
        Ok(CallToolResponse::Complete(match record.error {
            Some(failure) if failure.class == ToolErrorClass::UnknownTool => {
                return Err(ErrorData::invalid_params(failure.message, None));
            }
            Some(failure) => CallToolResult::error(vec![ContentBlock::text(failure.message)]),
            None => {
                let pictures = record.media.iter().filter(|media| media.mime.starts_with("image/"));
                let pictures = pictures.filter_map(|media| {
                    let data = BASE64_STANDARD.encode(media.content.as_deref()?);
                    Some(ContentBlock::image(data, media.mime.clone()))
                });
                let content = std::iter::once(ContentBlock::text(record.shown)).chain(pictures);
                let mut result = CallToolResult::success(content.collect());
                // Revisions before 2026-07-28 know only objects here.
                result.structured_content = Some(record.result).filter(Value::is_object);
                result
            }
        }))
    }
}

/// A tool as the protocol lists it.
fn listed(spec: &ToolSpec) -> Result<Tool, String> {
    let Value::Object(schema) = spec.input_schema.clone() else {
        return Err(format!(
            "the input schema of tool `{}` is no object; mend it",
            spec.name
        ));
    };
    let hints = &spec.annotations;
    let annotations = ToolAnnotations::from_raw(
        None,
        Some(hints.read_only_hint),
        Some(hints.destructive_hint),
        Some(hints.idempotent_hint),
        Some(hints.open_world_hint),
    );
    Ok(Tool::new(spec.name.clone(), spec.description.clone(), schema).with_annotations(annotations))
}
