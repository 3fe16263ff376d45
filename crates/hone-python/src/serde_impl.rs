//! serde: order-preserving, integers and floats kept apart.

use crate::{Dict, Int, Value};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, Serialize, SerializeMap, Serializer};
use std::fmt;

/// Numbers are as exact as the format's own reader makes them: serde_json turns integers beyond 64 bits into floats and
/// may miss a float's last bit, which [`loads`](crate::loads) does not.
impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::None)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, b: bool) -> Result<Value, E> {
        Ok(b.into())
    }

    fn visit_i64<E>(self, n: i64) -> Result<Value, E> {
        Ok(n.into())
    }

    fn visit_u64<E>(self, n: u64) -> Result<Value, E> {
        Ok(n.into())
    }

    fn visit_i128<E>(self, n: i128) -> Result<Value, E> {
        Ok(Int::from(n).into())
    }

    fn visit_f64<E>(self, x: f64) -> Result<Value, E> {
        Ok(x.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = vec![];
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut dict = Dict::new();
        while let Some((key, value)) = map.next_entry::<Value, Value>()? {
            dict.insert(key, value).map_err(A::Error::custom)?;
        }
        Ok(Value::Dict(dict))
    }
}

/// As the format's own types; `bytes` and `complex` are refused. Keys that are no text become one, as `json.dumps` does.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_unit(),
            Self::Bool(b) => serializer.serialize_bool(*b),
            Self::Int(n) => match (n.to_i64(), n.to_string().parse::<u64>()) {
                (Some(n), _) => serializer.serialize_i64(n),
                (None, Ok(n)) => serializer.serialize_u64(n),
                _ => Err(S::Error::custom(format!("{n} does not fit 64 bits"))),
            },
            Self::Float(x) => serializer.serialize_f64(*x),
            Self::Str(text) => serializer.serialize_str(text),
            Self::List(items) | Self::Tuple(items) => serializer.collect_seq(items),
            Self::Dict(dict) => {
                let mut map = serializer.serialize_map(Some(dict.len()))?;
                for (key, value) in dict.iter() {
                    let name = match key {
                        Self::Str(text) => text.clone(),
                        Self::None => "null".into(),
                        Self::Bool(b) => b.to_string(),
                        Self::Int(_) | Self::Float(_) => key.to_string(),
                        other => return Err(S::Error::custom(format!("a key cannot be a {}", other.type_name()))),
                    };
                    map.serialize_entry(&name, value)?;
                }
                map.end()
            }
            Self::Opaque(other) => Err(S::Error::custom(format!("{} has no counterpart", other.type_name))),
        }
    }
}
