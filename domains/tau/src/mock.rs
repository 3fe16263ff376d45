//! The small domain that the benchmark tests itself with: users, their tasks, and an inbox of notifications.

mod schema;
mod tools;

use crate::raised::Outcome;
use crate::store::{Base, Db};
use crate::toolkit::Side;
use crate::world::{Kit, Live, State};
use hone_python::Value;
use std::sync::Arc;

/// The loaded databases.
#[derive(Clone, Debug)]
pub struct Mock {
    agent: Arc<Base>,
    user: Arc<Base>,
}

impl Mock {
    /// Check and index the databases.
    ///
    /// # Errors
    /// When they do not fit their schemas.
    pub fn load(agent: &Value, user: &Value) -> Outcome<Self> {
        Ok(Self {
            agent: Base::load(&schema::DB, agent)?,
            user: Base::load(&schema::USER_DB, user)?,
        })
    }

    /// A fresh world.
    ///
    /// # Errors
    /// Never.
    pub fn world(&self) -> Outcome<Live<MockState>> {
        Live::new(MockState {
            agent: Db::new(&self.agent),
            user: Db::new(&self.user),
        })
    }
}

/// An episode's databases.
#[derive(Clone, Debug)]
pub struct MockState {
    agent: Db,
    user: Db,
}

impl State for MockState {
    const DOMAIN: &'static str = "mock";

    fn kit(side: Side) -> Option<&'static Kit<Self>> {
        Some(match side {
            Side::Assistant => &tools::AGENT,
            Side::User => &tools::USER,
        })
    }

    fn db(&self, side: Side) -> Option<&Db> {
        Some(match side {
            Side::Assistant => &self.agent,
            Side::User => &self.user,
        })
    }

    fn db_mut(&mut self, side: Side) -> Option<&mut Db> {
        Some(match side {
            Side::Assistant => &mut self.agent,
            Side::User => &mut self.user,
        })
    }

    fn reads(name: &str, arguments: &[Value]) -> Outcome<Option<&'static str>> {
        Ok(match name {
            "create_task" | "get_users" | "assert_number_of_tasks" => Some("users"),
            "update_task_status" | "assert_task_status" => Some("tasks"),
            "add_notification" => {
                tools::notification(arguments)?;
                Some("notifications")
            }
            "check_notifications" | "dismiss_notification" | "assert_notification_status" => Some("notifications"),
            _ => None,
        })
    }
}
