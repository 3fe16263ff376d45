//! The choice of a dialect, and what is the same for all of them.

use crate::anthropic::Anthropic;
use crate::openai::OpenAi;
use crate::sse::Decoder;
use crate::{Answer, Broken, Delta, Fault, Limits, Request, Unsayable, anthropic, openai};

/// A dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Chat Completions.
    OpenAi(OpenAi),
    /// Messages.
    Anthropic(Anthropic),
}

impl Dialect {
    /// Chat Completions with its defaults.
    pub fn openai() -> Self {
        Self::OpenAi(OpenAi::default())
    }

    /// Messages with its defaults.
    pub fn anthropic() -> Self {
        Self::Anthropic(Anthropic::default())
    }

    /// The body that asks for `request`, as a stream or whole.
    ///
    /// # Errors
    /// When the dialect has no words for a part of it: what would be dropped in silence is refused.
    pub fn body(&self, request: &Request, stream: bool) -> Result<Vec<u8>, Unsayable> {
        match self {
            Self::OpenAi(dialect) => openai::body(dialect, request, stream),
            Self::Anthropic(dialect) => anthropic::body(dialect, request, stream),
        }
    }

    /// The answer in a whole body.
    ///
    /// # Errors
    /// When it cannot be read, exceeds a bound, or tells of an error.
    pub fn answer(&self, body: &[u8], limits: &Limits) -> Result<Answer, Fault> {
        if body.len() > limits.body_bytes {
            return Err(too_large(limits).into());
        }
        let text = std::str::from_utf8(body).map_err(|error| Broken::InvalidUtf8 {
            at: error.valid_up_to() as u64,
        })?;
        let mut answer = match self {
            Self::OpenAi(_) => openai::answer(text, limits)?,
            Self::Anthropic(_) => anthropic::answer(text, limits)?,
        };
        answer.raw = crate::shown::beginning(text, limits.raw_bytes).to_owned();
        answer.raw_cut = answer.raw.len() < text.len();
        Ok(answer)
    }

    /// Reads an answer that comes as a stream.
    pub fn stream(&self, limits: &Limits) -> StreamDecoder {
        StreamDecoder {
            limits: limits.clone(),
            events: Decoder::new(limits.event_bytes),
            assembler: match self {
                Self::OpenAi(_) => Assembler::OpenAi(openai::Assembler::new(limits)),
                Self::Anthropic(_) => Assembler::Anthropic(anthropic::Assembler::new(limits)),
            },
            received: 0,
            raw: Vec::new(),
        }
    }

    /// Where requests go, below a base URL as the official libraries take it.
    pub(crate) fn path(&self, base: &str) -> &'static str {
        match self {
            Self::OpenAi(_) => "/chat/completions",
            Self::Anthropic(_) if base.ends_with("/v1") => "/messages",
            Self::Anthropic(_) => "/v1/messages",
        }
    }
}

pub(crate) fn too_large(limits: &Limits) -> Broken {
    Broken::TooLarge {
        what: "the body",
        limit: limits.body_bytes as u64,
        unit: "bytes",
    }
}

enum Assembler {
    OpenAi(openai::Assembler),
    Anthropic(anthropic::Assembler),
}

/// An answer that comes as a stream of server-sent events.
///
/// ```
/// use hone_wire::{Delta, Dialect, Limits};
/// let mut stream = Dialect::openai().stream(&Limits::default());
/// let mut said = String::new();
/// let sse = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
/// for bytes in sse.as_bytes().chunks(7) {
///     stream.push(bytes, &mut |delta| if let Delta::Text(text) = delta { said += text })?;
/// }
/// assert!(stream.is_done());
/// assert_eq!(stream.finish()?.message.text(), said);
/// # Ok::<(), hone_wire::Fault>(())
/// ```
pub struct StreamDecoder {
    limits: Limits,
    events: Decoder,
    assembler: Assembler,
    received: usize,
    raw: Vec<u8>,
}

impl StreamDecoder {
    /// Takes the next bytes; `on` gets each piece of the answer in them.
    ///
    /// # Errors
    /// When the stream cannot be read, exceeds a bound, or tells of an error; the decoder is of no use afterwards.
    pub fn push(&mut self, mut bytes: &[u8], on: &mut dyn FnMut(Delta<'_>)) -> Result<(), Fault> {
        self.received = self.received.saturating_add(bytes.len());
        if self.received > self.limits.body_bytes {
            return Err(too_large(&self.limits).into());
        }
        let keep = (self.limits.raw_bytes - self.raw.len()).min(bytes.len());
        self.raw.extend_from_slice(&bytes[..keep]);
        while let Some(event) = self.events.next(&mut bytes)? {
            match &mut self.assembler {
                Assembler::OpenAi(assembler) => assembler.event(&event, on)?,
                Assembler::Anthropic(assembler) => assembler.event(&event, on)?,
            }
        }
        Ok(())
    }

    /// Whether the answer is complete: nothing that comes after counts.
    pub fn is_done(&self) -> bool {
        match &self.assembler {
            Assembler::OpenAi(assembler) => assembler.is_done(),
            Assembler::Anthropic(assembler) => assembler.is_done(),
        }
    }

    /// The answer, once the stream has ended.
    ///
    /// # Errors
    /// When it ended too early. An OpenAI stream that ends after a `finish_reason` but without `[DONE]` is complete.
    pub fn finish(self) -> Result<Answer, Fault> {
        let mut answer = match self.assembler {
            Assembler::OpenAi(assembler) => assembler.finish(),
            Assembler::Anthropic(assembler) => assembler.finish(),
        }?;
        let cut = self.raw.len() < self.received;
        answer.raw = match std::str::from_utf8(&self.raw) {
            Ok(raw) => raw.to_owned(),
            Err(error) => String::from_utf8_lossy(&self.raw[..error.valid_up_to()]).into_owned(),
        };
        answer.raw_cut = cut || answer.raw.len() < self.raw.len();
        Ok(answer)
    }
}
