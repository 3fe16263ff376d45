//! `MessageAPI`: messages between the members of a workspace.

use super::backend::{Backend, given, tools};
use super::operate::{add, contains, dict, error, iterate, mapping, mapping_mut, sequence_mut, string};
use super::raise::{Kind, Outcome, Raised};
use super::random::Random;
use hone_python::{Dict, Value};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// The class's state.
#[derive(Clone)]
pub(super) struct Messages {
    /// Numbers drawn so far, a set; or what the scenario has in its place, which cannot be added to.
    generated_ids: Result<BTreeSet<i64>, Value>,
    user_count: Value,
    user_map: Value,
    inbox: Value,
    message_count: Value,
    current_user: Value,
    random: Random,
}

impl Messages {
    pub fn load(scenario: &Value, seed: Option<i64>) -> Outcome<Self> {
        let users = || {
            dict! { "Alice" => "USR001", "Bob" => "USR002", "Catherine" => "USR003", "Daniel" => "USR004" }
        };
        let inbox = || {
            Value::List(vec![
                dict! { "USR002" => "My name is Alice. I want to connect." },
                dict! { "USR003" => "Could you upload the file?" },
                dict! { "USR004" => "Could you upload the file?" },
            ])
        };
        Ok(Self {
            generated_ids: scenario
                .get("generated_ids")
                .map_or(Ok(BTreeSet::new()), |ids| Err(ids.clone())),
            user_count: given(scenario, "user_count", || 4.into()),
            user_map: given(scenario, "user_map", users),
            inbox: given(scenario, "inbox", inbox),
            message_count: given(scenario, "message_count", || 3.into()),
            current_user: given(scenario, "current_user", || Value::None),
            random: Random::new(seed.unwrap_or(200_191)),
        })
    }

    fn new_id(&mut self) -> Outcome<i64> {
        let mut id = self.random.between(10_000, 99_999);
        match &mut self.generated_ids {
            Ok(ids) => {
                if ids.len() >= 90_000 {
                    return Err(Raised::refused("there are no numbers left"));
                }
                while !ids.insert(id) {
                    id = self.random.between(10_000, 99_999);
                }
                Ok(id)
            }
            Err(other) => {
                contains(other, &id.into())?;
                Err(Raised::attribute(other, "add"))
            }
        }
    }

    fn users(&self) -> Outcome<&Dict> {
        mapping(&self.user_map, "values")
    }

    fn is_user(&self, id: &Value) -> Outcome<bool> {
        Ok(self.users()?.values().any(|user| user == id))
    }

    /// Receiver and text of each message.
    fn messages(&self) -> Outcome<Vec<(Value, Value)>> {
        let entry = |message: &Value| {
            let first = mapping(message, "items")?.iter().next();
            let (receiver, text) = first.ok_or_else(|| Raised::new(Kind::Index, "list index out of range"))?;
            Ok((receiver.clone(), text.clone()))
        };
        iterate(&self.inbox)?.iter().map(entry).collect()
    }

    fn list_users(&mut self) -> Outcome {
        Ok(dict! { "user_list" => Value::List(self.users()?.keys().cloned().collect()) })
    }

    fn get_user_id(&mut self, user: Value) -> Outcome {
        if !contains(&self.user_map, &user)? {
            return error(format!("User '{user}' not found in the workspace."));
        }
        Ok(dict! { "user_id" => self.users()?.lookup(&user)?.cloned() })
    }

    fn message_login(&mut self, user_id: Value) -> Outcome {
        if !self.is_user(&user_id)? {
            return Ok(dict! { "login_status" => false, "message" => format!("User ID '{user_id}' not found.") });
        }
        let message = format!("User '{user_id}' logged in successfully.");
        self.current_user = user_id;
        Ok(dict! { "login_status" => true, "message" => message })
    }

    fn message_get_login_status(&mut self) -> Outcome {
        Ok(dict! { "login_status" => self.current_user.truthy() })
    }

    fn send_message(&mut self, receiver_id: Value, message: Value) -> Outcome {
        if !self.current_user.truthy() {
            return error(LOGGED_OUT);
        }
        if !self.is_user(&receiver_id)? {
            return error(format!("Receiver ID '{receiver_id}' not found."));
        }
        let id = self.new_id()?;
        let done = format!("Message sent to '{receiver_id}' successfully.");
        let mut entry = Dict::new();
        entry.insert(receiver_id, message)?;
        sequence_mut(&mut self.inbox, "append")?.push(entry.into());
        self.message_count = add(&self.message_count, &1.into())?;
        Ok(dict! { "sent_status" => true, "message_id" => dict! { "new_id" => id }, "message" => done })
    }

    fn delete_message(&mut self, receiver_id: Value) -> Outcome {
        if !self.current_user.truthy() {
            return error(LOGGED_OUT);
        }
        let messages = self.messages()?;
        let Some(latest) = messages.iter().rposition(|(receiver, _)| *receiver == receiver_id) else {
            return error(format!("Receiver ID {receiver_id} not found."));
        };
        let inbox = sequence_mut(&mut self.inbox, "remove")?;
        // The first of those that equal the latest.
        if let Some(first) = inbox.iter().position(|message| *message == inbox[latest]) {
            inbox.remove(first);
        }
        Ok(dict! {
            "deleted_status" => true,
            "receiver_id" => messages[latest].0.clone(),
            "message" => format!("Receiver {receiver_id}'s latest message deleted successfully."),
        })
    }

    fn view_messages_sent(&mut self) -> Outcome {
        if !self.current_user.truthy() {
            return error(LOGGED_OUT);
        }
        let mut sent = Dict::new();
        for (receiver, text) in self.messages()? {
            let mut texts = match sent.lookup(&receiver)? {
                Some(Value::List(texts)) => texts.clone(),
                _ => vec![],
            };
            texts.push(text);
            sent.insert(receiver, Value::List(texts))?;
        }
        Ok(dict! { "messages" => sent })
    }

    fn add_contact(&mut self, user_name: Value) -> Outcome {
        if contains(&self.user_map, &user_name)? {
            return error(format!("User name '{user_name}' already exists."));
        }
        self.user_count = add(&self.user_count, &1.into())?;
        let id = format!("USR{:0>3}", self.user_count.to_string());
        if self.is_user(&id.as_str().into())? {
            return error(format!("User ID '{id}' already exists."));
        }
        let message = format!("Contact '{user_name}' added successfully.");
        mapping_mut(&mut self.user_map, "values")?.insert(user_name, id.as_str().into())?;
        Ok(dict! { "added_status" => true, "user_id" => id, "message" => message })
    }

    fn search_messages(&mut self, keyword: Value) -> Outcome {
        if !self.current_user.truthy() {
            return error(LOGGED_OUT);
        }
        let keyword = string(&keyword, "lower")?.to_lowercase();
        let mut results = vec![];
        for (receiver, text) in self.messages()? {
            if string(&text, "lower")?.to_lowercase().contains(&keyword) {
                results.push(dict! { "receiver_id" => receiver, "message" => text });
            }
        }
        Ok(dict! { "results" => Value::List(results) })
    }

    fn get_message_stats(&mut self) -> Outcome {
        if !self.current_user.truthy() {
            return error(LOGGED_OUT);
        }
        let messages = self.messages()?;
        let mut contacts = Dict::new();
        for (receiver, _) in &messages {
            contacts.insert(receiver.clone(), Value::None)?;
        }
        Ok(dict! {
            "stats" => dict! {
                "received_count" => messages.len() as i64,
                "total_contacts" => contacts.len() as i64,
            },
        })
    }
}

const LOGGED_OUT: &str = "No user is currently logged in.";

impl Backend for Messages {
    tools! {
        "MessageAPI",
        list_users(),
        get_user_id(user),
        message_login(user_id),
        message_get_login_status(),
        send_message(receiver_id, message),
        delete_message(receiver_id),
        view_messages_sent(),
        add_contact(user_name),
        search_messages(keyword),
        get_message_stats(),
    }

    fn attributes(&self) -> Vec<(&'static str, Cow<'_, Value>)> {
        let ids = match &self.generated_ids {
            Ok(ids) => Value::List(ids.iter().map(|id| (*id).into()).collect()),
            Err(other) => other.clone(),
        };
        vec![
            ("generated_ids", Cow::Owned(ids)),
            ("user_count", Cow::Borrowed(&self.user_count)),
            ("user_map", Cow::Borrowed(&self.user_map)),
            ("inbox", Cow::Borrowed(&self.inbox)),
            ("message_count", Cow::Borrowed(&self.message_count)),
            ("current_user", Cow::Borrowed(&self.current_user)),
        ]
    }
}
