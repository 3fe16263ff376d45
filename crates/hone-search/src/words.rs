//! Text cut into words.

use tantivy::tokenizer::{LowerCaser, RemoveLongFilter, Stemmer, TextAnalyzer, Token, TokenStream, Tokenizer};

/// A word of more bytes is data, not language (a hash, an encoded file), and is left out.
const LONGEST: usize = 64;

/// The words of a text as the index knows them, in their order: runs of letters and digits, names of programs taken apart
/// (`getUserByID` and `get_user_by_id` alike), each ideograph by itself, in lower case, reduced to English stems.
pub fn words(text: &str) -> Vec<String> {
    let mut analyzer = analyzer();
    let mut stream = analyzer.token_stream(text);
    let mut words = Vec::new();
    while stream.advance() {
        words.push(std::mem::take(&mut stream.token_mut().text));
    }
    words
}

/// The beginning of a text: at most so many bytes, and whole characters.
pub(crate) fn beginning(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

pub(crate) fn analyzer() -> TextAnalyzer {
    TextAnalyzer::builder(Names)
        .filter(RemoveLongFilter::limit(LONGEST))
        .filter(LowerCaser)
        .filter(Stemmer::default())
        .build()
}

/// Cuts at what is no letter or digit, and inside names where the case says that a word begins.
#[derive(Clone)]
struct Names;

struct NameStream<'a> {
    text: &'a str,
    at: usize,
    token: Token,
}

impl Tokenizer for Names {
    type TokenStream<'a> = NameStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> NameStream<'a> {
        NameStream {
            text,
            at: 0,
            token: Token::default(),
        }
    }
}

impl TokenStream for NameStream<'_> {
    fn advance(&mut self) -> bool {
        let rest = &self.text[self.at..];
        let Some(start) = rest.find(char::is_alphanumeric) else {
            self.at = self.text.len();
            return false;
        };
        let length = word_length(&rest[start..]);
        let from = self.at + start;
        self.at = from + length;
        self.token.offset_from = from;
        self.token.offset_to = self.at;
        self.token.position = self.token.position.wrapping_add(1);
        self.token.text.clear();
        self.token.text.push_str(&self.text[from..self.at]);
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

/// Bytes of the word that the text begins with.
fn word_length(text: &str) -> usize {
    let mut chars = text.char_indices().peekable();
    let mut before: Option<char> = None;
    while let Some((at, char)) = chars.next() {
        let Some(last) = before else {
            before = Some(char);
            if ideograph(char) {
                return char.len_utf8();
            }
            continue;
        };
        let next = chars.peek().map(|(_, char)| *char);
        let begins = !char.is_alphanumeric()
            || ideograph(char)
            || (char.is_uppercase() && !last.is_uppercase())
            // The last capital of `HTTPServer` belongs to what follows.
            || (char.is_uppercase() && last.is_uppercase() && next.is_some_and(char::is_lowercase));
        if begins {
            return at;
        }
        before = Some(char);
    }
    text.len()
}

/// Characters of scripts that write no spaces: Hiragana, Katakana and Han.
fn ideograph(char: char) -> bool {
    matches!(u32::from(char), 0x3040..=0x30ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0x20000..=0x3ffff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_come_apart_and_words_lose_their_endings() {
        assert_eq!(words("getUserByID"), ["get", "user", "by", "id"]);
        assert_eq!(words("get_user_by_id"), ["get", "user", "by", "id"]);
        assert_eq!(words("parseHTTPServer2 sha256"), ["pars", "http", "server2", "sha256"]);
        // Porter's stems of these words are in the vocabulary that Snowball publishes.
        assert_eq!(
            words("Connections connected: connecting!"),
            ["connect", "connect", "connect"]
        );
        assert_eq!(words("Straße, ÉTÉ 天気"), ["straße", "été", "天", "気"]);
        assert_eq!(words(&"x".repeat(65)), Vec::<String>::new());
    }

    #[test]
    fn a_beginning_ends_between_characters() {
        assert_eq!(
            [0, 1, 2, 3, 9].map(|bytes| beginning("aäb", bytes)),
            ["", "a", "a", "aä", "aäb"]
        );
    }

    proptest! {
        #[test]
        fn any_text_is_cut(text in "\\PC{0,80}") {
            for word in words(&text) {
                prop_assert!(!word.is_empty());
            }
        }
    }
}
