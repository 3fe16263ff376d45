//! `TicketAPI`: support tickets.

use super::backend::{Backend, Default, given, tools};
use super::operate::{add, dict, error, field, gt, is, iterate, join, lt, mapping, mapping_mut, sequence_mut, string};
use super::raise::Outcome;
use hone_python::Value;
use std::borrow::Cow;

/// The class's state.
#[derive(Clone)]
pub(super) struct Tickets {
    ticket_queue: Value,
    ticket_counter: Value,
    current_user: Value,
}

impl Tickets {
    pub fn load(scenario: &Value) -> Outcome<Self> {
        Ok(Self {
            ticket_queue: given(scenario, "ticket_queue", || Value::List(vec![])),
            ticket_counter: given(scenario, "ticket_counter", || 1.into()),
            current_user: given(scenario, "current_user", || Value::None),
        })
    }

    /// The first ticket of a number; an empty one is none.
    fn ticket(&mut self, id: &Value) -> Outcome<Option<&mut Value>> {
        for ticket in sequence_mut(&mut self.ticket_queue, "__iter__")? {
            if field(ticket, "id")? == id {
                return Ok(Some(ticket));
            }
        }
        Ok(None)
    }

    fn create_ticket(&mut self, title: Value, description: Value, priority: Value) -> Outcome {
        if !self.current_user.truthy() {
            return error("User not authenticated. Please log in to create a ticket.");
        }
        if lt(&priority, 1)? || gt(&priority, 5)? {
            return error("Invalid priority. Priority must be between 1 and 5.");
        }
        let ticket = dict! {
            "id" => self.ticket_counter.clone(),
            "title" => title,
            "description" => description,
            "status" => "Open",
            "priority" => priority,
            "created_by" => self.current_user.clone(),
        };
        sequence_mut(&mut self.ticket_queue, "append")?.push(ticket.clone());
        self.ticket_counter = add(&self.ticket_counter, &1.into())?;
        Ok(ticket)
    }

    fn get_ticket(&mut self, ticket_id: Value) -> Outcome {
        match self.ticket(&ticket_id)? {
            Some(ticket) => Ok(ticket.clone()),
            None => unknown(&ticket_id),
        }
    }

    fn close_ticket(&mut self, ticket_id: Value) -> Outcome {
        let Some(ticket) = self.ticket(&ticket_id)? else {
            return unknown(&ticket_id);
        };
        if is(field(ticket, "status")?, "Closed") {
            return error(format!("Ticket with ID {ticket_id} is already closed."));
        }
        mapping_mut(ticket, "items")?.set("status", "Closed");
        Ok(dict! { "status" => format!("Ticket {ticket_id} has been closed successfully.") })
    }

    fn resolve_ticket(&mut self, ticket_id: Value, resolution: Value) -> Outcome {
        let Some(ticket) = self.ticket(&ticket_id)? else {
            return unknown(&ticket_id);
        };
        if is(field(ticket, "status")?, "Resolved") {
            return error(format!("Ticket with ID {ticket_id} is already resolved."));
        }
        let ticket = mapping_mut(ticket, "items")?;
        ticket.set("status", "Resolved");
        ticket.set("resolution", resolution);
        Ok(dict! { "status" => format!("Ticket {ticket_id} has been resolved successfully.") })
    }

    fn edit_ticket(&mut self, ticket_id: Value, updates: Value) -> Outcome {
        let Some(ticket) = self.ticket(&ticket_id)? else {
            return unknown(&ticket_id);
        };
        let updates = mapping(&updates, "keys")?;
        let valid = ["title", "description", "status", "priority"];
        let invalid = updates.keys().filter(|key| !valid.iter().any(|name| is(key, name)));
        let invalid: Vec<_> = invalid.cloned().collect();
        if !invalid.is_empty() {
            return error(format!("Invalid fields for update: {}", join(", ", &invalid)?));
        }
        let ticket = mapping_mut(ticket, "items")?;
        for (key, value) in updates.iter().filter(|(_, value)| !value.is_none()) {
            ticket.insert(key.clone(), value.clone())?;
        }
        Ok(dict! { "status" => format!("Ticket {ticket_id} has been updated successfully.") })
    }

    fn ticket_login(&mut self, username: Value, password: Value) -> Outcome {
        let success = username.truthy() && password.truthy();
        if success {
            self.current_user = username;
        }
        Ok(dict! { "success" => success })
    }

    fn ticket_get_login_status(&mut self) -> Outcome {
        Ok(dict! { "login_status" => self.current_user.truthy() })
    }

    fn logout(&mut self) -> Outcome {
        let success = self.current_user.truthy();
        if success {
            self.current_user = Value::None;
        }
        Ok(dict! { "success" => success })
    }

    fn get_user_tickets(&mut self, status: Value) -> Outcome {
        if !self.current_user.truthy() {
            return Ok(Value::List(vec![error(
                "User not authenticated. Please log in to view tickets.",
            )?]));
        }
        let mut own = vec![];
        for ticket in iterate(&self.ticket_queue)? {
            if *field(&ticket, "created_by")? == self.current_user {
                own.push(ticket);
            }
        }
        if status.truthy() {
            let mut found = vec![];
            for ticket in own {
                let has = string(field(&ticket, "status")?, "lower")?.to_lowercase();
                if has == string(&status, "lower")?.to_lowercase() {
                    found.push(ticket);
                }
            }
            own = found;
        }
        Ok(Value::List(own))
    }
}

fn unknown(id: &Value) -> Outcome {
    error(format!("Ticket with ID {id} not found."))
}

impl Backend for Tickets {
    tools! {
        "TicketAPI",
        create_ticket(title, description = Default::Text(""), priority = Default::Int(1)),
        get_ticket(ticket_id),
        close_ticket(ticket_id),
        resolve_ticket(ticket_id, resolution),
        edit_ticket(ticket_id, updates),
        ticket_login(username, password),
        ticket_get_login_status(),
        logout(),
        get_user_tickets(status = Default::None),
    }

    fn attributes(&self) -> Vec<(&'static str, Cow<'_, Value>)> {
        vec![
            ("ticket_queue", Cow::Borrowed(&self.ticket_queue)),
            ("ticket_counter", Cow::Borrowed(&self.ticket_counter)),
            ("current_user", Cow::Borrowed(&self.current_user)),
        ]
    }
}
