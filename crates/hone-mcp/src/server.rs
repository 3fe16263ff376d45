//! A server that is kept running.

use crate::connection::{Connection, Info};
use crate::content::CallResult;
use crate::tool::Tool;
use crate::{Error, ServerConfig, runtime};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// A server and its connection, restarted within bounds when it dies. Shared by as many callers as like; blocks the thread
/// that calls it, never a connection.
///
/// A call that a dying server swallowed is not repeated, since nobody knows how far it came: it fails as infrastructure,
/// and the next one finds the server restarted. What the server kept in memory is gone then.
pub struct Server {
    config: ServerConfig,
    state: Mutex<State>,
    tools: Arc<Vec<Tool>>,
    info: Info,
}

struct State {
    connection: Arc<Connection>,
    restarts: u32,
}

impl Server {
    /// Connect and read the tools that the configuration takes.
    ///
    /// # Errors
    /// As [`Connection::open`] and [`Connection::tools`], and when the server lacks a tool that is asked for.
    pub fn connect(config: &ServerConfig) -> Result<Arc<Self>, Error> {
        let config = config.clone();
        let label = config.label();
        wait(&label, async move {
            let connection = Connection::open(&config).await?;
            let mut tools = connection.tools().await?;
            if !config.tools.is_empty() {
                if let Some(missing) = config
                    .tools
                    .iter()
                    .find(|name| !tools.iter().any(|t| t.spec.name == **name))
                {
                    return Err(Error::Config {
                        server: config.label(),
                        why: format!("`tools`: the server has no tool `{missing}`; `hone tools list` says what it has"),
                    });
                }
                tools = Arc::new(
                    tools
                        .iter()
                        .filter(|t| config.tools.contains(&t.spec.name))
                        .cloned()
                        .collect(),
                );
            }
            Ok(Arc::new(Self {
                info: connection.info().clone(),
                state: Mutex::new(State {
                    connection: Arc::new(connection),
                    restarts: 0,
                }),
                config,
                tools,
            }))
        })
    }

    /// Its name among other servers.
    pub fn label(&self) -> String {
        self.config.label()
    }

    /// Who it said it was when it was first connected to.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// The tools that it had then, and that the configuration takes.
    pub fn tools(&self) -> &Arc<Vec<Tool>> {
        &self.tools
    }

    /// Call a tool; the deadline is the configuration's.
    ///
    /// # Errors
    /// As [`Connection::call`], and when the server died too often to be started again.
    pub fn call(self: &Arc<Self>, tool: &str, arguments: Map<String, Value>) -> Result<CallResult, Error> {
        let (this, tool) = (self.clone(), tool.to_owned());
        wait(&self.label(), async move {
            let connection = this.alive().await?;
            let deadline = Duration::from_millis(this.config.call_timeout_ms);
            connection.call(&tool, arguments, deadline, None).await
        })
    }

    /// The connection, restarted if it broke.
    async fn alive(&self) -> Result<Arc<Connection>, Error> {
        let mut state = self.state.lock().await;
        if state.connection.is_closed() {
            if state.restarts >= self.config.max_restarts {
                return Err(Error::Lost {
                    server: self.label(),
                    why: format!("it died {} times and is not started again", state.restarts + 1),
                });
            }
            state.restarts += 1;
            let connection = Connection::open(&self.config).await?;
            connection.tools().await?;
            state.connection = Arc::new(connection);
        }
        Ok(state.connection.clone())
    }

    /// How often it was restarted.
    pub fn restarts(self: &Arc<Self>) -> u32 {
        let this = self.clone();
        runtime::block(async move { this.state.lock().await.restarts }).unwrap_or(0)
    }

    /// End the connection and wait until its process is gone. Elsewhere, dropping the server is enough.
    pub fn close(self: Arc<Self>) {
        if let Some(server) = Arc::into_inner(self)
            && let Some(connection) = Arc::into_inner(server.state.into_inner().connection)
        {
            runtime::block(connection.close());
        }
    }
}

/// Wait on this thread for something on the connections' runtime.
fn wait<T: Send + 'static>(
    label: &str,
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    runtime::block(work).unwrap_or_else(|| {
        Err(Error::Lost {
            server: label.to_owned(),
            why: "the connection's thread is gone; please report this".to_owned(),
        })
    })
}
