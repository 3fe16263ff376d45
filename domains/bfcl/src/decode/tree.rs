//! Syntax trees of Java and JavaScript.

use super::DecodeError;
use std::cell::RefCell;
use std::ops::Range;
use tree_sitter::{Language, Node, Parser, Tree};

thread_local! {
    /// A parser costs more to make than a short source to parse.
    static PARSER: RefCell<Parser> = RefCell::new(Parser::new());
}

/// Size of a source in bytes at most: to mend a source full of quotes takes the parser time by the square of its size.
pub(super) const MAX_SOURCE: usize = 16 << 10;

/// Sizes of a source, in bytes, that the parser mends where it lacks its semicolon. A shorter one it gives up.
pub(super) const TERMINATED: Range<usize> = 32..MAX_SOURCE;

/// Depth of a tree at most: what walks it recurses.
const MAX_DEPTH: usize = 400;

/// The tree of a source text without syntax errors. What is merely missing, the grammar has added.
pub(super) fn parse(source: &str, language: Language) -> Result<Tree, DecodeError> {
    if source.len() > MAX_SOURCE {
        return Err(DecodeError::new("the answer is larger than 16 KiB"));
    }
    let tree = PARSER.with_borrow_mut(|parser| {
        parser.set_language(&language).map_err(DecodeError::new)?;
        parser
            .parse(source, None)
            .ok_or_else(|| DecodeError::new("the answer cannot be parsed"))
    })?;
    inspect(&tree)?;
    Ok(tree)
}

/// The tree of a source that is one statement without its semicolon, as the parser mends it: that of the source with the
/// semicolon, which takes a fraction of the time. `None` where the parser might mend it otherwise.
pub(super) fn parse_terminated(source: &str, language: Language) -> Option<Tree> {
    if !TERMINATED.contains(&source.len()) || !source.ends_with(')') {
        return None;
    }
    let tree = parse(&format!("{source};"), language).ok()?;
    let root = tree.root_node();
    let whole = root.child_count() == 1 && root.child(0).is_some_and(|node| node.kind() == "expression_statement");
    (whole && !root.has_error()).then_some(tree)
}

fn inspect(tree: &Tree) -> Result<(), DecodeError> {
    let mut cursor = tree.walk();
    let mut depth = 0;
    loop {
        if cursor.node().is_error() {
            return Err(DecodeError::new("a syntax error in the answer"));
        }
        if depth > MAX_DEPTH {
            return Err(DecodeError::new("the answer is nested too deeply"));
        }
        if cursor.goto_first_child() {
            depth += 1;
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return Ok(());
            }
            depth -= 1;
        }
    }
}

pub(super) fn children(node: Node<'_>) -> Vec<Node<'_>> {
    (0..node.child_count()).filter_map(|i| node.child(i)).collect()
}
