//! Spans as the request of an OTLP exporter, in protobuf or JSON (opentelemetry-proto 1.x, trace/v1/trace.proto).

use super::{Attribute, CONVENTIONS, OtlpSpan};
use serde_json::{Value, json};

/// How a request is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Protobuf, which every receiver reads.
    #[default]
    Protobuf,
    /// JSON.
    Json,
}

const SERVICE: [(&str, &str); 2] = [("service.name", "hone"), ("service.version", env!("CARGO_PKG_VERSION"))];

impl Encoding {
    /// The content type of a request.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }

    /// An `ExportTraceServiceRequest` with these spans of a run.
    pub fn request(self, run: &str, spans: &[OtlpSpan]) -> Vec<u8> {
        match self {
            Self::Protobuf => protobuf(run, spans),
            Self::Json => to_json(run, spans).to_string().into_bytes(),
        }
    }
}

fn resource(run: &str) -> Vec<(&'static str, Attribute)> {
    let mut attributes: Vec<_> = SERVICE
        .iter()
        .map(|(key, value)| (*key, Attribute::from(*value)))
        .collect();
    attributes.push(("hone.run", run.into()));
    attributes
}

fn nanos(micros: u64) -> u64 {
    micros.saturating_mul(1000)
}

fn end(span: &OtlpSpan) -> u64 {
    nanos(span.timing.start_us.saturating_add(span.timing.duration_us))
}

fn to_json(run: &str, spans: &[OtlpSpan]) -> Value {
    let value = |value: &Attribute| match value {
        Attribute::Text(text) => json!({"stringValue": text}),
        // 64-bit integers are strings in proto3's JSON.
        Attribute::Int(number) => json!({"intValue": number.to_string()}),
        Attribute::Float(number) => json!({"doubleValue": number}),
        Attribute::Texts(texts) => {
            let values: Vec<Value> = texts.iter().map(|text| json!({"stringValue": text})).collect();
            json!({"arrayValue": {"values": values}})
        }
    };
    let attributes = |attributes: &[(&str, Attribute)]| {
        let list: Vec<Value> = attributes
            .iter()
            .map(|(key, v)| json!({"key": key, "value": value(v)}))
            .collect();
        Value::Array(list)
    };
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let span = |span: &OtlpSpan| {
        let events: Vec<Value> = span
            .events
            .iter()
            .map(|(name, a)| json!({"timeUnixNano": end(span).to_string(), "name": name, "attributes": attributes(a)}))
            .collect();
        let mut tree = json!({
            "traceId": hex(&span.trace), "spanId": hex(&span.id), "name": span.name, "kind": span.kind,
            "startTimeUnixNano": nanos(span.timing.start_us).to_string(), "endTimeUnixNano": end(span).to_string(),
            "attributes": attributes(&span.attributes), "events": events,
        });
        if let Some(parent) = &span.parent {
            tree["parentSpanId"] = hex(parent).into();
        }
        if let Some(error) = &span.error {
            tree["status"] = json!({"code": 2, "message": error});
        }
        tree
    };
    json!({"resourceSpans": [{
        "resource": {"attributes": attributes(&resource(run))},
        "scopeSpans": [{
            "scope": {"name": "hone", "version": env!("CARGO_PKG_VERSION")},
            "spans": spans.iter().map(span).collect::<Vec<_>>(),
            "schemaUrl": CONVENTIONS,
        }],
        "schemaUrl": CONVENTIONS,
    }]})
}

/// A protobuf message under construction.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn number(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    fn fixed(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3 | 1);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(mut self, field: u64, value: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    fn message(self, field: u64, message: Message) -> Self {
        self.bytes(field, &message.0)
    }

    fn attributes(self, field: u64, attributes: &[(&str, Attribute)]) -> Self {
        attributes.iter().fold(self, |of, (key, value)| {
            let pair = Message::default().bytes(1, key.as_bytes());
            of.message(field, pair.message(2, any(value)))
        })
    }
}

fn any(value: &Attribute) -> Message {
    let message = Message::default();
    match value {
        Attribute::Text(text) => message.bytes(1, text.as_bytes()),
        Attribute::Int(number) => message.number(3, *number as u64),
        Attribute::Float(number) => message.fixed(4, number.to_bits()),
        Attribute::Texts(texts) => {
            let values = texts.iter().fold(Message::default(), |of, text| {
                of.message(1, Message::default().bytes(1, text.as_bytes()))
            });
            message.message(5, values)
        }
    }
}

fn protobuf(run: &str, spans: &[OtlpSpan]) -> Vec<u8> {
    let scope = Message::default()
        .bytes(1, b"hone")
        .bytes(2, env!("CARGO_PKG_VERSION").as_bytes());
    let spans = spans
        .iter()
        .fold(Message::default().message(1, scope), |of, span| {
            of.message(2, one(span))
        })
        .bytes(3, CONVENTIONS.as_bytes());
    let resource = Message::default().attributes(1, &resource(run));
    let all = Message::default()
        .message(1, resource)
        .message(2, spans)
        .bytes(3, CONVENTIONS.as_bytes());
    Message::default().message(1, all).0
}

fn one(span: &OtlpSpan) -> Message {
    let mut message = Message::default().bytes(1, &span.trace).bytes(2, &span.id);
    if let Some(parent) = &span.parent {
        message = message.bytes(4, parent);
    }
    message = message
        .bytes(5, span.name.as_bytes())
        .number(6, u64::from(span.kind))
        .fixed(7, nanos(span.timing.start_us))
        .fixed(8, end(span))
        .attributes(9, &span.attributes);
    for (name, attributes) in &span.events {
        let event = Message::default()
            .fixed(1, end(span))
            .bytes(2, name.as_bytes())
            .attributes(3, attributes);
        message = message.message(11, event);
    }
    match &span.error {
        Some(error) => message.message(15, Message::default().bytes(2, error.as_bytes()).number(3, 2)),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timing;

    #[test]
    fn bytes_are_those_of_the_wire_format() {
        let span = OtlpSpan {
            trace: [1; 16],
            id: [2; 8],
            parent: None,
            name: "n".into(),
            kind: 3,
            timing: Timing {
                start_us: 1,
                duration_us: 1,
            },
            attributes: vec![("k", Attribute::Int(300))],
            events: Vec::new(),
            error: None,
        };
        let mut wanted = vec![0x0a, 16];
        wanted.extend([1; 16]);
        wanted.extend([0x12, 8]);
        wanted.extend([2; 8]);
        wanted.extend([0x2a, 1, b'n', 0x30, 3]);
        wanted.extend([0x39, 0xe8, 3, 0, 0, 0, 0, 0, 0]); // 1,000 ns
        wanted.extend([0x41, 0xd0, 7, 0, 0, 0, 0, 0, 0]); // 2,000 ns
        wanted.extend([0x4a, 8, 0x0a, 1, b'k', 0x12, 3, 0x18, 0xac, 2]);
        assert_eq!(one(&span).0, wanted);
        let tree = to_json("run", &[span]);
        let span = &tree["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        assert_eq!(
            (&span["spanId"], &span["endTimeUnixNano"]),
            (&json!("0202020202020202"), &json!("2000"))
        );
        assert_eq!(span["attributes"][0], json!({"key": "k", "value": {"intValue": "300"}}));
    }
}
