//! The text of a result that the model sees: bounded, with every cut marked.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What stands where text was cut.
pub const CUT: &str = "…[cut]";

/// What a text begins with whose beginning was cut.
pub const CUT_BEFORE: &str = "[cut]…";

/// What stands where the middle of a text was cut.
const CUT_WITHIN: &str = "…[cut]…";

/// Which part of a text that is too long is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truncation {
    /// Its beginning.
    #[default]
    Head,
    /// Its end, as of a log.
    Tail,
    /// Its beginning and its end; the middle is left out.
    Middle,
}

/// At most `limit` characters of `text`, the cut marked, and the number of characters before if something is missing.
/// The mark itself is shown whatever the limit.
pub(crate) fn cut(mut text: String, limit: usize, keep: Truncation) -> (String, Option<usize>) {
    if text.len() <= limit {
        return (text, None);
    }
    let chars = text.chars().count();
    if chars <= limit {
        return (text, None);
    }
    // The byte at which a character begins.
    let at = |text: &str, char: usize| text.char_indices().nth(char).map_or(text.len(), |(at, _)| at);
    let room = |mark: &str| limit.saturating_sub(mark.chars().count());
    match keep {
        Truncation::Head => {
            text.truncate(at(&text, room(CUT)));
            text.push_str(CUT);
        }
        Truncation::Tail => {
            let start = at(&text, chars - room(CUT_BEFORE));
            text.replace_range(..start, CUT_BEFORE);
        }
        Truncation::Middle => {
            let room = room(CUT_WITHIN);
            let (start, end) = (at(&text, room.div_ceil(2)), at(&text, chars - room / 2));
            text.replace_range(start..end, CUT_WITHIN);
        }
    }
    (text, Some(chars))
}

/// Bytes that a value takes as JSON, at least; counting stops beyond `limit`.
pub(crate) fn weight(value: &Value, limit: usize) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 4,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => {
            let mut sum = 2;
            for item in items {
                sum += 1 + weight(item, limit.saturating_sub(sum));
                if sum > limit {
                    break;
                }
            }
            sum
        }
        Value::Object(fields) => {
            let mut sum = 2;
            for (name, field) in fields {
                sum += 4 + name.len() + weight(field, limit.saturating_sub(sum));
                if sum > limit {
                    break;
                }
            }
            sum
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_cut_counts_characters_and_marks_where_text_is_missing() {
        use Truncation::{Head, Middle, Tail};
        let cut = |text: &str, limit, keep| cut(text.into(), limit, keep);
        for keep in [Head, Tail, Middle] {
            assert_eq!(cut("äöü", 3, keep), ("äöü".into(), None));
        }
        assert_eq!(cut("äöüßäöüß", 7, Head), ("ä…[cut]".into(), Some(8)));
        assert_eq!(cut("äöüßäöüx", 7, Tail), ("[cut]…x".into(), Some(8)));
        assert_eq!(cut("0123456789ab", 10, Middle), ("01…[cut]…b".into(), Some(12)));
        assert_eq!(cut("a long text", 0, Head).0, CUT);
        assert_eq!(cut("a long text", 0, Tail).0, CUT_BEFORE);
    }

    proptest! {
        #[test]
        fn a_cut_keeps_the_bound_and_only_what_was_there(text in "\\PC{0,60}", limit in 8usize..50, which in 0..3) {
            let keep = [Truncation::Head, Truncation::Tail, Truncation::Middle][which as usize];
            let (shown, from) = cut(text.clone(), limit, keep);
            prop_assert!(shown.chars().count() <= limit);
            prop_assert_eq!(from.is_some(), text.chars().count() > limit);
            if from.is_some() {
                prop_assert_eq!(shown.chars().count(), limit);
                let (before, after) = match keep {
                    Truncation::Head => (shown.strip_suffix(CUT).unwrap(), ""),
                    Truncation::Tail => ("", shown.strip_prefix(CUT_BEFORE).unwrap()),
                    Truncation::Middle => shown.split_once(CUT_WITHIN).unwrap(),
                };
                prop_assert!(text.starts_with(before) && text.ends_with(after));
            }
        }
    }

    #[test]
    fn a_weight_is_found_without_looking_at_all_of_a_large_value() {
        let value = json!({"a": [1, "xyz"], "b": null});
        let exact = value.to_string().len();
        assert!(weight(&value, 1000).abs_diff(exact) < 16);
        let large = Value::Array(vec![json!("x".repeat(100)); 1000]);
        assert!((500..1000).contains(&weight(&large, 500)));
        assert!(weight(&large, usize::MAX) > 100_000);
    }
}
