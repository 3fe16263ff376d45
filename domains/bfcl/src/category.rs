//! The categories.

/// Source language of a category's functions and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Python 3.
    Python,
    /// Java 8.
    Java,
    /// JavaScript.
    JavaScript,
}

macro_rules! categories {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),* $(,)?) => {
        /// A category of BFCL v4.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Category {
            $(#[doc = concat!("`", $name, "`")] $variant),*
        }

        impl Category {
            /// All of them, in the leaderboard's order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its name, as in file names and ids.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),*
                }
            }
        }
    };
}

categories! {
    SimplePython = "simple_python",
    SimpleJava = "simple_java",
    SimpleJavaScript = "simple_javascript",
    Multiple = "multiple",
    Parallel = "parallel",
    ParallelMultiple = "parallel_multiple",
    Irrelevance = "irrelevance",
    LiveSimple = "live_simple",
    LiveMultiple = "live_multiple",
    LiveParallel = "live_parallel",
    LiveParallelMultiple = "live_parallel_multiple",
    LiveIrrelevance = "live_irrelevance",
    LiveRelevance = "live_relevance",
    MultiTurnBase = "multi_turn_base",
    MultiTurnMissFunc = "multi_turn_miss_func",
    MultiTurnMissParam = "multi_turn_miss_param",
    MultiTurnLongContext = "multi_turn_long_context",
    WebSearchBase = "web_search_base",
    WebSearchNoSnippet = "web_search_no_snippet",
    MemoryKv = "memory_kv",
    MemoryVector = "memory_vector",
    MemoryRecSum = "memory_rec_sum",
}

impl Category {
    /// The category of a name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|category| category.name() == name)
    }

    /// Whether one answer to one question is compared with gold calls or with none: what this crate's [`evaluate`]
    /// scores.
    ///
    /// [`evaluate`]: crate::evaluate
    pub fn single_turn(self) -> bool {
        self <= Self::LiveRelevance
    }

    /// Whether it has tasks of several turns on tools with state: what [`judge`] scores.
    ///
    /// [`judge`]: crate::multi_turn::judge
    pub fn multi_turn(self) -> bool {
        (Self::MultiTurnBase..=Self::MultiTurnLongContext).contains(&self)
    }

    /// Whether it asks about earlier conversations, of which a memory holds what the model kept.
    pub fn memory(self) -> bool {
        self >= Self::MemoryKv
    }

    /// Whether a call is right or wrong as such, without gold.
    pub fn relevance(self) -> bool {
        matches!(self, Self::Irrelevance | Self::LiveIrrelevance | Self::LiveRelevance)
    }

    /// The language of its functions.
    pub fn language(self) -> Language {
        match self {
            Self::SimpleJava => Language::Java,
            Self::SimpleJavaScript => Language::JavaScript,
            _ => Language::Python,
        }
    }

    /// Number of records in the published data, which weighs categories that were not run.
    pub fn records(self) -> usize {
        match self {
            Self::SimplePython => 400,
            Self::SimpleJava | Self::WebSearchBase | Self::WebSearchNoSnippet => 100,
            Self::SimpleJavaScript => 50,
            Self::Irrelevance => 240,
            Self::LiveSimple => 258,
            Self::LiveMultiple => 1053,
            Self::LiveParallel | Self::LiveRelevance => 16,
            Self::LiveParallelMultiple => 24,
            Self::LiveIrrelevance => 884,
            Self::MemoryKv | Self::MemoryVector | Self::MemoryRecSum => 155,
            _ => 200,
        }
    }
}
