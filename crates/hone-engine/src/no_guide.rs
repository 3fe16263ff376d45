//! What stands for constrained decoding in a build without it: nothing of it can be made.

#![allow(dead_code)] // It has the shape of `guide.rs`.

use hone_model::TokenCodec;
use hone_trace::TokenId;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

#[derive(Default)]
pub(crate) struct Costs {
    pub masks: AtomicU64,
    pub making_us: AtomicU64,
    pub waiting_us: AtomicU64,
    pub forced: AtomicU64,
}

pub(crate) struct Guides(Infallible);
pub(crate) struct Guide(Infallible);
pub(crate) struct Open(Infallible);

pub(crate) enum Verdict {
    Sampled,
    Forced(TokenId),
}

impl Guides {
    pub(crate) fn new(_: &dyn TokenCodec, _: usize, _: Arc<Costs>) -> Result<Self, String> {
        Err("this program was built without them; build it with `--features constrain`".into())
    }

    pub(crate) fn begin(&self, _: String) -> Result<Guide, String> {
        match self.0 {}
    }
}

impl Guide {
    pub(crate) fn open(self, _: &Guides) -> Result<Open, String> {
        match self.0 {}
    }
}

impl Open {
    pub(crate) fn mask(&self) -> &[u32] {
        match self.0 {}
    }

    pub(crate) fn only_choice(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn check(&self, _: TokenId, _: TokenId, _: bool, _: usize, _: &Guides) -> Verdict {
        match self.0 {}
    }

    pub(crate) fn advance(self, _: TokenId, _: usize, _: &Guides) -> Guide {
        match self.0 {}
    }
}
