//! Which of thousands of tools a model should see.
//!
//! In two levels, as TURA does it (arXiv 2508.04604, section on intent-aware retrieval): first servers by what is said of
//! them, then tools of those servers. Attributes of tools (FinToolBench, arXiv 2603.08262) are constraints: what they
//! exclude is not ranked lower but never found.

use crate::index::Scored;
use crate::words::beginning;
use crate::{Document, Embedder, Index, Method, Ranked, SearchError, best};
use hone_tool::ToolSpec;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Bytes of a tool's text that are searched: its name and description, then its parameters.
const TOOL_TEXT: usize = 16 * 1024;

/// A tool on offer.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// Whose it is.
    pub server: String,
    /// Free attributes, such as `finance` or `real_time`.
    pub tags: Vec<String>,
    /// The tool.
    pub spec: ToolSpec,
}

/// What is said of a server: its description, and requests that it is for (TURA has a model write 20 of them). Each text
/// is searched by itself: one that fits exactly is not diluted by the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTexts {
    /// The server's name, as in [`Offer::server`].
    pub server: String,
    /// The texts.
    pub texts: Vec<String>,
}

/// What to find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// How many tools, at most.
    pub k: usize,
    /// How many servers are looked at, best first; 0 looks at all.
    pub servers: usize,
    /// How to rank.
    pub method: Method,
    /// Only tools that say they change nothing.
    pub read_only: bool,
    /// Only tools of these servers, unless empty.
    pub only: Vec<String>,
    /// Only tools that have all of these tags.
    pub tags: Vec<String>,
}

impl Wanted {
    /// The `k` best of all tools.
    pub fn best(k: usize, method: Method) -> Self {
        Self {
            k,
            servers: 0,
            method,
            read_only: false,
            only: Vec::new(),
            tags: Vec::new(),
        }
    }

    fn admits(&self, offer: &Offer) -> bool {
        (!self.read_only || offer.spec.annotations.read_only_hint)
            && (self.only.is_empty() || self.only.contains(&offer.server))
            && self.tags.iter().all(|tag| offer.tags.contains(tag))
    }
}

/// Tools of many servers, searched by what somebody wants to do.
#[derive(Debug)]
pub struct ToolIndex {
    offers: Vec<Offer>,
    tools: Index,
    /// Server of each tool, by its place in `names`.
    servers: Vec<usize>,
    names: Vec<String>,
    /// What is said of servers, and the server of each text; none where all are known by their tools.
    said: Option<(Index, Vec<usize>)>,
}

impl ToolIndex {
    /// Index tools. A server of which nothing is said is known by its tools: each tool's text is one of its own.
    ///
    /// # Errors
    /// When a server has two tools of one name, or the embedder fails.
    pub fn build(
        offers: Vec<Offer>,
        described: &[ServerTexts],
        embedder: Option<Arc<dyn Embedder>>,
    ) -> Result<Self, SearchError> {
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        let mut names = Vec::new();
        let mut servers = Vec::with_capacity(offers.len());
        for offer in &offers {
            let place = *places.entry(offer.server.clone()).or_insert_with(|| {
                names.push(offer.server.clone());
                names.len() - 1
            });
            servers.push(place);
        }
        let documents: Vec<Document> = offers
            .iter()
            .map(|offer| Document {
                id: format!("{}/{}", offer.server, offer.spec.name),
                text: tool_text(&offer.spec),
            })
            .collect();
        let tools = Index::build(&documents, embedder.clone())?;
        let described: HashMap<&str, &ServerTexts> = described
            .iter()
            .filter(|server| !server.texts.is_empty() && places.contains_key(&server.server))
            .map(|server| (server.server.as_str(), server))
            .collect();
        let mut said = None;
        if !described.is_empty() {
            let mut texts: Vec<(usize, &str)> = Vec::new();
            for (tool, place) in documents.iter().zip(&servers) {
                if !described.contains_key(names[*place].as_str()) {
                    texts.push((*place, &tool.text));
                }
            }
            for (place, name) in names.iter().enumerate() {
                let server = described.get(name.as_str()).into_iter();
                texts.extend(
                    server
                        .flat_map(|server| &server.texts)
                        .map(|text| (place, text.as_str())),
                );
            }
            let document = |(at, (_, text)): (usize, &(usize, &str))| Document {
                id: at.to_string(),
                text: (*text).to_owned(),
            };
            let all: Vec<Document> = texts.iter().enumerate().map(document).collect();
            let speakers = texts.iter().map(|(place, _)| *place).collect();
            said = Some((Index::build(&all, embedder)?, speakers));
        }
        Ok(Self {
            offers,
            tools,
            servers,
            names,
            said,
        })
    }

    /// The tools, in the order of building.
    pub fn offers(&self) -> &[Offer] {
        &self.offers
    }

    /// The best method that the index can do.
    pub fn method(&self) -> Method {
        self.tools.method()
    }

    /// The tools for one or several needs, best first: the request as a whole, or the parts that somebody took it apart
    /// into. With several, a server and a tool each have the score of the need that they fit best, so that every need
    /// has its say (TURA's pool, whose score is the maximum).
    ///
    /// # Errors
    /// When the method needs vectors and there are none, or the embedder fails.
    pub fn find(&self, needs: &[&str], wanted: &Wanted) -> Result<Vec<Ranked>, SearchError> {
        let vectors = needs.iter().map(|need| match wanted.method {
            Method::Bm25 => Ok(Vec::new()),
            Method::Dense | Method::Fused => self.tools.embed_query(need),
        });
        let vectors = vectors.collect::<Result<Vec<_>, _>>()?;
        self.find_embedded(needs, &vectors, wanted)
    }

    /// The vector of a need, for [`find_embedded`](Self::find_embedded).
    ///
    /// # Errors
    /// As [`Index::embed_query`].
    pub fn embed(&self, need: &str) -> Result<Vec<f32>, SearchError> {
        self.tools.embed_query(need)
    }

    /// As [`find`](Self::find), with a vector for each need.
    ///
    /// # Errors
    /// When the method needs vectors and there are none.
    pub fn find_embedded(
        &self,
        needs: &[&str],
        vectors: &[Vec<f32>],
        wanted: &Wanted,
    ) -> Result<Vec<Ranked>, SearchError> {
        let admitted: Vec<bool> = self.offers.iter().map(|offer| wanted.admits(offer)).collect();
        let mut open = vec![false; self.names.len()];
        for (server, _) in self.servers.iter().zip(&admitted).filter(|(_, admitted)| **admitted) {
            open[*server] = true;
        }
        let scored = needs.iter().zip(vectors);
        let scored = scored.map(|(need, vector)| self.tools.score(need, vector, wanted.method));
        let scored = scored.collect::<Result<Vec<_>, _>>()?;
        if wanted.servers > 0 && wanted.servers < open.iter().filter(|open| **open).count() {
            let ranked = match &self.said {
                None => self.rank_servers(&scored, &self.servers, wanted.servers, &open),
                Some((texts, speakers)) => {
                    let scored = needs.iter().zip(vectors);
                    let scored = scored.map(|(need, vector)| texts.score(need, vector, wanted.method));
                    self.rank_servers(&scored.collect::<Result<Vec<_>, _>>()?, speakers, wanted.servers, &open)
                }
            };
            open.fill(false);
            ranked.iter().for_each(|server| open[server.row] = true);
        }
        let keep = |row: usize| (admitted[row] && open[self.servers[row]]).then_some(row);
        let mut pool = Pool::default();
        for need in &scored {
            pool.add(need.best(wanted.k, self.offers.len(), &keep));
        }
        Ok(pool.best(wanted.k))
    }

    /// The best servers by texts of theirs, scored for each need: each has the score of its best text for the need that it
    /// fits best. `speakers` has the server of each text.
    fn rank_servers(&self, scored: &[Scored<'_>], speakers: &[usize], most: usize, open: &[bool]) -> Vec<Ranked> {
        let speaker = |text: usize| speakers.get(text).copied().filter(|server| open[*server]);
        let mut pool = Pool::default();
        for need in scored {
            pool.add(need.best(most, self.names.len(), &speaker));
        }
        pool.best(most)
    }
}

/// The best score of each row.
#[derive(Default)]
struct Pool(BTreeMap<usize, f32>);

impl Pool {
    fn add(&mut self, ranking: Vec<Ranked>) {
        for Ranked { row, score } in ranking {
            let held = self.0.entry(row).or_insert(score);
            *held = held.max(score);
        }
    }

    fn best(self, k: usize) -> Vec<Ranked> {
        best(self.0.into_iter().map(|(row, score)| Ranked { row, score }), k)
    }
}

/// A tool as it is searched: its name and description, then each parameter's name and description, also nested ones.
pub fn tool_text(spec: &ToolSpec) -> String {
    let mut text = format!("{}: {}", spec.name, spec.description);
    parameters(&spec.input_schema, 0, &mut text);
    text.truncate(beginning(&text, TOOL_TEXT).len());
    text
}

fn parameters(schema: &Value, depth: usize, text: &mut String) {
    if depth > 4 || text.len() > TOOL_TEXT {
        return;
    }
    for (name, inner) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        text.push('\n');
        text.push_str(name);
        if let Some(description) = inner.get("description").and_then(Value::as_str) {
            text.push_str(": ");
            text.push_str(description);
        }
        parameters(inner, depth + 1, text);
        if let Some(items) = inner.get("items") {
            parameters(items, depth + 1, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Purpose, Vectors};
    use hone_tool::Annotations;
    use serde_json::json;

    fn offer(server: &str, name: &str, description: &str) -> Offer {
        Offer {
            server: server.to_owned(),
            tags: Vec::new(),
            spec: ToolSpec {
                name: name.to_owned(),
                description: description.to_owned(),
                input_schema: json!({"type": "object", "properties": {}}),
                annotations: Annotations::default(),
                version: String::new(),
                unchecked: false,
            },
        }
    }

    /// Gives each text the vector that it names, such as `(0.6 0.8)`.
    struct Plain;

    impl Embedder for Plain {
        fn name(&self) -> &str {
            "plain"
        }
        fn version(&self) -> &str {
            "1"
        }
        fn dimension(&self) -> usize {
            2
        }
        fn embed(&self, texts: &[&str], _purpose: Purpose) -> Result<Vectors, SearchError> {
            let numbers = |text: &&str| -> Vec<f32> {
                let inner = text.split(['(', ')']).nth(1).unwrap_or("0 0");
                inner.split(' ').map(|number| number.parse().unwrap()).collect()
            };
            Ok(Vectors::new(2, texts.iter().flat_map(numbers).collect()))
        }
    }

    fn said(server: &str, texts: &[&str]) -> ServerTexts {
        ServerTexts {
            server: server.to_owned(),
            texts: texts.iter().map(|text| (*text).to_owned()).collect(),
        }
    }

    /// Weather is said in (1,0) and (0.6,0.8), hotel in (0,1); needs are (0.8,0.6) and (0,1). By the maximum over needs and
    /// texts weather has 0.96 and hotel 1.0, so hotel is first; the mean over needs would put weather first (0.88 to 0.80).
    #[test]
    fn a_server_has_the_score_of_its_best_text_for_its_best_need() {
        let offers = vec![
            offer("weather", "forecast", "(0.9 0.1)"),
            offer("hotel", "book", "(0.1 0.9)"),
        ];
        let described = [said("weather", &["(1 0)", "(0.6 0.8)"]), said("hotel", &["(0 1)"])];
        let index = ToolIndex::build(offers, &described, Some(Arc::new(Plain))).unwrap();
        let needs = ["(0.8 0.6)", "(0 1)"];
        let vectors: Vec<Vec<f32>> = needs.iter().map(|need| index.embed(need).unwrap()).collect();
        let (texts, speakers) = index.said.as_ref().unwrap();
        let scored = needs.iter().zip(&vectors);
        let scored: Vec<Scored<'_>> = scored
            .map(|(need, vector)| texts.score(need, vector, Method::Dense).unwrap())
            .collect();
        let ranked = index.rank_servers(&scored, speakers, 2, &[true, true]);
        assert_eq!(ranked.iter().map(|server| server.row).collect::<Vec<_>>(), [1, 0]);
        assert!(
            (ranked[0].score - 1.0).abs() < 1e-6 && (ranked[1].score - 0.96).abs() < 1e-6,
            "{ranked:?}"
        );
        let wanted = Wanted {
            servers: 1,
            ..Wanted::best(5, Method::Dense)
        };
        let found = index.find(&needs, &wanted).unwrap();
        assert_eq!(
            found.iter().map(|tool| tool.row).collect::<Vec<_>>(),
            [1],
            "only the hotel's"
        );
        let first = index.find(&needs[..1], &wanted).unwrap();
        assert_eq!(first[0].row, 0, "alone, the first need is the weather's");
    }

    fn finance() -> ToolIndex {
        let mut quote = offer("market", "get_quote", "Price of a stock now");
        quote.spec.annotations.read_only_hint = true;
        quote.tags = vec!["equity".into(), "real_time".into()];
        let mut filing = offer("filings", "get_filing", "Annual report of a stock");
        filing.spec.annotations.read_only_hint = true;
        filing.tags = vec!["equity".into(), "as_filed".into()];
        let mut buy = offer("market", "buy_stock", "Buy a stock at its price");
        buy.tags = vec!["equity".into()];
        let file = offer("files", "read_file", "Read a file");
        ToolIndex::build(vec![quote, filing, buy, file], &[], None).unwrap()
    }

    #[test]
    fn constraints_exclude() {
        let index = finance();
        let names = |wanted: Wanted| -> Vec<String> {
            let found = index.find(&["price of a stock"], &wanted).unwrap();
            found
                .iter()
                .map(|tool| index.offers()[tool.row].spec.name.clone())
                .collect()
        };
        let all = Wanted::best(10, Method::Bm25);
        assert_eq!(names(all.clone()).len(), 4, "`a` is in every text");
        assert_eq!(
            names(Wanted {
                read_only: true,
                ..all.clone()
            }),
            ["get_quote", "get_filing"]
        );
        assert_eq!(
            names(Wanted {
                tags: vec!["as_filed".into()],
                ..all.clone()
            }),
            ["get_filing"]
        );
        assert_eq!(
            names(Wanted {
                only: vec!["files".into()],
                ..all.clone()
            }),
            ["read_file"]
        );
        // A server whose tools are all excluded takes no place among the servers.
        let one = Wanted {
            servers: 1,
            tags: vec!["as_filed".into()],
            ..all
        };
        assert_eq!(names(one), ["get_filing"]);
    }

    #[test]
    fn a_tool_is_searched_by_its_parameters_too() {
        let mut spec = offer("s", "find", "Look up").spec;
        spec.input_schema = json!({"properties": {
            "city": {"description": "where it rains"},
            "days": {"type": "array", "items": {"properties": {"weekday": {}}}},
        }});
        assert_eq!(tool_text(&spec), "find: Look up\ncity: where it rains\ndays\nweekday");
        spec.description = "ä".repeat(TOOL_TEXT);
        assert!(tool_text(&spec).len() <= TOOL_TEXT);
    }
}
