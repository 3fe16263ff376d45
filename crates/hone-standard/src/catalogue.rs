//! What there is.

use hone_tool::ToolSpec;

/// What a kit of tools is, takes and is bound by.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    /// Name, as in recipes and on the command line.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// Its settings, in words; empty if there are none.
    pub settings: &'static str,
    /// Its bounds, in words.
    pub limits: String,
    /// Its tools.
    pub specs: Vec<ToolSpec>,
}

/// All kits of this build, by name.
pub fn catalogue() -> Vec<Card> {
    vec![
        #[cfg(all(feature = "full", target_os = "linux"))]
        crate::code::card(hone_sandbox::Language::Bash),
        crate::calculator::card(),
        #[cfg(feature = "full")]
        crate::clock::card(),
        #[cfg(feature = "full")]
        crate::fetch::card(),
        crate::files::card(),
        crate::finish::card(),
        crate::memory::card(),
        #[cfg(all(feature = "full", target_os = "linux"))]
        crate::code::card(hone_sandbox::Language::Python),
        #[cfg(feature = "full")]
        crate::search::card(),
        crate::sql::card(),
    ]
}
