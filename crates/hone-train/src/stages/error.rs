//! What can be wrong with a method's settings or with the rollouts it is given.

/// An error of the trainer's stages: one sentence of what, one of how to mend.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StageError {
    /// A setting is out of range or contradicts another one.
    #[error("`{key}` is {got}. Allowed: {allowed}.")]
    Setting {
        /// Dotted path of the key, such as `objective.clip.low`.
        key: String,
        /// Its value.
        got: String,
        /// What is allowed.
        allowed: String,
    },
    /// A setting has the wrong type or names no known choice.
    #[error("`{key}` cannot be {got}: {why}. Give it a value of that kind.")]
    Value {
        /// Dotted path of the key.
        key: String,
        /// Its value as JSON.
        got: String,
        /// What the parser said.
        why: String,
    },
    /// No such key.
    #[error("there is no setting `{key}`. Allowed here: {allowed}.")]
    UnknownKey {
        /// Dotted path of the key.
        key: String,
        /// The keys of that table.
        allowed: String,
    },
    /// No such method.
    #[error("there is no method `{name}`. Choose one of {known}.")]
    UnknownMethod {
        /// What was asked for.
        name: String,
        /// All names.
        known: String,
    },
    /// The input of [`explain`](super::explain) does not parse.
    #[error("the input does not parse: {0}. See docs/methods.md for what it takes.")]
    Input(String),
    /// Two rollouts share an id, so that no report could tell them apart.
    #[error("two rollouts are called `{id}`. Give every rollout its own id.")]
    DuplicateId {
        /// The id.
        id: String,
    },
    /// A reward term names a part that a rollout does not have.
    #[error(
        "rollout `{id}` has no reward part `{part}` (it has: {have}). Name one of these in `reward.terms`, or have a scorer report it."
    )]
    MissingPart {
        /// The rollout.
        id: String,
        /// The part.
        part: String,
        /// The parts it has.
        have: String,
    },
    /// A per-token array does not fit its row.
    #[error(
        "row {row} of rollout `{rollout}` has {got} values of {what} for {tokens} tokens. Give one per token, in order."
    )]
    Length {
        /// The rollout.
        rollout: String,
        /// Its row.
        row: u32,
        /// Which array.
        what: &'static str,
        /// Its length.
        got: usize,
        /// The row's length.
        tokens: usize,
    },
    /// A number that must be finite is not.
    #[error("{what} of rollout `{rollout}` is not finite{}. Look at that rollout in the record; a loss that overflows asks for a lower learning rate.", at(.place))]
    NonFinite {
        /// The rollout.
        rollout: String,
        /// Row and token, where it is about one.
        place: Option<(u32, usize)>,
        /// Which number.
        what: &'static str,
    },
    /// The objective has a KL term but a row was not scored by the reference model.
    #[error(
        "row {row} of rollout `{rollout}` has no log-probs of the reference model. Score it first, or set `objective.kl.estimator = \"none\"` and `objective.kl.beta = 0`."
    )]
    NoReference {
        /// The rollout.
        rollout: String,
        /// Its row.
        row: u32,
    },
    /// A part needs something that the rollouts do not have.
    #[error("part `{part}` needs {what}, which rollout `{rollout}` does not have. Give it, or leave the part out.")]
    Lacks {
        /// The part.
        part: &'static str,
        /// What it needs.
        what: &'static str,
        /// The rollout.
        rollout: String,
    },
    /// What the rollouts say contradicts itself.
    #[error("rollout `{rollout}`: {what}.")]
    Contradiction {
        /// The rollout.
        rollout: String,
        /// What is wrong.
        what: String,
    },
    /// A part asks for the policy now on the whole batch, which nobody told.
    #[error("part `{part}` needs the log-probs of the whole batch. Give them to `observe` before a row's loss.")]
    Unobserved {
        /// The part.
        part: String,
    },
    /// What is said of the policy now is not of as many rows as there are.
    #[error("log-probs and entropies of {got} rows were given for {rows} rows. Give those of every row, in order.")]
    Rows {
        /// Rows given.
        got: usize,
        /// Rows.
        rows: usize,
    },
    /// A row names a channel that is not there.
    #[error(
        "a row of rollout `{rollout}` is of channel {channel}, which does not exist. Give the channels that the rows were prepared with."
    )]
    Channel {
        /// The rollout.
        rollout: String,
        /// The channel.
        channel: u32,
    },
    /// The micro-batch numbers do not fit the rows.
    #[error(
        "{got} micro-batch numbers were given for {rows} rows. Give one per row, or none for a single micro-batch."
    )]
    Micro {
        /// Numbers given.
        got: usize,
        /// Rows.
        rows: usize,
    },
}

fn at(place: &Option<(u32, usize)>) -> String {
    place
        .map(|(row, token)| format!(" at row {row}, token {token}"))
        .unwrap_or_default()
}

/// `Err` naming `key` unless `ok`.
pub(super) fn check(ok: bool, key: &str, got: impl std::fmt::Display, allowed: &str) -> Result<(), StageError> {
    if ok {
        Ok(())
    } else {
        Err(StageError::Setting {
            key: key.into(),
            got: got.to_string(),
            allowed: allowed.into(),
        })
    }
}
