//! A telephone company and its customer's phone: both sides have a database and tools of their own.

mod agent;
mod assertions;
mod billing;
mod connection;
mod generate;
mod phone;
mod schema;
mod state;
mod user;
mod user_schema;

use crate::py::Value;
use crate::raised::Outcome;
use crate::store::{Base, Db};
use crate::world::Live;
pub use generate::generate;
pub use state::TelecomState;
use std::sync::Arc;

/// The loaded databases.
#[derive(Clone, Debug)]
pub struct Telecom {
    agent: Arc<Base>,
    user: Arc<Base>,
}

impl Telecom {
    /// Check and index the databases.
    ///
    /// # Errors
    /// When they do not fit their schemas.
    pub fn load(agent: &Value, user: &Value) -> Outcome<Self> {
        Ok(Self {
            agent: Base::load(&schema::DB, agent)?,
            user: Base::load(&user_schema::DB, user)?,
        })
    }

    /// A fresh world.
    ///
    /// # Errors
    /// When the databases contradict each other.
    pub fn world(&self) -> Outcome<Live<TelecomState>> {
        Live::new(TelecomState::new(Db::new(&self.agent), Db::new(&self.user)))
    }
}
