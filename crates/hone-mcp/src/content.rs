//! What a call gave: text for the model, data for the record, media by hash.

use crate::{Error, Limits};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hone_tool::{CUT, ToolError, ToolOutput};
use hone_trace::Media;
use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The result of a call that reached its tool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallResult {
    /// What the model sees: the texts, with a line for every other thing. Where a server gives data only, the data as
    /// compact JSON.
    pub text: String,
    /// `structuredContent`, if there is any.
    pub structured: Option<Value>,
    /// Images, sounds and other bytes, in the order of their lines in `text`.
    pub media: Vec<Content>,
    /// The tool itself says that it failed.
    pub is_error: bool,
}

/// Bytes that are not text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Their media type, as the server says, their hash and their number: what is recorded.
    pub media: Media,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl CallResult {
    pub(crate) fn of(result: CallToolResult, limits: &Limits) -> Self {
        let mut media = Vec::new();
        let lines: Vec<String> = result
            .content
            .into_iter()
            .map(|block| line(block, &mut media))
            .collect();
        let mut text = lines.join("\n");
        if text.is_empty()
            && let Some(data) = &result.structured_content
        {
            text = data.to_string();
        }
        cut(&mut text, limits.text_chars);
        Self {
            text,
            structured: result.structured_content,
            media,
            is_error: result.is_error.unwrap_or(false),
        }
    }
}

impl From<CallResult> for Result<ToolOutput, ToolError> {
    fn from(result: CallResult) -> Self {
        if result.is_error {
            return Err(ToolError::tool(result.text));
        }
        Ok(ToolOutput {
            data: result.structured.unwrap_or_else(|| Value::String(result.text.clone())),
            text: result.text,
            media: result.media.into_iter().map(|content| content.media).collect(),
            terminal: false,
        })
    }
}

/// A block as text; its bytes go to `media`.
fn line(block: ContentBlock, media: &mut Vec<Content>) -> String {
    match block {
        ContentBlock::Text(text) => text.text,
        ContentBlock::Image(image) => keep("image", image.mime_type, &image.data, media),
        ContentBlock::Audio(audio) => keep("audio", audio.mime_type, &audio.data, media),
        ContentBlock::ResourceLink(link) => format!("[resource {} {}]", link.uri, link.name),
        ContentBlock::Resource(embedded) => resource(embedded.resource, media),
        _ => "[content of an unknown kind]".to_owned(),
    }
}

/// A resource's contents as text; its bytes go to `media`.
pub(crate) fn resource(contents: ResourceContents, media: &mut Vec<Content>) -> String {
    match contents {
        ResourceContents::TextResourceContents { text, .. } => text,
        ResourceContents::BlobResourceContents { mime_type, blob, .. } => {
            let mime = mime_type.unwrap_or_else(|| "application/octet-stream".to_owned());
            keep("file", mime, &blob, media)
        }
        _ => "[a resource of an unknown kind]".to_owned(),
    }
}

fn keep(kind: &str, mime: String, base64: &str, media: &mut Vec<Content>) -> String {
    let mime: String = mime.chars().filter(char::is_ascii_graphic).take(100).collect();
    let Ok(bytes) = BASE64_STANDARD.decode(base64) else {
        return format!("[{kind} {mime}, which is not valid base64]");
    };
    let hash: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    let line = format!("[{kind} {mime}, {} bytes, sha256 {}]", bytes.len(), &hash[..12]);
    let length = bytes.len() as u64;
    media.push(Content {
        media: Media {
            hash,
            mime,
            bytes: length,
            ..Media::default()
        },
        bytes,
    });
    line
}

fn cut(text: &mut String, chars: usize) {
    if text.len() > chars
        && let Some((end, _)) = text.char_indices().nth(chars)
    {
        text.truncate(end);
        text.push_str(CUT);
    }
}

/// Check what a tool calls structured against what it said that would be.
pub(crate) fn fits(
    schema: Option<&jsonschema::Validator>,
    result: &CallResult,
    server: &str,
    tool: &str,
) -> Result<(), Error> {
    let (Some(schema), Some(data), false) = (schema, &result.structured, result.is_error) else {
        return Ok(());
    };
    schema.validate(data).map_err(|error| Error::Protocol {
        server: server.to_owned(),
        why: format!(
            "the result of `{tool}` does not fit its own `outputSchema`: {}",
            hone_wire::shown(&error.masked().to_string(), 200)
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn result(json: Value) -> CallResult {
        let limits = Limits {
            text_chars: 40,
            ..Limits::default()
        };
        CallResult::of(serde_json::from_value(json).unwrap(), &limits)
    }

    #[test]
    fn blocks_become_lines_and_bytes_go_by_hash() {
        let got = result(json!({"content": [
            {"type": "text", "text": "here:"},
            {"type": "image", "mimeType": "image/png", "data": "aGVsbG8="},
        ]}));
        assert!(got.text.starts_with("here:\n[image image/png, 5 bytes, sha256"));
        assert!(got.text.ends_with(CUT));
        // sha256sum of `hello`
        let hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        assert_eq!(got.media[0].bytes, b"hello");
        let output = Result::<ToolOutput, ToolError>::from(got).unwrap();
        let media = Media {
            hash: hello.into(),
            mime: "image/png".into(),
            bytes: 5,
            ..Media::default()
        };
        assert_eq!(output.media, [media]);
    }

    #[test]
    fn data_without_text_is_shown_and_damage_is_named() {
        let got = result(json!({"content": [], "structuredContent": {"n": 1}}));
        let output = Result::<ToolOutput, ToolError>::from(got).unwrap();
        assert_eq!((output.text.as_str(), output.data), (r#"{"n":1}"#, json!({"n": 1})));
        let got = result(json!({"content": [{"type": "audio", "mimeType": "audio/wav", "data": "%%"}]}));
        assert!(got.text.starts_with("[audio audio/wav, which is not") && got.media.is_empty());
    }

    #[test]
    fn a_tools_own_failure_is_the_policys() {
        let failed: Result<ToolOutput, ToolError> =
            result(json!({"content": [{"type": "text", "text": "no such file"}], "isError": true})).into();
        assert_eq!(failed.unwrap_err(), ToolError::tool("no such file"));
    }
}
