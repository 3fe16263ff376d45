//! One live connection to a server.

use crate::content::{self, CallResult, Content};
use crate::handler::{Handler, OnProgress};
use crate::tool::{self, Tool};
use crate::watch::Watch;
use crate::{Error, Limits, Protocol, ServerConfig, config::Target, http, process::Process};
use hone_wire::shown;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, ClientRequest, GetPromptRequestParams, JsonObject,
    PaginatedRequestParams, Prompt, ProtocolVersion, ReadResourceRequestParams, Resource, ServerCapabilities,
    ServerResult,
};
use rmcp::service::{ClientInitializeError, PeerRequestOptions, RequestHandle, RunningService};
use rmcp::{ClientLifecycleMode, RoleClient, ServiceError, serve_client_with_lifecycle};
use serde::Serialize;
use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// A connection. Its methods run on any tokio runtime with time; the connection itself lives on this crate's own.
///
/// Dropping the future of a request tells the server that it is cancelled. Dropping the connection ends it: a process gets
/// a moment to end by itself.
pub struct Connection {
    client: RunningService<RoleClient, Handler>,
    watch: Arc<Watch>,
    label: String,
    limits: Limits,
    /// Bound on everything but calls.
    patience: Duration,
    info: Info,
    listed: Mutex<Option<(u64, Arc<Vec<Tool>>)>>,
    broken: AtomicBool,
}

/// Who the server is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Info {
    /// Its own name, bounded and made printable.
    pub name: String,
    /// Its version, likewise.
    pub version: String,
    /// The revision of the protocol that was agreed on, such as `2025-11-25`.
    pub protocol: String,
    /// What it says about how to use it.
    pub instructions: String,
}

/// A part of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// Text, or a line that stands for bytes.
    pub text: String,
    /// The bytes, if the resource is no text.
    pub media: Vec<Content>,
}

impl Connection {
    /// Connect. The deadline is the configuration's.
    ///
    /// # Errors
    /// When the configuration cannot work, the server does not start, does not answer, or speaks no common revision.
    pub async fn open(config: &ServerConfig) -> Result<Self, Error> {
        let Some(runtime) = crate::runtime::handle() else {
            return Err(Error::Connect {
                server: config.label(),
                why: "the system gives no threads; free some and try again".to_owned(),
            });
        };
        let config = config.clone();
        let opened = runtime.spawn(async move { Self::connect(&config).await }).await;
        opened.unwrap_or_else(|error| {
            Err(Error::Connect {
                server: "?".to_owned(),
                why: format!("connecting panicked ({error}); please report this"),
            })
        })
    }

    async fn connect(config: &ServerConfig) -> Result<Self, Error> {
        match Self::greet(config, config.protocol).await {
            Ok(connection) => Ok(connection),
            Err(Failed { older: true, .. }) if config.protocol == Protocol::Auto => {
                let again = Self::greet(config, Protocol::Initialize).await;
                again.map_err(|failed| failed.error)
            }
            Err(failed) => Err(failed.error),
        }
    }

    async fn greet(config: &ServerConfig, protocol: Protocol) -> Result<Self, Failed> {
        let target = config.target()?;
        let watch = Arc::new(Watch::new(config.limits));
        let handler = Handler::default();
        let patience = Duration::from_millis(config.connect_timeout_ms);
        let mode = lifecycle(protocol);
        let shake = async {
            match target {
                Target::Command(program, arguments) => {
                    let process = Process::start(config, program, arguments, watch.clone())?;
                    Ok(serve_client_with_lifecycle(handler.clone(), process, mode).await)
                }
                Target::Url(url, uri) => {
                    let transport = http::transport(config, url, &uri, watch.clone())?;
                    Ok(serve_client_with_lifecycle(handler.clone(), transport, mode).await)
                }
            }
        };
        let label = config.label();
        let failed = |why: String| Error::Connect {
            server: label.clone(),
            why,
        };
        let shake = async {
            tokio::select! {
                done = shake => done,
                why = watch.broken() => Err(failed(why)),
            }
        };
        let client = match timeout(patience, shake).await {
            Ok(Ok(Ok(client))) => client,
            Ok(Ok(Err(error))) => {
                return Err(Failed {
                    older: may_be_older(&error),
                    error: failed(greeting(&error, &watch).await),
                });
            }
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => {
                let ms = config.connect_timeout_ms;
                return Err(failed(format!("no greeting within {ms} ms{}", watch.hint())).into());
            }
        };
        let Some(peer) = client.peer_info() else {
            return Err(failed("it told nothing about itself".to_owned()).into());
        };
        let words = |text: &str, max| shown(text, max);
        let (name, version) = match &peer.server_info {
            Some(own) => (words(&own.name, 100), words(&own.version, 50)),
            None => (label.clone(), String::new()),
        };
        let info = Info {
            name,
            version,
            protocol: words(peer.protocol_version.as_str(), 20),
            instructions: peer
                .instructions
                .iter()
                .flat_map(|text| text.chars())
                .take(10_000)
                .collect(),
        };
        let newer = !peer.protocol_version.has_initialize();
        if newer
            && peer
                .capabilities
                .tools
                .as_ref()
                .is_some_and(|tools| tools.list_changed == Some(true))
        {
            let (handler, peer) = (handler.clone(), client.peer().clone());
            tokio::spawn(async move { handler.listen(&peer).await });
        }
        Ok(Self {
            client,
            watch,
            label,
            limits: config.limits,
            patience,
            info,
            listed: Mutex::new(None),
            broken: AtomicBool::new(false),
        })
    }

    /// Who the server is.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Whether nothing can be asked any more.
    pub fn is_closed(&self) -> bool {
        self.broken.load(Ordering::Acquire) || self.client.is_transport_closed()
    }

    /// How often the server said that its tools changed. [`Connection::tools`] asks again when it did.
    pub fn changes(&self) -> u64 {
        self.client.service().changes()
    }

    fn offers<T>(&self, part: impl Fn(&ServerCapabilities) -> Option<T>) -> bool {
        self.client
            .peer_info()
            .is_some_and(|peer| part(&peer.capabilities).is_some())
    }

    /// The server's tools, page by page; kept until it says that they changed.
    ///
    /// # Errors
    /// When the server fails, offers more than the limits allow, or names a tool twice.
    pub async fn tools(&self) -> Result<Arc<Vec<Tool>>, Error> {
        let now = self.changes();
        let known = self.listed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((then, tools)) = known
            && then == now
        {
            return Ok(tools);
        }
        let mut tools = Vec::new();
        if self.offers(|can| can.tools.clone()) {
            let mut pages = Pages::new(self);
            while let Some(ask) = pages.next() {
                let page = self.answer(self.patience, self.client.list_tools(Some(ask))).await?;
                pages.turn(page.next_cursor, page.tools.len())?;
                for tool in page.tools {
                    tools.push(tool::take(tool, &self.info, &self.label, &self.limits)?);
                }
            }
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = tools.iter().find(|tool| !names.insert(&tool.spec.name)) {
            return Err(self.breach(format!("it has two tools named `{}`", twice.spec.name)));
        }
        let tools = Arc::new(tools);
        *self.listed.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, tools.clone()));
        Ok(tools)
    }

    /// Call a tool. The result of a tool that failed is a result ([`CallResult::is_error`]). Progress may still be told a
    /// moment after the result.
    ///
    /// # Errors
    /// When there is no answer in time, none that can be understood, or one that refuses the request.
    pub async fn call(
        &self,
        tool: &str,
        arguments: JsonObject,
        deadline: Duration,
        on_progress: Option<OnProgress>,
    ) -> Result<CallResult, Error> {
        let asked = async {
            let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
            let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
            let peer = self.client.peer();
            let handle = peer
                .send_cancellable_request(request, PeerRequestOptions::no_options())
                .await?;
            let following = on_progress.map(|on| self.client.service().follow(handle.progress_token.clone(), on));
            let answer = Pending(Some(handle)).answer().await;
            // Notifications are handled beside answers and may come after them.
            if following.is_some() {
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    drop(following);
                });
            }
            answer
        };
        let result = match self.answer(deadline, asked).await? {
            ServerResult::CallToolResult(result) => result,
            // What a server without anything to say sends.
            ServerResult::EmptyResult(_) => CallToolResult::default(),
            ServerResult::InputRequiredResult(_) => {
                return Err(Error::Refused {
                    code: 0,
                    message: format!(
                        "{tool} wants to ask a person something, and there is none here; use another tool"
                    ),
                });
            }
            _ => return Err(self.breach(format!("the answer to a call of `{tool}` is no result of a tool"))),
        };
        let result = CallResult::of(result, &self.limits);
        let known = self.listed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let spec = known
            .as_ref()
            .and_then(|(_, tools)| tools.iter().find(|t| t.spec.name == tool));
        content::fits(spec.and_then(|t| t.output.as_deref()), &result, &self.label, tool)?;
        Ok(result)
    }

    /// The server's resources, page by page.
    ///
    /// # Errors
    /// When the server fails or has more than the limits allow.
    pub async fn resources(&self) -> Result<Vec<Resource>, Error> {
        let mut all = Vec::new();
        if self.offers(|can| can.resources.clone()) {
            let mut pages = Pages::new(self);
            while let Some(ask) = pages.next() {
                let page = self
                    .answer(self.patience, self.client.list_resources(Some(ask)))
                    .await?;
                pages.turn(page.next_cursor, page.resources.len())?;
                all.extend(page.resources);
            }
        }
        Ok(all)
    }

    /// The contents of a resource.
    ///
    /// # Errors
    /// When the server fails or has no such resource.
    pub async fn read(&self, uri: &str) -> Result<Vec<Contents>, Error> {
        let read = self.client.read_resource(ReadResourceRequestParams::new(uri));
        let parts = self.answer(self.patience, read).await?.contents;
        let contents = parts.into_iter().map(|part| {
            let mut media = Vec::new();
            let text = content::resource(part, &mut media);
            Contents { text, media }
        });
        Ok(contents.collect())
    }

    /// The server's prompts, page by page.
    ///
    /// # Errors
    /// When the server fails or has more than the limits allow.
    pub async fn prompts(&self) -> Result<Vec<Prompt>, Error> {
        let mut all = Vec::new();
        if self.offers(|can| can.prompts.clone()) {
            let mut pages = Pages::new(self);
            while let Some(ask) = pages.next() {
                let page = self.answer(self.patience, self.client.list_prompts(Some(ask))).await?;
                pages.turn(page.next_cursor, page.prompts.len())?;
                all.extend(page.prompts);
            }
        }
        Ok(all)
    }

    /// A prompt filled in: (role, text) of each message.
    ///
    /// # Errors
    /// When the server fails, has no such prompt, or wants other arguments.
    pub async fn prompt(&self, name: &str, arguments: JsonObject) -> Result<Vec<(String, String)>, Error> {
        let mut params = GetPromptRequestParams::new(name);
        params.arguments = Some(arguments);
        let result = self.answer(self.patience, self.client.get_prompt(params)).await?;
        let messages = result.messages.into_iter().map(|message| {
            let role = format!("{:?}", message.role).to_lowercase();
            let block = CallToolResult::success(vec![message.content]);
            (role, CallResult::of(block, &self.limits).text)
        });
        Ok(messages.collect())
    }

    /// End the connection, and wait until its process is gone.
    pub async fn close(mut self) {
        let _ = self.client.close_with_timeout(Duration::from_secs(5)).await;
    }

    /// An answer within the deadline and the bounds.
    async fn answer<T>(
        &self,
        deadline: Duration,
        ask: impl Future<Output = Result<T, ServiceError>>,
    ) -> Result<T, Error> {
        let answered = tokio::select! {
            answered = timeout(deadline, ask) => answered,
            why = self.watch.broken() => {
                self.broken.store(true, Ordering::Release);
                return Err(self.lost(why));
            }
        };
        match answered {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.explain(error).await),
            Err(_) => Err(Error::Timeout {
                server: self.label.clone(),
                ms: deadline.as_millis() as u64,
                hint: self.watch.hint(),
            }),
        }
    }

    fn lost(&self, why: String) -> Error {
        Error::Lost {
            server: self.label.clone(),
            why,
        }
    }

    fn breach(&self, why: String) -> Error {
        Error::Protocol {
            server: self.label.clone(),
            why,
        }
    }

    async fn explain(&self, error: ServiceError) -> Error {
        match error {
            ServiceError::McpError(error) => Error::Refused {
                code: error.code.0,
                message: shown(&error.message, crate::error::SERVER_WORDS),
            },
            ServiceError::TransportClosed => {
                self.broken.store(true, Ordering::Release);
                self.lost(self.watch.obituary("it closed the connection").await)
            }
            ServiceError::TransportSend(error) => {
                self.broken.store(true, Ordering::Release);
                let words = words(error.error.as_ref());
                self.lost(self.watch.obituary(&words).await)
            }
            ServiceError::UnexpectedResponse => {
                self.breach("an answer is not of the kind that was asked for".to_owned())
            }
            other => self.breach(shown(&other.to_string(), 200)),
        }
    }
}

/// A request under way. Dropped before its answer is there, it tells the server.
struct Pending(Option<RequestHandle<RoleClient>>);

impl Pending {
    async fn answer(mut self) -> Result<ServerResult, ServiceError> {
        let Some(handle) = &mut self.0 else {
            return Err(ServiceError::TransportClosed);
        };
        let answer = (&mut handle.rx).await;
        self.0 = None;
        answer.unwrap_or(Err(ServiceError::TransportClosed))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let (Some(handle), Some(runtime)) = (self.0.take(), crate::runtime::handle()) {
            runtime.spawn(handle.cancel(Some("the caller no longer waits".to_owned())));
        }
    }
}

/// The pages of a list, which must come to an end, and in time.
struct Pages<'a> {
    connection: &'a Connection,
    begun: Instant,
    next: Option<Option<String>>,
    seen: BTreeSet<String>,
    listed: usize,
}

impl<'a> Pages<'a> {
    fn new(connection: &'a Connection) -> Self {
        Self {
            connection,
            begun: Instant::now(),
            next: Some(None),
            seen: BTreeSet::new(),
            listed: 0,
        }
    }

    fn next(&mut self) -> Option<PaginatedRequestParams> {
        let cursor = self.next.take()?;
        Some(PaginatedRequestParams::default().with_cursor(cursor))
    }

    fn turn(&mut self, cursor: Option<String>, items: usize) -> Result<(), Error> {
        self.listed += items;
        let most = self.connection.limits.listed;
        if self.listed > most || self.seen.len() > most {
            return Err(self.connection.breach(format!(
                "it lists more than {most} things; `limits.listed` is the bound"
            )));
        }
        if let Some(cursor) = cursor {
            let patience = self.connection.patience;
            if self.begun.elapsed() > patience {
                let ms = patience.as_millis();
                return Err(self.connection.breach(format!(
                    "its list takes longer than {ms} ms; `connect_timeout_ms` is the bound"
                )));
            }
            if !self.seen.insert(cursor.clone()) {
                return Err(self
                    .connection
                    .breach("its list goes round in circles (a cursor came twice)".to_owned()));
            }
            self.next = Some(Some(cursor));
        }
        Ok(())
    }
}

fn lifecycle(protocol: Protocol) -> ClientLifecycleMode {
    let newest_first = || ProtocolVersion::KNOWN_VERSIONS.iter().rev().cloned().collect();
    match protocol {
        Protocol::Auto => ClientLifecycleMode::Auto {
            preferred_versions: newest_first(),
            legacy_version: Some(ProtocolVersion::LATEST_WITH_INITIALIZE),
        },
        Protocol::Initialize => ClientLifecycleMode::Initialize,
        Protocol::Discover => ClientLifecycleMode::Discover {
            preferred_versions: newest_first(),
        },
    }
}

/// Why there is no connection.
struct Failed {
    error: Error,
    /// The server refused the newer greeting only after the older one was begun, so that the answers were mistaken for each
    /// other, or answered it with what is no answer to it. Asked anew in the older way, it may well answer.
    older: bool,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, older: false }
    }
}

fn may_be_older(error: &ClientInitializeError) -> bool {
    match error {
        ClientInitializeError::LegacyFallbackFailed { fallback, .. } => may_be_older(fallback),
        other => matches!(
            other,
            ClientInitializeError::UncorrelatedErrorResponse { .. }
                | ClientInitializeError::ConflictInitResponseId(..)
                | ClientInitializeError::ExpectedInitResult(Some(_))
        ),
    }
}

async fn greeting(error: &ClientInitializeError, watch: &Watch) -> String {
    match error {
        ClientInitializeError::LegacyFallbackFailed { fallback, .. } => Box::pin(greeting(fallback, watch)).await,
        ClientInitializeError::ConnectionClosed(_) => {
            let why = watch.obituary("it closed the connection before it said anything").await;
            format!("{why}{}", watch.hint())
        }
        ClientInitializeError::TransportError { error, .. } => watch.obituary(&words(error.error.as_ref())).await,
        ClientInitializeError::JsonRpcError(error) => {
            format!(
                "it refuses the greeting: {}",
                shown(&error.message, crate::error::SERVER_WORDS)
            )
        }
        ClientInitializeError::NoCompatibleProtocolVersion { server_supported, .. } => {
            let theirs: Vec<&str> = server_supported.iter().map(|v| v.as_str()).take(10).collect();
            format!(
                "it speaks no revision of the protocol that is known here, only {}",
                shown(&theirs.join(", "), 200)
            )
        }
        other => shown(&other.to_string(), 300),
    }
}

/// An error and its causes, without repetitions.
fn words(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    shown(&text, crate::error::SERVER_WORDS)
}
