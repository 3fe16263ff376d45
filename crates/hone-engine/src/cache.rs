//! Cached keys and values, in pages that sequences share.

use crate::Config;
use crate::gemm::{PANEL, Panels};
use hone_trace::TokenId;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Positions of one page.
pub const PAGE: usize = 2 * PANEL;

/// The cached keys and values of one token sequence.
///
/// They lie in pages of [`PAGE`] positions (Kwon et al. 2023). Copies share their pages until one of them writes into one, which
/// then gets its own. Keys are kept as packed right-hand sides of the score product (panels of 32 positions), values as
/// those of the context product, so that a step copies nothing but the new position.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    ids: Vec<TokenId>,
    pages: Vec<Arc<Page>>,
    counter: Arc<PageCounter>,
}

/// How many pages there are.
#[derive(Debug, Default)]
pub struct PageCounter(AtomicUsize);

impl PageCounter {
    /// Pages that are held, each once however many sequences share it.
    pub fn pages(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Page {
    keys: Vec<f32>,
    values: Vec<f32>,
    counter: Arc<PageCounter>,
}

impl Page {
    fn new(config: &Config, counter: &Arc<PageCounter>) -> Self {
        counter.0.fetch_add(1, Ordering::Relaxed);
        let [keys, values] = sizes(config);
        Self {
            keys: vec![0.0; keys],
            values: vec![0.0; values],
            counter: counter.clone(),
        }
    }
}

impl Clone for Page {
    fn clone(&self) -> Self {
        self.counter.0.fetch_add(1, Ordering::Relaxed);
        Self {
            keys: self.keys.clone(),
            values: self.values.clone(),
            counter: self.counter.clone(),
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.counter.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Floats of one page's keys and values.
fn sizes(c: &Config) -> [usize; 2] {
    let heads = c.num_hidden_layers * c.num_key_value_heads;
    [c.head_dim, c.head_dim.next_multiple_of(PANEL)].map(|width| heads * width * PAGE)
}

/// Bytes of one page.
pub(crate) fn page_bytes(config: &Config) -> usize {
    sizes(config).iter().sum::<usize>() * size_of::<f32>()
}

impl Cache {
    /// An empty cache whose pages are counted there.
    pub fn counted(counter: &Arc<PageCounter>) -> Self {
        Self {
            counter: counter.clone(),
            ..Self::default()
        }
    }

    /// The tokens fed so far.
    pub fn ids(&self) -> &[TokenId] {
        &self.ids
    }

    /// Keep only the first `len` tokens.
    pub fn truncate(&mut self, len: usize) {
        self.ids.truncate(len);
        self.pages.truncate(len.div_ceil(PAGE));
    }

    /// A copy of the first `len` tokens. It shares their pages.
    pub fn fork(&self, len: usize) -> Self {
        let mut copy = self.clone();
        copy.truncate(len);
        copy
    }

    /// New pages that `more` tokens would take: those not there yet, and the last one if it is shared.
    pub fn missing(&self, more: usize) -> usize {
        if more == 0 {
            return 0;
        }
        let shared =
            !self.ids.len().is_multiple_of(PAGE) && self.pages.last().is_some_and(|page| Arc::strong_count(page) > 1);
        (self.ids.len() + more).div_ceil(PAGE) - self.pages.len() + usize::from(shared)
    }

    /// Pages that would come free if it were dropped.
    pub(crate) fn own(&self) -> usize {
        self.pages.iter().filter(|page| Arc::strong_count(page) == 1).count()
    }

    /// Makes room for positions up to `len`.
    pub(crate) fn reserve(&mut self, config: &Config, len: usize) {
        while self.pages.len() * PAGE < len {
            self.pages.push(Arc::new(Page::new(config, &self.counter)));
        }
    }

    pub(crate) fn extend(&mut self, ids: &[TokenId]) {
        self.ids.extend_from_slice(ids);
    }

    pub(crate) fn write(&mut self, hd: usize, head: usize, position: usize, key: &[f32], value: &[f32]) {
        let page = Arc::make_mut(&mut self.pages[position / PAGE]);
        let position = position % PAGE;
        let at = (head * PAGE + position / PANEL * PANEL) * hd + position % PANEL;
        for (i, &x) in key.iter().enumerate() {
            page.keys[at + i * PANEL] = x;
        }
        for (panel, chunk) in value.chunks(PANEL).enumerate() {
            let at = ((head * hd.div_ceil(PANEL) + panel) * PAGE + position) * PANEL;
            page.values[at..at + chunk.len()].copy_from_slice(chunk);
        }
    }

    /// The keys and values of a head for the first `len` positions: each page's with its first position.
    pub(crate) fn pages(
        &self,
        hd: usize,
        head: usize,
        len: usize,
    ) -> impl Iterator<Item = (usize, Panels<'_>, Panels<'_>)> {
        self.pages
            .iter()
            .take(len.div_ceil(PAGE))
            .enumerate()
            .map(move |(index, page)| {
                let at = index * PAGE;
                let n = PAGE.min(len - at);
                let keys = Panels {
                    k: hd,
                    n,
                    stride: hd * PANEL,
                    data: &page.keys[head * hd * PAGE..],
                };
                let values = Panels {
                    k: n,
                    n: hd,
                    stride: PAGE * PANEL,
                    data: &page.values[head * hd.div_ceil(PANEL) * PAGE * PANEL..],
                };
                (at, keys, values)
            })
    }
}
