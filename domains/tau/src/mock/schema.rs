//! The mock domain's records.

use crate::model::{Default, Model, Type, optional, required};

/// What a task's status can be.
pub(super) const STATUS: &[&str] = &["pending", "completed"];

/// A task.
pub(super) static TASK: Model = Model {
    name: "Task",
    strict: false,
    fields: &[
        required("task_id", Type::Str),
        required("title", Type::Str),
        optional("description", Type::Optional(&Type::Str), Default::None),
        required("status", Type::Literal(STATUS)),
    ],
};

static USER: Model = Model {
    name: "User",
    strict: false,
    fields: &[
        required("user_id", Type::Str),
        required("name", Type::Str),
        required("tasks", Type::List(&Type::Str)),
    ],
};

/// The agent's database.
pub(super) static DB: Model = Model {
    name: "MockDB",
    strict: true,
    fields: &[
        required("tasks", Type::Dict(&Type::Model(&TASK))),
        required("users", Type::Dict(&Type::Model(&USER))),
    ],
};

/// A notification.
pub(super) static NOTIFICATION: Model = Model {
    name: "Notification",
    strict: true,
    fields: &[
        required("notification_id", Type::Str),
        required("message", Type::Str),
        optional("status", Type::Literal(&["unread", "read"]), Default::Str("unread")),
        optional("task_id", Type::Optional(&Type::Str), Default::None),
    ],
};

/// The user's database.
pub(super) static USER_DB: Model = Model {
    name: "MockUserDB",
    strict: true,
    fields: &[optional(
        "notifications",
        Type::Dict(&Type::Model(&NOTIFICATION)),
        Default::EmptyDict,
    )],
};
