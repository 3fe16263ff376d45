//! Tool names that every server takes.

use std::collections::{BTreeMap, BTreeSet};

/// Longest name that servers take.
const LONGEST: usize = 64;

/// The names of a toolset as they are sent: letters, digits, `_` and `-`, at most 64 of them, no two alike.
#[derive(Debug)]
pub(super) struct Names {
    sent: BTreeMap<String, String>,
    ours: BTreeMap<String, String>,
}

impl Names {
    /// Of these tools. A name that servers take stays as it is; in the others, `_` stands for what they refuse, with a
    /// number at the end where two would be alike.
    pub fn of<'a>(tools: impl Iterator<Item = &'a str> + Clone) -> Self {
        let mut taken: BTreeSet<String> = tools
            .clone()
            .filter(|name| plain(name) == *name)
            .map(str::to_owned)
            .collect();
        let mut names = Self {
            sent: BTreeMap::new(),
            ours: BTreeMap::new(),
        };
        for tool in tools {
            let plain = plain(tool);
            let sent = if plain == tool {
                plain
            } else {
                let numbered = (2..).map(|n| {
                    let tail = format!("_{n}");
                    format!("{}{tail}", &plain[..plain.len().min(LONGEST - tail.len())])
                });
                let mut free = std::iter::once(plain.clone())
                    .chain(numbered)
                    .filter(|name| !taken.contains(name));
                free.next().unwrap_or_default()
            };
            taken.insert(sent.clone());
            names.ours.insert(sent.clone(), tool.to_owned());
            names.sent.insert(tool.to_owned(), sent);
        }
        names
    }

    /// The name to send for one of ours.
    pub fn sent(&self, ours: &str) -> String {
        self.sent.get(ours).cloned().unwrap_or_else(|| plain(ours))
    }

    /// Our name for one that came. One that nobody sent stays as it is: no such tool.
    pub fn ours(&self, sent: &str) -> String {
        self.ours.get(sent).cloned().unwrap_or_else(|| sent.to_owned())
    }
}

fn plain(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let plain: String = name
        .chars()
        .take(LONGEST)
        .map(|c| if fits(c) { c } else { '_' })
        .collect();
    if plain.is_empty() { "_".to_owned() } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sent_in_a_form_that_servers_take_and_come_back() {
        let long = "x".repeat(70);
        let longer = format!("{long}y");
        let tools = [
            "math.add",
            "math_add",
            "math/add",
            "plain-1",
            "größe",
            "",
            long.as_str(),
            longer.as_str(),
        ];
        let names = Names::of(tools.into_iter());
        let sent: Vec<String> = tools.iter().map(|tool| names.sent(tool)).collect();
        let cut = "x".repeat(64);
        let second = format!("{}_2", "x".repeat(62));
        let expected = [
            "math_add_2",
            "math_add",
            "math_add_3",
            "plain-1",
            "gr__e",
            "_",
            &cut,
            &second,
        ];
        assert_eq!(sent, expected);
        for (sent, ours) in sent.iter().zip(tools) {
            assert_eq!(names.ours(sent), ours);
        }
        assert_eq!(names.ours("math.add"), "math.add");
        assert_eq!(names.ours("no such tool"), "no such tool");
        assert_eq!(names.sent("no such tool"), "no_such_tool");
    }
}
