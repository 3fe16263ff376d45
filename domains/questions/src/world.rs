//! The encyclopedia: invented people, firms, towns and rivers, a page each, and the search over them.

use hone_env::{EnvError, Environment, Fork, Split, Task};
use hone_search::{Document, Index, Method};
use hone_tool::{Annotations, ToolError, ToolHost, ToolOutput, ToolSpec};
use hone_trace::Stream;
use rand::RngExt;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

/// Most characters of a query.
pub(crate) const MAX_QUERY: usize = 200;
/// Pages in an answer.
const PAGES: usize = 2;

/// Two letters each, so that a name no training question ever showed is still spelled with frequent pieces.
const SYLLABLES: [&str; 40] = [
    "ba", "bi", "bo", "bu", "da", "de", "di", "du", "fa", "fi", "ga", "gu", "ka", "ki", "ko", "la", "le", "lo", "lu",
    "ma", "mi", "mo", "mu", "na", "ne", "nu", "pa", "po", "ra", "re", "ri", "ro", "sa", "su", "ta", "te", "tu", "va",
    "vo", "zu",
];
const PRODUCTS: [&str; 16] = [
    "boats", "books", "chairs", "clocks", "cups", "doors", "drums", "flags", "glass", "hats", "lamps", "maps", "paper",
    "ropes", "shoes", "soap",
];
const SEAS: [&str; 6] = [
    "north sea",
    "east sea",
    "south sea",
    "west sea",
    "white sea",
    "black sea",
];

/// A river and where it ends.
#[derive(Clone, Debug)]
pub(crate) struct River {
    pub name: String,
    pub sea: &'static str,
}

/// A town and its river.
#[derive(Clone, Debug)]
pub(crate) struct Town {
    pub name: String,
    pub river: usize,
}

/// A firm.
#[derive(Clone, Debug)]
pub(crate) struct Firm {
    pub name: String,
    pub town: usize,
    pub makes: &'static str,
}

/// A person.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub name: String,
    pub born: usize,
    pub firm: usize,
}

/// What one split's questions are about. No name occurs in two splits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub rivers: Vec<River>,
    pub towns: Vec<Town>,
    pub firms: Vec<Firm>,
    pub people: Vec<Person>,
}

/// The facts of all splits, and the index over all their pages.
pub struct Encyclopedia {
    facts: [Facts; 3],
    pages: Vec<Document>,
    index: Index,
    digest: String,
}

const SPLITS: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

impl Encyclopedia {
    /// The one that there is.
    ///
    /// # Errors
    /// When the index cannot be built.
    pub fn new() -> Result<Self, EnvError> {
        let mut used = BTreeSet::new();
        let facts = SPLITS.map(|split| Facts::draw(split, &mut used));
        let pages: Vec<Document> = facts.iter().flat_map(Facts::pages).collect();
        let index = Index::build(&pages, None).map_err(|error| EnvError::Data {
            what: format!("the encyclopedia cannot be indexed ({error})"),
            remedy: "report this as a bug".to_owned(),
        })?;
        let mut hash = Sha256::new();
        pages.iter().for_each(|page| hash.update(page.text.as_bytes()));
        let digest = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self {
            facts,
            pages,
            index,
            digest,
        })
    }

    pub(crate) fn facts(&self, split: Split) -> &Facts {
        let [train, validation, test] = &self.facts;
        match split {
            Split::Train => train,
            Split::Validation => validation,
            Split::Test => test,
        }
    }

    /// SHA-256 of all pages.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The best pages for a query, the best first; or that there is none.
    pub fn search(&self, query: &str) -> Result<String, ToolError> {
        let hits = self.index.search(query, PAGES, Method::Bm25);
        let hits = hits.map_err(|error| ToolError::tool(format!("the search failed: {error}")))?;
        let found: Vec<&str> = hits
            .iter()
            .filter_map(|hit| self.pages.get(hit.row))
            .map(|page| page.text.as_str())
            .collect();
        Ok(match found.is_empty() {
            true => "nothing found".to_owned(),
            false => found.join("\n"),
        })
    }
}

impl Facts {
    fn draw(split: Split, used: &mut BTreeSet<String>) -> Self {
        let scale = match split {
            Split::Train => 4,
            Split::Validation | Split::Test => 1,
        };
        let mut rng = Stream::new(0).named("questions/1").named(split.name());
        let rivers: Vec<River> = (0..8 * scale)
            .map(|_| River {
                name: name(&mut rng, used),
                sea: SEAS.choose(&mut rng).copied().unwrap_or(SEAS[0]),
            })
            .collect();
        let towns: Vec<Town> = (0..20 * scale)
            .map(|_| Town {
                name: name(&mut rng, used),
                river: rng.random_range(0..rivers.len()),
            })
            .collect();
        let firms: Vec<Firm> = (0..20 * scale)
            .map(|_| Firm {
                name: name(&mut rng, used),
                town: rng.random_range(0..towns.len()),
                makes: PRODUCTS.choose(&mut rng).copied().unwrap_or(PRODUCTS[0]),
            })
            .collect();
        let people = (0..100 * scale)
            .map(|_| Person {
                name: name(&mut rng, used),
                born: rng.random_range(0..towns.len()),
                firm: rng.random_range(0..firms.len()),
            })
            .collect();
        Self {
            rivers,
            towns,
            firms,
            people,
        }
    }

    /// A page for each, whose first word is its name. A name occurs on other pages too; with the word for what it is
    /// (town, firm, river) its own page is the best.
    fn pages(&self) -> Vec<Document> {
        let page = |name: &str, text: String| Document {
            id: name.to_owned(),
            text: format!("{name}: {text}"),
        };
        let town = |at: usize| self.towns.get(at).map_or("", |town| &town.name);
        let firm = |at: usize| self.firms.get(at).map_or("", |firm| &firm.name);
        let river = |at: usize| self.rivers.get(at).map_or("", |river| &river.name);
        let people = self.people.iter().map(|it| {
            page(
                &it.name,
                format!("born in {}, works for {}", town(it.born), firm(it.firm)),
            )
        });
        let firms = self
            .firms
            .iter()
            .map(|it| page(&it.name, format!("a firm in {}, makes {}", town(it.town), it.makes)));
        let towns = self
            .towns
            .iter()
            .map(|it| page(&it.name, format!("a town at the {}", river(it.river))));
        let rivers = self
            .rivers
            .iter()
            .map(|it| page(&it.name, format!("a river that flows into the {}", it.sea)));
        people.chain(firms).chain(towns).chain(rivers).collect()
    }
}

/// A word of three syllables that nothing else is called.
fn name(rng: &mut Stream, used: &mut BTreeSet<String>) -> String {
    loop {
        let word: String = (0..3)
            .map(|_| SYLLABLES.choose(rng).copied().unwrap_or_default())
            .collect();
        if used.insert(word.clone()) {
            return word;
        }
    }
}

static SPECS: LazyLock<Vec<ToolSpec>> = LazyLock::new(|| {
    vec![ToolSpec {
        name: "search".into(),
        description: "Search the encyclopedia of people, firms, towns and rivers. The two best pages.".into(),
        input_schema: json!({
            "type": "object",
            "properties": {
                "query": { "type": "string", "description": "Words, such as a name.", "maxLength": MAX_QUERY }
            },
            "required": ["query"],
            "additionalProperties": false
        }),
        annotations: Annotations {
            read_only_hint: true,
            idempotent_hint: true,
            ..Annotations::default()
        },
        version: "1".into(),
        unchecked: false,
    }]
});

/// The environment: nothing in it changes.
#[derive(Clone)]
pub(crate) struct World(pub Arc<Encyclopedia>);

impl ToolHost for World {
    fn specs(&self) -> &[ToolSpec] {
        &SPECS
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        let query = arguments.get("query").and_then(Value::as_str).unwrap_or_default();
        match tool {
            "search" if query.chars().count() <= MAX_QUERY => Ok(ToolOutput {
                text: self.0.search(query)?,
                ..ToolOutput::default()
            }),
            _ => Err(ToolError::tool(
                "there is only search, with a query of at most 200 characters",
            )),
        }
    }

    fn state_hash(&self) -> Option<String> {
        Some(self.0.digest.clone())
    }

    fn inline(&self) -> bool {
        true
    }
}

impl Environment for World {
    fn reset(&mut self, _: &Task) -> Result<(), EnvError> {
        Ok(())
    }

    fn state(&self) -> Value {
        json!({ "encyclopedia": self.0.digest })
    }

    fn fork_kind(&self) -> Fork {
        Fork::Native
    }

    fn fork(&self) -> Option<Box<dyn Environment>> {
        Some(Box::new(self.clone()))
    }
}
