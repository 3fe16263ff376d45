//! Python's `random.Random`: the Mersenne Twister MT19937 with its seeding by arrays.

use std::cell::RefCell;

thread_local! {
    /// The last seed of this thread with its state: many worlds have the same, and seeding takes longer than copying.
    static SEEDED: RefCell<Option<(u64, State)>> = const { RefCell::new(None) };
}

const N: usize = 624;
const M: usize = 397;

/// A generator. It is seeded when it is first used, since most worlds never use theirs.
#[derive(Clone, Debug)]
pub(super) struct Random {
    seed: u64,
    state: Option<Box<State>>,
}

#[derive(Clone, Debug)]
struct State {
    words: [u32; N],
    at: usize,
}

impl Random {
    /// As `random.Random(seed)`; Python takes the size of a negative seed.
    pub fn new(seed: i64) -> Self {
        Self {
            seed: seed.unsigned_abs(),
            state: None,
        }
    }

    fn word(&mut self) -> u32 {
        let seed = self.seed;
        self.state.get_or_insert_with(|| Box::new(State::seeded(seed))).word()
    }

    /// As `random()`: in [0, 1), 53 bits.
    pub fn unit(&mut self) -> f64 {
        let high = f64::from(self.word() >> 5);
        let low = f64::from(self.word() >> 6);
        (high * 67_108_864.0 + low) * (1.0 / 9_007_199_254_740_992.0)
    }

    /// As `uniform(low, high)`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// As `randint(low, high)`, both included; `low` if there is nothing between.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let n = (high - low + 1).max(1) as u64;
        let bits = 64 - n.leading_zeros();
        loop {
            let mut drawn = u64::from(if bits < 32 {
                self.word() >> (32 - bits)
            } else {
                self.word()
            });
            if bits > 32 {
                drawn |= u64::from(self.word() >> (64 - bits)) << 32;
            }
            if drawn < n {
                return low + drawn as i64;
            }
        }
    }
}

impl State {
    fn seeded(seed: u64) -> Self {
        SEEDED.with_borrow_mut(|last| match last {
            Some((known, state)) if *known == seed => state.clone(),
            last => {
                let mut state = Self::new(seed);
                state.twist();
                last.insert((seed, state)).1.clone()
            }
        })
    }

    fn new(seed: u64) -> Self {
        let key: &[u32] = &[seed as u32, (seed >> 32) as u32];
        let key = if seed >> 32 == 0 { &key[..1] } else { key };
        let mut w = [0u32; N];
        w[0] = 19_650_218;
        for i in 1..N {
            w[i] = 1_812_433_253u32
                .wrapping_mul(w[i - 1] ^ (w[i - 1] >> 30))
                .wrapping_add(i as u32);
        }
        let (mut i, mut j) = (1, 0);
        for _ in 0..N.max(key.len()) {
            w[i] = (w[i] ^ (w[i - 1] ^ (w[i - 1] >> 30)).wrapping_mul(1_664_525))
                .wrapping_add(key[j])
                .wrapping_add(j as u32);
            (i, j) = (i + 1, (j + 1) % key.len());
            if i >= N {
                w[0] = w[N - 1];
                i = 1;
            }
        }
        for _ in 0..N - 1 {
            w[i] = (w[i] ^ (w[i - 1] ^ (w[i - 1] >> 30)).wrapping_mul(1_566_083_941)).wrapping_sub(i as u32);
            i += 1;
            if i >= N {
                w[0] = w[N - 1];
                i = 1;
            }
        }
        w[0] = 0x8000_0000;
        Self { words: w, at: N }
    }

    /// The next words.
    fn twist(&mut self) {
        for i in 0..N {
            let y = (self.words[i] & 0x8000_0000) | (self.words[(i + 1) % N] & 0x7fff_ffff);
            let twist = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.words[i] = self.words[(i + M) % N] ^ (y >> 1) ^ twist;
        }
        self.at = 0;
    }

    fn word(&mut self) -> u32 {
        if self.at >= N {
            self.twist();
        }
        let mut y = self.words[self.at];
        self.at += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn draws_as_pythons_generator() {
        // random.Random(1): random() twice; randint(1, 6) five times
        let mut random = Random::new(1);
        assert_eq!(random.unit(), 0.13436424411240122);
        assert_eq!(random.unit(), 0.8474337369372327);
        let mut random = Random::new(1);
        assert_eq!(
            (0..5).map(|_| random.between(1, 6)).collect::<Vec<_>>(),
            [2, 5, 1, 3, 1]
        );
    }
}
