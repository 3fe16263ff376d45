//! Counter-based named random streams: all randomness of a run flows from its seed through these.

use rand::{Rng, SeedableRng, TryRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// A random stream that is a pure function of a seed and a path of names and numbers.
///
/// Two streams with different paths are independent; the same path gives the same numbers on every machine, whatever
/// else ran before. Implements [`rand::Rng`], so that all of `rand`'s helpers work on it.
///
/// ```
/// use hone_trace::Stream;
/// use rand::Rng;
/// let mut a = Stream::new(7).named("tasks").at(3);
/// let mut b = Stream::new(7).named("tasks").at(3);
/// assert_eq!(a.next_u64(), b.next_u64());
/// ```
#[derive(Clone, Debug)]
pub struct Stream {
    key: [u8; 32],
    rng: ChaCha8Rng,
}

impl Stream {
    /// The root stream of a seed.
    pub fn new(seed: u64) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"hone/stream/1");
        hash.update(seed.to_le_bytes());
        Self::from_key(hash.finalize().into())
    }

    fn from_key(key: [u8; 32]) -> Self {
        Self {
            key,
            rng: ChaCha8Rng::from_seed(key),
        }
    }

    fn child(&self, tag: u8, data: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update([tag]);
        hash.update(data);
        Self::from_key(hash.finalize().into())
    }

    /// The child stream of that name. Does not depend on how much of this stream was consumed.
    pub fn named(&self, name: &str) -> Self {
        self.child(b'n', name.as_bytes())
    }

    /// The child stream of that number (an episode, a call, a position).
    pub fn at(&self, index: u64) -> Self {
        self.child(b'i', &index.to_le_bytes())
    }

    /// A seed for a part that takes a plain number.
    pub fn seed(&self) -> u64 {
        u64::from_le_bytes(self.key[..8].try_into().expect("eight bytes"))
    }

    /// The `position`-th uniform number in [0, 1) of this stream, computed without the ones before it.
    pub fn uniform(&self, position: u64) -> f64 {
        let mut rng = self.rng.clone();
        rng.set_word_pos(u128::from(position) * 2);
        (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

impl TryRng for Stream {
    type Error = std::convert::Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(self.rng.next_u32())
    }
    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(self.rng.next_u64())
    }
    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Self::Error> {
        self.rng.fill_bytes(dst);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_do_not_depend_on_consumption() {
        let root = Stream::new(1);
        let mut used = root.clone();
        used.next_u64();
        assert_eq!(root.named("a").seed(), used.named("a").seed());
        assert_ne!(root.named("a").seed(), root.named("b").seed());
        assert_ne!(root.at(0).seed(), root.named("\0\0\0\0\0\0\0\0").seed());
    }

    #[test]
    fn uniform_is_random_access() {
        let stream = Stream::new(9).named("sample");
        let mut rng = stream.clone();
        for position in 0..100 {
            let sequential = (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
            assert_eq!(stream.uniform(position), sequential);
        }
    }
}
