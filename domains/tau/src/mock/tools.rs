//! The mock domain's tools.

use super::MockState;
use super::schema::{NOTIFICATION, STATUS, TASK};
use crate::py::{self, Value};
use crate::raised::{Outcome, raise};
use crate::toolkit::{Kind, Param, Reply, Shape, Tool, param};
use crate::world::Kit;

const NULL: Option<&str> = Some("null");

pub(super) static AGENT: Kit<MockState> = Kit {
    class: "MockTools",
    tools: &[
        Tool::new(
            Kind::Write,
            "create_task",
            "Add a task for a user; it starts as pending.",
            &[
                param("user_id", Shape::Text, "Whose task it is."),
                param("title", Shape::Text, "The task's title."),
                Param {
                    name: "description",
                    about: "More about the task, if needed.",
                    shape: Shape::Text,
                    default: NULL,
                },
            ],
            create_task,
        ),
        Tool::new(Kind::Read, "get_users", "List all users.", &[], |w, _| {
            let users = w.agent.rows("users").map(|(_, user)| Reply::Record(user.clone()));
            Ok(Reply::List(users.collect()))
        }),
        Tool::new(
            Kind::Write,
            "update_task_status",
            "Give a task a new status.",
            &[
                param("task_id", Shape::Text, "Which task."),
                param("status", Shape::OneOf(STATUS), "Its new status."),
            ],
            update_task_status,
        ),
        Tool::new(
            Kind::Generic,
            "transfer_to_human_agents",
            "Hand the user over to a human agent. Only for users who ask for one, and for what policy and tools cannot \
             solve.",
            &[param("summary", Shape::Text, "What the user's issue is.")],
            |_, _| Ok(Reply::text("Transfer successful")),
        ),
    ],
    functions: &[
        Tool::new(
            Kind::Read,
            "assert_number_of_tasks",
            "",
            &[
                param("user_id", Shape::Text, ""),
                param("expected_number", Shape::Integer, ""),
            ],
            |w, a| {
                let Some(user) = py::keyed(&a[0], |key| w.agent.get("users", key))? else {
                    return raise(format!("User {} not found", a[0]));
                };
                let count = py::list_of(user, "tasks").len();
                Ok(Reply::Plain(Value::Bool(Value::from(count as i64) == a[1])))
            },
        ),
        Tool::new(
            Kind::Read,
            "assert_task_status",
            "",
            &[
                param("task_id", Shape::Text, ""),
                param("expected_status", Shape::OneOf(STATUS), ""),
            ],
            |w, a| {
                let Some(task) = py::keyed(&a[0], |key| w.agent.get("tasks", key))? else {
                    return raise(format!("Task {} not found", a[0]));
                };
                Ok(Reply::Plain(Value::Bool(*py::get(task, "status") == a[1])))
            },
        ),
    ],
};

pub(super) static USER: Kit<MockState> = Kit {
    class: "MockUserTools",
    tools: &[
        Tool::new(
            Kind::Read,
            "check_notifications",
            "List what is in your inbox.",
            &[],
            |w, _| {
                let all = w.user.rows("notifications").map(|(_, n)| Reply::Record(n.clone()));
                Ok(Reply::List(all.collect()))
            },
        ),
        Tool::new(
            Kind::Write,
            "dismiss_notification",
            "Mark a notification as read.",
            &[param("notification_id", Shape::Text, "Which notification.")],
            |w, a| {
                let Some(row) = py::keyed(&a[0], |key| w.user.find("notifications", key))? else {
                    return raise(format!("Notification {} not found", a[0]));
                };
                py::set(w.user.row_mut("notifications", row), "status", py::text("read"));
                Ok(Reply::text(format!("Notification {} dismissed", a[0])))
            },
        ),
    ],
    functions: &[
        Tool::new(
            Kind::Write,
            "add_notification",
            "",
            &[
                param("notification_id", Shape::Text, ""),
                param("message", Shape::Text, ""),
                Param {
                    name: "task_id",
                    about: "",
                    shape: Shape::Text,
                    default: NULL,
                },
            ],
            |w, a| {
                let notification = notification(a)?;
                w.user.insert(
                    "notifications",
                    py::text_of(&notification, "notification_id"),
                    notification.clone(),
                );
                Ok(Reply::Record(notification))
            },
        ),
        Tool::new(
            Kind::Read,
            "assert_notification_status",
            "",
            &[
                param("notification_id", Shape::Text, ""),
                param("expected_status", Shape::Text, ""),
            ],
            |w, a| {
                let Some(found) = py::keyed(&a[0], |key| w.user.get("notifications", key))? else {
                    return raise(format!("Notification {} not found", a[0]));
                };
                Ok(Reply::Plain(Value::Bool(*py::get(found, "status") == a[1])))
            },
        ),
    ],
};

/// The notification that `add_notification` makes of its arguments.
pub(super) fn notification(a: &[Value]) -> Outcome<Value> {
    NOTIFICATION.make(
        ["notification_id", "message", "task_id"]
            .into_iter()
            .zip(a.iter().cloned()),
    )
}

fn create_task(w: &mut MockState, a: &[Value]) -> Outcome<Reply> {
    let Some(user) = py::keyed(&a[0], |key| w.agent.find("users", key))? else {
        return raise(format!("User {} not found", a[0]));
    };
    let id = format!("task_{}", w.agent.len("tasks") + 1);
    let task = TASK.make([
        ("task_id", py::text(&id)),
        ("title", a[1].clone()),
        ("description", a[2].clone()),
        ("status", py::text("pending")),
    ])?;
    w.agent.insert("tasks", &id, task.clone());
    py::append(w.agent.row_mut("users", user), "tasks", py::text(id));
    Ok(Reply::Record(task))
}

fn update_task_status(w: &mut MockState, a: &[Value]) -> Outcome<Reply> {
    let Some(task) = py::keyed(&a[0], |key| w.agent.find("tasks", key))? else {
        return raise(format!("Task {} not found", a[0]));
    };
    let task = w.agent.row_mut("tasks", task);
    py::set(task, "status", a[1].clone());
    Ok(Reply::Record(task.clone()))
}
