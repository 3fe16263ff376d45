//! Server-sent events, decoded as bytes arrive (WHATWG HTML, "Interpreting an event stream").

use crate::Broken;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its `event` field; empty if it had none.
    pub name: String,
    /// Its `data` lines, joined by line feeds.
    pub data: String,
}

/// An incremental decoder. However the bytes are split, the events are the same.
///
/// Lines end in LF, CRLF or CR; comments and unknown fields are skipped. Where the standard would put replacement
/// characters for invalid UTF-8, this fails: damaged text must not look like a model's answer.
///
/// ```
/// let mut decoder = hone_wire::sse::Decoder::new(1 << 20);
/// let mut bytes: &[u8] = b"event: ping\ndata: {}\n\ndata: ne";
/// let event = decoder.next(&mut bytes).unwrap().unwrap();
/// assert_eq!((event.name.as_str(), event.data.as_str()), ("ping", "{}"));
/// assert_eq!(decoder.next(&mut bytes), Ok(None)); // the rest is kept until more arrives
/// ```
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    line: Vec<u8>,
    /// Offset in the stream at which `line` begins.
    line_start: u64,
    consumed: u64,
    after_cr: bool,
    event: Event,
    has_data: bool,
}

impl Decoder {
    /// A decoder that refuses lines and events of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            line_start: 0,
            consumed: 0,
            after_cr: false,
            event: Event::default(),
            has_data: false,
        }
    }

    /// The next event, taking from the front of `input` what it needs; `None` once `input` is used up.
    ///
    /// # Errors
    /// On a line or an event over the limit and on invalid UTF-8; the decoder is of no use afterwards.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Broken> {
        while let Some(&first) = input.first() {
            if std::mem::take(&mut self.after_cr) && first == b'\n' {
                self.take(input, 1);
                self.line_start = self.consumed;
                continue;
            }
            let end = input.iter().position(|b| matches!(b, b'\n' | b'\r'));
            let text = &input[..end.unwrap_or(input.len())];
            if self.line.len() + text.len() > self.limit {
                return Err(self.too_large("a line of the stream"));
            }
            self.line.extend_from_slice(text);
            let Some(end) = end else {
                self.take(input, input.len());
                break;
            };
            self.after_cr = input[end] == b'\r';
            self.take(input, end + 1);
            let done = self.end_line()?;
            self.line.clear();
            self.line_start = self.consumed;
            if done && let Some(event) = self.dispatch() {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// Whether the bytes so far end between two events.
    pub fn is_between_events(&self) -> bool {
        self.line.is_empty() && !self.has_data && self.event.name.is_empty()
    }

    fn take(&mut self, input: &mut &[u8], n: usize) {
        *input = &input[n..];
        self.consumed += n as u64;
    }

    fn too_large(&self, what: &'static str) -> Broken {
        Broken::TooLarge {
            what,
            limit: self.limit as u64,
            unit: "bytes",
        }
    }

    /// Reads the line that is complete; true if it ends an event.
    fn end_line(&mut self) -> Result<bool, Broken> {
        let mut line = std::str::from_utf8(&self.line).map_err(|error| Broken::InvalidUtf8 {
            at: self.line_start + error.valid_up_to() as u64,
        })?;
        if self.line_start == 0 {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            return Ok(true);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if self.event.data.len() + value.len() + 1 > self.limit {
                    return Err(self.too_large("an event of the stream"));
                }
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.has_data = true;
                self.event.data.push_str(value);
            }
            "event" => self.event.name = value.to_owned(),
            _ => {} // a comment (no name), `id`, `retry`, and what is yet to be invented
        }
        Ok(false)
    }

    fn dispatch(&mut self) -> Option<Event> {
        let event = std::mem::take(&mut self.event);
        std::mem::take(&mut self.has_data).then_some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(pieces: &[&[u8]], limit: usize) -> Result<Vec<(String, String)>, Broken> {
        let mut decoder = Decoder::new(limit);
        let mut events = vec![];
        for mut piece in pieces.iter().copied() {
            while let Some(event) = decoder.next(&mut piece)? {
                events.push((event.name, event.data));
            }
            assert!(piece.is_empty());
        }
        Ok(events)
    }

    fn data(pieces: &[&[u8]]) -> Vec<String> {
        decode(pieces, 100)
            .expect("a good stream")
            .into_iter()
            .map(|e| e.1)
            .collect()
    }

    #[test]
    fn all_line_ends_comments_and_fields() {
        let stream = b"\xef\xbb\xbfdata: a\r\n\r\n: comment\ndata:b\n\ndata: c\r\rid: 7\nretry: 1\nevent: x\ndata\n\n";
        assert_eq!(data(&[stream]), ["a", "b", "c", ""]);
        assert_eq!(data(&[b"data:  two  \ndata:\ndata: lines\n\n"]), [" two  \n\nlines"]);
        let named = decode(&[b"event: lost\n\nevent: ping\ndata: {}\n\n\n\n\r\n"], 100).expect("good");
        assert_eq!(named, [("ping".to_owned(), "{}".to_owned())]);
    }

    #[test]
    fn an_unfinished_event_is_not_given() {
        let mut decoder = Decoder::new(100);
        assert!(decoder.is_between_events());
        for cut in ["data: a", "data: a\n", "event: a\n", "x"] {
            let mut decoder = Decoder::new(100);
            assert_eq!(decoder.next(&mut cut.as_bytes()), Ok(None));
            assert!(!decoder.is_between_events(), "{cut:?}");
        }
        assert_eq!(decoder.next(&mut &b"data: a\n\n"[..]).map(|e| e.is_some()), Ok(true));
        assert!(decoder.is_between_events());
    }

    #[test]
    fn invalid_utf8_says_where() {
        assert_eq!(
            decode(&[b"data: ok\n\ndata: \xff\n"], 100),
            Err(Broken::InvalidUtf8 { at: 16 })
        );
        assert_eq!(
            decode(&[b"\r\ndata: \xf0\x9f", b"\xa6\n"], 100),
            Err(Broken::InvalidUtf8 { at: 8 })
        );
        assert_eq!(data(&[b"data: \xf0", b"\x9f\xa6", b"\x80\n\n"]), ["🦀"]);
    }

    #[test]
    fn lines_and_events_are_bounded() {
        let long = [b"data: ".as_slice(), &[b'x'; 200]].concat();
        assert!(matches!(
            decode(&[&long], 100),
            Err(Broken::TooLarge { limit: 100, .. })
        ));
        let pieces: Vec<&[u8]> = long.chunks(1).collect();
        assert!(matches!(decode(&pieces, 100), Err(Broken::TooLarge { .. })));
        let many = b"data: x\n".repeat(100);
        assert!(matches!(decode(&[&many], 100), Err(Broken::TooLarge { .. })));
        assert_eq!(decode(&[&b":\n".repeat(10_000)], 100), Ok(vec![]));
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_events(
            lines in prop::collection::vec(("(data|event|id|x|)(: ?)?[a-cü🦀 :]{0,6}", "\n|\r|\r\n"), 0..24),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let stream: Vec<u8> = lines.into_iter().flat_map(|(l, end)| (l + &end).into_bytes()).collect();
            let mut at: Vec<usize> = cuts.iter().map(|c| c.index(stream.len() + 1)).collect();
            at.extend([0, stream.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|w| &stream[w[0]..w[1]]).collect();
            let bytes: Vec<&[u8]> = stream.chunks(1).collect();
            let whole = decode(&[&stream], 1000);
            prop_assert_eq!(&decode(&pieces, 1000), &whole);
            prop_assert_eq!(&decode(&bytes, 1000), &whole);
        }

        #[test]
        fn any_bytes_do_no_harm(stream in prop::collection::vec(any::<u8>(), 0..300), limit in 0usize..64) {
            let whole = decode(&[&stream], limit);
            let bytes: Vec<&[u8]> = stream.chunks(1).collect();
            prop_assert_eq!(decode(&bytes, limit).is_ok(), whole.is_ok());
        }
    }
}
