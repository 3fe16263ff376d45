//! The register of all parts, and the parts of a method as a table of settings.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{Need, Part, PartType, StageError};

/// The parts of a method, in the order of their register: a table of settings by name.
#[derive(Clone, Debug, Default)]
pub struct Parts(Vec<Entry>);

#[derive(Clone, Debug)]
struct Entry {
    name: &'static str,
    settings: Value,
    part: Arc<dyn Part>,
}

impl PartialEq for Parts {
    fn eq(&self, other: &Self) -> bool {
        let each = |parts: &Self| parts.0.iter().map(|e| (e.name, e.settings.clone())).collect::<Vec<_>>();
        each(self) == each(other)
    }
}

impl Serialize for Parts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|entry| (entry.name, &entry.settings)))
    }
}

impl<'de> Deserialize<'de> for Parts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = Map::deserialize(deserializer)?;
        let none = Self::default();
        Registry::standard()
            .lay_over(&none, &Value::Object(table))
            .map_err(serde::de::Error::custom)
    }
}

impl Parts {
    /// The parts.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Part> {
        self.0.iter().map(|entry| &*entry.part)
    }

    /// The parts with their names.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &dyn Part)> {
        self.0.iter().map(|entry| (entry.name, &*entry.part))
    }

    /// Whether there is a part of that name.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|entry| entry.name == name)
    }

    /// Everything that the parts need, with who needs it.
    pub fn needs(&self) -> impl Iterator<Item = (&'static str, Need)> {
        self.named()
            .flat_map(|(name, part)| part.needs().iter().map(move |need| (name, *need)))
    }

    pub(super) fn need(&self, what: Need) -> bool {
        self.needs().any(|(_, need)| need == what)
    }

    pub(super) fn need_scores(&self) -> bool {
        self.need(Need::Scores) || self.need_entropy()
    }

    pub(super) fn need_entropy(&self) -> bool {
        self.need(Need::Entropy)
    }

    /// The first part that needs the scores.
    pub(super) fn scored(&self) -> &'static str {
        let scored = |need| matches!(need, Need::Scores | Need::Entropy);
        self.needs()
            .find(|(_, need)| scored(*need))
            .map_or("", |(name, _)| name)
    }

    pub(super) fn change_terms(&self) -> bool {
        self.iter().any(|part| part.changes_terms())
    }
}

type Make = fn(&Value) -> Result<(Arc<dyn Part>, Value), serde_json::Error>;

/// The parts that a method can name. Their order is the one in which a stage asks them.
#[derive(Clone, Debug, Default)]
pub struct Registry(Vec<Known>);

#[derive(Clone, Debug)]
struct Known {
    name: &'static str,
    about: &'static str,
    make: Make,
}

impl Registry {
    /// All parts of this crate.
    pub fn standard() -> Self {
        super::parts::registry()
    }

    /// Adds a part, after those that are there; one of the same name is replaced in its place.
    pub fn add<P: PartType>(&mut self) {
        let known = Known {
            name: P::NAME,
            about: P::ABOUT,
            make: |settings| {
                let part: P = serde_json::from_value(settings.clone())?;
                let settings = serde_json::to_value(&part)?;
                Ok((Arc::new(part) as Arc<dyn Part>, settings))
            },
        };
        match self.0.iter_mut().find(|it| it.name == P::NAME) {
            Some(place) => *place = known,
            None => self.0.push(known),
        }
    }

    /// Names and what they do.
    pub fn list(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.0.iter().map(|known| (known.name, known.about))
    }

    /// `parts` with a table of settings laid over: `{}` or some settings add a part or change one that is there, `false` takes it away.
    ///
    /// # Errors
    /// When a name or a setting is unknown, or a setting has the wrong type.
    pub fn lay_over(&self, parts: &Parts, over: &Value) -> Result<Parts, StageError> {
        let wrong = |key: String, got: &Value, why: String| StageError::Value {
            key,
            got: got.to_string(),
            why,
        };
        let Value::Object(over) = over else {
            return Err(wrong("parts".into(), over, "it is a table of parts".into()));
        };
        if let Some(name) = over
            .keys()
            .find(|name| !self.0.iter().any(|it| it.name == name.as_str()))
        {
            return Err(StageError::UnknownKey {
                key: format!("parts.{name}"),
                allowed: self.0.iter().map(|it| it.name).collect::<Vec<_>>().join(", "),
            });
        }
        let mut out = Vec::new();
        // Parts of another register stay as they are.
        let foreign = |entry: &&Entry| !self.0.iter().any(|it| it.name == entry.name);
        for known in &self.0 {
            let there = parts.0.iter().find(|entry| entry.name == known.name);
            let given = match over.get(known.name) {
                None => {
                    out.extend(there.cloned());
                    continue;
                }
                Some(Value::Bool(false)) => continue,
                Some(Value::Object(given)) => given,
                Some(other) => {
                    let why = "it is a table of the part's settings, or false to leave the part out".into();
                    return Err(wrong(format!("parts.{}", known.name), other, why));
                }
            };
            let mut settings = there.map_or_else(|| Value::Object(Map::new()), |entry| entry.settings.clone());
            if let Value::Object(settings) = &mut settings {
                settings.extend(given.iter().map(|(key, value)| (key.clone(), value.clone())));
            }
            let (part, settings) = (known.make)(&settings).map_err(|error| {
                wrong(
                    format!("parts.{}", known.name),
                    &Value::Object(given.clone()),
                    error.to_string(),
                )
            })?;
            out.push(Entry {
                name: known.name,
                settings,
                part,
            });
        }
        out.extend(parts.0.iter().filter(foreign).cloned());
        Ok(Parts(out))
    }
}
